"""The only door to OpenCL: what this backend asks of pyopencl, with failures as errors of cnnrt.

pyopencl is imported here and nowhere else, at the first look for devices. Tests put drivers of their own in its place,
which count what is alive or fail on purpose.
"""

from __future__ import annotations

import functools
import os
import sys
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from cnnrt.layer import Array
from cnnrt_backend_opencl.failures import BuildFailure, translated

Handle = Any
"""A thing of pyopencl (platform, device, context, queue, program, kernel, buffer); released with its last reference."""

READ = "read"
BOTH = "both"
"""What kernels may do with a buffer."""


class Driver:
    """OpenCL by pyopencl. Every method raises an `OpenCLFailure` where OpenCL refuses."""

    @functools.cached_property
    def _cl(self) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it says of its environment is not for users of cnnrt
            import pyopencl

        return pyopencl

    @functools.cached_property
    def _access(self) -> dict[str, int]:
        flags = self._cl.mem_flags
        return {READ: flags.READ_ONLY, BOTH: flags.READ_WRITE}

    @property
    def installed(self) -> bool:
        """Tell whether pyopencl is installed, without importing it."""
        return find_spec("pyopencl") is not None

    @property
    def only_processors(self) -> bool:
        """Tell, without loading a driver, whether all that are installed here are known to be of processors.

        So that a machine without a graphics processor pays nothing for OpenCL where only speed was asked for. On Linux
        alone, whose drivers are listed in files.
        """
        if sys.platform != "linux" or os.environ.get("OCL_ICD_FILENAMES"):
            return False
        folder = Path(os.environ.get("OCL_ICD_VENDORS") or "/etc/OpenCL/vendors")
        return all(file.name.startswith(("pocl", "intelocl")) for file in folder.glob("*.icd"))

    @property
    def version(self) -> str:
        """Return the version of pyopencl."""
        return ".".join(str(part) for part in self._cl.VERSION)

    @translated("clGetPlatformIDs")
    def platforms(self) -> Sequence[Handle]:
        """Return the platforms; none where there is no driver."""
        try:
            return list(self._cl.get_platforms())
        except self._cl.LogicError as error:
            if "PLATFORM_NOT_FOUND_KHR" in str(error):
                return ()
            raise

    @translated("clGetDeviceIDs")
    def devices(self, platform: Handle) -> Sequence[Handle]:
        """Return the devices of a platform."""
        try:
            return list(platform.get_devices())
        except self._cl.RuntimeError as error:
            if "DEVICE_NOT_FOUND" in str(error):
                return ()
            raise

    @translated("clCreateSubDevices")
    def part_of_device(self, device: Handle, units: int) -> Handle:
        """Return so many of a device's compute units as a device of its own."""
        kinds = self._cl.device_partition_property
        return device.create_sub_devices([kinds.BY_COUNTS, units, kinds.BY_COUNTS_LIST_END])[0]

    @translated("clCreateContext")
    def context(self, device: Handle) -> Handle:
        """Return a context for a device alone."""
        return self._cl.Context([device])

    @translated("clCreateCommandQueue")
    def queue(self, context: Handle, device: Handle, *, timed: bool = False) -> Handle:
        """Return a queue that works in order; `timed`: the device notes when it begins and ends what is in it."""
        properties = self._cl.command_queue_properties.PROFILING_ENABLE if timed else 0
        return self._cl.CommandQueue(context, device, properties)

    def build(self, context: Handle, device: Handle, source: str, options: str) -> Handle:
        """Return a program compiled from source. Raises BuildFailure with the compiler's log."""
        return self._built(self._cl.Program(context, source), device, options)

    def load(self, context: Handle, device: Handle, binary: bytes, options: str) -> Handle:
        """Return a program from what `binary` gave earlier. Raises BuildFailure."""
        return self._built(self._cl.Program(context, [device], [binary]), device, options)

    def _built(self, program: Handle, device: Handle, options: str) -> Handle:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a compiler's remarks
                return program.build(options=options, devices=[device], cache_dir=False)
        except self._cl.Error as error:
            raise BuildFailure(str(error)) from error

    @translated("clGetProgramInfo")
    def binary(self, program: Handle) -> bytes:
        """Return a built program in the driver's own form."""
        return bytes(program.get_info(self._cl.program_info.BINARIES)[0])

    @translated("clCreateKernel")
    def kernel(self, program: Handle, function: str) -> Handle:
        """Return a function of a program, with arguments of its own."""
        return self._cl.Kernel(program, function)

    @translated("clSetKernelArg")
    def set_argument(self, kernel: Handle, index: int, value: Any) -> None:
        """Set an argument: a buffer, None, a NumPy scalar, an array that is a vector, or what `local` gave."""
        kernel.set_arg(index, value)

    def local(self, nbytes: int) -> Handle:
        """Return an argument that gives a work-group so many bytes of local memory."""
        return self._cl.LocalMemory(nbytes)

    @translated("clCreateBuffer")
    def buffer(self, context: Handle, access: str, nbytes: int) -> Handle:
        """Return device memory."""
        return self._cl.Buffer(context, self._access[access], nbytes)

    @translated("clCreateBuffer")
    def buffer_of(self, context: Handle, access: str, array: Array) -> Handle:
        """Return an array's own memory, as the device sees it; the caller keeps the array."""
        return self._cl.Buffer(context, self._access[access] | self._cl.mem_flags.USE_HOST_PTR, hostbuf=array)

    @translated("clCreateBuffer")
    def staging(self, context: Handle, nbytes: int) -> Handle:
        """Return memory of the host from which the device copies without help, for `mapped`."""
        return self._cl.Buffer(context, self._access[BOTH] | self._cl.mem_flags.ALLOC_HOST_PTR, nbytes)

    @translated("clCreateBuffer")
    def filled(self, context: Handle, array: Array) -> Handle:
        """Return device memory, to be read only, that holds a copy of an array."""
        return self._cl.Buffer(context, self._access[READ] | self._cl.mem_flags.COPY_HOST_PTR, hostbuf=array)

    @translated("clCreateSubBuffer")
    def part(self, buffer: Handle, offset: int, nbytes: int) -> Handle:
        """Return a piece of a buffer; `offset` is a multiple of what the device aligns buffers to."""
        return buffer.get_sub_region(offset, nbytes)

    @translated("clEnqueueNDRangeKernel")
    def launch(
        self, queue: Handle, kernel: Handle, global_size: tuple[int, ...], local_size: tuple[int, ...] | None
    ) -> Handle:
        """Have a kernel run after all that was put into the queue before; return its event."""
        return self._cl.enqueue_nd_range_kernel(queue, kernel, global_size, local_size)

    @translated("clGetEventProfilingInfo")
    def times(self, event: Handle) -> tuple[float, float]:
        """Return when a launch of a timed queue began and ended, in seconds of the device's clock."""
        return event.profile.start * 1e-9, event.profile.end * 1e-9

    @translated("clEnqueueMapBuffer")
    def mapped(self, queue: Handle, buffer: Handle, array: Array, *, writing: bool = False) -> Array:
        """Wait for the queue, and return what a buffer holds as memory of the host, shaped as `array`."""
        flags = self._cl.map_flags
        flag = flags.WRITE if writing else flags.READ
        view: Array
        view, _ = self._cl.enqueue_map_buffer(queue, buffer, flag, 0, array.shape, array.dtype, is_blocking=True)
        return view

    @translated("clEnqueueUnmapMemObject")
    def unmap(self, queue: Handle, view: Array) -> None:
        """Give back what `mapped` gave."""
        cast("Any", view.base).release(queue)

    @translated("clEnqueueWriteBuffer")
    def write(self, queue: Handle, buffer: Handle, array: Array, offset: int = 0, *, wait: bool = True) -> Handle:
        """Copy an array to `offset` bytes from a buffer's start; without `wait` the array must stay until the event."""
        return self._cl.enqueue_copy(queue, buffer, array, dst_offset=offset, is_blocking=wait)

    @translated("clEnqueueReadBuffer")
    def read(self, queue: Handle, array: Array, buffer: Handle, offset: int = 0, *, wait: bool = True) -> Handle:
        """Copy from `offset` bytes after a buffer's start into an array."""
        return self._cl.enqueue_copy(queue, array, buffer, src_offset=offset, is_blocking=wait)

    @translated("clWaitForEvents")
    def wait(self, event: Handle) -> None:
        """Wait for a copy or a kernel."""
        event.wait()

    @translated("clFlush")
    def flush(self, queue: Handle) -> None:
        """Have the device begin."""
        queue.flush()

    @translated("clFinish")
    def finish(self, queue: Handle) -> None:
        """Wait until all that was put into the queue is done."""
        queue.finish()
