"""The main path: from a graph and input shapes to something that can be run.

    graph --find_way--> --cut--> segments: Planned
    Planned --verified--> --compile, load--> Prepared

Each stage is a function from values to values in a file of its own; this file only joins them. What is decided in
`find_way` (passes, placement, layouts, buffers, memory) is in `planning.py`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import attrs

from cnnrt.backend import Backend, Kernel, Runnable, Segment, Step, Weights
from cnnrt.buffers import Buffers
from cnnrt.errors import CnnrtError
from cnnrt.executor import Prepared, Resident
from cnnrt.graph import Graph
from cnnrt.host_segment import HostSegment
from cnnrt.kernel_verification import report, verify_segments
from cnnrt.layer import Shape
from cnnrt.placement import CORE, Placed
from cnnrt.plan import Plan, make_rows
from cnnrt.planning import Question, Way, find_way, runs_of
from cnnrt.plugins import PluginHost
from cnnrt.settings import Settings
from cnnrt.tuning.knowledge import Knowledge
from cnnrt.weight_store import ResidentWeights, StreamedWeights, WeightStore
from cnnrt.weight_stream import PieceToRead


@attrs.frozen
class Planned:
    """Everything that is decided about a network before weights are read and kernels are compiled.

    `overlapped`: parts of the batch are copied while others are computed.
    """

    plan: Plan
    segments: tuple[Segment, ...]
    buffers: Buffers
    overlapped: bool = False

    @property
    def resident(self) -> Resident:
        """The weights that stay, by the device in whose own memory, empty: in the process; other plans share them."""
        own = {device.device for device in self.plan.memory.devices}
        found: dict[str, set[Weights]] = {}
        for segment in self.segments:
            where = segment.device.title if segment.device.title in own else ""
            found.setdefault(where, set()).update(s.weights for s in segment.steps if s.weights.resident)
        return {where: frozenset(weights) for where, weights in found.items()}


def plan_network(
    graph: Graph,
    shapes: Mapping[str, Shape],
    wanted: Sequence[str],
    settings: Settings,
    weights: WeightStore,
    host: PluginHost,
    known: Knowledge,
) -> Planned:
    """Decide how to compute the `wanted` values (each once) from inputs of these shapes (batch included).

    Raises MemoryCeilingError where no way of computing them fits `allocated_ram`.
    """
    way = find_way(Question(graph, shapes, wanted, settings, host, known))
    steps = _steps(way, weights)
    segments = cut_segments(way.placed, steps)
    plan = Plan(
        inputs={name: way.inferred.values[name] for name in way.inputs},
        outputs=tuple(wanted),
        execution_mode=settings.execution_mode,
        rows=make_rows(way.placed, segments),
        notes=(*way.notes, *known.notes),
        memory=way.fitted.memory,
    )
    return Planned(plan, tuple(segments), way.buffers, way.split.whole)


def fit_together(networks: Sequence[Planned | Prepared]) -> bool:
    """Tell whether networks that share weights fit the ceiling, and devices' own memory, together."""
    memories = [network.plan.memory for network in networks]
    (latest, *_) = memories
    rooms: list[tuple[str, int | None, int]] = [("", latest.ceiling, sum(m.peak - m.resident for m in memories))]
    for device in latest.devices:
        plans = [d for m in memories for d in m.devices if d.device == device.device]
        rooms.append((device.device, device.capacity, sum(d.peak - d.resident for d in plans)))
    for where, room, beside in rooms:
        stay = frozenset[Weights]().union(*(network.resident.get(where, frozenset()) for network in networks))
        if room is not None and sum(weights.nbytes for weights in stay) + beside > room:
            return False
    return True


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
        report(faults, strict=settings.strict)


def compile_planned(planned: Planned, settings: Settings, weights: WeightStore, host: PluginHost) -> Prepared:
    """Compile every segment, read the weights that stay resident, and see to it that the others can be read."""
    runnables = [_compile(s, host.backends(), planned.buffers, settings.threads) for s in planned.segments]
    backends = host.backends()
    ahead = [s for s in planned.segments if s.device == CORE or backends[s.backend].reads_ahead]
    # First what has to be packed for calls to come, and then what takes most beside itself: there is most room then.
    for step in (step for segment in ahead for step in segment.steps):
        if isinstance(step.weights, StreamedWeights):
            with _telling(step):
                weights.make_ready(step.weights)
    steps = [step for segment in planned.segments for step in segment.steps]
    for step in sorted(steps, key=_loading_order):
        if step.weights.resident:
            with _telling(step):
                step.weights.get()
    in_parts = [(segment.parts, runnable) for segment, runnable in zip(planned.segments, runnables, strict=True)]
    order = _order(ahead)
    return Prepared(
        in_parts,
        planned.buffers,
        planned.plan,
        settings.concurrency,
        order,
        planned.resident,
        overlapped=planned.overlapped,
    )


def _loading_order(step: Step) -> int:
    return -step.weights.packing_bytes if isinstance(step.weights, ResidentWeights) else 0


def _order(segments: Sequence[Segment]) -> list[PieceToRead]:
    """Return the pieces of weights that a call reads, in the order in which it needs them."""
    return [
        piece
        for parts, group in itertools.groupby(segments, key=lambda segment: segment.parts)
        for _, segment in itertools.product(range(parts), tuple(group))
        for step in segment.steps
        if isinstance(step.weights, StreamedWeights)
        for piece in step.weights.to_read()
    ]


@contextmanager
def _telling(step: Step) -> Iterator[None]:
    """Tell what goes wrong in a kernel that packs its weights with the layer's name."""
    try:
        yield
    except (CnnrtError, MemoryError):
        raise
    except Exception as error:
        raise CnnrtError(
            f"layer {step.layer_name!r}: kernel {step.kernel.name!r} of backend {step.kernel.backend!r} cannot pack "
            f"its weights: {type(error).__name__}: {error}; this is a fault of the kernel, not of the model"
        ) from error


def _steps(way: Way, weights: WeightStore) -> dict[str, Step]:
    """Return the kernel calls by layer name; views need none."""
    return {
        p.node.name: Step(
            layer_name=p.node.name,
            call=p.call,
            kernel=p.kernel,
            inputs=tuple(way.buffers.slots[v] for v in p.node.inputs),
            outputs=tuple(way.buffers.slots[v] for v in p.node.outputs),
            weights=_weights(p, p.kernel, way, weights),
            workspace=workspace,
        )
        for p, workspace in zip(way.placed, way.buffers.workspaces, strict=True)
        if p.kernel is not None
    }


def _weights(p: Placed, kernel: Kernel, way: Way, weights: WeightStore) -> ResidentWeights | StreamedWeights:
    demand, residency = way.demands[p.node.name], way.fitted.residency_on(p.device.title)
    if p.node.weights is None or demand.key in residency.resident:
        return weights.resident(p.node.weights, p.call, kernel)
    return StreamedWeights(p.node.weights, p.call, kernel, p.device, demand, residency.piece)


def cut_segments(placed: Sequence[Placed], steps: Mapping[str, Step]) -> list[Segment]:
    """Return runs of steps on one device and in as many parts; other views belong to no segment and end none."""
    return [
        Segment(index, device, tuple(steps[p.node.name] for p in run), parts)
        for index, (device, parts, run) in enumerate(runs_of(placed))
    ]


def _compile(segment: Segment, backends: Mapping[str, Backend], buffers: Buffers, threads: int | None) -> Runnable:
    if segment.device == CORE:
        return HostSegment(segment)
    return backends[segment.backend].compile(segment, buffers.specs, threads)
