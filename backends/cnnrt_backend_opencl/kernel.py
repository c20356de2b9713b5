"""A kernel of OpenCL: a source file, its definitions, and the launches that compute a call."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import ClassVar

import attrs
import numpy as np

from cnnrt.backend import Device, Kernel, Packed
from cnnrt.errors import CnnrtError
from cnnrt.layer import Shape
from cnnrt.layer_call import LayerCall
from cnnrt.tensor import PLAIN
from cnnrt.weight_storage import reading_bytes
from cnnrt_backend_opencl.device_weights import DeviceWeights
from cnnrt_backend_opencl.limits import Limits
from cnnrt_backend_opencl.sources import Defines, source_text

CHANNELS_LAST = "NHWC"
"""The layout of images here: the channels of a pixel lie side by side and fill vectors."""


@attrs.frozen
class Input:
    """The buffer of an input of the call, by number."""

    index: int = 0


@attrs.frozen
class Output:
    """The buffer of an output of the call, by number."""

    index: int = 0


@attrs.frozen
class Weight:
    """The buffer of a packed array, by its number in what `pack` returned."""

    index: int = 0


@attrs.frozen
class Workspace:
    """The workspace from so many bytes on, a multiple of `PIECE`."""

    offset: int = 0


@attrs.frozen
class Local:
    """So many bytes of local memory for each work-group."""

    nbytes: int


PIECE = 512
"""Bytes to which parts of a workspace are aligned."""

Argument = Input | Output | Weight | Workspace | Local | int | float | np.generic | tuple[int, ...] | tuple[float, ...]
"""An argument of a kernel function. An int is passed as a 32-bit integer, a float as a 32-bit float.

A tuple of 2, 4, 8 or 16 of either is passed as a vector: int4, float8.
"""


@attrs.frozen
class Program:
    """Another source file beside the kernel's own, and what it is compiled with."""

    source: str
    defines: Mapping[str, Defines]


@attrs.frozen
class Launch:
    """One run of a function of a program. `local_size` divides `global_size`; None leaves it to the driver.

    `program`: None is the kernel's own source with its `defines`.
    """

    function: str
    global_size: tuple[int, ...]
    local_size: tuple[int, ...] | None
    args: tuple[Argument, ...]
    program: Program | None = None

    def __attrs_post_init__(self) -> None:
        local = self.local_size
        if local is not None and (
            len(local) != len(self.global_size)
            or any(items % group for items, group in zip(self.global_size, local, strict=True))
        ):
            raise CnnrtError(
                f"{self.function}: groups of {local} do not divide {self.global_size} work-items; `in_groups` rounds up"
            )

    @property
    def empty(self) -> bool:
        """Whether there is nothing to run."""
        return 0 in self.global_size


class OpenCLKernel(Kernel):
    """Base of this backend's kernels: data from which the runtime builds a program and puts it into a queue.

    `source`: a file of the folder `kernels` beside the class's module, which compiles alone; `defines` overrides its
    documented defaults with -D. Buffers
    are aligned to a float only, since inputs and outputs may be the caller's own arrays: read vectors by vloadn. A
    kernel must write every value of its outputs, and reads inputs and workspace only where it or the call wrote them.

    `pack` returns the weights as a tuple (or mapping, in order) of arrays; the runtime copies each to a buffer once.
    """

    backend = "opencl"
    compiled = True
    source: ClassVar[str]

    def takes(self, call: LayerCall) -> str:
        """Return NHWC for images, the plain layout for everything else."""
        return layout_for(call.inputs[0].shape)

    def gives(self, call: LayerCall) -> str:
        """Return NHWC for images, the plain layout for everything else."""
        return layout_for(call.outputs[0].shape)

    def defines(self, call: LayerCall, device: Device) -> Mapping[str, Defines]:
        """Return what the source is compiled with; floats become exact float32 constants.

        A program is shared by all calls with equal definitions and takes a quarter of a second to build, so a number
        that is no slower as an argument of the function should be one.
        """
        return {}

    def text(self, program: Program | None = None) -> str:
        """Return the source; that of another program, if given."""
        owner = next(kind for kind in type(self).__mro__ if "source" in vars(kind))
        return source_text(owner.__module__.rpartition(".")[0], program.source if program else self.source)

    @abc.abstractmethod
    def launches(self, call: LayerCall, device: Device) -> Sequence[Launch]:
        """Return what is run, in order; those of no work-items are left out."""

    def packing_bytes(self, call: LayerCall, slices: int) -> int:
        """Return the bytes of a second copy: of the weights while they are packed, then of what is packed."""
        return max(reading_bytes(call), self.packed_bytes(call))

    def stay(self, packed: Packed) -> Packed:
        """Return the packed weights on their way to the device."""
        return DeviceWeights(packed)

    def of_slice(self, call: LayerCall) -> tuple[OpenCLKernel, LayerCall]:
        """Return the kernel and the call that compute one of the `slices` of the weights: some columns of the output.

        Slice i gives those of the last axis from i times as many on. What lies behind the last column is computed too,
        and thrown away.
        """
        return self, call


def layout_for(shape: Shape) -> str:
    """Return the layout in which a value of this shape lies between this backend's kernels."""
    return CHANNELS_LAST if len(shape) == 4 else PLAIN


def in_groups(size: int, group: int) -> int:
    """Return the least multiple of a group's size that is not smaller."""
    return -(-size // group) * group


def flat_group(limits: Limits, most: int = 64) -> int:
    """Return how many work-items make a group where that hardly matters: a power of two that the device takes."""
    return 1 << (max(1, min(most, limits.work_group, limits.work_items[0])).bit_length() - 1)


def plane_group(limits: Limits, columns: int, rows: int, most: int = 256) -> tuple[int, int]:
    """Return a group for a plane of work-items whose columns lie side by side in memory.

    Its width is the power of two, 8 at least where there are as many columns, that leaves the fewest without work.
    """
    whole = flat_group(limits, most)
    widths = [1 << n for n in range(whole.bit_length()) if 1 << n <= 64]
    some = [n for n in widths if n >= min(8, columns, whole)] or [whole]
    width = min(some, key=lambda n: (in_groups(columns, n), -n))
    height = min(whole // width, 1 << (max(1, rows) - 1).bit_length(), limits.work_items[1])
    return width, height
