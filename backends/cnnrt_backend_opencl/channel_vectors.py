"""Work on images in vectors of channels: how many channels fill one, and how many pixels make a work-item."""

from __future__ import annotations

import attrs

from cnnrt.backend import Device
from cnnrt.layer_call import LayerCall
from cnnrt_backend_opencl.kernel import in_groups, plane_group
from cnnrt_backend_opencl.limits import limits_of


@attrs.frozen
class PixelLaunch:
    """Vectors of channels × runs of `columns` × `rows` of all images."""

    size: tuple[int, int, int]
    group: tuple[int, int, int]
    columns: int
    rows: int


def lanes_for(channels: int, device: Device) -> int:
    """Return the floats of the widest vector that channels fill: up to 8 on processors, 4 elsewhere."""
    most = 8 if limits_of(device).cpu else 4
    return next(n for n in (8, 4, 2, 1) if n <= most and channels % n == 0)


def pixel_launch(call: LayerCall, device: Device) -> PixelLaunch:
    """Return how the output images of a call are cut into work-items, vectors being as wide as channels allow."""
    return vector_launch(call, device, lanes_for(call.outputs[0].shape[1], device))


def vector_launch(call: LayerCall, device: Device, lanes: int) -> PixelLaunch:
    """Return how they are cut where vectors have so many lanes, which divide the channels.

    On a processor one takes a whole row, since each costs as much as some vectors.
    """
    images, channels, height, width = call.outputs[0].shape
    limits = limits_of(device)
    vectors = channels // lanes
    rows = images * height
    if limits.cpu:
        return PixelLaunch((vectors, 1, rows), (1, 1, 1), max(1, width), rows)
    group = plane_group(limits, vectors, width)
    return PixelLaunch((in_groups(vectors, group[0]), in_groups(width, group[1]), rows), (*group, 1), 1, rows)
