"""A kernel that writes machine code: how much work there is, and the code for a range of it."""

from __future__ import annotations

import abc
import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Self, cast

import attrs

from cnnrt.backend import Kernel, Packed
from cnnrt.hardware import usable_cores
from cnnrt.layer import Array, Shape
from cnnrt.layer_call import LayerCall
from cnnrt.tensor import PLAIN
from cnnrt_backend_threaded.code_key import code_key, is_own
from cnnrt_backend_threaded.emitter import Code, Value
from cnnrt_backend_threaded.machine_code import CodeRequest, function_addresses
from cnnrt_backend_threaded.target import Machine, host_machine

if TYPE_CHECKING:
    from cnnrt_layers.clip import Clip
    from cnnrt_layers.relu import ReLU

CHANNELS_LAST = "NHWC"
"""The layout of images here: the channels of a pixel lie side by side, and fill vectors whatever the image's size."""


class NativeKernel(Kernel):
    """Base of this backend's kernels.

    The work of a call is cut into units that may be computed in any order by any thread; the code computes a range of
    them. A unit must give the same bits whoever computes it. Packed weights are a tuple of float32 arrays. Without a
    machine the kernel is for the one that the process runs on.

    How work is cut, the workspace, and who packs weights follow `machine.cores`, which `for_threads` fixes: code, table
    and memory of a plan agree, whatever becomes of the process's affinity meanwhile.
    """

    backend = "threaded"
    compiled = True

    def __init__(self, machine: Machine | None = None) -> None:
        self._machine = machine

    @property
    def machine(self) -> Machine:
        """What code is written for."""
        return self._machine or host_machine()

    def for_threads(self, threads: int | None) -> Self:
        """Return the kernel for a machine of so many cores, but not more than there are, or can be used now."""
        machine = self._machine or attrs.evolve(host_machine(), cores=usable_cores())
        variant = copy.copy(self)
        variant._machine = machine if threads is None else attrs.evolve(machine, cores=min(threads, machine.cores))
        return variant

    def takes(self, call: LayerCall) -> str:
        """Return NHWC for images, the plain layout for everything else."""
        return layout_for(call.inputs[0].shape)

    def gives(self, call: LayerCall) -> str:
        """Return NHWC for images, the plain layout for everything else."""
        return layout_for(call.outputs[0].shape)

    def writes_part(self, call: LayerCall) -> bool:
        """Return True where the output is one run of memory there too; see `WritesPixels`."""
        return not call.outputs[0].pitch

    @abc.abstractmethod
    def units(self, call: LayerCall) -> int:
        """Return into how many units the work is cut; 0 where there is nothing to compute."""

    def grain(self, call: LayerCall) -> int:
        """Return how many units a thread takes at a time."""
        return 1

    @abc.abstractmethod
    def emit(self, call: LayerCall, code: Code) -> None:
        """Write code for the units from `code.first` to `code.last`.

        Arguments are the inputs, the outputs, the packed weights and the workspace.
        """

    def pack(self, call: LayerCall, weights: Mapping[str, Array]) -> Packed:
        """Return no arrays: for layers without weights."""
        return ()

    def packed_bytes(self, call: LayerCall) -> int:
        """Return 0: for layers without weights."""
        return 0

    def packed_arrays(self, call: LayerCall) -> int:
        """Return how many arrays `pack` gives."""
        return 0

    def code(self, call: LayerCall, layer_name: str) -> CodeRequest:
        """Return what code a call needs; equal calls share it. `layer_name` is for the log."""
        weights = tuple(sorted(call.weights.items()))
        kernel = (type(self), self.name, tuple(sorted(self.tuning.items())), self.machine)
        key = (*kernel, call.layer, call.inputs, call.outputs, weights, call.folded)
        target = self.machine.target
        modules = [type(layer).__module__ for layer in (call.layer, *call.folded)]
        disk_key = code_key("kernel", target, key, modules=modules) if is_own(type(self)) else None

        def write() -> str:
            code = Code(target)
            self.emit(call, code)
            code.finish()
            return code.text()

        return CodeRequest(target, key, disk_key, ("kernel",), write, f"{layer_name}: {self.name}")

    def packing_code(self, call: LayerCall) -> Sequence[CodeRequest]:
        """Return what code packing the weights of a call needs."""
        return ()

    def address(self, call: LayerCall, layer_name: str) -> int:
        """Return the address of the function that computes units of a call."""
        return function_addresses(self.code(call, layer_name))["kernel"]


class WritesPixels(NativeKernel):
    """Base of kernels that write pixel after pixel (or row after row), as far apart as `pitch_of` says."""

    def writes_part(self, call: LayerCall) -> bool:
        """Return True unless a residual is added, which lies side by side."""
        return not (call.outputs[0].pitch and adds_residual(call))


def pitch_of(call: LayerCall) -> int:
    """Return the values from one pixel of the output to the next, or of plain outputs from one row to the next."""
    output = call.outputs[0]
    return output.pitch or output.shape[1 if output.layout == CHANNELS_LAST else -1]


def layout_for(shape: Shape) -> str:
    """Return the layout in which a value of this shape lies between this backend's kernels."""
    return CHANNELS_LAST if len(shape) == 4 else PLAIN


FOLDS = ("ReLU", "Clip")
"""The layers that kernels here apply on the way out."""
FOLDS_WITH_SUM = (*FOLDS, "Eltwise")
"""Those of kernels that add a residual."""


def adds_residual(call: LayerCall) -> bool:
    """Tell whether a sum is among what is folded in: its other summand is the argument behind the layer's inputs."""
    return any(layer.type == "Eltwise" for layer in call.folded)


def apply_folded(call: LayerCall, code: Code, vector: Value, residual: Value = None) -> Value:
    """Return a vector of results after the layers that are folded into the call; `residual`: what a sum adds."""
    for layer in call.folded:
        if layer.type == "Eltwise":
            vector = code.build.fadd(vector, residual)
        elif layer.type == "ReLU":
            vector = code.rectify(vector, cast("ReLU", layer).negative_slope)
        else:
            vector = code.clip(vector, cast("Clip", layer).min, cast("Clip", layer).max)
    return vector
