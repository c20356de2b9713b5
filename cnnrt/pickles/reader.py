"""The reader: opcodes of a pickle to plain values, within bounds, without running anything that the file names.

Format: the opcodes of Python's pickle, protocols 0 to 5 (Lib/pickletools.py describes each). Python's own unpickler
is not used: with it, bounds on memory and time are out of reach, and everything it can build would have to be trusted.

Text of Python 2, which is bytes, becomes text (latin-1) up to 64 KiB and stays bytes beyond that, where it is the
values of arrays. The values are lists, tuples, dicts, sets, text, bytes, numbers, None, `PickledArray`, and `Record`;
they may hold themselves, and the same value may be in many places, so whoever walks through them counts.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Any

import attrs

from cnnrt.errors import ImportFailure, Problem
from cnnrt.pickles.arrays import PickledArray, PickledType
from cnnrt.pickles.numpy_globals import NUMPY_GLOBALS, plain_key
from cnnrt.pickles.stand_ins import Global, Globals, PickleFault, Record
from netfile_spec.problems import quoted

MOST_OPCODES = 3_000_000
MOST_CONTAINERS = 500_000
MOST_STORED = 1_000_000
MOST_UNKNOWN = 20
_LONGEST_LINE = 1 << 20
_LONGEST_NUMBER = 1_000
_LONGEST_TEXT_OF_PYTHON_2 = 1 << 16
_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|([0-7]{1,3})|(.))", re.DOTALL)
_ESCAPED = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v", b"\n": b""}

Persistent = Callable[[Any], Any]
"""Answers a persistent id, a plain value, by what it stands for; raises PickleFault where it stands for nothing."""


@attrs.frozen(eq=False)
class Unpickled:
    """What was read, and the offset behind the pickle, where another one may follow."""

    value: Any
    end: int


class _Mark:
    """Where a group of values on the stack begins."""


_MARK = _Mark()


def read_pickle(
    data: bytes | memoryview,
    *,
    file: str,
    known: Globals = NUMPY_GLOBALS,
    persistent: Persistent | None = None,
    start: int = 0,
    advice: str = "save arrays alone (numpy.savez, or a list of arrays)",
) -> Unpickled:
    """Return the pickle that begins at `start` of `data`.

    `known` answers each global that the file names with what stands for it; one that it does not know is never used,
    and all of these are named in the ImportFailure, with `advice` on what to do. `persistent` answers persistent ids.
    Raises ImportFailure for whatever is no pickle, or one beyond the bounds (3 million opcodes, half a million
    containers).
    """
    machine = _Machine(memoryview(data), known, persistent, start, advice)
    try:
        value = machine.run()
    except PickleFault as fault:
        problems = [Problem(f"the pickle cannot be read, at byte {machine.at:,}: {fault}")]
        raise ImportFailure(machine.refused() or problems, file=file) from None
    if refused := machine.refused():
        raise ImportFailure(refused, file=file)
    return Unpickled(value, machine.at)


class _Machine:
    """The stack machine. `at` is the offset of the next byte."""

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

    def run(self) -> Any:
        handlers = _HANDLERS
        for _ in range(MOST_OPCODES):
            code = self.byte()
            if code == 0x2E:  # STOP
                return self.pop()
            handler = handlers.get(code)
            if handler is None:
                raise PickleFault(f"the byte 0x{code:02X} is no opcode that may be read")
            handler(self)
        raise PickleFault(f"more than {MOST_OPCODES:,} opcodes")

    # Bytes.

    def byte(self) -> int:
        if self.at >= len(self.data):
            raise PickleFault("it ends too early")
        self.at += 1
        return self.data[self.at - 1]

    def take(self, count: int) -> memoryview:
        if count < 0 or count > len(self.data) - self.at:
            raise PickleFault("it ends too early")
        self.at += count
        return self.data[self.at - count : self.at]

    def unpack(self, layout: str) -> int:
        (number,) = struct.unpack(layout, self.take(struct.calcsize(layout)))
        assert isinstance(number, int)
        return number

    def line(self) -> bytes:
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
        self.stack.append(value)

    def push_container(self, value: Any) -> None:
        self.containers += 1
        if self.containers > MOST_CONTAINERS:
            raise PickleFault(f"more than {MOST_CONTAINERS:,} lists, tuples and dictionaries")
        self.stack.append(value)

    def pop(self) -> Any:
        if not self.stack or (self.marks and len(self.stack) <= self.marks[-1]):
            raise PickleFault("a value is missing")
        return self.stack.pop()

    def top(self) -> Any:
        if not self.stack or (self.marks and len(self.stack) <= self.marks[-1]):
            raise PickleFault("a value is missing")
        return self.stack[-1]

    def pop_group(self) -> list[Any]:
        if not self.marks:
            raise PickleFault("a mark is missing")
        start = self.marks.pop()
        group = self.stack[start:]
        del self.stack[start:]
        return group

    def mark(self) -> None:
        self.marks.append(len(self.stack))

    def pop_or_unmark(self) -> None:
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            self.pop()

    # The memo.

    def put(self, index: int) -> None:
        self.memo[index] = self.top()
        if len(self.memo) > MOST_STORED:
            raise PickleFault(f"more than {MOST_STORED:,} values are stored for later")

    def get(self, index: int) -> None:
        if index not in self.memo:
            raise PickleFault("a reference to a value that was not stored")
        self.stack.append(self.memo[index])

    # Globals and objects.

    def find(self, module: Any, name: Any) -> None:
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
        state = self.pop()
        target = self.top()
        if isinstance(target, Record | PickledArray | PickledType):
            target.set_state(state)
        elif not isinstance(target, dict):  # a dictionary with attributes: only what it holds counts
            raise PickleFault("a state for something that has none")

    # Containers.

    def append_all(self, items: list[Any]) -> None:
        target = self.top()
        if isinstance(target, list):
            target.extend(items)
        elif not isinstance(target, Record):
            raise PickleFault("values are added to what is no list")

    def set_all(self, items: list[Any]) -> None:
        target = self.top()
        if len(items) % 2:
            raise PickleFault("a key without a value")
        if isinstance(target, dict):
            for i in range(0, len(items), 2):
                target[plain_key(items[i])] = items[i + 1]
        elif not isinstance(target, Record):
            raise PickleFault("keys are set in what is no dictionary")

    def add_all(self, items: list[Any]) -> None:
        target = self.top()
        if not isinstance(target, set):
            raise PickleFault("values are added to what is no set")
        target.update(plain_key(item) for item in items)


def _number(line: bytes) -> int:
    text = line.decode("latin-1").strip().removesuffix("L")
    if len(text) > _LONGEST_NUMBER or not re.fullmatch(r"[+-]?[0-9]+", text):
        raise PickleFault("a number that is none")
    return int(text)


def _int(machine: _Machine) -> None:
    line = machine.line()
    machine.push({b"00": False, b"01": True}[line] if line in (b"00", b"01") else _number(line))


def _float_text(machine: _Machine) -> None:
    line = machine.line()
    try:
        machine.push(float(line[:_LONGEST_NUMBER]))
    except ValueError:
        raise PickleFault("a number that is none") from None


def _float_binary(machine: _Machine) -> None:
    machine.push(struct.unpack(">d", machine.take(8))[0])


def _long(machine: _Machine, count: int) -> None:
    if count > _LONGEST_NUMBER:
        raise PickleFault("a number that is too long")
    machine.push(int.from_bytes(machine.take(count), "little", signed=True))


def _quoted_text(machine: _Machine) -> None:
    line = machine.line().strip()
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
        raise PickleFault("text without quotes")
    machine.push(_text_of_python_2(_ESCAPE.sub(_unescaped, line[1:-1])))


def _unescaped(match: re.Match[bytes]) -> bytes:
    if match[1]:
        return bytes.fromhex(match[1].decode("ascii"))
    if match[2]:
        return bytes([int(match[2], 8) & 0xFF])
    return _ESCAPED.get(match[3], match[3] if match[3] in (b"\\", b"'", b'"') else b"\\" + match[3])


def _text_of_python_2(data: bytes | memoryview) -> str | bytes | memoryview:
    return bytes(data).decode("latin-1") if len(data) <= _LONGEST_TEXT_OF_PYTHON_2 else data


def _unicode(machine: _Machine, data: bytes | memoryview, encoding: str = "utf-8") -> None:
    try:
        machine.push(bytes(data).decode(encoding, "surrogatepass" if encoding == "utf-8" else "strict"))
    except UnicodeDecodeError:
        raise PickleFault("text that cannot be decoded") from None


def _bytes(machine: _Machine, count: int) -> None:
    machine.push(bytes(machine.take(count)) if count <= _LONGEST_TEXT_OF_PYTHON_2 else machine.take(count))


def _text(machine: _Machine, count: int) -> None:
    machine.push(_text_of_python_2(machine.take(count)))


def _drop_group(machine: _Machine) -> None:
    machine.pop_group()


def _frame(machine: _Machine) -> None:
    machine.take(8)  # its size; frames only group what follows


def _tuple(machine: _Machine, count: int) -> None:
    values = [machine.pop() for _ in range(count)]
    machine.push_container(tuple(reversed(values)))


def _dict_of_group(machine: _Machine) -> None:
    group = machine.pop_group()
    machine.push_container({})
    machine.set_all(group)


def _frozenset(machine: _Machine) -> None:
    machine.push_container(frozenset(plain_key(item) for item in machine.pop_group()))


def _global(machine: _Machine) -> None:
    module, name = (machine.line().decode("utf-8", "replace") for _ in range(2))
    machine.find(module, name)


def _stack_global(machine: _Machine) -> None:
    name, module = machine.pop(), machine.pop()
    machine.find(module, name)


def _reduce(machine: _Machine) -> None:
    arguments = machine.pop()
    machine.call(machine.pop(), arguments)


def _new_with_keywords(machine: _Machine) -> None:
    keywords, arguments = machine.pop(), machine.pop()
    if keywords != {}:
        raise PickleFault("an object that is made with keyword arguments")
    machine.call(machine.pop(), arguments)


def _inst(machine: _Machine) -> None:
    _global(machine)
    kind = machine.stack.pop()
    machine.call(kind, tuple(machine.pop_group()))


def _obj(machine: _Machine) -> None:
    group = machine.pop_group()
    if not group:
        raise PickleFault("an object without a class")
    machine.call(group[0], tuple(group[1:]))


def _persistent(machine: _Machine, key: Any) -> None:
    if machine.persistent is None:
        raise PickleFault("a reference to something outside of the pickle")
    machine.push_container(machine.persistent(key))


def _protocol(machine: _Machine) -> None:
    version = machine.byte()
    if version > 5:
        raise PickleFault(f"protocol {version}, which is newer than 5")


_HANDLERS: dict[int, Callable[[_Machine], None]] = {
    ord("("): _Machine.mark,
    ord("0"): _Machine.pop_or_unmark,
    ord("1"): _drop_group,
    ord("2"): lambda m: m.push(m.top()),
    ord("F"): _float_text,
    ord("G"): _float_binary,
    ord("I"): _int,
    ord("J"): lambda m: m.push(m.unpack("<i")),
    ord("K"): lambda m: m.push(m.byte()),
    ord("L"): lambda m: m.push(_number(m.line())),
    ord("M"): lambda m: m.push(m.unpack("<H")),
    ord("N"): lambda m: m.push(None),
    ord("P"): lambda m: _persistent(m, m.line().decode("latin-1")),
    ord("Q"): lambda m: _persistent(m, m.pop()),
    ord("R"): _reduce,
    ord("S"): _quoted_text,
    ord("T"): lambda m: _text(m, m.unpack("<i")),
    ord("U"): lambda m: _text(m, m.byte()),
    ord("V"): lambda m: _unicode(m, m.line(), "raw-unicode-escape"),
    ord("X"): lambda m: _unicode(m, m.take(m.unpack("<I"))),
    ord("a"): lambda m: m.append_all([m.pop()]),
    ord("b"): _Machine.build,
    ord("c"): _global,
    ord("d"): _dict_of_group,
    ord("}"): lambda m: m.push_container({}),
    ord("e"): lambda m: m.append_all(m.pop_group()),
    ord("g"): lambda m: m.get(_number(m.line())),
    ord("h"): lambda m: m.get(m.byte()),
    ord("i"): _inst,
    ord("j"): lambda m: m.get(m.unpack("<I")),
    ord("l"): lambda m: m.push_container(m.pop_group()),
    ord("]"): lambda m: m.push_container([]),
    ord("o"): _obj,
    ord("p"): lambda m: m.put(_number(m.line())),
    ord("q"): lambda m: m.put(m.byte()),
    ord("r"): lambda m: m.put(m.unpack("<I")),
    ord("s"): lambda m: m.set_all([m.pop(), m.pop()][::-1]),
    ord("t"): lambda m: m.push_container(tuple(m.pop_group())),
    ord(")"): lambda m: m.push(()),
    ord("u"): lambda m: m.set_all(m.pop_group()),
    ord("B"): lambda m: _bytes(m, m.unpack("<I")),
    ord("C"): lambda m: _bytes(m, m.byte()),
    0x80: _protocol,
    0x81: _reduce,  # NEWOBJ: for stand-ins, making an object is a call
    0x85: lambda m: _tuple(m, 1),
    0x86: lambda m: _tuple(m, 2),
    0x87: lambda m: _tuple(m, 3),
    0x88: lambda m: m.push(True),
    0x89: lambda m: m.push(False),
    0x8A: lambda m: _long(m, m.byte()),
    0x8B: lambda m: _long(m, m.unpack("<I")),
    0x8C: lambda m: _unicode(m, m.take(m.byte())),
    0x8D: lambda m: _unicode(m, m.take(m.unpack("<Q"))),
    0x8E: lambda m: _bytes(m, m.unpack("<Q")),
    0x8F: lambda m: m.push_container(set()),
    0x90: lambda m: m.add_all(m.pop_group()),
    0x91: _frozenset,
    0x92: _new_with_keywords,
    0x93: _stack_global,
    0x94: lambda m: m.put(len(m.memo)),
    0x95: _frame,
    0x96: lambda m: _bytes(m, m.unpack("<Q")),
}
