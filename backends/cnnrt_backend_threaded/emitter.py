"""A small language for writing kernels: indices, loops, vectors. Each method emits what its name says."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cnnrt.layer import Array
from cnnrt_backend_threaded.control_flow import FLOATS, I64, ControlFlow, Index, Parameter, Value, as_value, is_number
from cnnrt_backend_threaded.llvm import llvm
from cnnrt_backend_threaded.target import Target

__all__ = ["FLOATS", "I64", "Code", "Index", "Value"]

UNROLLED = 4
"""Vectors that are copied or cleared in one go."""


class Code(ControlFlow):
    """A kernel under construction: what `ControlFlow` offers, memory, and vectors of float32.

    `lanes` is the number of values of a vector, `vector` its type.
    """

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self.lanes = target.lanes
        self.vector = llvm.ir.VectorType(llvm.FLOAT, target.lanes)
        self._mask_type = llvm.ir.VectorType(llvm.BOOL, target.lanes)
        self._constants: dict[tuple[str, bytes], Value] = {}

    # ---- memory

    def at(self, pointer: Value, offset: Index) -> Value:
        """Return the pointer moved by `offset` elements."""
        return pointer if is_number(offset, 0) else self.build.gep(pointer, [as_value(offset)])

    def load(self, pointer: Value, offset: Index = 0, count: int | None = None, aligned: bool = False) -> Value:
        """Return a vector from memory: all its lanes, or the first `count` and zeros behind."""
        if count is not None and count < self.lanes:
            return self.load_lanes(pointer, offset, range(count))
        place = self.build.bitcast(self.at(pointer, offset), llvm.ir.PointerType(self.vector))
        return self.build.load(place, align=4 * self.lanes if aligned else 4)

    def load_lanes(self, pointer: Value, offset: Index, lanes: range) -> Value:
        """Return a vector with the given lanes from memory and zeros elsewhere, which are not touched in memory."""
        place = self.build.bitcast(self.at(pointer, offset), llvm.ir.PointerType(self.vector))
        mask = llvm.ir.Constant(self._mask_type, [int(lane in lanes) for lane in range(self.lanes)])
        read = self._intrinsic(
            f"llvm.masked.load.v{self.lanes}f32.p0", self.vector, [place.type, llvm.I32, self._mask_type, self.vector]
        )
        return self.build.call(read, [place, llvm.I32(4), mask, self.zero()])

    def store(self, vector: Value, pointer: Value, offset: Index = 0, count: int | None = None) -> None:
        """Write a vector to memory: all its lanes, or the first `count`."""
        place = self.build.bitcast(self.at(pointer, offset), llvm.ir.PointerType(self.vector))
        if count is None or count >= self.lanes:
            self.build.store(vector, place, align=4)
            return
        mask = llvm.ir.Constant(self._mask_type, [int(lane < count) for lane in range(self.lanes)])
        write = self._intrinsic(
            f"llvm.masked.store.v{self.lanes}f32.p0", llvm.VOID, [self.vector, place.type, llvm.I32, self._mask_type]
        )
        self.build.call(write, [vector, place, llvm.I32(4), mask])

    def load_value(self, pointer: Value, offset: Index = 0) -> Value:
        """Return one float32 from memory."""
        return self.build.load(self.at(pointer, offset), align=4)

    def store_value(self, value: Value, pointer: Value, offset: Index = 0) -> None:
        """Write one float32 to memory."""
        self.build.store(value, self.at(pointer, offset), align=4)

    def copy(self, target: Value, source: Value, count: Index) -> None:
        """Copy `count` float32 values; the two places do not overlap."""
        if isinstance(count, int) and count <= UNROLLED * self.lanes:
            for first in range(0, count, self.lanes):
                self.store(self.load(source, first, count - first), target, first, count - first)
        else:
            self.call(self._once("copy_floats", [FLOATS, FLOATS, I64], self._copy_body), target, source, count)

    def clear(self, target: Value, count: Index) -> None:
        """Set `count` float32 values to zero."""
        if isinstance(count, int) and count <= UNROLLED * self.lanes:
            for first in range(0, count, self.lanes):
                self.store(self.zero(), target, first, count - first)
        else:
            self.call(self._once("clear_floats", [FLOATS, I64], self._clear_body), target, count)

    def _copy_body(self, target: Value, source: Value, count: Value) -> None:
        def move(first: Index, vectors: int) -> None:
            values = [self.load(source, self.add(first, v * self.lanes)) for v in range(vectors)]
            for v, value in enumerate(values):
                self.store(value, target, self.add(first, v * self.lanes))

        self._cover(count, move, lambda i: self.store_value(self.load_value(source, i), target, i))

    def _clear_body(self, target: Value, count: Value) -> None:
        def clear(first: Index, vectors: int) -> None:
            for v in range(vectors):
                self.store(self.zero(), target, self.add(first, v * self.lanes))

        self._cover(count, clear, lambda i: self.store_value(llvm.FLOAT(0.0), target, i))

    def _cover(self, count: Value, vectors: Callable[[Index, int], None], one: Callable[[Index], None]) -> None:
        """Go over `count` values: several vectors at a time, one at a time, and one that ends with the last value.

        Fewer values than a vector has go one by one.
        """
        several = UNROLLED * self.lanes

        def with_vectors() -> None:
            whole = self.mul(self.divide(count, several), several)
            with self.loop(0, whole, several) as first:
                vectors(first, UNROLLED)
            with self.loop(whole, count, self.lanes) as first:
                vectors(self.smaller(first, self.sub(count, self.lanes)), 1)

        def one_by_one() -> None:
            with self.loop(0, count) as index:
                one(index)

        self.choose(self.less(count, self.lanes), one_by_one, with_vectors)

    def _once(self, name: str, parameters: Sequence[Parameter], body: Callable[..., None]) -> Value:
        """Return a function of the module, defined at its first use."""
        return self._module.globals.get(name) or self.function(name, parameters, body)

    def prefetch(self, pointer: Value, offset: Index, level: int = 3) -> None:
        """Ask for the cache line at a place that will be read: into the first cache (3) or only the second (2)."""
        fetch = self._intrinsic("llvm.prefetch.p0", llvm.VOID, [llvm.BYTES, llvm.I32, llvm.I32, llvm.I32])
        place = self.build.bitcast(self.at(pointer, offset), llvm.BYTES)
        self.build.call(fetch, [place, llvm.I32(0), llvm.I32(level), llvm.I32(1)])

    def table(self, values: Array) -> Value:
        """Return a pointer to constant float32 values that travel with the code."""
        data = np.ascontiguousarray(values, np.float32)
        return self._table(llvm.FLOAT, data.tobytes(), [float(v) for v in data.ravel()])

    def index_table(self, values: Sequence[int]) -> Value:
        """Return a pointer to constant indices that travel with the code."""
        return self._table(llvm.I64, np.asarray(values, np.int64).tobytes(), [int(v) for v in values])

    def load_index(self, pointer: Value, offset: Index) -> Value:
        """Return one index from a table."""
        return self.build.load(self.at(pointer, offset), align=8)

    def _table(self, kind: Any, data: bytes, values: Sequence[float]) -> Value:
        key = (str(kind), data)
        if key not in self._constants:
            array = llvm.ir.ArrayType(kind, len(values))
            place = llvm.ir.GlobalVariable(self._module, array, f"table{len(self._constants)}")
            place.linkage, place.global_constant, place.align = "internal", True, 64
            place.initializer = llvm.ir.Constant(array, [kind(v) for v in values])
            self._constants[key] = place
        return self.build.bitcast(self._constants[key], llvm.ir.PointerType(kind))

    # ---- vectors

    def constant(self, value: float) -> Value:
        """Return a vector with the same number, rounded to float32, in all lanes."""
        (rounded,) = struct.unpack("f", struct.pack("f", value))
        return llvm.ir.Constant(self.vector, [llvm.FLOAT(rounded)] * self.lanes)

    def zero(self) -> Value:
        """Return a vector of zeros."""
        return llvm.ir.Constant(self.vector, None)

    def float_value(self, value: float) -> Value:
        """Return one float32, a constant."""
        return llvm.FLOAT(value)

    def float_of(self, index: Index) -> Value:
        """Return an index as one float32."""
        return self.build.sitofp(as_value(index), llvm.FLOAT)

    def double_constant(self, value: float) -> Value:
        """Return a float64 vector, as many lanes as others, with the same number in all of them."""
        return llvm.ir.Constant(self._doubles(), [llvm.DOUBLE(value)] * self.lanes)

    def doubled(self, vector: Value) -> Value:
        """Return a vector in float64."""
        return self.build.fpext(vector, self._doubles())

    def halved(self, vector: Value) -> Value:
        """Return a float64 vector rounded to float32."""
        return self.build.fptrunc(vector, self.vector)

    def _doubles(self) -> Any:
        return llvm.ir.VectorType(llvm.DOUBLE, self.lanes)

    def lanes_where(self, conditions: Sequence[Value]) -> Value:
        """Return a vector of conditions, one for each lane."""
        vector = llvm.ir.Constant(self._mask_type, llvm.ir.Undefined)
        for lane, condition in enumerate(conditions):
            vector = self.build.insert_element(vector, condition, llvm.I32(lane))
        return vector

    def splat(self, value: Value) -> Value:
        """Return a vector with one value in all lanes."""
        undefined = llvm.ir.Constant(self.vector, llvm.ir.Undefined)
        single = self.build.insert_element(undefined, value, llvm.I32(0))
        return self.build.shuffle_vector(
            single, undefined, llvm.ir.Constant(llvm.ir.VectorType(llvm.I32, self.lanes), None)
        )

    def broadcast(self, pointer: Value, offset: Index = 0) -> Value:
        """Return a vector with the value at a place in all lanes."""
        return self.splat(self.load_value(pointer, offset))

    def multiply_add(self, a: Value, b: Value, c: Value) -> Value:
        """Return a * b + c, with one rounding where the processor can."""
        kind = a.type
        name = f"llvm.fmuladd.v{self.lanes}f32" if isinstance(kind, llvm.ir.VectorType) else "llvm.fmuladd.f32"
        return self.build.call(self._intrinsic(name, kind, [kind] * 3), [a, b, c])

    def square_root(self, a: Value) -> Value:
        """Return the square root of a vector of float32 or float64, rounded correctly."""
        bits = 32 if a.type == self.vector else 64
        return self.build.call(self._intrinsic(f"llvm.sqrt.v{self.lanes}f{bits}", a.type, [a.type]), [a])

    def maximum(self, a: Value, b: Value) -> Value:
        """Return the larger values; what is not a number in either stays so, as in NumPy."""
        keep = self.build.or_(self.build.fcmp_ordered(">", a, b), self.build.fcmp_unordered("uno", a, a))
        return self.build.select(keep, a, b)

    def minimum(self, a: Value, b: Value) -> Value:
        """Return the smaller values; what is not a number in either stays so, as in NumPy."""
        keep = self.build.or_(self.build.fcmp_ordered("<", a, b), self.build.fcmp_unordered("uno", a, a))
        return self.build.select(keep, a, b)

    def absolute(self, a: Value) -> Value:
        """Return the values without their signs."""
        return self.build.call(self._intrinsic(f"llvm.fabs.v{self.lanes}f32", self.vector, [self.vector]), [a])

    def clip(self, a: Value, low: float | None, high: float | None) -> Value:
        """Return the values, at least `low` and at most `high` where these are stated; NaN stays NaN."""
        # In this order a comparison with a constant and the choice are one instruction on x86, and keep NaN.
        if low is not None:
            bound = self.constant(low)
            a = self.build.select(self.build.fcmp_ordered(">", bound, a), bound, a)
        if high is not None:
            bound = self.constant(high)
            a = self.build.select(self.build.fcmp_ordered("<", bound, a), bound, a)
        return a

    def rectify(self, a: Value, slope: float) -> Value:
        """Return a where it is positive, and `slope` times a elsewhere."""
        if slope == 0:
            # Not a comparison of a with 0: in this order it is one instruction on x86, and keeps what is not a number.
            return self.build.select(self.build.fcmp_ordered(">", self.zero(), a), self.zero(), a)
        positive = self.build.fcmp_ordered(">", a, self.zero())
        return self.build.select(positive, a, self.build.fmul(a, self.constant(slope)))

    def total(self, vector: Value) -> Value:
        """Return the sum of all lanes, halves added to halves."""
        width = self.lanes
        while width > 1:
            width //= 2
            shifted = [lane + width if lane < width else lane for lane in range(self.lanes)]
            vector = self.build.fadd(vector, self.shuffle(vector, shifted))
        return self.build.extract_element(vector, llvm.I32(0))

    def largest(self, vector: Value) -> Value:
        """Return the largest of all lanes."""
        width = self.lanes
        while width > 1:
            width //= 2
            shifted = [lane + width if lane < width else lane for lane in range(self.lanes)]
            vector = self.maximum(vector, self.shuffle(vector, shifted))
        return self.build.extract_element(vector, llvm.I32(0))

    def shuffle(self, vector: Value, lanes: Sequence[int], other: Value = None) -> Value:
        """Return a vector of the given lanes; those of `other` are counted on after those of `vector`."""
        other = llvm.ir.Constant(vector.type, llvm.ir.Undefined) if other is None else other
        return self.build.shuffle_vector(
            vector, other, llvm.ir.Constant(llvm.ir.VectorType(llvm.I32, len(lanes)), [llvm.I32(n) for n in lanes])
        )
