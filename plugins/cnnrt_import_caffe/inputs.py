"""The inputs of a net as input blocks: shapes, and the preprocessing that a data layer did.

Caffe's data layers compute value = (pixel - mean) * scale on pixels 0..255 and, in phase TEST, take the centre
of the image where crop_size is set (TransformationParameter). Deploy nets state nothing but a shape.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnrt_import_caffe.findings import Findings
from cnnrt_import_caffe.wiring import Source
from netfile_spec import InputBlock
from netfile_spec.problems import quoted

_LARGEST = 2**31 - 1
# Where the deprecated preprocessing fields of V1 nets stood.
_OLD_FIELDS = {"Data": "data_param", "ImageData": "image_data_param", "WindowData": "window_data_param"}
_IMAGES = frozenset({"AnnotatedData", "Data", "ImageData", "MemoryData", "WindowData"})


def input_block(source: Source, channels: int | None, findings: Findings) -> InputBlock:
    """Return the input block for a source; `channels` is what the layers that read it take, where known."""
    layer = source.layer
    if layer is None:
        return InputBlock(source.blob, _without_batch(source, source.shape, findings))
    if layer.type == "Input":
        shapes = layer.param.input_param.shape
        stated = shapes[min(source.index, len(shapes) - 1)].dim if shapes else ()
        return InputBlock(source.blob, _without_batch(source, tuple(stated), findings))
    findings.note(f"layer {layer.title} ({layer.type}) became the input {quoted(source.blob)}")
    if layer.type == "DummyData":
        return InputBlock(source.blob, _without_batch(source, _dummy_shape(source), findings))
    if layer.type not in _IMAGES:
        _note_unknown_shape(source, findings)
        return InputBlock(source.blob)
    return _image_input(source, channels, findings)


def _image_input(source: Source, channels: int | None, findings: Findings) -> InputBlock:
    assert source.layer is not None
    layer = source.layer
    transform = layer.param.transform_param
    old = getattr(layer.param, _OLD_FIELDS[layer.type]) if layer.type in _OLD_FIELDS else None
    scale, crop, mean_file = (_stated(transform, old, key) for key in ("scale", "crop_size", "mean_file"))
    mean = tuple(float(str(np.float32(m))) for m in transform.mean_value)
    scale = float(str(np.float32(scale))) if scale not in (None, 1) else None

    height, width, order = crop, crop, None
    if layer.type == "MemoryData":
        memory = layer.param.memory_data_param
        channels, height, width = memory.channels, memory.height, memory.width
    elif layer.type == "ImageData":
        images = layer.param.image_data_param
        height, width = crop or images.new_height, crop or images.new_width
        channels = 3 if images.is_color else 1
        order = "bgr" if images.is_color else None
    if channels is None and len(mean) > 1:
        channels = len(mean)
    if channels == 1:
        order = "gray"

    shape = None
    if channels and height and width and max(channels, height, width) <= _LARGEST:
        shape = (channels, height, width)
    else:
        _note_unknown_shape(source, findings)
    _note_preprocessing(source, order, mean, scale, findings)
    if crop:
        findings.note(
            f"layer {layer.title} takes the centre of {crop}×{crop} pixels of larger images; here images are "
            f"resized to {crop}×{crop}: crop them beforehand for the same result"
        )
    if mean_file:
        findings.note(f"layer {layer.title} subtracts the mean image {quoted(mean_file)}: give it with --mean")
    return InputBlock(source.blob, shape, channel_order=order, mean=mean, scale=scale)


def _stated(transform: Any, old: Any, key: str) -> Any:
    """Return a preprocessing field from transform_param or from its place before 2014; None where unstated."""
    for message in (transform, old):
        if message is not None and message.HasField(key):
            return getattr(message, key) or None
    return None


def _note_preprocessing(
    source: Source, order: str | None, mean: tuple[float, ...], scale: float | None, findings: Findings
) -> None:
    taken = [f"channel order {order}"] if order else []
    taken += [f"mean {', '.join(f'{m:g}' for m in mean)}"] if mean else []
    taken += [f"scale {scale:g}"] if scale is not None else []
    if taken:
        findings.note(f"preprocessing of the input {quoted(source.blob)}, from the data layer: {'; '.join(taken)}")
    if order is None:
        findings.note(
            f"the channel order of the input {quoted(source.blob)} is not stated; Caffe's tools store images as "
            "BGR: --channel-order says which"
        )


def _dummy_shape(source: Source) -> tuple[int, ...]:
    assert source.layer is not None
    param = source.layer.param.dummy_data_param
    if param.shape:
        return tuple(param.shape[min(source.index, len(param.shape) - 1)].dim)
    sizes = (param.num, param.channels, param.height, param.width)
    return tuple(size[min(source.index, len(size) - 1)] for size in sizes if size)


def _without_batch(source: Source, shape: tuple[int, ...], findings: Findings) -> tuple[int, ...] | None:
    """Return a shape without its first dimension, the batch; None, with a note, where it is not fully stated."""
    item = shape[1:]
    if item and all(1 <= n <= _LARGEST for n in item):
        return item
    _note_unknown_shape(source, findings)
    return None


def _note_unknown_shape(source: Source, findings: Findings) -> None:
    findings.note(
        f"the shape of the input {quoted(source.blob)} is not stated: add shape: [channels, height, width] to its "
        "block in the NetFile"
    )
