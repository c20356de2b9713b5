"""The text: words, layers, and everything that is wrong with them, with line and column."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import attrs

from cnnrt.errors import CnnrtError, Position, Problem
from cnnrt.importer import ImportedModel
from cnnrt.layer import Array
from cnnrt_import_plaintext.kinds import KINDS, Kind, Setting
from cnnrt_import_plaintext.tensors import read_tensor
from netfile_spec import InputBlock, LayerBlock, NetFile

FIRST_WORD = "plaintext-net"
VERSION = "1"
INPUT = "data"
MOST_PROBLEMS = 100
MOST_WEIGHTS = 2**28
"""Values in a whole network, 1 GiB: a text may name a file often, and a file may be large without taking space."""

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_INTEGER = re.compile(r"[0-9]{1,9}")


@attrs.frozen
class Word:
    """A word of the text and where it stands."""

    text: str
    position: Position


@attrs.define
class Found:
    """What was read: layers and weights by name, and the problems, in the order of the file."""

    folder: Path
    shape: tuple[int, ...] | None = None
    layers: list[LayerBlock] = attrs.field(factory=list)
    parameters: dict[str, dict[str, Array]] = attrs.field(factory=dict)
    problems: list[Problem] = attrs.field(factory=list)
    names: set[str] = attrs.field(factory=lambda: {INPUT})
    room: int = MOST_WEIGHTS

    @property
    def full(self) -> bool:
        """Whether there are as many problems as anybody would read; what follows is not looked at."""
        return len(self.problems) >= MOST_PROBLEMS

    def model(self) -> ImportedModel:
        """Return the model; only where there are no problems."""
        netfile = NetFile(netfile_version=1, inputs=[InputBlock(INPUT, shape=self.shape)], layers=self.layers)
        return ImportedModel(netfile, self.parameters)

    def problem(self, word: Word | None, message: str, *, expected: str = "", hint: str = "") -> None:
        """Note what is wrong with a word, or with the file."""
        self.problems.append(Problem(message, word.position if word else None, expected, hint))


def read_lines(source: str, folder: Path) -> Found:
    """Return what a text says; .npy files are looked for in `folder`. Never raises: problems are in the result."""
    found = Found(folder)
    lines = _lines(source)
    first = next(lines, [])
    if [word.text for word in first] != [FIRST_WORD, VERSION]:
        # Another version may mean anything: the rest of it is not judged.
        message = f"the text does not begin with {FIRST_WORD!r} and a version known here"
        found.problem(first[0] if first else None, message, expected=f"{FIRST_WORD} {VERSION}")
        return found
    for words in lines:
        if found.full:
            break
        if words[0].text == "input":
            _read_input(words, found)
        else:
            _read_layer(words, found)
    if not found.problems and (found.shape is None or not found.layers):
        found.problem(None, "there is no network in it", expected="a line `input C H W` and a line for each layer")
    found.problems.sort(key=_place)
    if found.full:
        found.problem(None, f"only the first {MOST_PROBLEMS} problems are listed")
    return found


def _place(problem: Problem) -> tuple[int, int]:
    at = problem.position
    return (at.line, at.column) if at else (0, 0)


def _lines(source: str) -> Iterator[list[Word]]:
    """Yield the words of each line that has any; `#` begins a comment."""
    for number, line in enumerate(source.split("\n"), start=1):
        text = line.partition("#")[0]
        words = [Word(m[0], Position(number, m.start() + 1)) for m in re.finditer(r"\S+", text)]
        if words:
            yield words


def _read_input(words: Sequence[Word], found: Found) -> None:
    if found.shape is not None:
        found.problem(words[0], "there is an input already")
    sizes = [_integer(word.text, 1) for word in words[1:]]
    if not 1 <= len(sizes) <= 3 or None in sizes:
        found.problem(words[0], "the input's shape cannot be read", expected="`input C H W` or `input FEATURES`")
    found.shape = tuple(size or 1 for size in sizes)


def _read_layer(words: Sequence[Word], found: Found) -> None:
    kind = KINDS.get(words[0].text)
    if kind is None:
        hint = _nearest(words[0].text, KINDS)
        found.problem(words[0], f"unknown kind of layer {words[0].text[:40]!r}", expected=", ".join(KINDS), hint=hint)
        return
    if len(words) < 2 or not _NAME.fullmatch(words[1].text):
        expected = "a name of letters, digits and _ . - after the kind"
        found.problem(words[1] if len(words) > 1 else words[0], "the layer has no proper name", expected=expected)
        return
    name = words[1].text
    if name in found.names:
        found.problem(words[1], f"the name {name!r} is taken", expected="a name of its own for each layer")
    found.names.add(name)
    stated = _stated(words[2:], kind, found)
    tensors = _weights(words[0], stated, kind, found)
    keys = _keys(words[0], stated, kind, found)
    if not found.problems:
        found.layers.append(LayerBlock(kind.type, name, keys={**keys, **kind.fixed}))
        if tensors:
            found.parameters[name] = tensors


def _stated(words: Iterable[Word], kind: Kind, found: Found) -> dict[str, Word]:
    """Return the values that a line states, by what they are of; each keeps the place of its word."""
    allowed = (*kind.weights, *kind.settings)
    stated: dict[str, Word] = {}
    for word in words:
        if found.full:
            break
        key, equals, value = word.text.partition("=")
        if not equals or key not in allowed:
            expected = " ".join(f"{a}=..." for a in allowed) or "nothing more in this line"
            hint = _nearest(key, allowed)
            found.problem(word, f"{key[:40]!r} is nothing to state here", expected=expected, hint=hint)
        elif key in stated:
            found.problem(word, f"{key} is stated twice")
        else:
            stated[key] = Word(value, word.position)
    return stated


def _weights(first: Word, stated: Mapping[str, Word], kind: Kind, found: Found) -> dict[str, Array]:
    tensors = {}
    for key, required in kind.weights.items():
        if key not in stated:
            if required:
                found.problem(first, f"{key} is missing", expected=f"{key}=FILE.npy or {key}=2x3:1,2,3,4,5,6")
            continue
        try:
            tensors[key] = read_tensor(stated[key].text, found.folder, found.room)
            found.room -= tensors[key].size
        except (ValueError, CnnrtError) as error:
            found.problem(stated[key], f"{key}: {error}")
    return tensors


def _keys(first: Word, stated: Mapping[str, Word], kind: Kind, found: Found) -> dict[str, int]:
    keys = {}
    for name, setting in kind.settings.items():
        word = stated.get(name) or stated.get(setting.default)
        if word is None:
            if setting.required:
                found.problem(first, f"{name} is missing", expected=f"{name}=2, for example")
            continue
        value = _integer(word.text, setting.least)
        if value is not None:
            keys[setting.key] = value
        elif name in stated:
            found.problem(word, f"{name}: {word.text[:40]!r} is no value for it", expected=_expected(setting))
    return keys


def _integer(text: str, least: int) -> int | None:
    """Return the integer, None where it is none or too small."""
    value = int(text) if _INTEGER.fullmatch(text) else -1
    return value if value >= least else None


def _expected(setting: Setting) -> str:
    return f"an integer of at least {setting.least}"


def _nearest(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word[:40], list(known), n=1)
    return f"did you mean {near[0]}?" if near else ""
