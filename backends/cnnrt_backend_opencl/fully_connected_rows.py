"""FullyConnected by rows of the weights, a work-group for some of them: few images on devices with many workers."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence

from cnnrt.backend import Device, Packed, Tunable, Tuning
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt_backend_opencl.convolution import biases_of
from cnnrt_backend_opencl.cost_model import product_seconds, values_per_second
from cnnrt_backend_opencl.folding import folded_defines
from cnnrt_backend_opencl.fully_connected import FullyConnectedKernel, features_last, image_of
from cnnrt_backend_opencl.half_weights import BOTH_TYPES, weight_bytes, weight_defines
from cnnrt_backend_opencl.kernel import Input, Launch, Output, Weight, flat_group
from cnnrt_backend_opencl.limits import limits_of
from cnnrt_backend_opencl.sources import Defines


class RowsFullyConnected(FullyConnectedKernel):
    """A matrix times a few vectors: every weight is read once for each `images` of them."""

    name = "rows"
    source = "fully_connected_rows.cl"
    weight_types = BOTH_TYPES

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return the seconds of reading weights and features again and again, mostly from caches."""
        outputs, features = call.weights["weight"].shape
        rows, images, _ = self._cut(call)
        groups = -(-outputs // rows) * -(-math.prod(call.outputs[0].shape[:-1]) // images)
        read = groups * features * (weight_bytes(call, rows) / 4 + images / 4)
        return product_seconds(device, call.cost.flops) + read / values_per_second(device)

    def parameters(self, call: LayerCall) -> Mapping[str, int | str]:
        """Return what a work-group computes, and its size."""
        rows, images, workers = self._cut(call)
        return {"rows": rows, "images": images, "workers": workers}

    def tunables(self, call: LayerCall, device: Device) -> Sequence[Tunable]:
        """Return the sizes that are worth a try."""
        most = flat_group(limits_of(device), 256)
        workers = tuple(n for n in (64, 128, 256, 1) if n <= most)
        return Tunable("rows", (2, 4, 1)), Tunable("images", (4, 8, 1)), Tunable("workers", workers)

    def allows(self, call: LayerCall, tuning: Tuning) -> bool:
        """Tell whether there are as many images."""
        return int(tuning["images"]) < 2 * max(1, math.prod(call.outputs[0].shape[:-1]))

    def packing(self, call: LayerCall) -> Hashable:
        """Return the image whose values come channels last."""
        return image_of(call)

    def packed_bytes(self, call: LayerCall) -> int:
        """Return the bytes of the weights and a bias for each output."""
        outputs, features = call.weights["weight"].shape
        return weight_bytes(call, outputs * features) + 4 * outputs

    def pack(self, call: LayerCall, weights: Mapping[str, Array]) -> Packed:
        """Return the weights with features in the order of memory, and biases."""
        return features_last(call, weights["weight"]), biases_of(weights, len(weights["weight"]), 1, 1)

    def defines(self, call: LayerCall, device: Device) -> Mapping[str, Defines]:
        """Return how the work is cut, and what is folded in."""
        features = call.weights["weight"].shape[1]
        rows, images, workers = self._cut(call)
        return {
            **folded_defines(call),
            **weight_defines(call),
            "LANES": next(n for n in (4, 2, 1) if features % n == 0),
            "WORKERS": min(workers, flat_group(limits_of(device), 256)),
            "ROWS": rows,
            "IMAGES": images,
        }

    def launches(self, call: LayerCall, device: Device) -> Sequence[Launch]:
        """Return one launch: blocks of outputs × blocks of images, a work-group for each."""
        rows, images, workers = self._cut(call)
        workers = min(workers, flat_group(limits_of(device), 256))
        count = math.prod(call.outputs[0].shape[:-1])
        outputs, features = call.weights["weight"].shape
        size = (-(-outputs // rows) * workers, -(-count // images))
        return [Launch("rows", size, (workers, 1), (Input(), Weight(0), Weight(1), Output(), count, features, outputs))]

    def _cut(self, call: LayerCall) -> tuple[int, int, int]:
        """Return outputs and images of a work-group, and its workers."""
        images = 1 if math.prod(call.outputs[0].shape[:-1]) == 1 else 4
        chosen = {"rows": 2, "images": images, "workers": 64, **self.tuning}
        return int(chosen["rows"]), int(chosen["images"]), int(chosen["workers"])
