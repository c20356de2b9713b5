"""Layers that move values, or give them other dimensions."""

from __future__ import annotations

import math

import numpy as np

from cnnrt_export_onnx.model_builder import LayerWriter, NotExpressible

_LAST = 2**63 - 1


def same(out: LayerWriter) -> None:
    """Write an Identity for each output: Dropout, Split."""
    for output in out.node.outputs:
        name = out.step("Identity", out.inputs)
        out.builder.nodes[-1].output[0] = output
        out.builder.nodes[-1].name = name


def reshape(out: LayerWriter) -> None:
    """Write a Flatten, or a Reshape whose only open dimension is the one that depends on the batch."""
    output = out.node.outputs[0]
    shape = out.flexible(output)
    if shape == [-1, math.prod(out.shape()[1:])] and out.builder.network.varies(out.inputs[0])[0]:
        out.last("Flatten", out.inputs, axis=1)
        return
    out.last("Reshape", [*out.inputs, out.constant("shape", shape)])


def permute(out: LayerWriter) -> None:
    """Write a Transpose."""
    out.last("Transpose", out.inputs, perm=list(out.layer.axes(len(out.shape()))))


def pad(out: LayerWriter) -> None:
    """Write a Pad."""
    if out.layer.mode == "symmetric":
        raise NotExpressible("mode symmetric")
    before, after = zip(*out.layer.widths(out.shape()), strict=True)
    inputs = [*out.inputs, out.constant("pads", [*before, *after])]
    if out.layer.mode == "constant":
        inputs.append(out.number("value", out.layer.value))
    out.last("Pad", inputs, mode=out.layer.mode)


def cut(out: LayerWriter) -> None:
    """Write a Split (ONNX's, which is Caffe's Slice)."""
    if out.builder.network.varies(out.inputs[0])[out.layer.axis]:
        raise NotExpressible("cutting the batch")
    pieces = out.layer.pieces(out.shape())
    length = out.shape()[out.layer.axis]
    sizes = [len(range(*piece.indices(length))) for piece in pieces]
    out.last("Split", [*out.inputs, out.constant("sizes", sizes)], axis=out.layer.axis)


def strided_slice(out: LayerWriter) -> None:
    """Write a Slice."""
    layer, shape = out.layer, out.shape()
    terms: dict[str, list[int]] = {"starts": [], "ends": [], "axes": [], "steps": []}
    steps = layer.steps or (1,) * len(layer.axes)
    for stated in zip(layer.starts, layer.ends, (axis % len(shape) for axis in layer.axes), steps, strict=True):
        axis = stated[2]
        places = layer.places(shape)[axis]
        if not out.builder.network.varies(out.inputs[0])[axis]:
            stated = _plain(places, axis)
        for name, number in zip(terms, stated, strict=True):
            terms[name].append(number)
    out.last("Slice", [*out.inputs, *(out.constant(name, values) for name, values in terms.items())])


def _plain(places: range, axis: int) -> tuple[int, int, int, int]:
    """Return start, end, axis and step of places that are known: no version of ONNX reads these in another way."""
    if not places:
        return 0, 0, axis, 1
    end = places[-1] + places.step
    return places[0], end if end >= 0 else -_LAST, axis, places.step


def crop(out: LayerWriter) -> None:
    """Write a Slice; the second input gave sizes only, which are known."""
    shape, wanted = out.shape(), out.output_shape()
    axis = out.layer.axis % len(shape)
    if any(out.builder.network.varies(out.inputs[0])[axis:]):
        raise NotExpressible("cutting the batch")
    starts = list(out.layer.starts(shape))[axis:]
    ends = [start + kept for start, kept in zip(starts, wanted[axis:], strict=True)]
    terms = {"starts": starts, "ends": ends, "axes": list(range(axis, len(shape)))}
    out.last("Slice", [out.inputs[0], *(out.constant(name, values) for name, values in terms.items())])


def concat(out: LayerWriter) -> None:
    """Write a Concat."""
    out.last("Concat", out.inputs, axis=out.layer.axis)


def resize(out: LayerWriter) -> None:
    """Write a Resize, by factors where these are stated, else by sizes."""
    layer = out.layer
    attributes = {
        "mode": layer.mode,
        "coordinate_transformation_mode": layer.coordinates,
        "nearest_mode": layer.rounding if layer.mode == "nearest" else None,
        "cubic_coeff_a": layer.cubic_coeff if layer.mode == "cubic" else None,
        "exclude_outside": int(layer.exclude_outside) if layer.mode == "cubic" else None,
    }
    if layer.scale:
        factors = np.array([1, 1, layer.scale[0], layer.scale[-1]], np.float32)
        out.last("Resize", [out.inputs[0], "", out.constant("scales", factors)], **attributes)
    else:
        sizes = out.constant("sizes", list(out.output_shape()[2:]))
        out.last("Resize", [out.inputs[0], "", "", sizes], axes=[2, 3], **attributes)


def interp(out: LayerWriter) -> None:
    """Write a Resize with aligned corners, behind a Slice where pixels are cut off."""
    layer, value = out.layer, out.inputs[0]
    if layer.pad_beg or layer.pad_end:
        starts, ends = [-layer.pad_beg] * 2, [layer.pad_end or _LAST] * 2
        terms = {"starts": starts, "ends": ends, "axes": [2, 3]}
        value = out.step("Slice", [value, *(out.constant(name, values) for name, values in terms.items())])
    sizes = out.constant("sizes", list(out.output_shape()[2:]))
    attributes = {"mode": "linear", "coordinate_transformation_mode": "align_corners"}
    out.last("Resize", [value, "", "", sizes], axes=[2, 3], **attributes)


def depth_to_space(out: LayerWriter) -> None:
    """Write a DepthToSpace."""
    out.last("DepthToSpace", out.inputs, blocksize=out.layer.block, mode=out.layer.mode)


def space_to_depth(out: LayerWriter) -> None:
    """Write a SpaceToDepth; ONNX knows one order of channels, the other is a Reshape, a Transpose and a Reshape."""
    block = out.layer.block
    if out.layer.mode == "DCR":
        out.last("SpaceToDepth", out.inputs, blocksize=block)
        return
    _, channels, rows, columns = out.shape()
    apart = out.reshaped(out.inputs[0], [0, channels, rows // block, block, columns // block, block], "blocks")
    turned = out.step("Transpose", [apart], perm=[0, 1, 3, 5, 2, 4])
    out.last("Reshape", [turned, out.constant("shape", [0, *out.output_shape()[1:]])])


def channel_shuffle(out: LayerWriter) -> None:
    """Write a Reshape, a Transpose and a Reshape."""
    channels, *sizes = out.shape()[1:]
    group = out.layer.group
    split = out.reshaped(out.inputs[0], [0, group, channels // group, math.prod(sizes)], "groups")
    turned = out.step("Transpose", [split], perm=[0, 2, 1, 3])
    out.last("Reshape", [turned, out.constant("shape", [0, channels, *sizes])])


def gather(out: LayerWriter) -> None:
    """Write a Gather."""
    out.last("Gather", [*out.inputs, out.constant("indices", list(out.layer.indices))], axis=out.layer.axis)


def expand(out: LayerWriter) -> None:
    """Write an Expand."""
    out.last("Expand", [*out.inputs, out.constant("shape", list(out.layer.shape))])


def tile(out: LayerWriter) -> None:
    """Write a Tile; axes that are not named come once."""
    once = len(out.shape()) - len(out.layer.repeats)
    out.last("Tile", [*out.inputs, out.constant("repeats", [*[1] * once, *out.layer.repeats])])


def cumulative_sum(out: LayerWriter) -> None:
    """Write a CumSum."""
    axis = out.constant("axis", np.array(out.layer.axis, np.int64))
    out.last("CumSum", [*out.inputs, axis], exclusive=int(out.layer.exclusive), reverse=int(out.layer.reverse))


def stored(out: LayerWriter) -> None:
    """Write values that depend on no input, but on shapes at most, as a constant: Constant, PriorBox."""
    if any(any(out.builder.network.varies(output)) for output in out.node.outputs):
        raise NotExpressible("values that depend on the batch")
    zeros = [np.zeros(out.shape(i), np.float32) for i in range(len(out.inputs))]
    for output, values in zip(out.node.outputs, out.layer.reference(zeros, out.weights()), strict=True):
        out.step("Identity", [out.constant("value", np.asarray(values, np.float32))])
        out.builder.nodes[-1].output[0] = output
