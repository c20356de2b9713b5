"""Convolution by blocks of output rows: the kernel for every case.

The classical way writes the whole matrix of unrolled windows (im2col: kernel rows × kernel columns times the image)
and multiplies it by the weights. Here only the columns of the kernel are unrolled, for a block of rows that fits the
cache; moving the kernel down by one row is then nothing but a later start in the same memory, so that each kernel row
is one matrix product on an overlapping view, and their results are summed. (Memory-efficient convolution: Cho and
Brand, "MEC", ICML 2017, arXiv 1706.06873, section 3; there for NHWC.) Where such products would be too thin, as over
the three channels of a photograph, kernel rows are unrolled too, out of what is already in the cache.

The unrolled block is indexed [phase][channel][kernel column][row][image][output column]. With a vertical stride of s,
padded image row r lies in phase r mod s at row r // s: then the kernel rows of one stride are neighbours and share one
product. Rows before images lets several tiny images share a product as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from cnnrt.backend import Device, HostFunction, HostKernel, Packed
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt_backend_sequential.convolution_plan import RowsPlan, plan_rows
from cnnrt_backend_sequential.cost_model import RUN_SECONDS, passes_seconds, product_seconds
from cnnrt_backend_sequential.rectifier import FOLDS, folded_slope, rectify
from cnnrt_layers.convolution_geometry import convolution_geometry
from cnnrt_layers.windows import Windows


class RowsConvolution(HostKernel):
    """Unrolls kernel columns for a block of rows, then one matrix product for each kernel row.

    Weights are packed as (group, output, kernel row, input, kernel column), with the bias as a first column that meets
    a row of ones. The block's sums, and a ReLU of them, are made in the cache; the output is written once.
    """

    layer = "Convolution"
    backend = "sequential"
    name = "rows"
    folds = FOLDS

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return the seconds for unrolling, products and sums."""
        g = convolution_geometry(call)
        plan = plan_rows(g)
        blocks = g.groups * -(-g.images // plan.images) * -(-g.output_size[0] // plan.rows)
        columns = plan.rows * plan.line
        taps = len(plan.taps)
        runs = plan.unrolled_rows * (plan.rows + plan.reach) * plan.images
        # One copy for each kernel column and phase, and two borders to fill with zeros.
        seconds = passes_seconds(runs * g.output_size[1], 1, len(plan.phases) * (g.kernel[1] + 2)) + runs * RUN_SECONDS
        if plan.unroll:
            seconds += passes_seconds(g.depth * columns, 1, taps) + product_seconds(g.group_outputs, g.depth, columns)
        else:
            seconds += sum(product_seconds(g.group_outputs, t.count * plan.tap_length, columns) for t in plan.taps)
            seconds += passes_seconds(g.group_outputs * columns, taps - 1, taps - 1)
        return blocks * (seconds + passes_seconds(g.group_outputs * columns, 2))

    def parameters(self, call: LayerCall) -> Mapping[str, int | str]:
        """Return how the call is cut into blocks."""
        plan = plan_rows(convolution_geometry(call))
        return {"images": plan.images, "rows": plan.rows, "unrolled": "windows" if plan.unroll else "columns"}

    def workspace(self, call: LayerCall) -> int:
        """Return the bytes of one block: what is unrolled, its sums, and one product to add to them."""
        return plan_rows(convolution_geometry(call)).scratch().nbytes

    def pack(self, call: LayerCall, weights: Mapping[str, Array]) -> Packed:
        """Return the weights as (group, outputs, sum), the sum with one more term where there is a bias."""
        weight, bias = weights["weight"], weights.get("bias")
        groups = convolution_geometry(call).groups
        outputs, inputs, rows, columns = weight.shape
        first = 0 if bias is None else 1
        matrix = np.empty((groups, outputs // groups, first + inputs * rows * columns), np.float32)
        if bias is not None:
            matrix[:, :, 0] = bias.reshape(groups, outputs // groups)
        by_row = weight.reshape(groups, outputs // groups, inputs, rows, columns).transpose(0, 1, 3, 2, 4)
        matrix[:, :, first:].reshape(by_row.shape)[...] = by_row
        return matrix

    def bind(self, call: LayerCall) -> HostFunction:
        """Return the loop over blocks of images, groups and rows."""
        g = convolution_geometry(call)
        slope = folded_slope(call)
        plan = plan_rows(g)
        rest = g.images % plan.images
        parts = [_Part(plan, slope, range(0, g.images - rest, plan.images))]
        if rest:
            parts.append(_Part(attrs.evolve(plan, images=rest), slope, range(g.images - rest, g.images, rest)))

        def run(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
            for part in parts:
                part.run(inputs[0], outputs[0], weights, workspace)

        return run


_ALL = slice(None)
_Place = tuple[slice | int, ...]


@attrs.frozen
class _Block:
    """Output rows `start` to `stop`; `copies` (to, from rows and columns) and `zeros` fill the unrolled columns."""

    start: int
    stop: int
    copies: tuple[tuple[_Place, slice, slice], ...]
    zeros: tuple[_Place, ...]


class _Part:
    """Images of a call that are taken in blocks of `plan.images`, starting at `starts`."""

    def __init__(self, plan: RowsPlan, slope: float | None, starts: range) -> None:
        g = plan.geometry
        self._plan = plan
        self._slope = slope
        self._starts = starts
        self._scratch = plan.scratch()
        self._unrolled_shape = (len(plan.phases), g.group_inputs, g.kernel[1], -1, plan.images, g.output_size[1])
        across = Windows(
            g.input_size[1], g.kernel[1], g.stride[1], g.dilation[1], g.before[1], g.after[1], g.output_size[1]
        )
        self._taps_across = [across.overlap(tap) for tap in range(g.kernel[1])]
        height = g.output_size[0]
        self._blocks = [self._block(start, min(start + plan.rows, height)) for start in range(0, height, plan.rows)]

    def run(self, x: Array, y: Array, matrices: Array, workspace: Array) -> None:
        """Compute the part's images; `matrices` as packed."""
        plan, g = self._plan, self._plan.geometry
        below_ones, windows, sums, product = self._scratch.arrays(workspace)
        unrolled = below_ones[1:].reshape(self._unrolled_shape)
        self._fill_margins(unrolled)
        (windows if plan.unroll else below_ones)[0] = 1
        for start in self._starts:
            images = slice(start, start + plan.images)
            for group, matrix in enumerate(matrices):
                source = x[images, group * g.group_inputs : (group + 1) * g.group_inputs].transpose(1, 2, 0, 3)
                target = y[images, group * g.group_outputs : (group + 1) * g.group_outputs].transpose(1, 2, 0, 3)
                for block in self._blocks:
                    for zero in block.zeros:
                        unrolled[zero] = 0
                    for place, rows, columns in block.copies:
                        np.copyto(unrolled[place], source[:, rows, :, columns])
                    count = (block.stop - block.start) * plan.line
                    out = target[:, block.start : block.stop]
                    if plan.images == 1:
                        # As two dimensions NumPy runs along all rows at once.
                        out = out.reshape(g.group_outputs, count)
                    operands = self._operands(matrix, below_ones, windows[:, :count], count)
                    self._multiply(operands, sums[:, :count], product[:, :count], out)

    def _operands(self, matrix: Array, below_ones: Array, windows: Array, count: int) -> list[tuple[Array, Array]]:
        """Return the pairs of matrices whose products add up to the block's `count` columns."""
        plan = self._plan
        length = plan.tap_length
        bias = matrix.shape[1] - plan.geometry.depth
        operands = []
        for tap in plan.taps:
            first, later = 1 + tap.phase * length, tap.later * plan.line
            # The first tap begins with the row of ones, for the bias.
            ones = bias if tap.start == 0 and not plan.unroll else 0
            part = below_ones[first - ones : first + tap.count * length, later : later + count]
            if plan.unroll:
                np.copyto(windows[1 + tap.start * length : 1 + tap.stop * length], part)
            else:
                operands.append((matrix[:, bias + tap.start * length - ones : bias + tap.stop * length], part))
        return [(matrix, windows[1 - bias :])] if plan.unroll else operands

    def _multiply(self, operands: list[tuple[Array, Array]], sums: Array, product: Array, out: Array) -> None:
        (weights, columns), *others = operands
        if not others and self._slope is None and out.ndim == 2:
            np.matmul(weights, columns, out=out)
            return
        np.matmul(weights, columns, out=sums)
        for weights, columns in others:
            np.matmul(weights, columns, out=product)
            np.add(sums, product, out=sums)
        if self._slope is None:
            np.copyto(out, sums.reshape(out.shape))
        else:
            rectify(sums.reshape(out.shape), self._slope, out)

    def _block(self, start: int, stop: int) -> _Block:
        """Return what fills a block: all of it but the margins, from image rows that exist; zeros elsewhere."""
        plan, g = self._plan, self._plan.geometry
        rows_here = stop - start + plan.reach
        copies: list[tuple[_Place, slice, slice]] = []
        zeros: list[_Place] = []
        for index, phase in enumerate(plan.phases):
            above = g.before[0] - start * g.stride[0] - phase
            rows, image_rows = Windows(g.input_size[0], 1, g.stride[0], 1, above, 0, rows_here).overlap(0)
            zeros += [(index, _ALL, _ALL, border) for border in _borders(rows, rows_here)]
            for tap, (columns, image_columns) in enumerate(self._taps_across):
                if rows.stop and columns.stop:
                    copies.append(((index, _ALL, tap, rows, _ALL, columns), image_rows, image_columns))
        return _Block(start, stop, tuple(copies), tuple(zeros))

    def _fill_margins(self, unrolled: Array) -> None:
        """Write zeros where windows hang over the left or right border: they stay there for the whole call."""
        for tap, (columns, _) in enumerate(self._taps_across):
            for border in _borders(columns, unrolled.shape[-1]):
                unrolled[:, :, tap, :, :, border] = 0


def _borders(inside: slice, size: int) -> list[slice]:
    """Return what lies before and after `inside` on an axis of `size`, where there is anything."""
    return [s for s in (slice(0, inside.start), slice(inside.stop, size)) if s.start < s.stop]
