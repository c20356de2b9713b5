"""A backend for cnnrt in one file: layers as expressions of numexpr, matrix products by NumPy's BLAS.

numexpr compiles a formula over arrays and runs it on all cores in blocks that stay in the cache, so that a bias and a
ReLU, or the nine operands of a 3×3 mean, are one pass over memory without temporary arrays. What has no formula here
(Concat, Accuracy, LRN within channels) runs by the layer's reference, and the plan says so.

From top to bottom: the hooks, the backend, expressions, then a kernel for each layer.
"""

from __future__ import annotations

import functools
import importlib.util
import math
import os
import platform
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from typing import TYPE_CHECKING, ClassVar, cast

import attrs
import numpy as np

from cnnrt import hookimpl
from cnnrt.backend import (
    Backend,
    BufferSpec,
    Device,
    Frame,
    HostFunction,
    HostKernel,
    Kernel,
    Packed,
    Segment,
    StepTimer,
)
from cnnrt.host_segment import HostSegment
from cnnrt.layer import Array, Shape
from cnnrt.layer_call import LayerCall

if TYPE_CHECKING:
    from cnnrt_layers import LRN, Convolution, Eltwise, Pooling, ReLU, Softmax
    from cnnrt_layers.windows import Windows

plugin_api = 1

GEMM_FLOPS = 100e9
"""Operations a second of NumPy's matrix product, for estimates: that of one core, since others may be busy."""

MEMORY_BYTES = 10e9
"""Bytes a second read from main memory, likewise."""

JOINS = {"sum": "{} + {}", "prod": "{} * {}", "max": "maximum({}, {})", "sub": "{} - {}", "div": "{} / {}"}
"""How an Eltwise joins two operands, by its operation."""

MOST_OPERANDS = 31
"""Arrays and numbers in one expression: what numexpr takes with NumPy 1 (with NumPy 2 it takes 63)."""


@hookimpl
def cnnrt_backends() -> list[Backend]:
    """Return the backend; numexpr is imported when it is used."""
    return [NumexprBackend()]


@hookimpl
def cnnrt_kernels() -> list[Kernel]:
    """Return its kernels."""
    return [
        UnrolledWindows(),
        MatrixProduct(),
        Rectify(),
        PoolTaps(),
        NormaliseChannels(),
        Combine(),
        Exponentials(),
    ]


class NumexprBackend(Backend):
    """The processor, all of its cores. Execution mode "numexpr"."""

    name = "numexpr"
    description = "expressions on all cores of the processor (numexpr)"

    def devices(self) -> Sequence[Device]:
        """Return the processor; without numexpr, with what to install."""
        if importlib.util.find_spec("numexpr") is None:
            return [Device(self.name, "cpu", platform.machine(), "numexpr is missing: pip install numexpr")]
        details = {"architecture": platform.machine(), "cores": str(os.cpu_count() or 1)}
        return [Device(self.name, "cpu", platform.processor() or platform.machine(), details=details)]

    def compile(self, segment: Segment, buffers: Sequence[BufferSpec], threads: int | None) -> NumexprSegment:
        """Return the segment with its expressions compiled; `threads` None leaves the process's settings alone."""
        return NumexprSegment(segment, threads)


_TURN = threading.Lock()
"""numexpr has one pool of threads in a process, and a compiled expression has one scratch: segments take turns."""


class NumexprSegment:
    """A segment that runs within the user's limit of threads."""

    def __init__(self, segment: Segment, threads: int | None) -> None:
        with np.errstate(over="ignore"):  # a slope beyond float32 becomes infinite, without a warning
            self._steps = HostSegment(segment)
        self._threads = threads

    def run(self, frame: Frame, timer: StepTimer | None = None) -> None:
        """Compute every step; errors as in `HostSegment.run`."""
        with _TURN, _limited(self._threads):
            self._steps.run(frame, timer)


@contextmanager
def _limited(threads: int | None) -> Iterator[None]:
    """Limit numexpr and BLAS to `threads` and restore what was there before; None: change nothing."""
    if threads is None:
        yield
        return
    import numexpr
    from threadpoolctl import threadpool_limits

    before = numexpr.set_num_threads(min(threads, numexpr.MAX_THREADS))
    try:
        with threadpool_limits(threads, user_api="blas"):
            yield
    finally:
        numexpr.set_num_threads(before)


Expression = Callable[..., None]
"""f(operands in the order of their names, out=array) writes the formula's values to `out`."""


@functools.cache
def expression(formula: str, names: tuple[str, ...]) -> Expression:
    """Return a formula over float32 operands, compiled once in a process.

    A fraction in the text would make everything float64, so numbers are operands too: `np.float32(...)`.
    """
    import numexpr

    compiled = numexpr.NumExpr(formula, [(name, float) for name in names])  # numexpr's `float` is float32

    def run(*operands: Array | np.float32, out: Array) -> None:
        # same_kind: numexpr's maximum is in float64; coming back from there is exact.
        compiled(*operands, out=out, casting="same_kind", ex_uses_vml=False)

    return run


def _names(letter: str, count: int) -> tuple[str, ...]:
    return tuple(f"{letter}{number}" for number in range(count))


class FloatKernel(HostKernel):
    """What the kernels of this file share: they are this backend's, and compute in float32.

    `nanoseconds`: what a value of an expression takes for each operand, measured on two cores of a 2024 server
    processor; the kernels' estimates are made of it.
    """

    backend = "numexpr"
    nanoseconds: ClassVar[float] = 1.0

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Return True where inputs are float32 and no expression gets too long; else the reason."""
        dtypes = {t.dtype for t in call.inputs} - {"float32"}
        if dtypes:
            return f"computes in float32, not in {', '.join(sorted(dtypes))}"
        operands = self.operands(call)
        return operands <= MOST_OPERANDS or (
            f"the expression would have {operands} operands; numexpr takes {MOST_OPERANDS}"
        )

    def operands(self, call: LayerCall) -> int:
        """Return the number of operands of the expression."""
        return 2

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return the seconds: 5 µs to start, the expression, and a folded ReLU."""
        each = self.nanoseconds * self.operands(call) + 2 * len(call.folded)
        return 5e-6 + each * 1e-9 * math.prod(call.outputs[0].shape)


class Rectify(FloatKernel):
    """ReLU that was not folded into the layer before it; no workspace."""

    layer = "ReLU"
    name = "expression"

    def bind(self, call: LayerCall) -> HostFunction:
        """Return the expression with the layer's slope."""
        rectify = expression("where(x > 0, x, x * slope)", ("x", "slope"))
        slope = np.float32(cast("ReLU", call.layer).negative_slope)

        def run(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
            rectify(inputs[0], slope, out=outputs[0])

        return run


Finish = Callable[[Array, Array | None, Array], None]
"""f(sums, bias or None, out) adds the bias, applies the folded ReLUs, and writes `out`, which may be `sums`."""


def finish(call: LayerCall) -> Finish:
    """Return what comes after a matrix product: bias and the first ReLU in one pass, further ReLUs in one each."""
    slopes = [np.float32(cast("ReLU", layer).negative_slope) for layer in call.folded]
    add = expression("x + b", ("x", "b"))
    add_rectify = expression("where(x + b > 0, x + b, (x + b) * slope)", ("x", "b", "slope"))
    rectify = expression("where(x > 0, x, x * slope)", ("x", "slope"))

    def run(sums: Array, bias: Array | None, out: Array) -> None:
        later = slopes
        if bias is not None and slopes:
            add_rectify(sums, bias, slopes[0], out=out)
            later = slopes[1:]
        elif bias is not None:
            add(sums, bias, out=out)
        elif slopes:
            rectify(sums, slopes[0], out=out)
            later = slopes[1:]
        elif sums is not out:
            np.copyto(out, sums)
        for slope in later:
            rectify(out, slope, out=out)

    return run


class MatrixProduct(FloatKernel):
    """FullyConnected: one product with the weights where they lie; no workspace."""

    layer = "FullyConnected"
    name = "product"
    folds = ("ReLU",)

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return the time of reading the weights or of multiplying, and of finishing the results."""
        read = 4 * math.prod(call.weights["weight"].shape) / MEMORY_BYTES
        return max(read, call.cost.flops / GEMM_FLOPS) + super().estimate(call, device)

    def bind(self, call: LayerCall) -> HostFunction:
        """Return the product and what comes after it."""
        count, features = call.weights["weight"].shape
        images = math.prod(call.outputs[0].shape[:-1])
        after = finish(call)

        def run(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
            y = outputs[0].reshape(images, count)
            np.matmul(inputs[0].reshape(images, features), weights["weight"].T, out=y)
            after(y, weights.get("bias"), y)

        return run


@attrs.frozen
class UnrolledWindows(FloatKernel):
    """Convolution: windows of a block of output rows unrolled into a matrix, one product for each group.

    Tuned by `block_kib`, the KiB that unrolled windows may take, at least one row of output: small blocks stay in the
    cache, large ones keep more cores busy. The workspace holds the block and its products.
    """

    layer = "Convolution"
    name: ClassVar[str] = "windows"
    folds: ClassVar[tuple[str, ...]] = ("ReLU",)
    tunable: ClassVar[Mapping[str, tuple[int, ...]]] = {"block_kib": (128, 256, 512, 1024, 2048, 4096)}

    block_kib: int = 1024

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return the time of unrolling, multiplying and finishing."""
        block = self._block(call)
        groups = cast("Convolution", call.layer).group
        images, _, rows, columns = call.outputs[0].shape
        products = images * groups * -(-rows // block.rows)
        unrolled = images * groups * block.inner * rows * columns
        calls = 2 + math.prod(call.weights["weight"].shape[2:])  # one for each position of the kernel
        multiplied = call.cost.flops / GEMM_FLOPS
        return multiplied + unrolled * 0.3e-9 + products * calls * 1e-6 + super().estimate(call, device)

    def parameters(self, call: LayerCall) -> Mapping[str, int | str]:
        """Return the KiB allowed for a block."""
        return {"block_kib": self.block_kib}

    def workspace(self, call: LayerCall) -> int:
        """Return the bytes of the unrolled windows of a block and of their products."""
        block = self._block(call)
        return 4 * (block.inner + block.filters) * block.rows * block.columns

    def bind(self, call: LayerCall) -> HostFunction:
        """Return the loop over images, groups and blocks of rows."""
        layer = cast("Convolution", call.layer)
        block = self._block(call)
        _, taken, *kernel = call.weights["weight"].shape
        down, across = layer.windows(call.inputs[0].shape, call.weights["weight"].shape)
        bands = list(_bands(down, block.rows))
        nbytes = self.workspace(call)
        after = finish(call)

        def run(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
            matrices = weights["weight"].reshape(layer.group, block.filters, block.inner)
            bias = weights["bias"].reshape(layer.group, block.filters, 1, 1) if "bias" in weights else None
            scratch = workspace[:nbytes].view(np.float32)
            for image, group in product(range(len(inputs[0])), range(layer.group)):
                source = inputs[0][image, group * taken : (group + 1) * taken]
                target = outputs[0][image, group * block.filters : (group + 1) * block.filters]
                for start, band in bands:
                    pixels = band.count * across.count
                    windows = scratch[: block.inner * pixels]
                    sums = scratch[windows.size : windows.size + block.filters * pixels].reshape(block.filters, pixels)
                    _unroll(source, windows.reshape(taken, *kernel, band.count, across.count), band, across)
                    np.matmul(matrices[group], windows.reshape(block.inner, pixels), out=sums)
                    out = target[:, start : start + band.count]
                    after(sums.reshape(out.shape), None if bias is None else bias[group], out)

        return run

    def _block(self, call: LayerCall) -> _Block:
        filters, *window = call.weights["weight"].shape
        rows, columns = call.outputs[0].shape[2:]
        inner = math.prod(window)
        fitting = self.block_kib * 1024 // max(1, 4 * inner * columns)
        return _Block(filters // cast("Convolution", call.layer).group, inner, max(1, min(rows, fitting)), columns)


@attrs.frozen
class _Block:
    """Sizes of one product: outputs of a group, products for each, output rows, output columns."""

    filters: int
    inner: int
    rows: int
    columns: int


def _bands(windows: Windows, rows: int) -> Iterator[tuple[int, Windows]]:
    """Yield blocks of windows: the number of the first one, and the block as windows of the whole image."""
    for start in range(0, windows.count, rows):
        count = min(rows, windows.count - start)
        yield start, attrs.evolve(windows, before=windows.before - start * windows.stride, count=count)


def _unroll(image: Array, windows: Array, down: Windows, across: Windows) -> None:
    """Copy what each window sees of an image (channels, rows, columns) to (channels, kernel, kernel, rows, columns)."""
    windows[...] = 0  # what hangs over the border
    for r, s in np.ndindex(windows.shape[1:3]):
        (places_r, values_r), (places_s, values_s) = down.overlap(r), across.overlap(s)
        windows[:, r, s, places_r, places_s] = image[:, values_r, values_s]


class PoolTaps(FloatKernel):
    """Pooling: the windows' values as operands of one expression, and the divisors of a mean as two more.

    The workspace holds one image with its border, so that every operand is a plain strided view.
    """

    layer = "Pooling"
    name = "taps"
    folds = ("ReLU",)
    nanoseconds = 1.6  # of a maximum, which numexpr has in float64 only; a mean takes a third

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Decline norms, places of maxima, and windows with gaps."""
        layer = cast("Pooling", call.layer)
        if layer.pool == "lp" or layer.mask or layer.dilation != (1, 1):
            return "gives the maximum or the mean of windows without gaps"
        return super().can_run(call, device)

    def operands(self, call: LayerCall) -> int:
        """Return the pixels of a window, and the divisors of rows and of columns."""
        layer = cast("Pooling", call.layer)
        down, across = layer.windows(call.inputs[0].shape)
        return down.kernel * across.kernel + (0 if layer.pool == "max" else 2)

    def workspace(self, call: LayerCall) -> int:
        """Return the bytes of one image with its border."""
        return 4 * math.prod(self._bordered(call))

    def bind(self, call: LayerCall) -> HostFunction:
        """Return the loop over images."""
        layer = cast("Pooling", call.layer)
        down, across = layer.windows(call.inputs[0].shape)
        shape = self._bordered(call)
        taps = [(_every(r, down), _every(s, across)) for r, s in np.ndindex(down.kernel, across.kernel)]
        names = _names("x", len(taps))
        if layer.pool == "max":
            border, divisors = -np.inf, []
            pool = expression(functools.reduce(lambda a, b: f"maximum({a}, {b})", names), names)
        else:
            border, divisors = 0.0, [layer.divisors(down)[:, None], layer.divisors(across)]
            divisors = [values.astype(np.float32) for values in divisors]
            pool = expression(f"({' + '.join(names)}) / (rows * columns)", (*names, "rows", "columns"))
        after = finish(call)

        def run(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
            bordered = workspace[: 4 * math.prod(shape)].view(np.float32).reshape(shape)
            bordered[...] = border
            inner = bordered[:, down.before : down.before + down.size, across.before : across.before + across.size]
            operands = [bordered[:, r, s] for r, s in taps]
            for x, y in zip(inputs[0], outputs[0], strict=True):
                np.copyto(inner, x)
                pool(*operands, *divisors, out=y)
                after(y, None, y)

        return run

    @staticmethod
    def _bordered(call: LayerCall) -> Shape:
        """Return (channels, rows, columns) of an image that holds every window whole."""
        return (call.inputs[0].shape[1], *map(_reach, cast("Pooling", call.layer).windows(call.inputs[0].shape)))


def _reach(along: Windows) -> int:
    """Return how long an axis is, from the first window's start to the end of the image or of the last window."""
    return max(along.before + along.size, (along.count - 1) * along.stride + along.kernel)


def _every(position: int, along: Windows) -> slice:
    """Return what all windows see at one position of the window, in an image with its border."""
    return slice(position, position + (along.count - 1) * along.stride + 1, along.stride)


class NormaliseChannels(FloatKernel):
    """LRN across channels: the neighbouring channels as operands of one expression.

    The workspace holds one image between channels of zeros.
    """

    layer = "LRN"
    name = "neighbours"

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Return True across channels; within a channel the squares of a window would be too many operands."""
        if cast("LRN", call.layer).norm_region != "across_channels":
            return "computes LRN across channels only"
        return super().can_run(call, device)

    def operands(self, call: LayerCall) -> int:
        """Return the neighbours, and four numbers."""
        return 2 * self._half(call) + 5

    def workspace(self, call: LayerCall) -> int:
        """Return the bytes of one image with its border of channels."""
        return 4 * math.prod(self._bordered(call))

    def bind(self, call: LayerCall) -> HostFunction:
        """Return the loop over images."""
        layer = cast("LRN", call.layer)
        half, channels, shape = self._half(call), call.inputs[0].shape[1], self._bordered(call)
        names = _names("x", 2 * half + 1)
        squares = " + ".join(f"{x} * {x}" for x in names)
        normalise = expression(f"{names[half]} * (k + a * ({squares})) ** b", (*names, "k", "a", "b"))
        numbers = [np.float32(n) for n in (layer.k, layer.alpha / layer.local_size, -layer.beta)]

        def run(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
            bordered = workspace[: 4 * math.prod(shape)].view(np.float32).reshape(shape)
            bordered[:half] = 0
            bordered[half + channels :] = 0
            operands = [bordered[first : first + channels] for first in range(len(names))]
            for x, y in zip(inputs[0], outputs[0], strict=True):
                np.copyto(bordered[half : half + channels], x)
                normalise(*operands, *numbers, out=y)

        return run

    @staticmethod
    def _half(call: LayerCall) -> int:
        """Return how many channels a neighbourhood reaches to each side; beyond the image there are only zeros."""
        return min(cast("LRN", call.layer).local_size // 2, max(0, call.inputs[0].shape[1] - 1))

    def _bordered(self, call: LayerCall) -> Shape:
        channels, *size = call.inputs[0].shape[1:]
        return (channels + 2 * self._half(call), *size)


class Combine(FloatKernel):
    """Eltwise: all inputs in one expression, however many; no workspace."""

    layer = "Eltwise"
    name = "expression"

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Decline inputs that are broadcast, and operations that have no expression here."""
        operation = cast("Eltwise", call.layer).operation
        if operation not in JOINS:
            return f"has no expression for {operation}"
        if len(set(call.input_shapes)) > 1:
            return "takes inputs of equal shapes"
        return super().can_run(call, device)

    def operands(self, call: LayerCall) -> int:
        """Return the inputs, and the factors of a sum."""
        return len(call.inputs) + len(cast("Eltwise", call.layer).coeff)

    def bind(self, call: LayerCall) -> HostFunction:
        """Return the expression of the layer's operation."""
        layer = cast("Eltwise", call.layer)
        names, factors = _names("x", len(call.inputs)), _names("f", len(layer.coeff))
        terms = [f"{f} * {x}" for x, f in zip(names, factors, strict=True)] if factors else list(names)
        combine = expression(functools.reduce(JOINS[layer.operation].format, terms), (*names, *factors))
        numbers = [np.float32(c) for c in layer.coeff]

        def run(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
            combine(*inputs, *numbers, out=outputs[0])

        return run


class Exponentials(FloatKernel):
    """Softmax: exponentials and quotients by expressions, maxima and sums by NumPy (sums in float64).

    The workspace holds the maximum and the sum of each vector, both as float64.
    """

    layer = "Softmax"
    name = "expression"
    nanoseconds = 4.0  # an exponential, a quotient, and NumPy's two reductions

    def workspace(self, call: LayerCall) -> int:
        """Return the bytes of maxima and sums."""
        before, _, after = self._shape(call)
        return 16 * before * after

    def bind(self, call: LayerCall) -> HostFunction:
        """Return the computation on (before, axis, after)."""
        shape = self._shape(call)
        vectors = (shape[0], 1, shape[2])
        count = math.prod(vectors)
        exponentials = expression("exp(x - peak)", ("x", "peak"))
        shares = expression("x / total", ("x", "total"))

        def run(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
            x, y = inputs[0].reshape(shape), outputs[0].reshape(shape)
            total = workspace[: 8 * count].view(np.float64).reshape(vectors)
            peak = workspace[8 * count : 12 * count].view(np.float32).reshape(vectors)
            rounded = workspace[12 * count : 16 * count].view(np.float32).reshape(vectors)
            np.max(x, axis=1, keepdims=True, out=peak)
            exponentials(x, peak, out=y)
            np.sum(y, axis=1, keepdims=True, dtype=np.float64, out=total)
            np.copyto(rounded, total, casting="same_kind")
            shares(y, rounded, out=y)

        return run

    @staticmethod
    def _shape(call: LayerCall) -> Shape:
        shape = call.inputs[0].shape
        axis = cast("Softmax", call.layer).axis % len(shape)
        return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])
