"""Transposed convolution, phase by phase, each as a direct convolution with the tile of results in registers.

Where a phase sees places beyond the image, the rows that a unit needs are copied into the workspace with zeros around
them, once for all phases and outputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import attrs

from cnnrt.backend import Device, Packed
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt_backend_threaded.aligned import aligned_floats
from cnnrt_backend_threaded.convolution_direct import SLAB_SHARE, UNITS_PER_THREAD
from cnnrt_backend_threaded.cost_model import product_seconds
from cnnrt_backend_threaded.deconvolution_geometry import Phase, SpreadGeometry, spread_geometry, strides_taken
from cnnrt_backend_threaded.emitter import FLOATS, I64, Code, Index, Value
from cnnrt_backend_threaded.native_kernel import FOLDS, WritesPixels, apply_folded, pitch_of
from cnnrt_backend_threaded.register_tile import Tile, add_products, choose_tile
from cnnrt_backend_threaded.target import Machine


@attrs.frozen
class SpreadPlan:
    """How one call is cut.

    - `row_phases`, `column_phases`: those with outputs; `tile`; `panels`: panels of weights in a group.
    - `row_blocks`: parts of each phase's rows; `parts`: of the panels.
    - `top`: the input's row at the top of the first block's copy; `left`: the first column of all.
    - `slab_rows`, `slab_columns`: the copy; 0: the input is read where it is.
    """

    geometry: SpreadGeometry
    row_phases: tuple[Phase, ...]
    column_phases: tuple[Phase, ...]
    tile: Tile
    panels: int
    row_blocks: int
    parts: int
    top: int
    left: int
    slab_rows: int
    slab_columns: int
    cycles: float

    @property
    def slab_floats(self) -> int:
        """The values of one thread's copy, whole cache lines."""
        return -(-self.slab_rows * self.slab_columns * self.geometry.inputs // 16) * 16


class DirectDeconvolution(WritesPixels):
    """Any transposed convolution."""

    layer = "Deconvolution"
    name = "phases"
    folds = FOLDS

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Decline very large strides."""
        return strides_taken(call)

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return the seconds of its multiply-adds, or of reading its weights."""
        p = plan(call, self.machine)
        g = p.geometry
        products = p.cycles * g.groups * g.images * g.positions * g.group_inputs
        return product_seconds(self.machine, 2 * products, self.packed_bytes(call))

    def parameters(self, call: LayerCall) -> Mapping[str, int | str]:
        """Return the tile and how the work is cut."""
        p = plan(call, self.machine)
        return {
            "tile": f"{p.tile.rows}×{p.tile.columns} pixels × {p.tile.vectors * self.machine.target.lanes} outputs",
            "row_blocks": p.row_blocks,
            "output_parts": p.parts,
        }

    def workspace(self, call: LayerCall) -> int:
        """Return the bytes of a copy for each thread."""
        return 4 * plan(call, self.machine).slab_floats * self.machine.cores

    def packing(self, call: LayerCall) -> int:
        """Return the vectors of a panel, which depend on the size of the image."""
        return plan(call, self.machine).tile.vectors

    def packed_arrays(self, call: LayerCall) -> int:
        """Return 2: panels and biases."""
        return 2

    def packed_bytes(self, call: LayerCall) -> int:
        """Return the bytes of whole panels."""
        p = plan(call, self.machine)
        outputs = p.geometry.groups * p.panels * p.tile.vectors * self.machine.target.lanes
        return 4 * outputs * (p.geometry.group_inputs * p.geometry.positions + 1)

    def pack(self, call: LayerCall, weights: Mapping[str, Array]) -> Packed:
        """Return panels [group, panel, kernel row, kernel column, input, output] and biases, outputs filled up by 0."""
        p = plan(call, self.machine)
        g, outputs = p.geometry, p.tile.vectors * self.machine.target.lanes
        kernel = (g.rows.kernel, g.columns.kernel)
        packed = aligned_floats((g.groups, p.panels, *kernel, g.group_inputs, outputs))
        biases = aligned_floats((g.groups, p.panels * outputs))
        packed[...], biases[...] = 0, 0
        stored = weights["weight"].reshape(g.groups, g.group_inputs, g.group_outputs, *kernel).transpose(0, 3, 4, 1, 2)
        for panel in range(p.panels):
            own = stored[..., panel * outputs : (panel + 1) * outputs]
            packed[:, panel, ..., : own.shape[-1]] = own
        if "bias" in weights:
            biases[:, : g.group_outputs] = weights["bias"].reshape(g.groups, g.group_outputs)
        return packed, biases

    def units(self, call: LayerCall) -> int:
        """Return the parts of the panels × images × blocks of rows."""
        p = plan(call, self.machine)
        return p.parts * p.geometry.images * p.row_blocks

    def emit(self, call: LayerCall, code: Code) -> None:
        """Copy a unit's rows where they need padding; then go over panels, phases and tiles."""
        p = plan(call, self.machine)
        g = p.geometry
        images, out, weights, biases = (code.argument(i) for i in range(4))
        slab = code.at(code.argument(4), code.mul(code.thread, p.slab_floats))
        compute = _tile_function(call, code, p)
        outputs = p.tile.vectors * code.lanes
        least = min(phase.count for phase in p.row_phases)

        with code.loop(code.first, code.last) as unit:
            part, image, block = code.split(unit, g.images, p.row_blocks)
            pixels = code.mul(image, g.rows.inputs * g.columns.inputs)
            source: Value = code.at(images, code.mul(pixels, g.inputs))
            top: Index = 0
            if p.slab_rows:
                top = code.add(code.divide(code.mul(block, least), p.row_blocks), p.top)
                _fill_slab(code, p, source, slab, top)
                source = slab
            panels = g.groups * p.panels
            first_panel = code.divide(code.mul(part, panels), p.parts)
            end_panel = code.divide(code.mul(code.add(part, 1), panels), p.parts)
            with code.loop(first_panel, end_panel) as panel:
                group, number = code.split(panel, p.panels)
                seen = code.at(source, code.mul(group, g.group_inputs))
                first_output = code.add(code.mul(group, g.group_outputs), code.mul(number, outputs))
                image_row = code.mul(image, g.rows.outputs)
                made = code.at(out, code.add(code.mul(image_row, g.columns.outputs * pitch_of(call)), first_output))
                panel_weights = code.at(weights, code.mul(panel, g.positions * g.group_inputs * outputs))
                panel_biases = code.at(biases, code.mul(panel, outputs))
                _phases(code, p, compute, block, top, (seen, panel_weights, panel_biases, made, number), pitch_of(call))


def plan(call: LayerCall, machine: Machine) -> SpreadPlan:
    """Return how a call is cut for a machine."""
    g = spread_geometry(call)
    rows, columns = g.rows.phases(), g.columns.phases()
    least = min(phase.count for phase in rows), min(phase.count for phase in columns)
    tile, cycles = choose_tile(machine.target, *least, g.group_outputs)
    panels = -(-g.group_outputs // (tile.vectors * machine.target.lanes))

    reach = g.rows.reach(rows), g.columns.reach(columns)
    first = min(phase.first for phase in columns) - reach[1], min(phase.first for phase in rows) - reach[0]
    left, end = first[0], max(phase.first + phase.count for phase in columns)
    bottom = max(phase.first + phase.count for phase in rows)
    copied = min(first) < 0 or end > g.columns.inputs or bottom > g.rows.inputs

    row_bytes = 4 * (end - left) * g.inputs
    most_blocks = max(1, least[0] // tile.rows)
    fitting = max(1, int(SLAB_SHARE * machine.second_cache) // max(row_bytes, 1) - reach[0] - 1)
    blocks = min(most_blocks, max(1, -(-least[0] // fitting)))
    parts, images = 1, max(g.images, 1)
    wanted = UNITS_PER_THREAD * machine.cores
    if machine.cores > 1 and images * blocks < wanted:
        weight_bytes = 4 * g.groups * panels * tile.vectors * machine.target.lanes * g.group_inputs * g.positions
        if weight_bytes <= row_bytes * g.rows.inputs * images:
            blocks = max(blocks, min(most_blocks, -(-wanted // images)))
        parts = min(g.groups * panels, -(-wanted // (images * blocks)))
        if images * blocks * parts < machine.cores:  # few outputs: each thread reads all weights
            blocks = min(most_blocks, -(-machine.cores // (images * parts)))

    counts, firsts = {phase.count for phase in rows}, {phase.first for phase in rows}
    # A block of a phase begins and ends at most so many rows from where those of other phases do.
    apart = max(firsts) - min(firsts) + max(counts) - min(counts)
    slab = (apart + -(-max(counts) // blocks) + reach[0], end - left) if copied else (0, 0)
    corner = (first[1], left) if copied else (0, 0)
    return SpreadPlan(g, tuple(rows), tuple(columns), tile, panels, blocks, parts, *corner, *slab, cycles)


def _fill_slab(code: Code, p: SpreadPlan, source: Value, slab: Value, top: Index) -> None:
    """Copy the input's rows from `top` on, with zeros where there are none, and beside them."""
    channels, width, size = p.geometry.inputs, p.slab_columns, p.geometry.columns.inputs
    before = min(max(0, -p.left), width)
    start = max(0, p.left)
    middle = max(0, min(size - start, width - before))
    behind = width - before - middle
    with code.loop(0, p.slab_rows) as row:
        line = code.at(slab, code.mul(row, width * channels))
        image_row = code.add(top, row)

        def copy() -> None:
            if before:
                code.clear(line, before * channels)
            if middle:
                place = code.add(code.mul(image_row, size), start)
                code.copy(
                    code.at(line, before * channels), code.at(source, code.mul(place, channels)), middle * channels
                )
            if behind:
                code.clear(code.at(line, (before + middle) * channels), behind * channels)

        def clear() -> None:
            code.clear(line, width * channels)

        code.choose(code.inside(image_row, p.geometry.rows.inputs), copy, clear)


def _phases(
    code: Code,
    p: SpreadPlan,
    compute: Value,
    block: Index,
    top: Index,
    places: tuple[Value, Value, Value, Value, Index],
    pitch: int,
) -> None:
    """Compute a panel's outputs of a block: phase by phase, tile by tile.

    `places` are the function's but the taps; `pitch`: from one pixel of the output to the next.
    """
    g = p.geometry
    seen, weights, biases, made, number = places
    width = p.slab_columns or g.columns.inputs
    outputs = p.tile.vectors * code.lanes
    with _phase(code, p.row_phases) as rows, _phase(code, p.column_phases) as columns:
        first_row, end_row = (
            code.add(code.divide(code.mul(code.add(block, i), rows["count"]), p.row_blocks), rows["first"])
            for i in (0, 1)
        )
        end_column = code.add(columns["first"], columns["count"])
        tap = code.add(code.mul(rows["tap"], g.columns.kernel), columns["tap"])
        own_weights = code.at(weights, code.mul(tap, g.group_inputs * outputs))
        with (
            code.loop(first_row, end_row, p.tile.rows) as at_row,
            code.loop(columns["first"], end_column, p.tile.columns) as at,
        ):
            # The last tile of a block, or of a row, overlaps the one before it: the same values once more.
            row = code.smaller(at_row, code.sub(end_row, p.tile.rows))
            column = code.smaller(at, code.sub(end_column, p.tile.columns))
            line = code.mul(code.sub(code.sub(row, rows["lag"]), top), width)
            pixel = code.add(line, code.sub(code.sub(column, columns["lag"]), p.left))
            out_row = code.add(code.mul(row, g.rows.stride), rows["shift"])
            out_column = code.add(code.mul(column, g.columns.stride), columns["shift"])
            result = code.add(code.mul(out_row, g.columns.outputs), out_column)
            code.call(
                compute,
                code.at(seen, code.mul(pixel, g.inputs)),
                own_weights,
                biases,
                code.at(made, code.mul(result, pitch)),
                number,
                rows["taps"],
                columns["taps"],
            )


@contextmanager
def _phase(code: Code, phases: Sequence[Phase]) -> Iterator[dict[str, Index]]:
    """Go through phases: the fields of each by name."""
    with code.loop(0, len(phases)) as number:
        fields = {}
        for name in attrs.fields_dict(Phase):
            values = [getattr(phase, name) for phase in phases]
            alike = len(set(values)) == 1
            fields[name] = values[0] if alike else code.load_index(code.index_table(values), number)
        yield fields


def _tile_function(call: LayerCall, code: Code, p: SpreadPlan) -> Value:
    """Define what computes one tile: (inputs, weights, biases, outputs, number of the panel, taps of rows, columns)."""
    g, tile = p.geometry, p.tile
    lanes, vectors = code.lanes, tile.vectors
    width = p.slab_columns or g.columns.inputs
    offsets = [(r * width + c) * g.inputs for r in range(tile.rows) for c in range(tile.columns)]
    tap_floats = g.group_inputs * vectors * lanes
    alike = [len({phase.taps for phase in phases}) == 1 for phases in (p.row_phases, p.column_phases)]

    def body(
        inputs: Value, weights: Value, biases: Value, out: Value, panel: Value, taps_r: Value, taps_s: Value
    ) -> None:
        taps_r = p.row_phases[0].taps if alike[0] else taps_r
        taps_s = p.column_phases[0].taps if alike[1] else taps_s
        start = [code.load(biases, v * lanes, aligned=True) for v in range(vectors)] * tile.pixels

        def kernel_row(r: Index, sums: list[Value]) -> list[Value]:
            def kernel_column(s: Index, inner: list[Value]) -> list[Value]:
                back = code.add(code.mul(r, -g.rows.lag_step * width), code.mul(s, -g.columns.lag_step))
                tap = code.add(code.mul(r, g.rows.tap_step * g.columns.kernel), code.mul(s, g.columns.tap_step))
                seen, own = code.at(inputs, code.mul(back, g.inputs)), code.at(weights, code.mul(tap, tap_floats))
                return add_products(code, seen, offsets, own, vectors, g.group_inputs, inner)

            return code.accumulate(0, taps_s, sums, kernel_column)

        sums = code.accumulate(0, taps_r, start, kernel_row)
        results = [apply_folded(call, code, value) for value in sums]

        def store(outputs: int) -> None:
            for pixel in range(tile.pixels):
                row, column = divmod(pixel, tile.columns)
                place = (row * g.rows.stride * g.columns.outputs + column * g.columns.stride) * pitch_of(call)
                for v in range(vectors):
                    count = min(lanes, outputs - v * lanes)
                    if count > 0:
                        code.store(results[pixel * vectors + v], out, place + v * lanes, count)

        left_over = g.group_outputs - (p.panels - 1) * vectors * lanes
        if left_over == vectors * lanes:
            store(vectors * lanes)
        else:
            code.choose(code.less(panel, p.panels - 1), lambda: store(vectors * lanes), lambda: store(left_over))

    return code.function("tile", [FLOATS, FLOATS, FLOATS, FLOATS, I64, I64, I64], body)
