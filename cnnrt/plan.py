"""The receipt: what runs where, by which kernel, at what cost, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from cnnrt.backend import Segment
from cnnrt.layer import Shape, shape_text
from cnnrt.memory_plan import MemoryPlan
from cnnrt.placement import Placed
from cnnrt.weight_storage import DEFAULT, kept_type


@attrs.frozen
class PlanRow:
    """One layer (with what is folded into it or its weights) as it will run.

    `segment` counts from 0; -1 marks a view, for which nothing runs. `weight_bytes` are those of its packed weights.
    `weight_type`: the type that those of two axes and more are kept in; empty: it has none.
    `resident`: whether they stay in memory between calls.
    `parameters` are in force; `tuning` those of them that are fixed, by measurement or by a plan that was handed in.
    """

    layer: str
    type: str
    folded: tuple[str, ...]
    segment: int
    backend: str
    device: str
    kernel: str
    parameters: Mapping[str, int | str]
    tuning: Mapping[str, int | str]
    output: Shape
    flops: int
    bytes: int
    weight_bytes: int
    weight_type: str
    resident: bool
    fallback: bool
    why: str

    @property
    def title(self) -> str:
        """The layer's name with those folded into it: `conv1 + relu1`."""
        return " + ".join((self.layer, *self.folded))


@attrs.frozen
class Plan:
    """How a network runs for given input shapes. `notes` tell what the passes did and what the user should know."""

    inputs: Mapping[str, Shape]
    outputs: tuple[str, ...]
    execution_mode: str
    rows: tuple[PlanRow, ...]
    notes: tuple[str, ...]
    memory: MemoryPlan

    @property
    def backends(self) -> tuple[str, ...]:
        """Names of the backends that compute something, in order of first use."""
        return tuple(dict.fromkeys(row.backend for row in self.rows if row.segment >= 0))

    @property
    def fallbacks(self) -> tuple[PlanRow, ...]:
        """Rows that run by their layer's reference because no kernel could."""
        return tuple(row for row in self.rows if row.fallback)

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain values, ready for JSON."""
        result: dict[str, Any] = attrs.asdict(self)
        result["memory"]["peak"] = self.memory.peak
        return result

    def __str__(self) -> str:
        """Return the plan as a plain table."""
        shapes = ", ".join(f"{name} {shape_text(shape)}" for name, shape in self.inputs.items())
        lines = [f"{shapes} -> {', '.join(self.outputs)}   execution_mode {self.execution_mode!r}"]
        table = [("layer", "type", "segment", "backend", "kernel", "output")]
        for row in self.rows:
            segment = "-" if row.segment < 0 else str(row.segment)
            kernel = row.kernel + "".join(f" {k}={v}" for k, v in row.parameters.items())
            kernel += f" weights={row.weight_type}" if row.weight_type not in ("", DEFAULT) else ""
            table.append((row.title, row.type, segment, row.backend, kernel, shape_text(row.output)))
        widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
        for cells, why in zip(table, ("why", *(row.why for row in self.rows)), strict=True):
            lines.append("  ".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)) + f"  {why}")
        lines.append(f"memory: {self.memory}")
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join(lines)


def make_rows(placed: Sequence[Placed], segments: Sequence[Segment]) -> tuple[PlanRow, ...]:
    """Return a row for each placed node."""
    where = {step.layer_name: (segment, step) for segment in segments for step in segment.steps}
    rows = []
    for p in placed:
        segment, step = where.get(p.node.name, (None, None))
        parts = segment.parts if segment else 1
        items, *item = p.call.outputs[0].shape or (1,)
        cost = p.call.cost
        rows.append(
            PlanRow(
                layer=p.node.name,
                type=p.node.layer.type,
                folded=p.node.all_folded,
                segment=segment.index if segment else -1,
                backend=p.device.backend,
                device=p.device.name,
                kernel=p.kernel.name if p.kernel else "view",
                parameters=dict(p.kernel.parameters(p.call)) if p.kernel else {},
                tuning=dict(p.kernel.tuning) if p.kernel else {},
                output=(parts * items, *item) if parts > 1 else p.call.outputs[0].shape,
                flops=parts * cost.flops if p.kernel else 0,
                bytes=parts * cost.bytes if p.kernel else 0,
                weight_bytes=step.weights.nbytes if step else 0,
                weight_type=kept_type(p.call) if p.kernel else "",
                resident=step.weights.resident if step else True,
                fallback=p.fallback,
                why=p.why,
            )
        )
    return tuple(rows)
