"""Placement: which backend and which kernel computes each node, and why.

Kernels compete by the seconds that they were measured to take, else by those that they expect to; where devices have
memory of their own, all nodes together, transfers counted (`cnnrt.sharing_out`). What a chosen backend has no kernel
for runs by the layer's reference, and the receipt says so; `strict` forbids that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from cnnrt.backend import Device, HostFunction, HostKernel, Kernel, Packed
from cnnrt.blas_guard import one_blas_thread
from cnnrt.candidates import Candidate, Candidates, find_candidates
from cnnrt.device_choice import Request, choose_devices
from cnnrt.errors import PlacementError
from cnnrt.graph import Graph, Node
from cnnrt.kernel_choice import Chosen, Knows, choose
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt.pinned import NO_PINS, Pin
from cnnrt.plugins import PluginHost
from cnnrt.shapes import Shapes
from cnnrt.sharing_out import Memory, Offer, Share, memories_of, share_out
from cnnrt.weight_storage import DEFAULT, kept_type, storing_weights

CORE = Device("core", "cpu", "the process itself")
"""Where references and reorders run."""


@attrs.frozen
class Placed:
    """A node with its call, the kernel and device that compute it, and the reason. No kernel: a view."""

    node: Node
    call: LayerCall
    device: Device
    kernel: Kernel | None
    why: str
    fallback: bool = False


@attrs.frozen
class Placement:
    """All nodes, placed, in order, and notes for the receipt.

    `transfer_seconds`: what moving values is expected to take, where layers can be shared out between devices.
    """

    placed: tuple[Placed, ...]
    notes: tuple[str, ...]
    transfer_seconds: float


class ReferenceKernel(HostKernel):
    """Runs a layer by its reference, whatever the layer."""

    layer = "*"
    backend = "core"
    name = "reference"

    def workspace(self, call: LayerCall) -> int:
        """Return 0: references allocate by themselves; `reference_bytes` states how much."""
        return 0

    def writes_part(self, call: LayerCall) -> bool:
        """Return True: NumPy copies into any array."""
        return True

    def bind(self, call: LayerCall) -> HostFunction:
        """Return a call of the reference that copies its results into the outputs; see HostKernel."""

        def run(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
            with one_blas_thread:
                results = call.reference(inputs, weights)
            for output, result in zip(outputs, results, strict=True):
                output[...] = result

        return run


@attrs.frozen
class Competition:
    """A node and the kernels that could compute it.

    `apart`: a layer that was folded into it, and runs by itself. `unstored`: the type in which its weights were to be
    kept, where no kernel does, so that they stay in float32.
    """

    node: Node
    call: LayerCall
    candidates: Candidates
    apart: str = ""
    unstored: str = ""

    @property
    def view(self) -> bool:
        """Whether there is nothing to compute."""
        return self.node.layer.view and not self.node.folded


def competitions(
    graph: Graph,
    shapes: Shapes,
    devices: Sequence[Device],
    host: PluginHost,
    known: Knows,
    weight_storage: str = DEFAULT,
) -> list[Competition]:
    """Return who could compute each node, in order; where no kernel applies all that was folded into it, in parts."""

    def candidates(call: LayerCall) -> Candidates:
        return find_candidates(call, devices, host, known.quarantine, known.threads)

    def of(node: Node) -> Competition:
        call = shapes.call(node)
        stored = storing_weights(call, weight_storage)
        found = candidates(stored)
        if found.able or stored == call:
            return Competition(node, stored, found)
        return Competition(node, call, candidates(call), unstored=weight_storage)

    def in_parts(node: Node) -> list[Competition]:
        whole = of(node)
        if not whole.candidates.able:
            for count in reversed(range(len(node.folded))):
                first, rest = unfold(node, count)
                alone = of(first)
                if alone.candidates.able or alone.view:
                    return [attrs.evolve(alone, apart=rest.name), *in_parts(rest)]
        return [whole]

    return [part for node in graph.nodes for part in in_parts(node)]


def place(
    graph: Graph,
    shapes: Shapes,
    wanted: Sequence[str],
    host: PluginHost,
    request: Request,
    known: Knows,
    pinned: Mapping[str, Pin] = NO_PINS,
) -> Placement:
    """Return the nodes in order, each placed. `wanted`: the values that have to be in the process's memory.

    Raises PlacementError where `strict` is asked for and any layer would fall back on its reference, or where a layer
    is pinned to a kernel that is not here; all such layers are named.
    """
    devices = choose_devices(host, request)
    rivals = competitions(graph, shapes, devices, host, known, request.weight_storage)
    pins = _found_pins(graph, rivals, pinned)
    memories = memories_of(devices, host)
    offers = [
        _offer(rival, pin, known, request.byte_seconds, memories) for rival, pin in zip(rivals, pins, strict=True)
    ]
    shared = share_out(rivals, offers, memories, wanted)
    placed = tuple(
        _placed(rival, share, devices, request, pinned=pin is not None)
        for rival, share, pin in zip(rivals, shared.shares, pins, strict=True)
    )
    fallbacks = [p for p in placed if p.fallback]
    if request.strict and fallbacks:
        listed = "\n".join(f"    {p.node.title}: {p.why}" for p in fallbacks)
        raise PlacementError(f"{graph.file}: strict forbids falling back on layers' references:\n{listed}")
    unstored = [rival.node.title for rival in rivals if rival.unstored]
    if request.strict and unstored:
        listed = "\n".join(f"    {title}" for title in unstored)
        raise PlacementError(
            f"{graph.file}: strict forbids keeping weights in float32 where weight_storage is "
            f"{request.weight_storage!r}; no kernel here does otherwise for\n{listed}"
        )
    return Placement(placed, shared.notes, shared.transfer_seconds)


def unfold(node: Node, count: int) -> tuple[Node, Node]:
    """Return a node with the first `count` of the layers that are folded into it, and one of the others behind it."""
    kept, (first, *others) = node.folded[:count], node.folded[count:]
    value = kept[-1].name if kept else node.name
    start = len(node.own_inputs) + sum(f.further for f in kept)
    before = attrs.evolve(node, inputs=node.inputs[:start], outputs=(value,), folded=kept)
    inputs = (value, *node.inputs[start:])
    behind = Node(first.name, first.layer, inputs, node.outputs, folded=tuple(others), position=node.position)
    return before, behind


def _offer(
    rival: Competition, pin: Candidate | None, known: Knows, byte_seconds: float, memories: Sequence[Memory]
) -> Offer:
    """Return the best candidate for each memory, or for all where there are no memories to choose between."""
    if rival.view or not rival.candidates.able:
        return {}
    if pin:
        return {pin.memory: Chosen(pin, pin.seconds, False, "")}
    titles = tuple(memory.title for memory in memories) or (None,)
    found = (choose(rival.call, rival.candidates.able, known, byte_seconds, title) for title in titles)
    return {chosen.candidate.memory: chosen for chosen in found if chosen}


def _placed(
    rival: Competition, share: Share | None, devices: Sequence[Device], request: Request, *, pinned: bool
) -> Placed:
    node, call, candidates = rival.node, rival.call, rival.candidates
    if rival.view:
        return Placed(node, call, CORE, None, "the same values in the same order: nothing to compute")
    if share is None:
        reasons = [*candidates.reasons, "runs by its reference", *([_unstored(rival)] if rival.unstored else ())]
        why = "; ".join(reasons)
        return Placed(node, call, CORE, ReferenceKernel(), why, True)
    best = share.chosen.candidate
    if pinned:
        why = "; ".join(("pinned by the plan that was handed in", *share.clauses))
        return Placed(node, call, best.device, best.kernel, why)
    reasons = [_mode(devices, request, share), share.chosen.numbers, *share.clauses, *candidates.quarantined]
    if rival.unstored:
        reasons.append(_unstored(rival))
    if rival.apart:
        reasons.append(f"no kernel here applies {rival.apart}, which runs by itself")
    return Placed(node, call, best.device, best.kernel, "; ".join(reasons))


def _unstored(rival: Competition) -> str:
    return f"its weights stay in {kept_type(rival.call)}: no kernel here keeps them in {rival.unstored}"


def _mode(devices: Sequence[Device], request: Request, share: Share) -> str:
    if request.mode != "parallel":
        return f'execution_mode "{request.mode}"'
    if len({d.backend for d in devices}) == 1:
        return f"parallel: {devices[0].backend} is the only backend here"
    if not share.fastest:
        return "parallel: the fastest with transfers"
    return f"parallel: {'measured' if share.chosen.measured else 'expected'} to be the fastest"


def _found_pins(graph: Graph, rivals: Sequence[Competition], pinned: Mapping[str, Pin]) -> list[Candidate | None]:
    """Return the candidate that is pinned for each layer, None where none is; PlacementError where one is not here."""
    found: list[Candidate | None] = []
    missing = []
    for rival in rivals:
        pin = None if rival.view else pinned.get(rival.node.name)
        found.append(pin.find(rival.call, rival.candidates.able) if pin else None)
        if pin and not found[-1]:
            reasons = f" ({'; '.join(rival.candidates.reasons)})" if rival.candidates.reasons else ""
            missing.append(f"    {rival.node.title}: {pin.title} is not here{reasons}")
    if missing:
        raise PlacementError(f"{graph.file}: the plan that was handed in cannot be kept:\n" + "\n".join(missing))
    return found
