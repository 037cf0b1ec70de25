"""Bundles: a trained policy as a folder of ``card.json`` and ``model.onnx``.

The graph takes raw named features ``[m, d]`` and returns physical named actions ``[m, a]``;
normalisation, squashing and clipping are inside. The files are bytes of unknown origin; what is
run is the graph that was checked.
"""
