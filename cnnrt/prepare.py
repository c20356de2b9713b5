"""The main path: from a graph and input shapes to something that can be run.

    graph --shapes--> --passes--> --placement--> --layouts--> --buffers, memory--> segments: Planned
    Planned --verified--> --compile, load--> Prepared

Each stage is a function from values to values in a file of its own; this file only joins them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

import attrs

from cnnrt.backend import Backend, Device, Runnable, Segment, Step
from cnnrt.buffers import Buffers, Home, plan_buffers
from cnnrt.caller_warning import warn_caller
from cnnrt.errors import CnnrtError, KernelWarning, PlacementError
from cnnrt.executor import Prepared
from cnnrt.graph import Graph
from cnnrt.host_segment import HostSegment
from cnnrt.kernel_verification import verify_segments
from cnnrt.layer import Shape
from cnnrt.memory_plan import plan_memory
from cnnrt.passes import run_passes
from cnnrt.passes.split_batch import JoinItems, split_batch
from cnnrt.placement import CORE, Placed, Request, choose_devices, place
from cnnrt.plan import Plan, make_rows
from cnnrt.plugin_registry import Registry
from cnnrt.plugins import PluginHost
from cnnrt.reorder_pass import insert_reorders
from cnnrt.settings import Settings
from cnnrt.shapes import Shapes, infer_shapes
from cnnrt.tuning.knowledge import Knowledge
from cnnrt.weights import WeightStore


@attrs.frozen
class Planned:
    """Everything that is decided about a network before weights are read and kernels are compiled."""

    plan: Plan
    segments: tuple[Segment, ...]
    buffers: Buffers


def plan_network(
    graph: Graph,
    shapes: Mapping[str, Shape],
    wanted: Sequence[str],
    settings: Settings,
    weights: WeightStore,
    host: PluginHost,
    known: Knowledge,
) -> Planned:
    """Decide how to compute the `wanted` values (each once) from inputs of these shapes (batch included)."""
    reduced, inferred, notes = reduce_graph(graph, shapes, wanted, settings, weights, host)
    placed = place(reduced, inferred, host, placement_request(settings), known, settings.pinned)

    inputs = [i.name for i in reduced.inputs]
    joined = insert_reorders(placed, inferred, inputs, wanted, host)
    results = [joined.results[value] for value in wanted]
    buffers = plan_buffers(joined.placed, joined.types, inputs, results, _homes(joined.placed, host.backends()))

    steps = _steps(joined.placed, buffers, weights)
    memory = plan_memory(list(steps.values()), buffers, settings.concurrency, settings.allocated_ram)
    segments = cut_segments(joined.placed, steps)

    plan = Plan(
        inputs={name: inferred.values[name] for name in inputs},
        outputs=tuple(wanted),
        execution_mode=settings.execution_mode,
        rows=make_rows(joined.placed, segments),
        notes=(*notes, *_foldings(placed), *known.notes),
        memory=memory,
    )
    return Planned(plan, tuple(segments), buffers)


def reduce_graph(
    graph: Graph,
    shapes: Mapping[str, Shape],
    wanted: Sequence[str],
    settings: Settings,
    weights: WeightStore,
    host: PluginHost,
) -> tuple[Graph, Shapes, Sequence[str]]:
    """Return the graph after all passes, the shapes in it, and a sentence for each thing that the passes did."""
    inferred = infer_shapes(graph, shapes)
    reduced, notes = run_passes(graph, inferred, wanted)
    # A layer that was folded into weights may have brought them a bias.
    inferred = inferred.with_weights_of(reduced)
    items = _items_at_once(host, placement_request(settings), settings.threads)
    reduced, inferred, said = split_batch(reduced, inferred, wanted, items, weights.stays)
    return reduced, inferred, (*notes, *said)


def placement_request(settings: Settings) -> Request:
    """Return what a Net's settings ask of placement."""
    return Request(settings.execution_mode, settings.device, settings.strict)


def plan_verified(plan: Callable[[], Planned], settings: Settings, host: PluginHost, known: Knowledge) -> Planned:
    """Return a plan whose compiled kernels were all verified on their devices.

    Those that compute wrongly are quarantined, which warns and makes another plan; PlacementError where the Net is
    strict.
    """
    while True:
        planned = plan()
        faults = verify_segments(
            planned.segments, host.backends(), planned.buffers.specs, settings.threads, known.store
        )
        if not faults:
            return planned
        listed = "\n".join(f"    {fault}" for fault in faults)
        if settings.strict:
            raise PlacementError(f"strict forbids doing without kernels that compute wrongly:\n{listed}")
        warn_caller(f"kernels that compute wrongly are not used any more:\n{listed}", KernelWarning)


def compile_planned(planned: Planned, settings: Settings, host: PluginHost) -> Prepared:
    """Compile every segment and read the weights that stay resident."""
    runnables = [_compile(s, host.backends(), planned.buffers, settings.threads) for s in planned.segments]
    for segment in planned.segments:
        for step in segment.steps:
            if step.weights.resident:
                _load(step)
    in_parts = [(segment.parts, runnable) for segment, runnable in zip(planned.segments, runnables, strict=True)]
    return Prepared(in_parts, planned.buffers, planned.plan, settings.concurrency)


def _load(step: Step) -> None:
    """Read and pack a step's weights; what goes wrong in the kernel is told with the layer's name."""
    try:
        step.weights.get()
    except (CnnrtError, MemoryError):
        raise
    except Exception as error:
        raise CnnrtError(
            f"layer {step.layer_name!r}: kernel {step.kernel.name!r} of backend {step.kernel.backend!r} cannot pack "
            f"its weights: {type(error).__name__}: {error}; this is a fault of the kernel, not of the model"
        ) from error


def _foldings(placed: Sequence[Placed]) -> list[str]:
    """Return what stayed folded: placement takes apart what no kernel applies."""
    return [f"{folded.name} folded into {p.node.name}" for p in placed for folded in p.node.folded]


def _steps(placed: Sequence[Placed], buffers: Buffers, weights: WeightStore) -> dict[str, Step]:
    """Return the kernel calls by layer name; views need none."""
    return {
        p.node.name: Step(
            layer_name=p.node.name,
            call=p.call,
            kernel=p.kernel,
            inputs=tuple(buffers.slots[v] for v in p.node.inputs),
            outputs=tuple(buffers.slots[v] for v in p.node.outputs),
            weights=weights.handle(p.node.weights, p.call, p.kernel),
            workspace=workspace,
        )
        for p, workspace in zip(placed, buffers.workspaces, strict=True)
        if p.kernel is not None
    }


def cut_segments(placed: Sequence[Placed], steps: Mapping[str, Step]) -> list[Segment]:
    """Return runs of steps on one device and in as many parts; other views belong to no segment and end none."""
    return [
        Segment(index, device, tuple(steps[p.node.name] for p in run), parts)
        for index, (device, parts, run) in enumerate(_runs(placed))
    ]


def _runs(placed: Sequence[Placed]) -> list[tuple[Device, int, list[Placed]]]:
    """Return what runs together, with its device and the number of parts."""
    joined, parts = next(
        ((i, p.node.layer.parts) for i, p in enumerate(placed) if isinstance(p.node.layer, JoinItems)), (0, 1)
    )
    running = [(p.device, parts if i < joined else 1, p) for i, p in enumerate(placed) if p.kernel is not None]
    groups = itertools.groupby(running, key=lambda r: r[:2])
    return [(device, parts, [p for _, _, p in group]) for (device, parts), group in groups]


def _homes(placed: Sequence[Placed], backends: Registry[Backend]) -> list[Home | None]:
    """Return, for each step whose device has memory of its own, where that is."""
    homes: dict[str, Home] = {}
    for index, (device, _, run) in enumerate(_runs(placed)):
        backend = backends.find(device.backend)
        if backend and (alignment := backend.own_memory(device)):
            homes.update(dict.fromkeys((p.node.name for p in run), Home(index, alignment)))
    return [homes.get(p.node.name) for p in placed]


def _items_at_once(host: PluginHost, request: Request, threads: int | None) -> int:
    """Return how many items the backends that may be used would like to compute at a time; 0: all."""
    allowed = dict.fromkeys(device.backend for device in choose_devices(host, request))
    return max((host.backends()[name].items_at_once(threads) for name in allowed), default=0)


def _compile(segment: Segment, backends: Mapping[str, Backend], buffers: Buffers, threads: int | None) -> Runnable:
    if segment.device == CORE:
        return HostSegment(segment)
    return backends[segment.backend].compile(segment, buffers.specs, threads)
