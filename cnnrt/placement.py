"""Placement: which backend and which kernel computes each node, and why.

Kernels compete by the seconds that they expect to take. What a chosen backend has no kernel for runs by the
layer's reference, and the receipt says so; `strict` forbids that.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from cnnrt.backend import Device, HostFunction, HostKernel, Kernel, Packed
from cnnrt.errors import PlacementError
from cnnrt.graph import Graph, Node, nearest
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt.plugins import PluginHost
from cnnrt.shapes import Shapes

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
    """What the user asks of placement: the execution mode, a device's name or None, and whether to be strict."""

    mode: str = "parallel"
    device: str | None = None
    strict: bool = False


class ReferenceKernel(HostKernel):
    """Runs a layer by its reference, whatever the layer."""

    layer = "*"
    backend = "core"
    name = "reference"

    def workspace(self, call: LayerCall) -> int:
        """Return 0: references allocate by themselves; `reference_bytes` states how much."""
        return 0

    def bind(self, call: LayerCall) -> HostFunction:
        """Return a call of the reference that copies its results into the outputs; see HostKernel."""

        def run(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
            for output, result in zip(outputs, call.reference(inputs, weights), strict=True):
                output[...] = result

        return run


def choose_devices(host: PluginHost, request: Request) -> list[Device]:
    """Return the devices that may be used, the preferred one first.

    `"parallel"` allows every usable device; a backend's name only that backend's. Raises PlacementError that
    lists what is installed, or why the asked-for backend or device cannot be used.
    """
    backends = host.backends()
    if request.mode != "parallel":
        if backends.find(request.mode) is None:
            raise PlacementError(
                f'no backend is named {request.mode!r}; execution_mode is "parallel" or one of the installed '
                f"backends: {', '.join(sorted(backends)) or 'none'} ({nearest(request.mode, [*backends, 'parallel'])})"
            )
        backends_allowed = [backends[request.mode]]
    else:
        backends_allowed = list(backends.values())
    seen = [device for backend in backends_allowed for device in backend.devices()]
    named = [d for d in seen if request.device is None or request.device.lower() in _names(d)]
    if request.device is not None and not named:
        known = ", ".join(f"{d.backend}:{d.name}" for d in seen) or "none"
        raise PlacementError(
            f"no device is named {request.device!r} in mode {request.mode!r}; devices in sight: {known}"
        )
    usable = [d for d in named if not d.problem]
    if not usable:
        reasons = (
            "; ".join((*(f"{d.backend}:{d.name}: {d.problem}" for d in named), *backends.collisions.values()))
            or "no backend sees a device"
        )
        raise PlacementError(f"no device can be used in mode {request.mode!r}: {reasons}")
    return usable


def _names(device: Device) -> tuple[str, ...]:
    """Return what a user may call a device, in lower case."""
    return device.name.lower(), device.backend, f"{device.backend}:{device.name}".lower()


def place(graph: Graph, shapes: Shapes, host: PluginHost, request: Request) -> list[Placed]:
    """Return the nodes in order, each placed.

    Raises PlacementError where `strict` is asked for and any layer would fall back on its reference; all such
    layers are named.
    """
    devices = choose_devices(host, request)
    placed = [p for node in graph.nodes for p in _place_whole_or_parts(node, shapes, devices, host, request)]
    fallbacks = [p for p in placed if p.fallback]
    if request.strict and fallbacks:
        listed = "\n".join(f"    {p.node.title}: {p.why}" for p in fallbacks)
        raise PlacementError(f"{graph.file}: strict forbids falling back on layers' references:\n{listed}")
    return placed


def _place_whole_or_parts(
    node: Node, shapes: Shapes, devices: Sequence[Device], host: PluginHost, request: Request
) -> list[Placed]:
    """Return the node placed; where no kernel applies what was folded into it, the layers one by one."""
    whole = _place_node(node, shapes.call(node), devices, host, request)
    if not whole.fallback or not node.folded:
        return [whole]
    parts = [_place_node(part, shapes.call(part), devices, host, request) for part in unfold(node)]
    if parts[0].fallback:
        return [whole]
    apart = ", ".join(f.name for f in node.folded)
    return [
        attrs.evolve(parts[0], why=f"{parts[0].why}; no kernel here applies {apart}, which runs by itself"),
        *parts[1:],
    ]


def unfold(node: Node) -> list[Node]:
    """Return the layers of a node, each as a node of its own."""
    nodes = [attrs.evolve(node, outputs=(node.name,), folded=())]
    for folded in node.folded:
        nodes.append(Node(folded.name, folded.layer, nodes[-1].outputs, (folded.name,), position=node.position))
    return nodes


def _place_node(node: Node, call: LayerCall, devices: Sequence[Device], host: PluginHost, request: Request) -> Placed:
    if node.layer.view and not node.folded:
        return Placed(node, call, CORE, None, "the same values in the same order: nothing to compute")
    candidates: list[tuple[float, Device, Kernel]] = []
    reasons: list[str] = []
    for device in devices:
        kernels = [k for k in host.kernels().values() if k.layer.lower() == node.layer.type.lower()]
        own = [k for k in kernels if k.backend == device.backend]
        if not own:
            reasons.append(f"{device.backend} has no kernel for {node.layer.type}")
        reasons += [
            f"{device.backend}/{name}: {text}"
            for (layer, backend, name), text in host.kernels().collisions.items()
            if (layer, backend) == (node.layer.type.lower(), device.backend)
        ]
        for kernel in own:
            answer = _can_run(kernel, call, device)
            if answer is True:
                candidates.append((kernel.estimate(call, device), device, kernel))
            else:
                reasons.append(f"{device.backend}/{kernel.name}: {answer}")
    if not candidates:
        return Placed(node, call, CORE, ReferenceKernel(), "; ".join(reasons) + "; runs by its reference", True)
    seconds, device, kernel = min(candidates, key=lambda c: c[0])
    return Placed(node, call, device, kernel, _why(seconds, kernel, candidates, devices, request))


def _can_run(kernel: Kernel, call: LayerCall, device: Device) -> bool | str:
    for folded in call.folded:
        if folded.type not in kernel.folds:
            return f"does not apply a folded {folded.type}"
    return kernel.can_run(call, device)


def _why(
    seconds: float,
    kernel: Kernel,
    candidates: Sequence[tuple[float, Device, Kernel]],
    devices: Sequence[Device],
    request: Request,
) -> str:
    if request.mode != "parallel":
        reason = f'execution_mode "{request.mode}"'
    elif len({d.backend for d in devices}) == 1:
        reason = f"parallel: {devices[0].backend} is the only backend here"
    else:
        reason = "parallel: expected to be the fastest"
    others = [f"{d.backend}/{k.name} {_ms(s)}" for s, d, k in sorted(candidates, key=lambda c: c[0])[1:]]
    return f"{reason}; expected {_ms(seconds)}" + (f", against {', '.join(others)}" if others else "")


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms"
