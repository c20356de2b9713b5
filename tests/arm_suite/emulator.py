"""A backend whose code runs on a 64-bit Arm processor: in an emulator, or natively where the machine is one."""

from __future__ import annotations

import atexit
import functools
import platform
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np

from cnnrt.backend import Backend, BufferSpec, Device, Frame, Segment, StepTimer
from cnnrt.layer import Array
from cnnrt_backend_threaded.code_image import CodeImage
from cnnrt_backend_threaded.compiler import compile_module
from cnnrt_backend_threaded.native_kernel import NativeKernel
from cnnrt_backend_threaded.target import neon_target

SOURCE = Path(__file__).with_name("runner.c")
COMPILERS = ("aarch64-linux-gnu-gcc",)
EMULATORS = ("qemu-aarch64", "qemu-aarch64-static")
NATIVE = platform.machine() in ("aarch64", "arm64") and platform.system() == "Linux"


def missing() -> str:
    """Return why no code for Arm can be run here; empty: it can."""
    if not _found(("gcc", "cc") if NATIVE else COMPILERS):
        return f"no compiler for 64-bit Arm: {' or '.join(COMPILERS)} (Debian: gcc-aarch64-linux-gnu)"
    if not NATIVE and not _found(EMULATORS):
        return f"no emulator of 64-bit Arm: {' or '.join(EMULATORS)} (Debian: qemu-user)"
    return ""


def _found(names: Sequence[str]) -> str:
    return next((path for name in names if (path := shutil.which(name))), "")


class Arm:
    """A process that runs images."""

    def __init__(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="cnnrt-arm-")
        runner = Path(folder.name) / "runner"
        compiler = _found(("gcc", "cc") if NATIVE else COMPILERS)
        subprocess.run([compiler, "-O1", "-static", "-Wall", "-Werror", str(SOURCE), "-o", str(runner)], check=True)
        command = [str(runner)] if NATIVE else [_found(EMULATORS), str(runner)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        atexit.register(folder.cleanup)
        atexit.register(self._process.communicate)  # the end of its input ends it

    def run(self, image: CodeImage, ranges: Sequence[tuple[int, int, int]], buffers: Sequence[Array]) -> None:
        """Call an image's kernel for ranges of units (first, end, thread); the buffers get what it wrote."""
        process = self._process
        buffers = [_run_of_memory(buffer) for buffer in buffers]
        assert process.stdin
        assert process.stdout
        words = [len(image.code), image.entries["kernel"], len(ranges), len(buffers)]
        parts = [struct.pack("<4q", *words), image.code]
        parts += [struct.pack("<3q", *each) for each in ranges]
        for buffer in buffers:
            parts += [struct.pack("<q", buffer.nbytes), buffer.tobytes()]
        process.stdin.write(b"".join(parts))
        process.stdin.flush()
        for buffer in buffers:
            data = process.stdout.read(buffer.nbytes)
            assert len(data) == buffer.nbytes, f"the runner ended with {process.wait()}"
            found = np.frombuffer(data, buffer.dtype).reshape(buffer.shape)
            if buffer.flags.writeable:
                buffer[...] = found
            else:
                assert data == buffer.tobytes(), "a buffer that is only to be read was written to"


def _run_of_memory(x: Array) -> Array:
    """Return the memory from an array's first value to its last: a part of a larger array has gaps."""
    if x.flags.c_contiguous:
        return x
    last = sum((size - 1) * stride for size, stride in zip(x.shape, x.strides, strict=True))
    return np.lib.stride_tricks.as_strided(x, (last // x.itemsize + 1,), (x.itemsize,))


@functools.cache
def arm() -> Arm:
    """Return the process, started at the first call."""
    return Arm()


@functools.cache
def image_of(text: str) -> CodeImage:
    """Return a kernel's image for Arm; equal code is compiled once."""
    return compile_module(text, neon_target(), ["kernel"])


class ArmBackend(Backend):
    """Runs each step's kernel on Arm, the units dealt out to two threads one after the other."""

    name = "threaded"

    def devices(self) -> Sequence[Device]:
        """Return the processor; where code for it cannot be run, it says so."""
        return [Device(self.name, "arm", "64-bit Arm", missing())]

    def compile(self, segment: Segment, buffers: Sequence[BufferSpec], threads: int | None) -> ArmSegment:
        """Return the segment, compiled. Kernels are for two threads: for one, there is no workspace of a second."""
        assert threads == 2
        return ArmSegment(segment)


class ArmSegment:
    """A segment's steps as images."""

    def __init__(self, segment: Segment) -> None:
        self._steps = segment.steps
        self._images = [
            image_of(cast(NativeKernel, step.kernel).code(step.call, step.layer_name).write()) for step in self._steps
        ]

    def run(self, frame: Frame, timer: StepTimer | None = None) -> None:
        """Compute every step."""
        for step, image in zip(self._steps, self._images, strict=True):
            units = cast(NativeKernel, step.kernel).units(step.call)
            buffers = [frame[slot] for slot in (*step.inputs, *step.outputs)]
            buffers += [*cast("tuple[Array, ...]", step.weights.get()), frame[step.workspace]]
            if units:
                arm().run(image, [(0, units // 2, 1), (units // 2, units, 0)], buffers)
