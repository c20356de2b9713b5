"""The opcodes of pickles, protocols 0 to 5 (Lib/pickletools.py describes each), by what they do on the machine."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Any

from cnnrt.pickles.numpy_globals import plain_key
from cnnrt.pickles.stack_machine import StackMachine
from cnnrt.pickles.stand_ins import PickleFault

STOP = 0x2E
_LONGEST_NUMBER = 1_000
_LONGEST_TEXT_OF_PYTHON_2 = 1 << 16
_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|([0-7]{1,3})|(.))", re.DOTALL)
_ESCAPED = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v", b"\n": b""}


def _number(line: bytes) -> int:
    text = line.decode("latin-1").strip().removesuffix("L")
    if len(text) > _LONGEST_NUMBER or not re.fullmatch(r"[+-]?[0-9]+", text):
        raise PickleFault("a number that is none")
    return int(text)


def _int(machine: StackMachine) -> None:
    line = machine.line()
    machine.push({b"00": False, b"01": True}[line] if line in (b"00", b"01") else _number(line))


def _float_text(machine: StackMachine) -> None:
    line = machine.line()
    try:
        machine.push(float(line[:_LONGEST_NUMBER]))
    except ValueError:
        raise PickleFault("a number that is none") from None


def _float_binary(machine: StackMachine) -> None:
    machine.push(struct.unpack(">d", machine.take(8))[0])


def _long(machine: StackMachine, count: int) -> None:
    if count > _LONGEST_NUMBER:
        raise PickleFault("a number that is too long")
    machine.push(int.from_bytes(machine.take(count), "little", signed=True))


def _quoted_text(machine: StackMachine) -> None:
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


def _unicode(machine: StackMachine, data: bytes | memoryview, encoding: str = "utf-8") -> None:
    try:
        machine.push(bytes(data).decode(encoding, "surrogatepass" if encoding == "utf-8" else "strict"))
    except UnicodeDecodeError:
        raise PickleFault("text that cannot be decoded") from None


def _bytes(machine: StackMachine, count: int) -> None:
    machine.push(bytes(machine.take(count)) if count <= _LONGEST_TEXT_OF_PYTHON_2 else machine.take(count))


def _text(machine: StackMachine, count: int) -> None:
    machine.push(_text_of_python_2(machine.take(count)))


def _drop_group(machine: StackMachine) -> None:
    machine.pop_group()


def _frame(machine: StackMachine) -> None:
    machine.take(8)  # its size; frames only group what follows


def _tuple(machine: StackMachine, count: int) -> None:
    values = [machine.pop() for _ in range(count)]
    machine.push_container(tuple(reversed(values)))


def _dict_of_group(machine: StackMachine) -> None:
    group = machine.pop_group()
    machine.push_container({})
    machine.set_all(group)


def _frozenset(machine: StackMachine) -> None:
    machine.push_container(frozenset(plain_key(item) for item in machine.pop_group()))


def _global(machine: StackMachine) -> None:
    module, name = (machine.line().decode("utf-8", "replace") for _ in range(2))
    machine.find(module, name)


def _stack_global(machine: StackMachine) -> None:
    name, module = machine.pop(), machine.pop()
    machine.find(module, name)


def _reduce(machine: StackMachine) -> None:
    arguments = machine.pop()
    machine.call(machine.pop(), arguments)


def _new_with_keywords(machine: StackMachine) -> None:
    keywords, arguments = machine.pop(), machine.pop()
    if keywords != {}:
        raise PickleFault("an object that is made with keyword arguments")
    machine.call(machine.pop(), arguments)


def _inst(machine: StackMachine) -> None:
    _global(machine)
    kind = machine.stack.pop()
    machine.call(kind, tuple(machine.pop_group()))


def _obj(machine: StackMachine) -> None:
    group = machine.pop_group()
    if not group:
        raise PickleFault("an object without a class")
    machine.call(group[0], tuple(group[1:]))


def _persistent(machine: StackMachine, key: Any) -> None:
    if machine.persistent is None:
        raise PickleFault("a reference to something outside of the pickle")
    machine.push_container(machine.persistent(key))


def _protocol(machine: StackMachine) -> None:
    version = machine.byte()
    if version > 5:
        raise PickleFault(f"protocol {version}, which is newer than 5")


HANDLERS: dict[int, Callable[[StackMachine], None]] = {
    ord("("): StackMachine.mark,
    ord("0"): StackMachine.pop_or_unmark,
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
    ord("b"): StackMachine.build,
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
