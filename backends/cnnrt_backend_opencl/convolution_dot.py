"""Convolution by dot products over channel vectors: CNNdroid's family InxFOuty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cnnrt.backend import Device, Packed, Tunable, Tuning
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt_backend_opencl.convolution import (
    ConvolutionKernel,
    biases_of,
    channels_last,
    pixels_of,
    result_buffers,
    size_arguments,
)
from cnnrt_backend_opencl.cost_model import product_seconds
from cnnrt_backend_opencl.folding import folded_defines
from cnnrt_backend_opencl.half_weights import BOTH_TYPES, weight_bytes, weight_defines, weight_type
from cnnrt_backend_opencl.kernel import Argument, Input, Launch, Weight, flat_group, in_groups
from cnnrt_backend_opencl.limits import limits_of
from cnnrt_backend_opencl.sources import Defines
from cnnrt_layers.convolution_geometry import ConvolutionGeometry, convolution_geometry

INPUT_VECTORS = (4, 8, 16)
OUTPUTS_OF_AN_ITEM = (4, 8, 2, 1, 16)


class DotConvolution(ConvolutionKernel):
    """Each work-item computes some outputs of one pixel, so many input channels at a time."""

    name = "dot"
    source = "convolution_dot.cl"
    weight_types = BOTH_TYPES

    def takes_sizes(self, g: ConvolutionGeometry, device: Device) -> str:
        """Decline channels that do not fill vectors."""
        inputs, outputs = self._family(g)
        if g.group_inputs % inputs:
            return f"{g.group_inputs} channels of a group are no multiple of {inputs}"
        return f"{g.group_outputs} outputs of a group are no multiple of {outputs}" if g.group_outputs % outputs else ""

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return the seconds of the products: a fraction of what tiles reach, since operands come from the cache."""
        outputs = self._family(convolution_geometry(call))[1]
        return product_seconds(device, call.cost.flops * (3 + 4 / outputs))

    def parameters(self, call: LayerCall) -> Mapping[str, int | str]:
        """Return input channels at a time, and outputs."""
        inputs, outputs = self._family(convolution_geometry(call))
        return {"in": inputs, "out": outputs}

    def tunables(self, call: LayerCall, device: Device) -> Sequence[Tunable]:
        """Return the members of the family."""
        return Tunable("in", INPUT_VECTORS), Tunable("out", OUTPUTS_OF_AN_ITEM)

    def allows(self, call: LayerCall, tuning: Tuning) -> bool:
        """Tell whether channels fill the vectors, and the sums the registers."""
        g = convolution_geometry(call)
        inputs, outputs = int(tuning["in"]), int(tuning["out"])
        return g.group_inputs % inputs == 0 and g.group_outputs % outputs == 0 and inputs * outputs <= 128

    def packed_bytes(self, call: LayerCall) -> int:
        """Return the bytes of the weights and a bias for each output."""
        g = convolution_geometry(call)
        return weight_bytes(call, g.outputs * g.depth) + 4 * g.outputs

    def pack(self, call: LayerCall, weights: Mapping[str, Array]) -> Packed:
        """Return the weights with channels last, and biases."""
        return channels_last(weights["weight"], weight_type(call)), biases_of(weights, len(weights["weight"]), 1, 1)

    def defines(self, call: LayerCall, device: Device) -> Mapping[str, Defines]:
        """Return the member of the family and what is folded in."""
        g = convolution_geometry(call)
        inputs, outputs = self._family(g)
        return {**folded_defines(call), **weight_defines(call), "IN": inputs, "OUT": outputs}

    def launches(self, call: LayerCall, device: Device) -> Sequence[Launch]:
        """Return one launch: outputs × pixels."""
        g = convolution_geometry(call)
        items = g.outputs // self._family(g)[1]
        group = flat_group(limits_of(device), min(64, items))
        arguments: tuple[Argument, ...] = (Input(), Weight(0), Weight(1), *result_buffers(call), *size_arguments(g))
        return [Launch("dot_products", (in_groups(items, group), pixels_of(g)), (group, 1), arguments)]

    def _family(self, g: ConvolutionGeometry) -> tuple[int, int]:
        inputs = next((n for n in (8, 4) if g.group_inputs % n == 0), 4)
        outputs = next(n for n in (4, 2, 1) if g.group_outputs % n == 0)
        return int(self.tuning.get("in", inputs)), int(self.tuning.get("out", outputs))
