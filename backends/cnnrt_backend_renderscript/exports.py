"""What a script exports: its globals, which are set before a launch, and the signatures of its kernels.

The part of RenderScript that matters for that is read here (developer.android.com/guide/topics/renderscript/compute):
globals that are not static, kernels `T __attribute__((kernel)) name(T in, uint32_t x)` with up to eight inputs, and the
older form `void root(const T *in, T *out, uint32_t x)`. Where something is exported that the runtime has no place for,
it is an error with its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import attrs

from cnnrt.errors import CnnrtError

MOST_INPUTS = 8
COORDINATES = ("x", "y", "z")
_SCALARS = {"float": 4, "int": 4, "uint": 4, "short": 2, "ushort": 2, "char": 1, "uchar": 1, "bool": 1}
_ALIASES = {"int32_t": "int", "uint32_t": "uint", "int16_t": "short", "uint16_t": "ushort", "int8_t": "char",
            "uint8_t": "uchar"}  # fmt: skip
_KERNEL = re.compile(r"__attribute__\s*\(\s*\(\s*kernel\s*\)\s*\)|\bRS_KERNEL\b")
_TOKENS = re.compile(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\])*\"|^[ \t]*#(?:\\\n|[^\n])*", re.DOTALL | re.MULTILINE)
_FUNCTION = re.compile(r"^(?P<result>[\w\s*]+?)\s*\b(?P<name>\w+)\s*\((?P<parameters>[^()]*)\)$", re.DOTALL)
_VARIABLE = re.compile(r"^(?P<type>\w+)\s+(?P<names>\w+(?:\s*,\s*\w+)*)$")


@attrs.frozen
class Global:
    """A global: its name and its type as RenderScript calls it ("rs_allocation", "float", "int4")."""

    name: str
    type: str


@attrs.frozen
class KernelSignature:
    """A kernel: types of the cells that it takes and gives, and which coordinates it asks for.

    `pointers`: it is of the older form, whose parameters are `parameters` ("in", "out", "usr" or coordinates) in order.
    """

    name: str
    inputs: tuple[str, ...]
    output: str | None
    parameters: tuple[str, ...]
    pointers: bool = False


@attrs.frozen
class Exports:
    """Everything that a script exports, in the order of its text."""

    globals: tuple[Global, ...]
    kernels: tuple[KernelSignature, ...]


class ScriptError(CnnrtError):
    """A script that cannot be used: file and line, and what is wrong there."""


def read_exports(source: str, file: str) -> Exports:
    """Return what a script exports. Raises ScriptError, with every problem, for what cannot be launched or set."""
    variables: list[Global] = []
    kernels: list[KernelSignature] = []
    problems: list[str] = []
    for line, text, is_function in _declarations(source):
        try:
            if not is_function:
                variables += _globals(text)
            elif kernel := _kernel(text):
                kernels.append(kernel)
        except ValueError as error:
            problems.append(f"{file}:{line}: {error}")
    if problems:
        raise ScriptError("\n".join(problems))
    return Exports(tuple(variables), tuple(kernels))


def _declarations(source: str) -> Iterator[tuple[int, str, bool]]:
    """Yield what stands outside of braces: its line, its text without values, and whether it is a function's head."""
    text = _TOKENS.sub(lambda found: "\n" * found[0].count("\n") or " ", source)
    start, depth, head = 0, 0, ""
    for place, character in enumerate(text):
        if character == "{":
            if depth == 0:
                head = text[start:place]
            depth += 1
        elif character == "}":
            depth -= 1
            if depth == 0 and ")" in head and "=" not in head:
                yield _line(text, start), head.strip(), True
                start = place + 1
        elif character == ";" and depth == 0:
            declared = text[start:place].split("=")[0].strip()
            if declared:
                yield _line(text, start), declared, False
            start = place + 1


def _line(text: str, start: int) -> int:
    """Return the line of the first character from `start` on that is no space."""
    first = len(text) - len(text[start:].lstrip())
    return text.count("\n", 0, first) + 1


def _globals(text: str) -> list[Global]:
    words = text.split()
    if words[0] in ("typedef", "static", "extern", "const", "struct", "enum", "union") or "static" in words[:2]:
        return []
    if "(" in text:  # a prototype
        return []
    found = _VARIABLE.match(" ".join(word for word in words if word != "volatile"))
    kind = found and _type(found["type"])
    if not found or not kind:
        raise ValueError(f"a global that cannot be set: {' '.join(words)!r}; make it static, or of one of the types "
                         f"rs_allocation, bool, float, int, uint and their vectors")  # fmt: skip
    return [Global(name.strip(), kind) for name in found["names"].split(",")]


def _kernel(text: str) -> KernelSignature | None:
    """Return a kernel's signature; None for a function that is none."""
    marked = _KERNEL.search(text)
    found = _FUNCTION.match(" ".join(_KERNEL.sub(" ", text).split()))
    if not found or "static" in found["result"].split():
        if marked:
            raise ValueError(f"a kernel that cannot be launched: {' '.join(text.split())!r}")
        return None
    if not marked and found["name"] != "root":
        return None
    parameters = [p.strip() for p in found["parameters"].split(",") if p.strip() not in ("", "void")]
    if marked:
        return _modern(found["name"], found["result"], parameters)
    return _older(found["name"], parameters)


def _modern(name: str, result: str, parameters: list[str]) -> KernelSignature:
    inputs, order = [], []
    for parameter in parameters:
        words = parameter.replace("const ", "").split()
        kind = _type(words[0]) if len(words) == 2 else None
        if not kind:
            raise ValueError(f"kernel {name}: parameter {parameter!r} is neither a value nor a coordinate")
        if words[1] in COORDINATES and kind in ("int", "uint"):
            order.append(words[1])
        else:
            inputs.append(kind)
            order.append("in")
    output = None if result.split() == ["void"] else _type(result.strip())
    if output is None and result.split() != ["void"]:
        raise ValueError(f"kernel {name}: results of type {result.strip()!r} cannot be stored")
    return _checked(KernelSignature(name, tuple(inputs), output, tuple(order)))


def _older(name: str, parameters: list[str]) -> KernelSignature:
    inputs, order = [], []
    output = None
    for parameter in parameters:
        pointer = re.match(r"^(const\s+)?(\w+)\s*\*\s*(?:restrict\s+)?(\w+)$", parameter)
        if pointer and pointer[2] == "void":
            order.append("usr")
        elif pointer and _type(pointer[2]):
            if pointer[1]:
                inputs.append(str(_type(pointer[2])))
            else:
                output = _type(pointer[2])
            order.append("in" if pointer[1] else "out")
        elif parameter.split()[-1] in COORDINATES:
            order.append(parameter.split()[-1])
        else:
            raise ValueError(f"kernel {name}: parameter {parameter!r} is neither a cell nor a coordinate")
    return _checked(KernelSignature(name, tuple(inputs), output, tuple(order), pointers=True))


def _checked(kernel: KernelSignature) -> KernelSignature:
    if len(kernel.inputs) > MOST_INPUTS:
        raise ValueError(f"kernel {kernel.name}: {len(kernel.inputs)} inputs; at most {MOST_INPUTS} can be launched")
    return kernel


def _type(word: str) -> str | None:
    """Return the name of a type that cells and globals can have; None: it is none."""
    if word == "rs_allocation":
        return word
    scalar, lanes = (word[:-1], word[-1]) if word[-1:] in ("2", "3", "4") and word not in _ALIASES else (word, "")
    scalar = _ALIASES.get(scalar, scalar)
    return scalar + lanes if scalar in _SCALARS and not (lanes and scalar == "bool") else None


def cell_bytes(kind: str) -> int:
    """Return the bytes of a cell of a type; vectors of three take the place of four."""
    lanes = {"2": 2, "3": 4, "4": 4}.get(kind[-1], 1)
    return _SCALARS[kind.rstrip("234")] * lanes
