"""Kernels and hosts for tests of the OpenCL runtime, whatever else the backend has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cnnrt.backend import Device, Kernel
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt.plugins import PluginHost, plugin_host
from cnnrt.testing.offered import offered
from cnnrt_backend_opencl.backend import OpenCLBackend
from cnnrt_backend_opencl.elementwise import ElementwiseKernel
from cnnrt_backend_opencl.kernel import Input, Launch, OpenCLKernel, Output, Weight, Workspace
from cnnrt_backend_opencl.pooling import WindowPooling
from cnnrt_backend_opencl.reorder import Transpose

FOR_PROCESSORS, FOR_CARDS = frozenset({"tile", "winograd"}), frozenset({"winograd-gemm"})
"""Names of kernels that decline other kinds of devices."""

PRODUCT = """
__kernel void sums(__global const float *x, __global const float *weight, __global float *sums,
                   int inputs, int outputs) {
    const int output = get_global_id(0), item = get_global_id(1);
    float sum = 0.0f;
    for (int i = 0; i < inputs; i++)
        sum = fma(x[item * inputs + i], weight[output * inputs + i], sum);
    sums[item * outputs + output] = sum;
}
__kernel void add(__global const float *sums, __global const float *bias, __global float *y, int outputs) {
    const int output = get_global_id(0), item = get_global_id(1);
    y[item * outputs + output] = sums[item * outputs + output] + bias[output];
}
"""


class PlainProduct(OpenCLKernel):
    """FullyConnected with a bias, in two launches, by way of the workspace; only of what is in the plain layout."""

    layer = "FullyConnected"
    name = "plain"
    source = "product.cl"

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        return "bias" in call.weights or "takes a bias"

    def takes(self, call: LayerCall) -> str:
        return "NCHW"

    def text(self) -> str:
        return PRODUCT

    def workspace(self, call: LayerCall) -> int:
        return 512 + call.outputs[0].nbytes

    def pack(self, call: LayerCall, weights: Mapping[str, Array]) -> tuple[Array, ...]:
        return weights["weight"], weights["bias"]

    def launches(self, call: LayerCall, device: Device) -> Sequence[Launch]:
        outputs, inputs = call.weights["weight"].shape
        size = (outputs, call.outputs[0].shape[0])
        sums = Workspace(512)
        return [
            Launch("sums", size, None, (Input(), Weight(0), sums, inputs, outputs)),
            Launch("add", size, None, (sums, Weight(1), Output(), outputs)),
        ]


def host_with(backend: OpenCLBackend, *kernels: Kernel) -> PluginHost:
    """Return a host with all layers and the backend: with these kernels, by default some of its own."""
    own: tuple[Kernel, ...] = (
        *(ElementwiseKernel(layer) for layer in ("ReLU", "Sigmoid", "TanH")),
        WindowPooling(),
        Transpose(),
        PlainProduct(),
    )
    layers = list(plugin_host().layers().values())
    sequential = plugin_host().backends()["sequential"]
    others = [k for k in plugin_host().kernels().values() if k.backend == "sequential"]
    return offered(layers=layers, backends=[backend, sequential], kernels=[*(kernels or own), *others])
