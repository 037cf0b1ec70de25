"""Disturbances: one file per event kind, each a SimPy process behind a narrow facade."""
