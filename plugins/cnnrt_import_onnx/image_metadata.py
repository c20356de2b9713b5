"""How an image becomes numbers, where a model's metadata say so.

Format: MetadataProps.md of ONNX: Image.BitmapPixelFormat and Image.NominalPixelRange, which tools of Windows ML write.
Most models state neither. The colour space (Image.ColorSpaceGamma) changes nothing here: pixels are taken as stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from cnnrt.findings import Findings
from cnnrt_import_onnx.model_text import text_of
from netfile_spec import InputBlock
from netfile_spec.problems import quoted

_ORDERS = {"gray8": ("gray", 1), "rgb8": ("rgb", 3), "rgba8": ("rgb", 3), "bgr8": ("bgr", 3), "bgra8": ("bgr", 3)}
"""Channel order and number of channels by pixel format; alpha is no channel of a network."""

# Range -> mean and scale: value = (pixel - mean) * scale, pixels 0..255.
_RANGES = {
    "nominalrange_0_255": (None, None),
    "normalized_0_1": (None, 1 / 255),
    "normalized_1_1": (127.5, 1 / 127.5),
    "nominalrange_16_235": (-16 * 255 / 219, 219 / 255),
}


def with_metadata(blocks: Mapping[str, InputBlock], model: Any, findings: Findings) -> dict[str, InputBlock]:
    """Return the input blocks, those of images with the preprocessing that the metadata state."""
    stated = {text_of(entry.key).lower(): text_of(entry.value).lower() for entry in model.metadata_props}
    order, channels = _ORDERS.get(stated.get("image.bitmappixelformat", ""), (None, 0))
    mean, scale = _RANGES.get(stated.get("image.nominalpixelrange", ""), (None, None))
    found = dict(blocks)
    if order is None:
        return found
    for name, block in blocks.items():
        if block.shape is None or len(block.shape) != 3 or block.shape[0] != channels:
            continue
        found[name] = attrs.evolve(block, channel_order=order, mean=() if mean is None else (mean,), scale=scale)
        taken = [f"channel order {order}"] + ([f"mean {mean:g}"] if mean is not None else [])
        taken += [f"scale {scale:g}"] if scale is not None else []
        findings.note(f"preprocessing of the input {quoted(block.name)}, from the metadata: {'; '.join(taken)}")
    return found
