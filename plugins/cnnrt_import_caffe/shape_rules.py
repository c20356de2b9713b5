"""Layers that move values, or give images another size."""

from __future__ import annotations

from cnnrt_import_caffe.findings import Findings
from cnnrt_import_caffe.net import CaffeLayer
from cnnrt_import_caffe.rules import LARGEST, Converted, Rule
from netfile_spec import Value


def _reshape(layer: CaffeLayer, findings: Findings) -> Converted:
    param, block = layer.param.reshape_param, "reshape_param"
    shape = tuple(int(size) for size in param.shape.dim)
    if not shape or min(shape) < -1 or max(shape) > LARGEST or shape.count(-1) > 1:
        stated = "×".join(map(str, shape[:20])) or "nothing"
        wanted = "dim: sizes, 0 for the input's own, and at most one -1 for what is left over"
        findings.of_layer(layer, f"reshaping to {stated}", block, "shape", expected=wanted)
        return Converted("Reshape", {})
    keys: dict[str, Value] = {"shape": shape}
    if param.axis:
        keys["axis"] = param.axis
    if param.num_axes < -1:
        findings.of_layer(layer, f"num_axes {param.num_axes}", block, "num_axes", expected="at least -1")
    elif param.num_axes != -1:
        keys["num_axes"] = param.num_axes
    return Converted("Reshape", keys)


def _permute(layer: CaffeLayer, findings: Findings) -> Converted:
    order = tuple(layer.param.permute_param.order)
    if len(set(order)) < len(order) or any(axis > 31 for axis in order):
        stated = ", ".join(map(str, order[:20]))
        findings.of_layer(layer, f"order {stated}", "permute_param", "order", expected="each axis once")
    return Converted("Permute", {"order": order or (0,)})


def _slice(layer: CaffeLayer, findings: Findings) -> Converted:
    param, block = layer.param.slice_param, "slice_param"
    if param.HasField("axis") and param.HasField("slice_dim"):
        findings.of_layer(layer, "both axis and slice_dim", block, "slice_dim", expected="one of them")
    axis = param.slice_dim if param.HasField("slice_dim") else param.axis
    keys: dict[str, Value] = {} if axis == 1 else {"axis": axis}
    points, tops = tuple(param.slice_point), len(layer.tops)
    if not points:
        return Converted("Slice", {**keys, "parts": tops})
    if len(points) != tops - 1 or list(points) != sorted(set(points)):
        wanted = f"{tops - 1} in ascending order, one less than tops"
        stated = ", ".join(map(str, points[:20]))
        findings.of_layer(layer, f"slice points {stated} for {tops} tops", block, "slice_point", expected=wanted)
    return Converted("Slice", {**keys, "slice_point": points})


def _crop(layer: CaffeLayer, findings: Findings) -> Converted:
    param = layer.param.crop_param
    keys: dict[str, Value] = {} if param.axis == 2 else {"axis": param.axis}
    if any(param.offset):
        keys["offset"] = tuple(param.offset)
    return Converted("Crop", keys)


def _interp(layer: CaffeLayer, findings: Findings) -> Converted:
    param, block, keys = layer.param.interp_param, "interp_param", dict[str, Value]()
    for key, absent, least, most in (
        ("height", 0, 0, LARGEST),
        ("width", 0, 0, LARGEST),
        ("shrink_factor", 1, 1, LARGEST),
        ("zoom_factor", 1, 1, LARGEST),
        ("pad_beg", 0, -LARGEST, 0),
        ("pad_end", 0, -LARGEST, 0),
    ):
        value = getattr(param, key)
        if not least <= value <= most:
            findings.of_layer(layer, f"{key} {value}", block, key, expected=f"{least} to {most}")
        elif value != absent:
            keys[key] = value
    sized = ("height" in keys, "width" in keys)
    if any(sized) and (not all(sized) or "shrink_factor" in keys or "zoom_factor" in keys):
        findings.of_layer(layer, "height and width beside other sizes", block, expected="both, or factors")
    return Converted("Interp", keys)


def _upsample(layer: CaffeLayer, findings: Findings) -> Converted:
    """Two layers have this name: SegNet's puts values back by a mask, YOLO's copies pixels."""
    param, block = layer.param.upsample_param, "upsample_param"
    if param.pad_out_h or param.pad_out_w:
        findings.of_layer(layer, "rows or columns put behind (pad_out)", block, expected="upsample_h and upsample_w")
    scale = (param.scale_h or param.scale, param.scale_w or param.scale)
    if min(scale) < 1 or max(scale) > 1024:
        findings.of_layer(layer, f"scale {scale[0]}×{scale[1]}", block, "scale", expected="1 to 1024")
        return Converted("Resize", {})
    sized = (param.upsample_h, param.upsample_w)
    if all(sized):
        if max(sized) > LARGEST:
            findings.of_layer(layer, f"a size of {sized[0]}×{sized[1]}", block, "upsample_h")
        size: dict[str, Value] = {"size": sized}
        return Converted("MaxUnpool", size) if len(layer.bottoms) == 2 else Converted("Resize", size)
    if len(layer.bottoms) == 2:
        return Converted("MaxUnpool", {"kernel_size": scale, "stride": scale})
    return Converted("Resize", {"scale": tuple(map(float, scale)), "coordinates": "asymmetric", "rounding": "floor"})


def _shuffle_channel(layer: CaffeLayer, findings: Findings) -> Converted:
    group = layer.param.shuffle_channel_param.group
    if group < 1:
        findings.of_layer(layer, f"group {group}", "shuffle_channel_param", "group", expected="at least 1")
    return Converted("ChannelShuffle", {"group": max(1, group)})


SHAPE_RULES = {
    "Crop": Rule("crop_param", _crop, (2, 2)),
    "Interp": Rule("interp_param", _interp, (1, 2)),
    "Permute": Rule("permute_param", _permute),
    "Reshape": Rule("reshape_param", _reshape),
    "ShuffleChannel": Rule("shuffle_channel_param", _shuffle_channel),
    "Slice": Rule("slice_param", _slice, most_tops=None),
    "Upsample": Rule("upsample_param", _upsample, (1, 2)),
}
