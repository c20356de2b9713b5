"""What a Net does where a device fails it.

Where a device's memory does not do, the batch is computed in halves. Where a device is lost, everything there is made
anew, once its backend says that it can be used again, and else the network runs on what is left of the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import attrs
import numpy as np

from cnnrt.caller_warning import warn_caller
from cnnrt.device_choice import Request, choose_devices
from cnnrt.errors import DeviceLostError, DeviceMemoryError, DeviceWarning, PlacementError
from cnnrt.graph import Graph
from cnnrt.layer import Array, Shape
from cnnrt.planning import placement_request
from cnnrt.plugins import PluginHost
from cnnrt.prepared_networks import PreparedNetworks
from cnnrt.shapes import infer_shapes

MOST_LOSSES = 3
"""Losses of devices within one call; after that it fails."""

Arrays = Mapping[str, Array]
T = TypeVar("T")


class Recovery:
    """Goes on where a device fails a network: with what is prepared anew, without the device, or in smaller parts."""

    def __init__(self, prepared: PreparedNetworks) -> None:
        self._prepared = prepared
        self._halved: set[Any] = set()

    def computed(self, compute: Callable[[Arrays], list[Array]], arrays: Arrays, wanted: Sequence[str]) -> list[Array]:
        """Return the wanted values that `compute` gives for these inputs, whatever becomes of devices meanwhile.

        Raises DeviceLostError where the network is strict, CnnrtError where memory does not do.
        """
        return self.retried(lambda: self._in_halves(compute, arrays, tuple(wanted)))

    def retried(self, attempt: Callable[[], T]) -> T:
        """Return what an attempt gives: again, on what is left, after a device was lost, unless the Net is strict."""
        prepared = self._prepared
        for _ in range(MOST_LOSSES):
            try:
                return attempt()
            except DeviceLostError as error:
                if prepared.settings.strict:
                    raise
                prepared.forget()
                request, done = request_without_lost(prepared.host, placement_request(prepared.settings))
                prepared.settings = attrs.evolve(prepared.settings, execution_mode=request.mode, device=request.device)
                warn_caller(f"{prepared.graph.file}: a device was lost: {error}; {done}", DeviceWarning)
        return attempt()

    def _in_halves(
        self, compute: Callable[[Arrays], list[Array]], arrays: Arrays, wanted: tuple[str, ...]
    ) -> list[Array]:
        """Return what `compute` gives; in halves where a device has not enough memory for the whole batch."""
        try:
            if self._halved and _shapes_and(arrays, wanted) in self._halved:
                raise DeviceMemoryError("it was not enough before")
            return compute(arrays)
        except DeviceMemoryError as error:
            parts = halves(self._prepared.graph, arrays)
            if parts is None:
                raise self._prepared.out_of_memory(error) from error
            key = _shapes_and(arrays, wanted)
            if key not in self._halved:
                self._halved.add(key)
                self._prepared.forget()
                items = len(next(iter(arrays.values())))
                file = self._prepared.graph.file
                warn_caller(f"{file}: {items} items are computed in halves: {error}", DeviceWarning)
            results = [self._in_halves(compute, part, wanted) for part in parts]
            return [np.concatenate(both) for both in zip(*results, strict=True)]
        except MemoryError as error:
            raise self._prepared.out_of_memory(error) from error


def _shapes_and(arrays: Arrays, wanted: tuple[str, ...]) -> Any:
    return tuple((name, array.shape) for name, array in arrays.items()), wanted


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
