"""A plan as tables: layers with their shapes and costs, where each runs and why, and the memory."""

from __future__ import annotations

import math
from collections.abc import Mapping

from rich.console import Console

from cnnrt.cli.command_line import printable
from cnnrt.cli.printing import Column, number, print_facts, print_heading, print_table
from cnnrt.cli.quantities import scaled, size
from cnnrt.device_memory import DevicePlan
from cnnrt.graph import Graph
from cnnrt.layer import shape_text
from cnnrt.memory_plan import MemoryPlan
from cnnrt.plan import Plan, PlanRow
from cnnrt.weight_storage import DEFAULT


def parameter_counts(graph: Graph) -> dict[str, int]:
    """Return the number of parameters of each layer that has any."""
    return {
        node.name: sum(math.prod(tensor.shape) for tensor in node.weights.tensors.values())
        for node in graph.nodes
        if node.weights
    }


def print_layers(console: Console, plan: Plan, counts: Mapping[str, int]) -> None:
    """Print each layer with its output, parameters and operations, and the totals."""
    print_heading(console, "layers")
    columns = [Column("layer"), Column("type"), Column("output"), number("parameters"), number("FLOP")]
    rows = [
        (row.title, row.type, shape_text(row.output), scaled(counts.get(row.layer, 0)), scaled(row.flops))
        for row in plan.rows
    ]
    total = sum(counts.get(row.layer, 0) for row in plan.rows)
    print_table(console, columns, [*rows, ("", "", "", scaled(total), scaled(sum(r.flops for r in plan.rows)))])


def print_placement(console: Console, plan: Plan) -> None:
    """Print which backend and kernel runs each layer, and why."""
    print_heading(console, f'placement (execution_mode "{plan.execution_mode}")')
    columns = [Column("layer"), number("segment"), Column("backend"), Column("kernel", wraps=True), number("weights")]
    rows = [(row.title, *_where(row), _kernel(row), _weights(row)) for row in plan.rows]
    print_table(console, columns, rows)
    print_heading(console, "why")
    print_facts(console, {f"  {row.title}": row.why for row in plan.rows})
    if plan.notes:
        print_heading(console, "notes")
    for note in plan.notes:
        console.print(f"  {printable(note)}")


def print_memory(console: Console, memory: MemoryPlan) -> None:
    """Print what the plan takes of memory."""
    print_heading(console, "memory")
    arenas = f"{memory.arenas} arenas of " if memory.arenas > 1 else ""
    streamed = f", {size(memory.streamed)} read for each call" if memory.streamed else ""
    through = f", {arenas and f'{memory.arenas} × '}{size(memory.streaming)} at a time" if streamed else ""
    facts = {
        "peak": size(memory.peak),
        "activations": f"{arenas}{size(memory.arena)}, shared over time",
        **({"on devices": f"{arenas}{size(memory.device)}"} if memory.device else {}),
        "weights": f"{size(memory.resident)} resident{streamed}{through}",
        "outputs": size(memory.outputs),
    }
    if memory.transient:
        facts["transient"] = f"{size(memory.transient)} at most, in layer {memory.peak_layer}"
    facts["loading"] = f"{size(memory.loading)} at most while resident weights are read"
    facts["least"] = f"{size(memory.least)}: a ceiling at which the same kernels still run"
    for device in memory.devices:
        facts[f"on {device.device}"] = _on_device(device)
    facts["ceiling"] = "none" if memory.ceiling is None else f"{size(memory.ceiling)} (allocated_ram)"
    print_facts(console, {f"  {name}": fact for name, fact in facts.items()})


def _on_device(device: DevicePlan) -> str:
    """Return what is in a device's own memory."""
    passing = f", {size(device.streamed)} through buffers of {size(device.stream_buffers)}" if device.streamed else ""
    return (
        f"{size(device.peak)} of {size(device.capacity)}: activations {size(device.arena)}, inputs and outputs "
        f"{size(device.border)}, weights {size(device.resident)} resident{passing}"
    )


def _where(row: PlanRow) -> tuple[str, str]:
    return ("-", "-") if row.segment < 0 else (str(row.segment), row.backend)


def _weights(row: PlanRow) -> str:
    if not row.weight_bytes:
        return ""
    kept = f" {row.weight_type}" if row.weight_type not in ("", DEFAULT) else ""
    return size(row.weight_bytes) + kept + ("" if row.resident else ", read for each call")


def _kernel(row: PlanRow) -> str:
    return " ".join((row.kernel, *(f"{name}={value}" for name, value in row.parameters.items())))
