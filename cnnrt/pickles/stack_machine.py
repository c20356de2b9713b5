"""What the opcodes of a pickle work on: bytes, a stack with marks, a memo, what the file names; all within bounds."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from cnnrt.errors import Problem
from cnnrt.pickles.arrays import PickledArray, PickledType
from cnnrt.pickles.numpy_globals import plain_key
from cnnrt.pickles.stand_ins import Global, Globals, PickleFault, Record
from netfile_spec.problems import quoted

MOST_CONTAINERS = 500_000
MOST_STORED = 1_000_000
MOST_UNKNOWN = 20
_LONGEST_LINE = 1 << 20

Persistent = Callable[[Any], Any]
"""Answers a persistent id, a plain value, by what it stands for; raises PickleFault where it stands for nothing."""


class StackMachine:
    """Bytes, stack, marks and memo of a pickle that is read. `at` is the offset of the next byte."""

    def __init__(
        self, data: memoryview, known: Globals, persistent: Persistent | None, start: int, advice: str
    ) -> None:
        self.data = data
        self.known = known
        self.persistent = persistent
        self.at = start
        self.advice = advice
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.globals: dict[tuple[str, str], Global] = {}
        self.unknown: dict[tuple[str, str], None] = {}
        self.containers = 0

    def refused(self) -> list[Problem]:
        """Return a problem for each global that the file names and that is not known."""
        return [
            Problem(
                f"the pickle needs {quoted(f'{module}.{name}')}, which is not among what may be read",
                hint=f"{self.advice}: code of a file is never run",
            )
            for module, name in list(self.unknown)[:MOST_UNKNOWN]
        ]

    # Bytes.

    def byte(self) -> int:
        """Return the next byte; PickleFault at the end, as of everything that follows."""
        if self.at >= len(self.data):
            raise PickleFault("it ends too early")
        self.at += 1
        return self.data[self.at - 1]

    def take(self, count: int) -> memoryview:
        """Return so many bytes, a view."""
        if count < 0 or count > len(self.data) - self.at:
            raise PickleFault("it ends too early")
        self.at += count
        return self.data[self.at - count : self.at]

    def unpack(self, layout: str) -> int:
        """Return the next number, of a layout of `struct`."""
        (number,) = struct.unpack(layout, self.take(struct.calcsize(layout)))
        assert isinstance(number, int)
        return number

    def line(self) -> bytes:
        """Return the bytes up to the end of the line, without it."""
        piece = bytes(self.data[self.at : self.at + 256])
        end = piece.find(b"\n")
        if end < 0:
            piece = bytes(self.data[self.at : self.at + _LONGEST_LINE])
            end = piece.find(b"\n")
        if end < 0:
            raise PickleFault("a line without an end")
        self.at += end + 1
        return piece[:end]

    # The stack.

    def push(self, value: Any) -> None:
        """Put a value on the stack."""
        self.stack.append(value)

    def push_container(self, value: Any) -> None:
        """Put on the stack what may hold others, of which there is a most."""
        self.containers += 1
        if self.containers > MOST_CONTAINERS:
            raise PickleFault(f"more than {MOST_CONTAINERS:,} lists, tuples and dictionaries")
        self.stack.append(value)

    def pop(self) -> Any:
        """Take the last value off the stack, behind the last mark."""
        if not self.stack or (self.marks and len(self.stack) <= self.marks[-1]):
            raise PickleFault("a value is missing")
        return self.stack.pop()

    def top(self) -> Any:
        """Return the last value, and leave it there."""
        if not self.stack or (self.marks and len(self.stack) <= self.marks[-1]):
            raise PickleFault("a value is missing")
        return self.stack[-1]

    def pop_group(self) -> list[Any]:
        """Take off all values behind the last mark, and the mark."""
        if not self.marks:
            raise PickleFault("a mark is missing")
        start = self.marks.pop()
        group = self.stack[start:]
        del self.stack[start:]
        return group

    def mark(self) -> None:
        """Begin a group of values."""
        self.marks.append(len(self.stack))

    def pop_or_unmark(self) -> None:
        """Take off a value, or the mark if nothing is behind it."""
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            self.pop()

    # The memo.

    def put(self, index: int) -> None:
        """Remember the last value under a number."""
        self.memo[index] = self.top()
        if len(self.memo) > MOST_STORED:
            raise PickleFault(f"more than {MOST_STORED:,} values are stored for later")

    def get(self, index: int) -> None:
        """Put on the stack what is remembered under a number."""
        if index not in self.memo:
            raise PickleFault("a reference to a value that was not stored")
        self.stack.append(self.memo[index])

    # Globals and objects.

    def find(self, module: Any, name: Any) -> None:
        """Put on the stack what stands for a global."""
        if not isinstance(module, str) or not isinstance(name, str):
            raise PickleFault("a global whose name is no text")
        key = (module, name)
        if key not in self.globals:
            make = self.known(module, name)
            if make is None and len(self.unknown) < MOST_UNKNOWN:
                self.unknown[key] = None
            if make is None and len(self.unknown) >= MOST_UNKNOWN:
                raise PickleFault("too many globals that are not known")
            # What is unknown is named at the end: until then nothing is made of it.
            self.globals[key] = Global(module, name, make)
        self.stack.append(self.globals[key])

    def call(self, function: Any, arguments: Any) -> None:
        """Put on the stack what stands for the result of calling a global."""
        if not isinstance(function, Global):
            raise PickleFault("it calls something that is no global")
        if not isinstance(arguments, tuple):
            raise PickleFault("a call without arguments")
        if function.make is None:
            made: Any = Record(function.module, function.name)
        else:
            try:
                made = function.make(*arguments)
            except TypeError:
                title = quoted(f"{function.module}.{function.name}")
                raise PickleFault(f"{title} is called with {len(arguments)} arguments that it does not take") from None
        self.push_container(made)

    def build(self) -> None:
        """Give a state to what is below it on the stack."""
        state = self.pop()
        target = self.top()
        if isinstance(target, Record | PickledArray | PickledType):
            target.set_state(state)
        elif not isinstance(target, dict):  # a dictionary with attributes: only what it holds counts
            raise PickleFault("a state for something that has none")

    # Containers.

    def append_all(self, items: list[Any]) -> None:
        """Add values to the list on the stack."""
        target = self.top()
        if isinstance(target, list):
            target.extend(items)
        elif not isinstance(target, Record):
            raise PickleFault("values are added to what is no list")

    def set_all(self, items: list[Any]) -> None:
        """Set keys, each followed by its value, in the dictionary on the stack."""
        target = self.top()
        if len(items) % 2:
            raise PickleFault("a key without a value")
        if isinstance(target, dict):
            for i in range(0, len(items), 2):
                target[plain_key(items[i])] = items[i + 1]
        elif not isinstance(target, Record):
            raise PickleFault("keys are set in what is no dictionary")

    def add_all(self, items: list[Any]) -> None:
        """Add values to the set on the stack."""
        target = self.top()
        if not isinstance(target, set):
            raise PickleFault("values are added to what is no set")
        target.update(plain_key(item) for item in items)
