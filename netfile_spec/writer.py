"""Writing NetFiles: `format_netfile` to text, `write_netfile` to a file.

The writer reads its own work: what comes back must equal what was to be written, or nothing is written.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from os import PathLike
from pathlib import Path

from netfile_spec.errors import NetFileError, ParameterFileError, Problem
from netfile_spec.language import NETFILE_VERSION
from netfile_spec.lexer import FORBIDDEN
from netfile_spec.limits import MAX_PROBLEMS
from netfile_spec.model import InputBlock, LayerBlock, NetFile, Scalar, Value
from netfile_spec.parameters.written_beside import written_beside
from netfile_spec.problems import quoted
from netfile_spec.reader import parse_netfile

_LONGEST_LINE = 100
_PLACE = "<the NetFile to be written>"
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]")
_NAMED_ESCAPES = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def format_netfile(netfile: NetFile) -> str:
    """Return the text of a NetFile, in the language of its `netfile_version`; lines end in a line feed.

    Reading the text gives an equal NetFile. Raises NetFileError where no text does: a name with a line feed
    without netfile_version 1, a name used twice, a number that is not finite, and the like.
    """
    escapes = netfile.netfile_version is not None
    sections = [_section(_file_lines(netfile, escapes))]
    sections += [_block("input", _input_lines(block, escapes)) for block in netfile.inputs]
    sections += [_block("layer", _layer_lines(block, escapes)) for block in netfile.layers]
    text = "\n".join(section for section in sections if section)
    _check(text, netfile)
    return text


def write_netfile(path: str | PathLike[str], netfile: NetFile) -> None:
    """Write a NetFile to `path`, in UTF-8: whole, or not at all.

    Raises NetFileError as `format_netfile`, and where the file cannot be written.
    """
    content = format_netfile(netfile).encode("utf-8")
    try:
        with written_beside(Path(path)) as stream:
            stream.write(content)
    except ParameterFileError as error:
        reason = error.__cause__ if isinstance(error.__cause__, OSError) else error
        raise NetFileError([Problem(f"cannot be written: {reason}")], file=str(path)) from error


def _check(text: str, netfile: NetFile) -> None:
    # The reader would forgive this one in a file of CNNdroid's.
    uses = Counter(block.name for block in netfile.layers)
    if repeated := [name for name, count in uses.items() if count > 1]:
        raise NetFileError(
            [Problem(f"{uses[name]} layers have the name {quoted(name)}") for name in repeated[:MAX_PROBLEMS]],
            file=_PLACE,
        )
    if parse_netfile(text, file=_PLACE) != netfile:
        # Types, ranges and empty names are the reader's business and were reported; what is left is a
        # value that says the same as another one, such as an empty list of labels.
        raise NetFileError(
            [Problem("it would not be read as it is", hint="leave empty names and lists out; None is not stated")],
            file=_PLACE,
        )


def _section(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _block(kind: str, lines: Iterable[str]) -> str:
    return f"{kind} {{\n{_section(f'  {line}' for line in lines)}}}\n"


def _file_lines(netfile: NetFile, escapes: bool) -> Iterator[str]:
    tuning = None if netfile.auto_tuning is None else ("on" if netfile.auto_tuning else "off")
    yield from _entry("netfile_version", netfile.netfile_version, escapes)
    yield from _entry("name", netfile.name, escapes)
    yield from _entry("root_directory", netfile.root_directory, escapes)
    yield from _entry("allocated_ram", netfile.allocated_ram, escapes)
    yield from _entry("execution_mode", netfile.execution_mode, escapes)
    yield from _entry("auto_tuning", tuning, escapes)
    yield from _entry("weight_storage", netfile.weight_storage, escapes)
    yield from _entry("labels", netfile.labels, escapes)
    yield from _entry("requires", netfile.requires or None, escapes)


def _input_lines(block: InputBlock, escapes: bool) -> Iterator[str]:
    yield from _entry("name", block.name, escapes)
    yield from _entry("shape", block.shape, escapes)
    yield from _entry("batch", block.batch, escapes)
    yield from _entry("channel_order", block.channel_order, escapes)
    yield from _entry("mean", block.mean or None, escapes)
    yield from _entry("mean_file", block.mean_file, escapes)
    yield from _entry("scale", block.scale, escapes)
    yield from _entry("size", block.size, escapes)


def _layer_lines(block: LayerBlock, escapes: bool) -> Iterator[str]:
    yield from _entry("type", block.type, escapes)
    yield from _entry("name", block.name, escapes)
    yield from _entry("bottom", _single(block.bottoms), escapes)
    yield from _entry("top", _single(block.tops), escapes)
    yield from _entry("parameters_file", block.parameters_file, escapes)
    for key, value in block.keys.items():
        yield from _entry(key, value, escapes)


def _single(names: tuple[str, ...] | None) -> Value | None:
    return names[0] if names and len(names) == 1 else names


def _entry(key: str, value: Value | None, escapes: bool) -> Iterator[str]:
    """Yield `key: value`; a list that is longer than a line takes several."""
    if value is None:
        return
    if not isinstance(value, tuple):
        yield f"{key}: {_scalar(value, escapes)}"
        return
    line = f"{key}: ["
    for number, item in enumerate(value):
        text = _scalar(item, escapes) + ("," if number < len(value) - 1 else "")
        if len(line) + len(text) + 2 > _LONGEST_LINE:
            yield line.rstrip()
            line = "  "
        line += text if line.endswith("[") or line.isspace() else f" {text}"
    yield f"{line}]"


def _scalar(value: Scalar, escapes: bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _string(value, escapes) if isinstance(value, str) else repr(value)


def _string(text: str, escapes: bool) -> str:
    body = text.replace("\\", r"\\").replace('"', r"\"")
    if escapes:
        return f'"{_UNPRINTABLE.sub(_escape, body)}"'
    if unwritable := FORBIDDEN.search(text):
        raise NetFileError(
            [
                Problem(
                    f"the text {quoted(text)} holds the character U+{ord(unwritable[0]):04X}",
                    hint=f"netfile_version={NETFILE_VERSION} can write it",
                )
            ],
            file=_PLACE,
        )
    return f'"{body}"'


def _escape(match: re.Match[str]) -> str:
    return _NAMED_ESCAPES.get(match[0], f"\\u{ord(match[0]):04X}")
