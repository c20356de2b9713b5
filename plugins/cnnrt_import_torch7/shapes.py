"""Modules that only arrange values. Torch7 counts dimensions from 1, and some without that of the batch."""

from __future__ import annotations

from collections.abc import Mapping

from cnnrt_import_torch7.modules import Flow, Module, Rule
from netfile_spec import Value


def view(module: Module, flow: Flow) -> Flow:
    """nn.View: a first size of -1 is the batch, and the others are those of one image."""
    sizes = module.sizes("size")
    if sizes is None:
        return module.problem("it has no size")
    if module.field("numInputDims") is None and len(sizes) > 1 and sizes[0] == -1:
        sizes = sizes[1:]
    return _arranged(module, flow, sizes)


def reshape(module: Module, flow: Flow) -> Flow:
    """nn.Reshape: sizes are those of one image."""
    sizes = module.sizes("size")
    return module.problem("it has no size") if sizes is None else _arranged(module, flow, sizes)


def _arranged(module: Module, flow: Flow, sizes: list[int]) -> Flow:
    bottom = module.single(flow)
    if sum(n == -1 for n in sizes) > 1 or any(n < -1 or n == 0 for n in sizes):
        return module.problem(f"a size of {'×'.join(str(n) for n in sizes)}", expected="sizes of one image")
    if len(sizes) == 1:
        return module.add("Flatten", [bottom])
    return module.add("Reshape", [bottom], {"shape": (0, *sizes)})


def contiguous(module: Module, flow: Flow) -> Flow:
    """Modules that give what they are handed, some of them only once training is over."""
    return flow


def padding(module: Module, flow: Flow) -> Flow:
    """nn.SpatialZeroPadding, which may cut off as well, SpatialReflectionPadding, SpatialReplicationPadding."""
    bottom = module.single(flow)
    least = -(2**31) if module.object.short == "SpatialZeroPadding" else 0
    top, bottom_rows = module.integer("pad_t", 0, least=least), module.integer("pad_b", 0, least=least)
    left, right = module.integer("pad_l", 0, least=least), module.integer("pad_r", 0, least=least)
    modes = {"SpatialReflectionPadding": "reflect", "SpatialReplicationPadding": "edge"}
    keys: dict[str, Value] = {"before": (top, left), "after": (bottom_rows, right)}
    if module.object.short in modes:
        keys["mode"] = modes[module.object.short]
    return module.add("Pad", [bottom], keys)


def upsampling(module: Module, flow: Flow) -> Flow:
    """nn.SpatialUpSamplingNearest: each pixel becomes a square of pixels."""
    bottom, factor = module.single(flow), module.integer("scale_factor", least=1)
    keys: dict[str, Value] = {"mode": "nearest", "scale": (float(factor), float(factor))}
    return module.add("Resize", [bottom], {**keys, "coordinates": "asymmetric", "rounding": "floor"})


def bilinear(module: Module, flow: Flow) -> Flow:
    """nn.SpatialUpSamplingBilinear: corners fall on corners, and s - 1 pixels come between neighbours."""
    bottom = module.single(flow)
    if module.field("scale_factor") is not None:
        return module.add("Interp", [bottom], {"zoom_factor": module.integer("scale_factor", least=1)})
    rows, columns = module.pair("oheight", "owidth", least=1)
    return module.add("Interp", [bottom], {"height": rows, "width": columns})


def pixel_shuffle(module: Module, flow: Flow) -> Flow:
    """nn.PixelShuffle."""
    factor = module.integer("upscaleFactor", least=1)
    return module.add("DepthToSpace", [module.single(flow)], {"block": factor, "mode": "CRD"})


def transpose(module: Module, flow: Flow) -> Flow:
    """nn.Transpose of dimensions other than the batch, for images."""
    bottom = module.single(flow)
    order = [0, 1, 2, 3]
    permutations = module.field("permutations")
    for swap in getattr(permutations, "sequence", []):
        pair = [int(n) - 1 for n in getattr(swap, "sequence", []) if isinstance(n, float) and 1 <= n <= 4]
        if len(pair) != 2 or 0 in pair:
            return module.problem("it exchanges dimensions that images do not have, or the batch")
        order[pair[0]], order[pair[1]] = order[pair[1]], order[pair[0]]
    return module.add("Permute", [bottom], {"order": tuple(order)})


RULES: Mapping[str, Rule] = {
    "View": view,
    "Reshape": reshape,
    **dict.fromkeys(("Identity", "Copy", "Contiguous", "L1Penalty", "GradientReversal", "WhiteNoise"), contiguous),
    **dict.fromkeys(("SpatialZeroPadding", "SpatialReflectionPadding", "SpatialReplicationPadding"), padding),
    "Transpose": transpose,
    "SpatialUpSamplingNearest": upsampling,
    "SpatialUpSamplingBilinear": bilinear,
    "PixelShuffle": pixel_shuffle,
}
