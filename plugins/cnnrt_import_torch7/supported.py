"""The table of all modules that are read, and advice for those that are not."""

from __future__ import annotations

from collections.abc import Mapping

from cnnrt_import_torch7 import activations, containers, convolutions, dimensions, neighbourhoods, poolings, shapes
from cnnrt_import_torch7.graphs import graph
from cnnrt_import_torch7.modules import Rule
from netfile_spec.problems import closest

RULES: Mapping[str, Rule] = {
    **convolutions.RULES,
    **poolings.RULES,
    **activations.RULES,
    **neighbourhoods.RULES,
    **shapes.RULES,
    **dimensions.RULES,
    **containers.RULES,
    "gModule": graph,
}

PACKAGES = ("nn", "cudnn", "inn")
"""Packages whose modules of equal names do the same."""

_ADVICE = {
    "SpatialConvolutionLocal": "each place has weights of its own; the nearest that is supported is SpatialConvolution",
    "SpatialMaxUnpooling": "the nearest that is supported is SpatialFullConvolution",
    "SpatialConvolutionCUDA": "it keeps images with the batch last; transpose the network to SpatialConvolution",
    "Parallel": "the nearest that is supported is ParallelTable",
    "LookupTable": "networks of text are not read",
    "LSTM": "recurrent networks are not read",
}


def advice(short: str) -> str:
    """Return what to do about a module that is not supported."""
    if short in _ADVICE:
        return _ADVICE[short]
    if short.startswith(("Volumetric", "Temporal")):
        return "only modules of images (Spatial...) are read"
    near = closest(short, RULES)
    return f"the nearest that is supported is {near}" if near else f"supported are {', '.join(RULES)}"
