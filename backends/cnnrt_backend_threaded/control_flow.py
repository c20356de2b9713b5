"""The half of the kernels' language that knows no values: the function, arithmetic on indices, loops and branches.

Kernels are functions `void kernel(i64 *arguments, i64 first, i64 last, i64 thread)`: they compute the units of work
from `first` to `last` on buffers whose addresses are the arguments.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from cnnrt_backend_threaded.llvm import llvm
from cnnrt_backend_threaded.target import Target

Value = Any
"""An LLVM value; llvmlite ships no types."""
Index = Any
"""An i64 value, or a Python int for a constant."""


class Parameter(enum.Enum):
    """What a function inside a kernel may take; the values are names of `llvm_types`."""

    FLOATS = "FLOATS"
    I64 = "I64"


FLOATS, I64 = Parameter.FLOATS, Parameter.I64
"""A pointer to float32 values, and an index."""


class ControlFlow:
    """A kernel under construction for a target. Arithmetic on indices folds constants away."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._module = llvm.ir.Module()
        self._module.triple = target.triple
        function = llvm.ir.Function(self._module, llvm.KERNEL, "kernel")
        self._function = function
        self._arguments, self.first, self.last, self.thread = function.args
        self.build = llvm.ir.IRBuilder(function.append_basic_block("entry"))

    # ---- the function

    def argument(self, number: int) -> Value:
        """Return the address of a buffer of float32: inputs, outputs, packed weights, workspace, in this order."""
        return self.build.inttoptr(self.number(number), llvm.FLOATS)

    def arguments(self, count: int) -> list[Value]:
        """Return the addresses of the first `count` buffers; see `argument`."""
        return [self.argument(number) for number in range(count)]

    def number(self, number: int) -> Value:
        """Return an argument that is an index, not a buffer."""
        return self.build.load(self.build.gep(self._arguments, [llvm.I64(number)]))

    def finish(self) -> None:
        """End the kernel."""
        self.build.ret_void()

    def text(self) -> str:
        """Return the module in LLVM's assembly language."""
        return str(self._module)

    def function(self, name: str, parameters: Sequence[Parameter], body: Callable[..., None]) -> Value:
        """Define a function of the module that is called, never inlined; `body` gets its parameters."""
        made = llvm.ir.Function(
            self._module, llvm.ir.FunctionType(llvm.VOID, [getattr(llvm, p.value) for p in parameters]), name
        )
        made.linkage = "internal"
        made.attributes.add("noinline")
        outer, self.build = self.build, llvm.ir.IRBuilder(made.append_basic_block("entry"))
        outer_function, self._function = self._function, made
        body(*made.args)
        self.build.ret_void()
        self.build, self._function = outer, outer_function
        return made

    def call(self, function: Value, *arguments: Index) -> None:
        """Call a function of the module."""
        self.build.call(function, [as_value(a) for a in arguments])

    # ---- indices

    def add(self, a: Index, b: Index) -> Index:
        """Return a + b."""
        if isinstance(a, int) and isinstance(b, int):
            return a + b
        if is_number(a, 0) or is_number(b, 0):
            return b if is_number(a, 0) else a
        return self.build.add(as_value(a), as_value(b))

    def sub(self, a: Index, b: Index) -> Index:
        """Return a - b."""
        if isinstance(a, int) and isinstance(b, int):
            return a - b
        return a if is_number(b, 0) else self.build.sub(as_value(a), as_value(b))

    def mul(self, a: Index, b: Index) -> Index:
        """Return a * b."""
        if isinstance(a, int) and isinstance(b, int):
            return a * b
        if is_number(a, 0) or is_number(b, 0):
            return 0
        if is_number(a, 1) or is_number(b, 1):
            return b if is_number(a, 1) else a
        return self.build.mul(as_value(a), as_value(b))

    def divide(self, a: Index, b: Index) -> Index:
        """Return a // b of values that are not negative."""
        if isinstance(a, int) and isinstance(b, int):
            return a // b
        return a if is_number(b, 1) else self.build.udiv(as_value(a), as_value(b))

    def remainder(self, a: Index, b: Index) -> Index:
        """Return a % b of values that are not negative."""
        if isinstance(a, int) and isinstance(b, int):
            return a % b
        return 0 if is_number(b, 1) else self.build.urem(as_value(a), as_value(b))

    def split(self, a: Index, *sizes: int) -> list[Index]:
        """Return the digits of `a` where the last has `sizes[-1]` values, the one before `sizes[-2]`, and so on.

        The first result takes what remains, so there is one more of them than sizes.
        """
        digits: list[Index] = []
        for size in reversed(sizes):
            digits.append(self.remainder(a, size))
            a = self.divide(a, size)
        return [a, *reversed(digits)]

    def smaller(self, a: Index, b: Index) -> Index:
        """Return the smaller of two signed values."""
        if isinstance(a, int) and isinstance(b, int):
            return min(a, b)
        return self.build.select(self.less(a, b), as_value(a), as_value(b))

    def larger(self, a: Index, b: Index) -> Index:
        """Return the larger of two signed values."""
        if isinstance(a, int) and isinstance(b, int):
            return max(a, b)
        return self.build.select(self.less(a, b), as_value(b), as_value(a))

    def less(self, a: Index, b: Index) -> Value:
        """Return whether a < b, signed."""
        return self.build.icmp_signed("<", as_value(a), as_value(b))

    def inside(self, a: Index, size: int) -> Value:
        """Return whether 0 <= a < size, by one comparison: a negative index is a huge unsigned one."""
        return self.build.icmp_unsigned("<", as_value(a), llvm.I64(size))

    # ---- control flow

    @contextmanager
    def loop(self, start: Index, stop: Index, step: int = 1) -> Iterator[Index]:
        """Repeat the block for an index from `start` while it is less than `stop`."""
        if isinstance(start, int) and isinstance(stop, int) and start < stop <= start + step:
            yield start
            return
        before = self.build.block
        head, body, after = (self._block(name) for name in ("loop", "body", "after"))
        self.build.branch(head)
        self.build.position_at_end(head)
        index = self.build.phi(llvm.I64)
        index.add_incoming(as_value(start), before)
        self.build.cbranch(self.less(index, stop), body, after)
        self.build.position_at_end(body)
        yield index
        index.add_incoming(self.build.add(index, llvm.I64(step)), self.build.block)
        self.build.branch(head)
        self.build.position_at_end(after)

    def accumulate(
        self,
        start: Index,
        stop: Index,
        values: Sequence[Value],
        body: Callable[[Index, list[Value]], list[Value]],
        step: int = 1,
    ) -> list[Value]:
        """Repeat `body(index, values)` as `loop` does; what it returns are the next round's values. Return the last."""
        if isinstance(start, int) and isinstance(stop, int):
            if start >= stop:
                return list(values)
            if stop <= start + step:
                return body(start, list(values))
        checked = not (isinstance(start, int) and isinstance(stop, int))
        before, after = self.build.block, self._block("after")
        head = self._block("loop")
        if checked:
            self.build.cbranch(self.less(start, stop), head, after)
        else:
            self.build.branch(head)
        self.build.position_at_end(head)
        index = self.build.phi(llvm.I64)
        index.add_incoming(as_value(start), before)
        carried = [self.build.phi(v.type) for v in values]
        for phi, value in zip(carried, values, strict=True):
            phi.add_incoming(value, before)
        results = body(index, list(carried))
        following = self.build.add(index, llvm.I64(step))
        index.add_incoming(following, self.build.block)
        for phi, value in zip(carried, results, strict=True):
            phi.add_incoming(value, self.build.block)
        last = self.build.block
        self.build.cbranch(self.less(following, stop), head, after)
        self.build.position_at_end(after)
        if not checked:
            return results
        merged = [self.build.phi(v.type) for v in values]
        for phi, value, result in zip(merged, values, results, strict=True):
            phi.add_incoming(value, before)
            phi.add_incoming(result, last)
        return merged

    def choose(self, condition: Value, then: Callable[[], None], otherwise: Callable[[], None]) -> None:
        """Run one of two pieces of code."""
        with self.build.if_else(condition) as (true, false):
            with true:
                then()
            with false:
                otherwise()

    @contextmanager
    def when(self, condition: Value) -> Iterator[None]:
        """Run the block only where the condition holds."""
        with self.build.if_then(condition):
            yield

    def _block(self, name: str) -> Value:
        return self._function.append_basic_block(name)

    def _intrinsic(self, name: str, result: Any, parameters: list[Any]) -> Value:
        found = self._module.globals.get(name)
        return found or llvm.ir.Function(self._module, llvm.ir.FunctionType(result, parameters), name)


def as_value(index: Index) -> Value:
    """Return an index as an LLVM value."""
    return llvm.I64(index) if isinstance(index, int) else index


def is_number(index: Index, number: int) -> bool:
    """Tell whether an index is this constant."""
    return isinstance(index, int) and index == number
