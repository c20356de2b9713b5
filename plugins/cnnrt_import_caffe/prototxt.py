"""A prototxt as a message, with the place of every key.

Format: NetParameter in protobuf's text format. Keys that this importer does not describe are skipped, as other
Caffes have keys of their own; `net.py` mentions those inside layers that are imported.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import attrs
from google.protobuf import text_format

from cnnrt.errors import ImportFailure, Position, Problem
from cnnrt_import_caffe.messages import message_class
from cnnrt_import_caffe.text_tree import LONGEST_TOKEN, MOST_TOKENS, Entry, TextTree, one_token_a_line, scan
from netfile_spec.limits import MAX_BLOCKS

_MOST_BYTES = 2 << 20
_MOST_DEPTH = 32
_LONGEST_LINE = 1000
_SOLVER_KEYS = ("base_lr", "lr_policy", "max_iter", "train_net", "net", "solver_mode")


@attrs.frozen(eq=False)
class Prototxt:
    """A prototxt as read: the message, where its keys stand, and sentences for the user.

    `source` is the text, for messages that quote a line of it; empty where its lines are too long to be quoted.
    """

    net: Any
    source: str
    tree: TextTree
    notes: tuple[str, ...] = ()

    def layer_entries(self) -> list[Entry]:
        """Return the blocks of the layers, in the order of `net.layer` or `net.layers`."""
        return list(self.tree.top.all("layer" if self.net.layer else "layers"))


def read_prototxt(path: Path) -> Prototxt:
    """Return the prototxt at `path`; raises ImportFailure with line and column where it cannot be read."""
    text, notes = _text(path)
    tree = scan(text)
    if tree.depth > _MOST_DEPTH:
        raise _failure(path, text, Problem(f"blocks nested more than {_MOST_DEPTH} deep"))
    if not tree.whole:
        limits = f"more than {MOST_TOKENS:,} words and marks, or one of more than {LONGEST_TOKEN:,} characters"
        raise _failure(path, text, Problem(f"{limits}: not the text of a net"))
    if sum(1 for _ in tree.top.all("layer", "layers")) > MAX_BLOCKS:
        raise _failure(path, text, Problem(f"more than {MAX_BLOCKS:,} layers"))
    net = message_class("NetParameter")()
    known = _with_known_types(text, tree)
    # The library's time is quadratic in the length of a line: a line of 1 MB takes it minutes.
    split = not _quotable(text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of escapes that Python's own strings do not know
            text_format.Parse(one_token_a_line(known) if split else known, net, allow_unknown_field=True)
    except text_format.ParseError as error:
        raise _failure(path, text, _parse_problem(error, split)) from None
    except (RecursionError, ValueError) as error:
        raise _failure(path, text, Problem(f"not readable as protobuf text: {error}")) from None
    if not (net.layer or net.layers):
        solver = any(tree.top.find(key) for key in _SOLVER_KEYS)
        message = "this is a solver, not a net" if solver else "not a net: it has no layer blocks"
        hint = "give the .prototxt that its `net` names" if solver else "give the deploy .prototxt of the model"
        raise _failure(path, text, Problem(message, hint=hint))
    if net.layer and net.layers:
        second = next(tree.top.all("layer"))
        raise _failure(
            path,
            text,
            Problem(
                "both `layer` and `layers` blocks: Caffe reads only one kind of a file",
                tree.position(second.offset),
                hint="upgrade the file with Caffe's upgrade_net_proto_text",
            ),
        )
    return Prototxt(net, _quotable(text), tree, notes)


def _text(path: Path) -> tuple[str, tuple[str, ...]]:
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise _failure(path, "", Problem(f"cannot be read: {error.strerror or error}")) from None
    if len(raw) > _MOST_BYTES:
        raise _failure(path, "", Problem(f"more than {_MOST_BYTES >> 20} MiB: not the text of a net"))
    if b"\0" in raw:
        hint = "weights belong into a file named .caffemodel"
        raise _failure(path, "", Problem("a binary file, not the text of a net", hint=hint))
    try:
        return raw.decode("utf-8-sig"), ()
    except UnicodeDecodeError:
        # Comments in the code page of the author's machine are common; keys and values are ASCII.
        return raw.decode("latin-1"), (f"{path.name} is not UTF-8; it was read byte by byte (Latin-1)",)


def _with_known_types(text: str, tree: TextTree) -> str:
    """Return the text with NONE for enumerated layer types that BVLC's Caffe lacks.

    The library refuses a whole file for one unknown name of an enumeration; with NONE the layer is kept, and
    `net.py` names its type from the text, together with everything else that is not supported.
    """
    known = message_class("V1LayerParameter").DESCRIPTOR.fields_by_name["type"].enum_type.values_by_name
    pieces, done = [], 0
    for layer in tree.top.all("layers"):
        for entry in layer.all("type"):
            if entry.value and entry.value.isidentifier() and entry.value not in known:
                pieces += [text[done : entry.value_offset], "NONE".ljust(len(entry.value))]
                done = entry.value_offset + len(entry.value)
    return "".join([*pieces, text[done:]])


def _parse_problem(error: text_format.ParseError, split: bool) -> Problem:
    """Return what the library found, with its place unless lines were split; its text starts with the same."""
    line, column = error.GetLine(), error.GetColumn()
    message = str(error)
    if line is None:
        return Problem(message)
    message = message.removeprefix(f"{line}:{column} : ")
    return Problem(message, None if split else Position(line, column or 1))


def _failure(path: Path, text: str, problem: Problem) -> ImportFailure:
    return ImportFailure([problem], file=str(path), source=_quotable(text))


def _quotable(text: str) -> str:
    return text if max(map(len, text.split("\n"))) <= _LONGEST_LINE else ""
