"""The pass that joins kernels of different layouts: where neighbours differ, a visible Reorder step is inserted.

It runs on a neighbour's device if the backend has a kernel for it, so that it cuts no segment in two; else in the core.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from cnnrt.backend import Device
from cnnrt.candidates import memory_of
from cnnrt.graph import Node, free_name
from cnnrt.layer_call import LayerCall
from cnnrt.layouts import Reorder, ReorderKernel, same_bytes
from cnnrt.parts_in_place import write_in_place
from cnnrt.passes.split_batch import JoinItems
from cnnrt.placement import CORE, Placed
from cnnrt.plugins import PluginHost
from cnnrt.shapes import Shapes
from cnnrt.tensor import PLAIN, TensorType


@attrs.frozen
class Joined:
    """The placed nodes with their reorders; the type of every value; for each wanted value the one to return."""

    placed: tuple[Placed, ...]
    types: dict[str, TensorType]
    results: dict[str, str]


def insert_reorders(
    placed: Sequence[Placed],
    shapes: Shapes,
    inputs: Sequence[str],
    wanted: Sequence[str],
    host: PluginHost,
    threads: int | None,
) -> Joined:
    """Return the placed nodes so that each reads the layout that its kernel takes. `threads`: the user's limit.

    What enters and leaves is in the plain layout. A value is reordered once for each layout in which it is read; where
    both layouts are the same bytes, it is a view. Values that a Concat joins are written there where that can be.
    """
    types = {name: TensorType(shapes.values[name]) for name in inputs}
    devices = dict.fromkeys(inputs, CORE)  # where each value is made
    done: list[Placed] = []
    copies: dict[tuple[str, str], str] = {}  # (value, layout) -> its copy in that layout
    taken = {*shapes.values, *(p.node.name for p in placed)}

    def in_layout(value: str, layout: str, reader: Device = CORE) -> str:
        if types[value].layout == layout:
            return value
        if (value, layout) not in copies:
            source = types[value]
            name = copies[value, layout] = free_name(f"{value} ({layout})", taken)
            types[name] = attrs.evolve(source, layout=layout)
            layer = Reorder(source=source.layout, target=layout)
            node = Node(free_name(f"reorder {value} to {layout}", taken), layer, (value,), (name,))
            call = LayerCall(layer, (source,), (types[name],))
            reorder = _placed_reorder(node, call, (reader, devices[value]), host, threads)
            devices[name] = reorder.device
            done.append(reorder)
        return copies[value, layout]

    for p in placed:
        takes, gives = (p.kernel.takes(p.call), p.kernel.gives(p.call)) if p.kernel else (PLAIN, PLAIN)
        if isinstance(p.node.layer, JoinItems):  # any layout: items come first in all of them
            takes = gives = types[p.node.inputs[0]].layout
        call = p.call.in_layouts(takes, gives)
        values = tuple(in_layout(v, t.layout, p.device) for v, t in zip(p.node.inputs, call.inputs, strict=True))
        devices.update(dict.fromkeys(p.node.outputs, p.device))
        types.update(zip(p.node.outputs, call.outputs, strict=True))
        done.append(attrs.evolve(p, node=attrs.evolve(p.node, inputs=values), call=call))
        for value in p.node.outputs:
            if value in wanted:  # at once: it is still where it was made
                in_layout(value, PLAIN)
    results = {value: in_layout(value, PLAIN) for value in wanted}
    in_place, types = write_in_place(done, types, [*inputs, *results.values()], _runs_apart(done, host))
    return Joined(in_place, types, results)


def _runs_apart(placed: Sequence[Placed], host: PluginHost) -> list[int]:
    """Return for each node the number of its run on a device with memory of its own, -1 for others."""
    number, before, runs = -1, "", []
    for p in placed:
        memory = memory_of(p.device, host) if p.kernel else before
        number += memory != before
        before = memory
        runs.append(number if memory else -1)
    return runs


def reorder_seconds(
    tensor: TensorType, source: str, target: str, device: Device, host: PluginHost, threads: int | None
) -> float:
    """Return the seconds that moving a value between layouts is expected to take on a device, or in the core."""
    layer = Reorder(source=source, target=target)
    types = (attrs.evolve(tensor, layout=source), attrs.evolve(tensor, layout=target))
    call = LayerCall(layer, types[:1], types[1:])
    node = Node("reorder", layer, ("source",), ("target",))
    placed = _placed_reorder(node, call, (device,), host, threads)
    return placed.kernel.estimate(call, placed.device) if placed.kernel else 0.0


def _placed_reorder(
    node: Node, call: LayerCall, devices: Sequence[Device], host: PluginHost, threads: int | None
) -> Placed:
    """Return a reorder, placed on the first of these devices whose backend can do it."""
    (source,), (target,) = call.inputs, call.outputs
    why = f"{source.layout} is given, {target.layout} is taken"
    if same_bytes(source, target):
        return Placed(node, call, CORE, None, f"{why}: the same values in the same order")
    able = [kernel for kernel in host.kernels({d.backend for d in devices}).values() if kernel.layer == Reorder.type]
    for device in devices:
        for kernel in able:
            if kernel.backend == device.backend and kernel.can_run(call, device) is True:
                return Placed(node, call, device, kernel.for_threads(threads), why)
    return Placed(node, call, CORE, ReorderKernel(), why)
