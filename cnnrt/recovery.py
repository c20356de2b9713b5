"""What a Net does where a device fails it.

Where a device's memory does not do, the batch is computed in halves. Where a device is lost, everything there is made
anew, once its backend says that it can be used again, and else the network runs on what is left of the machine.
"""

from __future__ import annotations

from collections.abc import Mapping

from cnnrt.errors import PlacementError
from cnnrt.graph import Graph
from cnnrt.layer import Array, Shape
from cnnrt.placement import Request, choose_devices
from cnnrt.plugins import PluginHost
from cnnrt.shapes import infer_shapes

MOST_LOSSES = 3
"""Losses of devices within one call; after that it fails."""

Arrays = Mapping[str, Array]


def halves(graph: Graph, arrays: Arrays) -> tuple[Arrays, Arrays] | None:
    """Return both halves of a batch of inputs; None where it has one item or layers do not treat items one by one."""
    shapes: dict[str, Shape] = {name: array.shape for name, array in arrays.items()}
    batches = {shape[:1] for shape in shapes.values()}
    if len(batches) != 1 or next(iter(batches), ()) in ((), (0,), (1,)):
        return None
    ((batch,),) = batches
    values = infer_shapes(graph, shapes).values
    for node in graph.nodes:
        given = [values[v] for v in node.inputs]
        if any(values[v][:1] != (batch,) for v in (*node.inputs, *node.outputs)) or not node.layer.itemwise(given):
            return None
    middle = batch // 2
    return {n: a[:middle] for n, a in arrays.items()}, {n: a[middle:] for n, a in arrays.items()}


def request_without_lost(host: PluginHost, request: Request) -> tuple[Request, str]:
    """Return what to ask of placement after a device was lost, and a sentence on what is done.

    The same as before where that can still be placed, else everything that is left.
    """
    try:
        choose_devices(host, request)
    except PlacementError as error:
        left = Request("parallel", None, request.strict, weight_storage=request.weight_storage)
        names = ", ".join(dict.fromkeys(device.title for device in choose_devices(host, left)))
        return left, f"the network runs on {names} from now on ({error})"
    return request, "everything that was there is set up anew"
