"""Which way a network is computed under a ceiling: the fastest that fits, of those that are worth a try.

    graph --passes--> --placement--> --layouts--> --buffers, memory--> Way

Without a ceiling, or below one that is far away, there is one way: the fastest kernels, all weights resident. Else
leaner kernels, batches in parts, and weights read for each call are tried against one another by what they are expected
to take. Nothing large is allocated, and no weight is read.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

from cnnrt.backend import Backend, Device, OwnMemory
from cnnrt.buffers import Buffers, Home, plan_buffers
from cnnrt.candidates import memory_of
from cnnrt.device_choice import Request, choose_devices
from cnnrt.executor import PARTS_AT_ONCE
from cnnrt.graph import Graph
from cnnrt.hardware import usable_cores
from cnnrt.layer import Shape
from cnnrt.memory_plan import MIB, Fitted, StepMemory, check_machine, plan_memory, refusal, step_memory
from cnnrt.passes import run_passes
from cnnrt.passes.split_batch import JoinItems, Split, lean_splits, split_batch, times_of
from cnnrt.placement import CORE, Placed, place
from cnnrt.plugin_registry import Registry
from cnnrt.plugins import PluginHost
from cnnrt.reorder_pass import insert_reorders
from cnnrt.residency import READ_BYTES, Demand
from cnnrt.settings import Settings
from cnnrt.shapes import Shapes, infer_shapes
from cnnrt.sharing_out import memories_of
from cnnrt.tuning.knowledge import Knowledge
from cnnrt.weight_storage import DEFAULT, kept_type
from cnnrt.weight_store import demand_of

if TYPE_CHECKING:
    from cnnrt.device_memory import DeviceUse

LEANEST = 1.0
"""Seconds that a byte costs where memory is all that counts."""


@attrs.frozen
class Way:
    """One way of computing a network: placed nodes, buffers, what of the weights stays, and the seconds expected.

    `split`: how the batch is cut.
    """

    placed: Sequence[Placed]
    inferred: Shapes
    inputs: Sequence[str]
    buffers: Buffers
    demands: Mapping[str, Demand]
    steps: Sequence[StepMemory]
    fitted: Fitted
    split: Split
    notes: tuple[str, ...]
    seconds: float

    @property
    def streamed(self) -> frozenset[object]:
        """Keys of the sources whose weights are read for each call."""
        return frozenset(
            p.node.weights.key
            for p in self.placed
            if p.node.weights
            and p.kernel
            and self.demands[p.node.name].key not in self.fitted.residency_on(p.device.title).resident
        )


@attrs.frozen
class Question:
    """What is to be planned: `wanted` values (each once) from inputs of these shapes (batch included)."""

    graph: Graph
    shapes: Mapping[str, Shape]
    wanted: Sequence[str]
    settings: Settings
    host: PluginHost
    known: Knowledge


def find_way(question: Question) -> Way:
    """Return the way that is expected to be the fastest. Raises MemoryCeilingError where none fits the ceiling."""
    default = _default_split(question)
    first = try_way(question, default, 0.0)
    if first.fitted.memory.fits and not first.fitted.memory.streamed:
        check_machine(first.fitted.memory)
        return _overlapped(question, first) or first
    ways = [first, *_leaner(question, default, first)]
    fitting = [way for way in ways if way.fitted.memory.fits]
    if not fitting:
        raise refusal([(way.fitted.memory, way.steps) for way in ways])
    best = min(fitting, key=lambda way: way.seconds)
    check_machine(best.fitted.memory)
    return best


def usual_split(question: Question) -> Split:
    """Return how the batch is cut where memory is no matter: for those shapes kernels are measured."""
    default = _default_split(question)
    way = _overlapped(question, try_way(question, default, 0.0))
    return default if way is None else way.split


def _default_split(question: Question) -> Split:
    """Return how a batch is cut for caches: as many items at a time as the backends that may be used would like.

    All at once where the first layer is expected to run on a device apart, which gains nothing by a processor's caches.
    What was measured counts for nothing here, so that measurements are of the same calls before and after.
    """
    host, request = question.host, attrs.evolve(placement_request(question.settings), strict=False)
    devices = choose_devices(host, request)
    allowed = dict.fromkeys(device.backend for device in devices)
    items = max((host.backends()[name].items_at_once(question.settings.threads) for name in allowed), default=0)
    if items and memories_of(devices, host):
        reduced, inferred, _ = reduce_graph(question, Split())
        unmeasured = attrs.evolve(question.known, measured=False)
        placement = place(reduced, inferred, question.wanted, host, request, unmeasured)
        first = next((p.device for p in placement.placed if p.kernel), CORE)
        if memory_of(first, host):
            return Split()
    return Split(items)


def _overlapped(question: Question, first: Way) -> Way | None:
    """Return the way in which parts of the batch are copied to the device and back while others are computed.

    None where it does not pay, or where more than one segment computes.
    """
    runs = runs_of(first.placed)
    if len(runs) != 1 or not first.fitted.memory.devices:
        return None
    ((device, _, _),) = runs
    wanted, given = first.inferred.values, question.shapes.values()
    nbytes = 4 * sum(math.prod(shape) for shape in (*given, *(wanted[v] for v in question.wanted)))
    parts = question.host.backends()[device.backend].parts_to_overlap(device, nbytes)
    batch = min((shape[0] for shape in given if shape), default=0)
    while parts > 1 and batch % parts:
        parts -= 1
    if parts < 2:
        return None
    way = try_way(question, Split(batch // parts, whole=True), 0.0)
    single = len(runs_of(way.placed)) == 1 and any(isinstance(p.node.layer, JoinItems) for p in way.placed)
    return way if single and way.fitted.memory.fits and not way.fitted.memory.streamed else None


def _leaner(question: Question, default: Split, first: Way) -> Iterator[Way]:
    """Yield other ways: weights priced as if they had to be read, values in smaller parts, and the leanest of all."""
    price = 1 / READ_BYTES
    splits = [default]
    if first.streamed:
        splits.append(attrs.evolve(default, streamed=first.streamed))
    if default.items:
        splits.append(Split())
    memory = first.fitted.memory
    fit = memory.fits
    for split in splits:
        for byte_seconds in (0.0, price, LEANEST):
            if (split, byte_seconds) != (default, 0.0):
                way = try_way(question, split, byte_seconds)
                fit = fit or way.fitted.memory.fits
                yield way
    if not fit or (memory.ceiling is not None and memory.arena > memory.ceiling // 4):
        reduced, inferred, _ = reduce_graph(question, Split())
        for split in lean_splits(reduced, inferred, question.wanted):
            for byte_seconds in (price, LEANEST):
                yield try_way(question, split, byte_seconds)


def try_way(question: Question, split: Split, byte_seconds: float) -> Way:
    """Return one way: the batch split like this, and kernels chosen as if a byte of memory cost so many seconds."""
    settings, host, wanted = question.settings, question.host, question.wanted
    reduced, inferred, notes = reduce_graph(question, split)
    request = attrs.evolve(placement_request(settings), byte_seconds=byte_seconds)
    placement = place(reduced, inferred, wanted, host, request, question.known, settings.pinned)
    inputs = [i.name for i in reduced.inputs]
    joined = insert_reorders(placement.placed, inferred, inputs, wanted, host, settings.threads)
    results = [joined.results[value] for value in wanted]
    homes, memories = _homes(joined.placed, host.backends())
    buffers = plan_buffers(joined.placed, joined.types, inputs, results, homes)
    parts = times_of([p.node.layer for p in joined.placed])
    demands, steps, seconds = {}, [], placement.transfer_seconds
    for p, times, home in zip(joined.placed, parts, homes, strict=True):
        if p.kernel is None:
            continue
        demand = demand_of(p.node.weights, p.call, p.kernel, p.node.name, times)
        demands[p.node.name] = demand
        steps.append(step_memory(p.node.name, p.call, p.kernel, demand, home.device if home else ""))
        seconds += times * p.kernel.estimate(p.call, p.device)
    ceiling = None if settings.allocated_ram is None else int(settings.allocated_ram * MIB)
    at_once = PARTS_AT_ONCE if split.whole else 1
    uses: Sequence[DeviceUse] = ()
    if memories:
        from cnnrt.device_memory import device_uses  # code that most have no use for takes memory

        uses = device_uses(joined.placed, homes, buffers, memories, at_once)
    fitted = plan_memory(steps, buffers, settings.concurrency, ceiling, settings.residency, uses)
    said = _thread_notes(joined.placed, host.backends(), settings.threads)
    return Way(
        placed=joined.placed,
        inferred=inferred,
        inputs=inputs,
        buffers=buffers,
        demands=demands,
        steps=steps,
        fitted=fitted,
        split=split,
        notes=(*notes, *said, *_foldings(placement.placed), *_kept(placement.placed), *placement.notes),
        seconds=_together(seconds, fitted, settings.threads),
    )


def reduce_graph(question: Question, split: Split) -> tuple[Graph, Shapes, Sequence[str]]:
    """Return the graph after all passes, the shapes in it, and a sentence for each thing that the passes did."""
    inferred = infer_shapes(question.graph, question.shapes)
    reduced, notes = run_passes(question.graph, inferred, question.wanted)
    # A layer that was folded into weights may have brought them a bias.
    inferred = inferred.with_weights_of(reduced)
    reduced, inferred, said = split_batch(reduced, inferred, question.wanted, split)
    return reduced, inferred, (*notes, *said)


def placement_request(settings: Settings) -> Request:
    """Return what a Net's settings ask of placement."""
    return Request(settings.execution_mode, settings.device, settings.strict, weight_storage=settings.weight_storage)


def runs_of(placed: Sequence[Placed]) -> list[tuple[Device, int, list[Placed]]]:
    """Return what runs together, with its device and the number of parts."""
    parts = times_of([p.node.layer for p in placed])
    running = [(p.device, times, p) for p, times in zip(placed, parts, strict=True) if p.kernel is not None]
    groups = itertools.groupby(running, key=lambda r: r[:2])
    return [(device, parts, [p for _, _, p in group]) for (device, parts), group in groups]


def _homes(placed: Sequence[Placed], backends: Registry[Backend]) -> tuple[list[Home | None], dict[str, OwnMemory]]:
    """Return, for each step whose device has memory of its own, where that is; and those that are not the machine's."""
    homes: dict[str, Home] = {}
    memories: dict[str, OwnMemory] = {}
    for index, (device, _, run) in enumerate(runs_of(placed)):
        backend = backends.find(device.backend)
        memory = backend.own_memory(device) if backend else None
        if memory is None:
            continue
        title = "" if memory.nbytes is None else device.title
        if title:
            memories[title] = memory
        homes.update(dict.fromkeys((p.node.name for p in run), Home(index, memory.alignment, title)))
    return [homes.get(p.node.name) for p in placed], memories


def _thread_notes(placed: Sequence[Placed], backends: Registry[Backend], threads: int | None) -> list[str]:
    """Return what backends have to say of the limit of threads."""
    devices = {device.title: device for device, _, _ in runs_of(placed)}
    found = [(backends.find(device.backend), device) for device in devices.values()]
    return [note for backend, device in found if backend and (note := backend.thread_note(device, threads))]


def _foldings(placed: Sequence[Placed]) -> list[str]:
    """Return what stayed folded: placement takes apart what no kernel applies."""
    return [f"{folded.name} folded into {p.node.name}" for p in placed for folded in p.node.folded]


def _kept(placed: Sequence[Placed]) -> list[str]:
    """Return what the user should know of weights that are not kept in float32."""
    kept = [kept_type(p.call) for p in placed if p.kernel]
    return [
        f"weights of {kept.count(dtype)} layers are rounded to {dtype} and kept in it; arithmetic is in {DEFAULT}"
        for dtype in dict.fromkeys(kept)
        if dtype not in ("", DEFAULT)
    ]


def _together(computing: float, fitted: Fitted, threads: int | None) -> float:
    """Return the seconds of a call: reading takes a thread's time, beside the computing if there is room for it."""
    reading = fitted.reading_seconds
    if not fitted.reads_ahead:
        return computing + reading
    cores = usable_cores()
    return max(reading, computing + reading / (cores if threads is None else min(threads, cores)))
