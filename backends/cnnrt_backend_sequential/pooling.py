"""Pooling: rows first, then columns, each by comparing or adding strided slices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

import attrs
import numpy as np

from cnnrt.backend import Device, HostFunction, HostKernel, Packed
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt_backend_sequential.cost_model import RUN_SECONDS, passes_seconds
from cnnrt_backend_sequential.rectifier import FOLDS, folded_slope, needs_scratch, rectify_in_place
from cnnrt_backend_sequential.workspace import BLOCK_BYTES, Scratch
from cnnrt_layers.windows import Windows

if TYPE_CHECKING:
    from cnnrt_layers.pooling import Pooling


class SlidePooling(HostKernel):
    """The largest or the mean of a window is that of its rows' (both separate): k + k operations, not k × k.

    Works on a block of channels, or of rows where a channel is large. The workspace holds the block pooled
    vertically. Padding is never written out: windows that hang over the border take fewer slices.
    """

    layer = "Pooling"
    backend = "sequential"
    name = "slide"
    folds = FOLDS

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Decline norms, places of maxima, and windows with gaps."""
        layer = cast("Pooling", call.layer)
        if layer.pool == "lp" or layer.mask:
            return "gives the maximum or the mean alone"
        return layer.dilation == (1, 1) or "takes windows without gaps"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return the seconds for the passes over rows and columns."""
        g = _geometry(call)
        plan = _plan(g)
        blocks = -(-g.planes // plan.planes) * -(-g.rows.count // plan.rows)
        lines = plan.planes * plan.rows
        down = passes_seconds(lines * g.columns.size, g.rows.kernel, g.rows.kernel)
        across = passes_seconds(lines * g.columns.count, 4 * g.columns.kernel, g.columns.kernel)
        return blocks * (down + across + lines * g.columns.kernel * RUN_SECONDS)

    def parameters(self, call: LayerCall) -> Mapping[str, int | str]:
        """Return the channels and rows of a block."""
        plan = _plan(_geometry(call))
        return {"channels": plan.planes, "rows": plan.rows}

    def workspace(self, call: LayerCall) -> int:
        """Return the bytes of one block pooled vertically."""
        g = _geometry(call)
        return _scratch(g, _plan(g), needs_scratch(folded_slope(call))).nbytes

    def bind(self, call: LayerCall) -> HostFunction:
        """Return the loop over blocks."""
        layer = cast("Pooling", call.layer)
        largest = layer.pool == "max"
        g = _geometry(call)
        plan = _plan(g)
        slope = folded_slope(call)
        scratch = _scratch(g, plan, needs_scratch(slope))
        across = _slide(g.columns, 2)
        bands = []
        for start in range(0, g.rows.count, plan.rows):
            stop = min(start + plan.rows, g.rows.count)
            here = attrs.evolve(g.rows, before=g.rows.before - start * g.rows.stride, count=stop - start)
            bands.append((start, stop, _slide(here, 1)))
        blocks = [slice(start, min(start + plan.planes, g.planes)) for start in range(0, g.planes, plan.planes)]
        combine: Callable[..., Array] = np.maximum if largest else np.add
        neutral = -np.inf if largest else 0.0
        row_divisors = layer.divisors(g.rows).astype(np.float32)[:, None]
        column_divisors = layer.divisors(g.columns).astype(np.float32)

        def run(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
            x = inputs[0].reshape(g.planes, g.rows.size, g.columns.size)
            y = outputs[0].reshape(g.planes, g.rows.count, g.columns.count)
            lines, *spare = scratch.arrays(workspace)
            for planes in blocks:
                source = x[planes]
                for start, stop, down in bands:
                    out = y[planes, start:stop]
                    pooled = lines[: out.shape[0], : stop - start]
                    down.apply(source, pooled, combine, neutral)
                    across.apply(pooled, out, combine, neutral)
                    if not largest:
                        np.divide(out, row_divisors[start:stop], out=out)
                        np.divide(out, column_divisors, out=out)
                    rectify_in_place(out, slope, spare[0][: out.shape[0], : stop - start] if spare else None)

        return run


@attrs.frozen
class _Geometry:
    """`planes` (images times channels) and the windows along both axes."""

    planes: int
    rows: Windows
    columns: Windows


def _geometry(call: LayerCall) -> _Geometry:
    shape = call.inputs[0].shape
    return _Geometry(shape[0] * shape[1], *cast("Pooling", call.layer).windows(shape))


@attrs.frozen
class _Plan:
    """Planes and output rows of a block."""

    planes: int
    rows: int


def _plan(g: _Geometry) -> _Plan:
    line = 4 * max(1, g.columns.size)
    rows = max(1, min(g.rows.count, BLOCK_BYTES // 4 // line))
    return _Plan(max(1, min(g.planes, BLOCK_BYTES // 4 // (line * rows))), rows)


def _scratch(g: _Geometry, plan: _Plan, leaky: bool) -> Scratch:
    scratch = Scratch()
    scratch.add((plan.planes, plan.rows, g.columns.size))
    if leaky:
        scratch.add((plan.planes, plan.rows, g.columns.count))
    return scratch


_Index = tuple[slice, ...]


@attrs.frozen
class _Slide:
    """Pooling along one axis: for each tap of the window, the outputs it goes to and the slice it reads.

    The first `whole` taps lie inside the image for every window.
    """

    taps: tuple[tuple[_Index, _Index], ...]
    whole: int

    def apply(self, source: Array, out: Array, combine: Callable[..., Array], neutral: float) -> None:
        """Write the windows of `source` to `out`."""
        if self.whole >= 2:
            combine(source[self.taps[0][1]], source[self.taps[1][1]], out=out)
        elif self.whole == 1:
            np.copyto(out, source[self.taps[0][1]])
        else:
            out.fill(neutral)
        for place, read in self.taps[min(self.whole, 2) :]:
            covered = out[place]
            combine(covered, source[read], out=covered)


def _slide(along: Windows, axis: int) -> _Slide:
    before = (slice(None),) * axis
    whole: list[tuple[_Index, _Index]] = []
    partial: list[tuple[_Index, _Index]] = []
    for tap in range(along.kernel):
        windows, taken = along.overlap(tap)
        if windows.stop:
            place = ((*before, windows), (*before, taken))
            (whole if windows == slice(0, along.count) else partial).append(place)
    return _Slide((*whole, *partial), len(whole))
