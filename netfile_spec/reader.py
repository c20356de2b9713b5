"""Reading NetFiles: `read_netfile` from a file, `parse_netfile` from text.

bytes -> text -> tokens (lexer) -> entries and blocks (syntax) -> values (stated_keys) -> NetFile (model)
"""

from __future__ import annotations

import re
import stat
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from netfile_spec.errors import NetFileError, Position, Problem
from netfile_spec.input_reader import read_input
from netfile_spec.language import FILE_KEYS, NETFILE_VERSION
from netfile_spec.layer_names import name_layers
from netfile_spec.layer_reader import read_layer
from netfile_spec.lexer import tokens
from netfile_spec.limits import MAX_FILE_BYTES, MAX_REQUIRED
from netfile_spec.model import InputBlock, NetFile
from netfile_spec.problems import Problems, quoted
from netfile_spec.stated_keys import StatedKeys, read_keys
from netfile_spec.syntax import parse
from netfile_spec.vocabulary import Vocabulary

# The version decides how strings are read, so it is looked for before there are tokens.
_VERSION = re.compile(
    r"(?:\s++|\#[^\n]*+)*+netfile_version\s*+:\s*+\"?(?P<number>[+-]?[0-9]{1,30})(?![^\s\"\#{}])", re.IGNORECASE
)


def read_netfile(path: str | PathLike[str], vocabulary: Vocabulary | None = None) -> NetFile:
    """Return what the NetFile at `path` says, checked against `vocabulary` where one is given.

    Raises NetFileError with all problems of the file at once; also where it cannot be read or is no text.
    Warns with CnnrtWarning where an old file names two layers alike.
    """
    path = Path(path)
    return parse_netfile(_decoded(_content(path), str(path)), vocabulary, file=str(path))


def parse_netfile(text: str, vocabulary: Vocabulary | None = None, *, file: str = "<string>") -> NetFile:
    """Return what the text of a NetFile says; `file` is what errors call it. Otherwise as `read_netfile`."""
    source = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if len(source) > MAX_FILE_BYTES:
        raise _unusable(file, f"more than {MAX_FILE_BYTES} characters", "a NetFile")
    if (nul := source.find("\0")) >= 0:
        raise _unusable(file, "a NUL character", "text", position=_place(source, nul))
    problems = Problems(file, source)
    versioned = _check_version(source, problems)

    document = parse(tokens(source, problems, escapes=versioned), problems)
    stated = read_keys(document.entries, FILE_KEYS, problems, owner="a NetFile")
    _check_file_keys(stated, problems, versioned)
    inputs = [read_input(block, problems) for block in document.blocks if block.kind == "input"]
    layers = [read_layer(block, vocabulary, problems) for block in document.blocks if block.kind == "layer"]
    _check_input_names(inputs, problems)
    named = name_layers(layers, problems, version=NETFILE_VERSION if versioned else None)
    problems.raise_if_any()
    values: dict[str, Any] = dict(stated.values)
    return NetFile(layers=named, inputs=inputs, **values, positions=stated.positions, file=file, source=source)


def _content(path: Path) -> bytes:
    try:
        # A pipe or device would block, or never end.
        if not stat.S_ISREG(path.stat().st_mode):
            what = "a folder" if path.is_dir() else "no regular file"
            inside = path / "net.netfile"
            hint = f"there is one in it: {inside}" if inside.is_file() else ""
            raise _unusable(str(path), f"is {what}", "the NetFile itself", hint=hint)
        with path.open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise _unusable(str(path), "there is no such file") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise _unusable(str(path), f"cannot be read: {reason or error}") from error
    if len(content) > MAX_FILE_BYTES:
        raise _unusable(str(path), f"is larger than {MAX_FILE_BYTES} bytes", "a NetFile; is it another kind of file?")
    return content


def _decoded(content: bytes, file: str) -> str:
    if content.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        raise _unusable(file, "is UTF-32", "UTF-8", hint="save it as UTF-8")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _unusable(file, "is UTF-16", "UTF-8", hint="save it as UTF-8")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8").removeprefix("\ufeff")
        before = before.replace("\r\n", "\n").replace("\r", "\n")
        byte = content[error.start]
        raise _unusable(
            file, f"the byte 0x{byte:02X} is no UTF-8", "text in UTF-8", position=_place(before, len(before))
        ) from None


def _unusable(
    file: str, message: str, expected: str = "", *, hint: str = "", position: Position | None = None
) -> NetFileError:
    return NetFileError([Problem(message, position, expected, hint)], file=file)


def _place(source: str, offset: int) -> Position:
    return Position(source.count("\n", 0, offset) + 1, offset - source.rfind("\n", 0, offset))


def _check_version(source: str, problems: Problems) -> bool:
    """Tell whether the text begins with a netfile_version; raises NetFileError for one from the future."""
    match = _VERSION.match(source)
    if match and int(match["number"]) > NETFILE_VERSION:
        # What else the file says cannot be judged, so this is all that is reported.
        problems.report(
            f"netfile_version {match['number']} is newer than this program",
            _place(source, match.start("number")),
            expected=f"at most {NETFILE_VERSION}",
            hint="update cnnrt",
        )
        problems.raise_if_any()
    return match is not None


def _check_file_keys(stated: StatedKeys, problems: Problems, versioned: bool) -> None:
    values, at = stated.values, stated.positions
    if "netfile_version" in values:
        if not versioned:
            problems.report(
                '"netfile_version" comes too late', at["netfile_version"], expected="it before anything else"
            )
        elif values["netfile_version"] != NETFILE_VERSION:
            problems.report(
                f"there is no netfile_version {values['netfile_version']}",
                at["netfile_version"],
                expected=str(NETFILE_VERSION),
                hint="leave it out for CNNdroid's language",
            )
    ram = values.get("allocated_ram")
    if isinstance(ram, float) and ram <= 0:
        problems.report(
            f'"allocated_ram" is {ram:g}',
            at["allocated_ram"],
            expected="MiB, more than 0",
            hint="leave it out for no ceiling",
        )
    required = values.get("requires", ())
    if isinstance(required, tuple) and len(required) > MAX_REQUIRED:
        problems.report(f'"requires" has more than {MAX_REQUIRED} names', at["requires"])
    for key in ("root_directory", "execution_mode", "labels"):
        if values.get(key) == "":
            problems.report(f'"{key}" is empty', at[key], hint="leave it out")


def _check_input_names(inputs: Sequence[InputBlock], problems: Problems) -> None:
    first: dict[str, InputBlock] = {}
    for block in inputs:
        if first.setdefault(block.name, block) is not block:
            problems.report(
                f"there is already an input {quoted(block.name)}", block.key_positions.get("name", block.position)
            )
