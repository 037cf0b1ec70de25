"""The network and its load flow: a compiled tree kernel, with pandapower as the reference.

Injections are positive where power flows *into* the network; slack power is positive where it
comes from upstream. Importing this package imports neither pandapower nor numba.
"""
