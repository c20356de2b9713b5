"""Placement: which backend and which kernel computes each node, and why.

Kernels compete by the seconds that they were measured to take, else by those that they expect to. What a chosen
backend has no kernel for runs by the layer's reference, and the receipt says so; `strict` forbids that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import attrs

from cnnrt.backend import Device, HostFunction, HostKernel, Kernel, Packed
from cnnrt.blas_guard import one_blas_thread
from cnnrt.candidates import Candidate, Candidates, find_candidates
from cnnrt.errors import PlacementError
from cnnrt.graph import Graph, Node
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt.pinned import NO_PINS, Pin
from cnnrt.plugins import PluginHost
from cnnrt.shapes import Shapes
from cnnrt.weight_storage import DEFAULT, kept_type, storing_weights
from netfile_spec.problems import closest

if TYPE_CHECKING:
    from cnnrt.tuning.knowledge import Choice

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
class Request:
    """What the user asks of placement: the execution mode, a device's name or None, and whether to be strict.

    `byte_seconds`: what a byte of packed weights and workspace costs, where memory is scarce. `weight_storage`: the
    type that weights are to be kept in (`cnnrt.weight_storage`).
    """

    mode: str = "parallel"
    device: str | None = None
    strict: bool = False
    byte_seconds: float = 0.0
    weight_storage: str = DEFAULT


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


def choose_devices(host: PluginHost, request: Request) -> list[Device]:
    """Return the devices that may be used, the preferred one first.

    `"parallel"` allows every usable device; a backend's name only that backend's. A device that computes alone is the
    only one where it is the first of those that were asked for; else it is none of them. Raises PlacementError that
    lists what is installed, or why the asked-for backend or device cannot be used.
    """
    backends = host.backends()
    if request.mode != "parallel":
        if backends.find(request.mode) is None:
            near = closest(request.mode, [*backends, "parallel"])
            raise PlacementError(
                f'no backend is named {request.mode!r}; execution_mode is "parallel" or one of the installed '
                f"backends: {', '.join(sorted(backends)) or 'none'}" + (f"; did you mean {near!r}?" if near else "")
            )
        backends_allowed = [backends[request.mode]]
    else:
        backends_allowed = list(backends.values())
    asked = request.mode != "parallel" or request.device is not None
    seen = [d for b in backends_allowed for d in (b.devices() if asked else b.devices_beside())]
    named = [d for d in seen if request.device is None or request.device.lower() in _names(d)]
    if request.device is not None and not named:
        known = ", ".join(_title(d) for d in seen if d.name != "-") or "none"
        raise PlacementError(
            f"no device is named {request.device!r} in mode {request.mode!r}; devices in sight: {known}"
        )
    usable = [d for d in named if not d.problem]
    together = [d for d in usable if not d.alone]
    usable = usable[:1] if usable and usable[0].alone and (asked or not together) else together
    if not usable:
        reasons = (
            "; ".join((*(f"{_title(d)}: {d.problem}" for d in named), *backends.collisions.values()))
            or "no backend sees a device"
        )
        raise PlacementError(f"no device can be used in mode {request.mode!r}: {reasons}")
    _check_storage(host, request, usable)
    return usable


def _check_storage(host: PluginHost, request: Request, devices: Sequence[Device]) -> None:
    """Raise PlacementError where none of the devices' backends can keep weights as they are asked to be kept."""
    if request.weight_storage == DEFAULT:
        return

    def storing(backends: Iterable[str]) -> list[str]:
        wanted = set(backends)
        kernels = (k for k in host.kernels(wanted).values() if k.backend in wanted)
        return sorted({k.backend for k in kernels if request.weight_storage in k.weight_types})

    asked = dict.fromkeys(device.backend for device in devices)
    if not storing(asked):
        able = storing(host.backends())
        others = f"execution_mode {' or '.join(map(repr, able))} can" if able else "no installed backend can"
        raise PlacementError(
            f"weight_storage {request.weight_storage!r}: no kernel of {' or '.join(asked)} keeps weights in "
            f"{request.weight_storage}; {others}; weight_storage {DEFAULT!r} runs anywhere"
        )


def _title(device: Device) -> str:
    """Return backend and name of a device; a backend that sees none tells why under the name "-"."""
    return device.backend if device.name == "-" else f"{device.backend}:{device.name}"


def _names(device: Device) -> tuple[str, ...]:
    """Return what a user may call a device, in lower case."""
    names = (device.name, *device.aliases)
    return (device.backend, *(text.lower() for name in names for text in (name, f"{device.backend}:{name}")))


class Knows(Protocol):
    """What is known of kernels on this machine, for so many threads; see `cnnrt.tuning.knowledge`."""

    @property
    def threads(self) -> int | None:
        """The user's limit of threads; None: there is none."""

    def quarantine(self, kernel: Kernel, device: Device) -> str:
        """Return why a kernel must not be used on a device; empty: it may."""

    def choice(self, call: LayerCall, candidates: Sequence[Candidate]) -> Choice | None:
        """Return the candidate that measurements prefer, None where there are none."""


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
    graph: Graph, shapes: Shapes, host: PluginHost, request: Request, known: Knows, pinned: Mapping[str, Pin] = NO_PINS
) -> list[Placed]:
    """Return the nodes in order, each placed.

    Raises PlacementError where `strict` is asked for and any layer would fall back on its reference, or where a layer
    is pinned to a kernel that is not here; all such layers are named.
    """
    devices = choose_devices(host, request)
    rivals = competitions(graph, shapes, devices, host, known, request.weight_storage)
    _check_pins(graph, rivals, pinned)
    placed = [_placed(rival, devices, request, known, pinned.get(rival.node.name)) for rival in rivals]
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
    return placed


def unfold(node: Node, count: int) -> tuple[Node, Node]:
    """Return a node with the first `count` of the layers that are folded into it, and one of the others behind it."""
    kept, (first, *others) = node.folded[:count], node.folded[count:]
    value = kept[-1].name if kept else node.name
    start = len(node.own_inputs) + sum(f.further for f in kept)
    before = attrs.evolve(node, inputs=node.inputs[:start], outputs=(value,), folded=kept)
    inputs = (value, *node.inputs[start:])
    behind = Node(first.name, first.layer, inputs, node.outputs, folded=tuple(others), position=node.position)
    return before, behind


def _placed(rival: Competition, devices: Sequence[Device], request: Request, known: Knows, pin: Pin | None) -> Placed:
    node, call, candidates = rival.node, rival.call, rival.candidates
    if rival.view:
        return Placed(node, call, CORE, None, "the same values in the same order: nothing to compute")
    pinned = pin and pin.find(call, candidates.able)
    if pinned:
        return Placed(node, call, pinned.device, pinned.kernel, "pinned by the plan that was handed in")
    if not candidates.able:
        reasons = [*candidates.reasons, "runs by its reference", *([_unstored(rival)] if rival.unstored else ())]
        why = "; ".join(reasons)
        return Placed(node, call, CORE, ReferenceKernel(), why, True)
    choice = known.choice(call, candidates.able)
    fastest = choice.candidate if choice else candidates.able[0]
    best = _leaner(fastest, candidates.able, call, request.byte_seconds)
    reasons = [_mode(devices, request, measured=choice is not None)]
    if best is not fastest:
        saved = _bytes_of(fastest, call) - _bytes_of(best, call)
        reasons.append(f"leaner by {saved / 2**20:.3g} MiB than {fastest.kernel.title}, expected {_ms(best.seconds)}")
    elif choice:
        reasons.append(choice.evidence)
    else:
        others = [f"{c.device.backend}/{c.kernel.name} {_ms(c.seconds)}" for c in candidates.able[1:]]
        reasons.append(f"expected {_ms(best.seconds)}" + (f", against {', '.join(others)}" if others else ""))
    reasons += candidates.quarantined
    if rival.unstored:
        reasons.append(_unstored(rival))
    if rival.apart:
        reasons.append(f"no kernel here applies {rival.apart}, which runs by itself")
    return Placed(node, call, best.device, best.kernel, "; ".join(reasons))


def _unstored(rival: Competition) -> str:
    return f"its weights stay in {kept_type(rival.call)}: no kernel here keeps them in {rival.unstored}"


def _leaner(fastest: Candidate, able: Sequence[Candidate], call: LayerCall, byte_seconds: float) -> Candidate:
    """Return the candidate whose time and memory together cost the least."""
    if not byte_seconds:
        return fastest
    return min((fastest, *able), key=lambda c: c.seconds + byte_seconds * _bytes_of(c, call))


def _bytes_of(candidate: Candidate, call: LayerCall) -> int:
    """Return the bytes of packed weights and workspace."""
    return candidate.kernel.packed_bytes(call) + candidate.kernel.workspace(call)


def _mode(devices: Sequence[Device], request: Request, *, measured: bool) -> str:
    if request.mode != "parallel":
        return f'execution_mode "{request.mode}"'
    if len({d.backend for d in devices}) == 1:
        return f"parallel: {devices[0].backend} is the only backend here"
    return "parallel: measured to be the fastest" if measured else "parallel: expected to be the fastest"


def _check_pins(graph: Graph, rivals: Sequence[Competition], pinned: Mapping[str, Pin]) -> None:
    missing = [
        f"    {rival.node.title}: {pin.title} is not here"
        + (f" ({'; '.join(rival.candidates.reasons)})" if rival.candidates.reasons else "")
        for rival in rivals
        if (pin := pinned.get(rival.node.name)) and not rival.view and not pin.find(rival.call, rival.candidates.able)
    ]
    if missing:
        raise PlacementError(f"{graph.file}: the plan that was handed in cannot be kept:\n" + "\n".join(missing))


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms"
