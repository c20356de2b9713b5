"""A small language for writing kernels: indices, loops, vectors. Each method emits what its name says."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
from llvmlite import ir

from cnnrt.layer import Array
from cnnrt_backend_threaded.control_flow import (
    BOOL,
    BYTES,
    FLOAT,
    FLOATS,
    I8,
    I32,
    I64,
    KERNEL,
    VOID,
    ControlFlow,
    Index,
    Value,
    as_value,
    is_number,
)
from cnnrt_backend_threaded.target import Target

__all__ = ["FLOATS", "I64", "KERNEL", "VOID", "Code", "Index", "Value"]


class Code(ControlFlow):
    """A kernel under construction: what `ControlFlow` offers, memory, and vectors of float32.

    `lanes` is the number of values of a vector, `vector` its type.
    """

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self.lanes = target.lanes
        self.vector = ir.VectorType(FLOAT, target.lanes)
        self._mask_type = ir.VectorType(BOOL, target.lanes)
        self._constants: dict[bytes, Value] = {}

    # ---- memory

    def at(self, pointer: Value, offset: Index) -> Value:
        """Return the pointer moved by `offset` elements."""
        return pointer if is_number(offset, 0) else self.build.gep(pointer, [as_value(offset)])

    def load(self, pointer: Value, offset: Index = 0, count: int | None = None, aligned: bool = False) -> Value:
        """Return a vector from memory: all its lanes, or the first `count` and zeros behind."""
        if count is not None and count < self.lanes:
            return self.load_lanes(pointer, offset, range(count))
        place = self.build.bitcast(self.at(pointer, offset), ir.PointerType(self.vector))
        return self.build.load(place, align=4 * self.lanes if aligned else 4)

    def load_lanes(self, pointer: Value, offset: Index, lanes: range) -> Value:
        """Return a vector with the given lanes from memory and zeros elsewhere, which are not touched in memory."""
        place = self.build.bitcast(self.at(pointer, offset), ir.PointerType(self.vector))
        mask = ir.Constant(self._mask_type, [int(lane in lanes) for lane in range(self.lanes)])
        read = self._intrinsic(
            f"llvm.masked.load.v{self.lanes}f32.p0", self.vector, [place.type, I32, self._mask_type, self.vector]
        )
        return self.build.call(read, [place, I32(4), mask, self.zero()])

    def store(self, vector: Value, pointer: Value, offset: Index = 0, count: int | None = None) -> None:
        """Write a vector to memory: all its lanes, or the first `count`."""
        place = self.build.bitcast(self.at(pointer, offset), ir.PointerType(self.vector))
        if count is None or count >= self.lanes:
            self.build.store(vector, place, align=4)
            return
        mask = ir.Constant(self._mask_type, [int(lane < count) for lane in range(self.lanes)])
        write = self._intrinsic(
            f"llvm.masked.store.v{self.lanes}f32.p0", VOID, [self.vector, place.type, I32, self._mask_type]
        )
        self.build.call(write, [vector, place, I32(4), mask])

    def load_value(self, pointer: Value, offset: Index = 0) -> Value:
        """Return one float32 from memory."""
        return self.build.load(self.at(pointer, offset), align=4)

    def store_value(self, value: Value, pointer: Value, offset: Index = 0) -> None:
        """Write one float32 to memory."""
        self.build.store(value, self.at(pointer, offset), align=4)

    def copy(self, target: Value, source: Value, count: Index) -> None:
        """Copy `count` float32 values; the two places do not overlap."""
        copy = self._intrinsic("llvm.memcpy.p0.p0.i64", VOID, [BYTES, BYTES, I64, BOOL])
        pointers = [self.build.bitcast(p, BYTES) for p in (target, source)]
        self.build.call(copy, [*pointers, as_value(self.mul(count, 4)), BOOL(0)])

    def clear(self, target: Value, count: Index) -> None:
        """Set `count` float32 values to zero."""
        clear = self._intrinsic("llvm.memset.p0.i64", VOID, [BYTES, I8, I64, BOOL])
        self.build.call(clear, [self.build.bitcast(target, BYTES), I8(0), as_value(self.mul(count, 4)), BOOL(0)])

    def prefetch(self, pointer: Value, offset: Index, level: int = 3) -> None:
        """Ask for the cache line at a place that will be read: into the first cache (3) or only the second (2)."""
        fetch = self._intrinsic("llvm.prefetch.p0", VOID, [BYTES, I32, I32, I32])
        place = self.build.bitcast(self.at(pointer, offset), BYTES)
        self.build.call(fetch, [place, I32(0), I32(level), I32(1)])

    def table(self, values: Array) -> Value:
        """Return a pointer to constant float32 values that travel with the code."""
        data = np.ascontiguousarray(values, np.float32)
        if data.tobytes() not in self._constants:
            kind = ir.ArrayType(FLOAT, data.size)
            place = ir.GlobalVariable(self._module, kind, f"table{len(self._constants)}")
            place.linkage, place.global_constant, place.align = "internal", True, 64
            place.initializer = ir.Constant(kind, [FLOAT(float(v)) for v in data.ravel()])
            self._constants[data.tobytes()] = place
        return self.build.bitcast(self._constants[data.tobytes()], FLOATS)

    # ---- vectors

    def constant(self, value: float) -> Value:
        """Return a vector with the same number, rounded to float32, in all lanes."""
        (rounded,) = struct.unpack("f", struct.pack("f", value))
        return ir.Constant(self.vector, [FLOAT(rounded)] * self.lanes)

    def zero(self) -> Value:
        """Return a vector of zeros."""
        return ir.Constant(self.vector, None)

    def splat(self, value: Value) -> Value:
        """Return a vector with one value in all lanes."""
        undefined = ir.Constant(self.vector, ir.Undefined)
        single = self.build.insert_element(undefined, value, I32(0))
        return self.build.shuffle_vector(single, undefined, ir.Constant(ir.VectorType(I32, self.lanes), None))

    def broadcast(self, pointer: Value, offset: Index = 0) -> Value:
        """Return a vector with the value at a place in all lanes."""
        return self.splat(self.load_value(pointer, offset))

    def multiply_add(self, a: Value, b: Value, c: Value) -> Value:
        """Return a * b + c, with one rounding where the processor can."""
        kind = a.type
        name = f"llvm.fmuladd.v{self.lanes}f32" if isinstance(kind, ir.VectorType) else "llvm.fmuladd.f32"
        return self.build.call(self._intrinsic(name, kind, [kind] * 3), [a, b, c])

    def square_root(self, a: Value) -> Value:
        """Return the square root, rounded correctly."""
        return self.build.call(self._intrinsic(f"llvm.sqrt.v{self.lanes}f32", self.vector, [self.vector]), [a])

    def maximum(self, a: Value, b: Value) -> Value:
        """Return the larger values; what is not a number in either stays so, as in NumPy."""
        keep = self.build.or_(self.build.fcmp_ordered(">", a, b), self.build.fcmp_unordered("uno", a, a))
        return self.build.select(keep, a, b)

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
        return self.build.extract_element(vector, I32(0))

    def largest(self, vector: Value) -> Value:
        """Return the largest of all lanes."""
        width = self.lanes
        while width > 1:
            width //= 2
            shifted = [lane + width if lane < width else lane for lane in range(self.lanes)]
            vector = self.maximum(vector, self.shuffle(vector, shifted))
        return self.build.extract_element(vector, I32(0))

    def shuffle(self, vector: Value, lanes: Sequence[int], other: Value = None) -> Value:
        """Return a vector of the given lanes; those of `other` are counted on after those of `vector`."""
        other = ir.Constant(vector.type, ir.Undefined) if other is None else other
        return self.build.shuffle_vector(
            vector, other, ir.Constant(ir.VectorType(I32, len(lanes)), [I32(n) for n in lanes])
        )
