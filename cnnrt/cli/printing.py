"""Where answers are written: rich's console on stdout, and tables that are good to read also in a pipe."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import attrs
import click
from rich.box import SIMPLE_HEAD, Box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cnnrt.cli.command_line import printable
from cnnrt.cli.narrow_encodings import writable

UNLIMITED = 100_000
"""Columns of a pipe or file: there, a table is as wide as what is in it."""
RULE = "\N{BOX DRAWINGS LIGHT HORIZONTAL}"
LONGEST_RULE = 120
"""Columns of the line below a pipe's headings, which need not be as long as the longest sentence in the table."""
PLAIN_HEAD = Box("    \n    \n -- \n" + "    \n" * 5, ascii=True)
"""The same look for encodings without line drawing: rich's own choice sets bars between the columns."""

Cell = str | Text


@attrs.frozen
class Column:
    """A column's heading, its alignment, and whether its text may be broken into lines on a narrow terminal."""

    heading: str
    justify: Literal["left", "right"] = "left"
    wraps: bool = False


def number(heading: str) -> Column:
    """Return a column of numbers."""
    return Column(heading, "right")


def stdout() -> Console:
    """Return a console on stdout that prints text as it is: no markup, no emoji, no guessed colours."""
    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = UNLIMITED
    return console


def print_table(console: Console, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> None:
    """Print a table: whole in a pipe, folded into the width of a terminal."""
    box = PLAIN_HEAD if console.options.ascii_only else SIMPLE_HEAD
    table = Table(box=box, show_edge=False, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(Text(column.heading), justify=column.justify, overflow="fold", no_wrap=not column.wraps)
    for row in rows:
        table.add_row(*(_text(console, cell) for cell in row))
    _print(console, table)


def print_facts(console: Console, facts: Mapping[str, Cell]) -> None:
    """Print names and what they stand for, one on each line, aligned."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, fact in facts.items():
        table.add_row(Text(name), _text(console, fact))
    _print(console, table)


def print_heading(console: Console, text: str) -> None:
    """Print a heading with an empty line before it."""
    console.print()
    console.print(Text(printable(text), style="bold"))


def print_json(value: Any) -> None:
    """Print plain values as JSON; numbers that JSON lacks (NaN, infinities) become null."""
    click.echo(json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _print(console: Console, table: Table) -> None:
    if console.is_terminal:
        console.print(table)
        return
    with console.capture() as captured:
        console.print(table)
    # Cells are padded to their column's width, which is of no use at the end of a line.
    lines = [line.rstrip() for line in captured.get().splitlines()]
    shown = [line[:LONGEST_RULE] if set(line) <= {RULE, "-"} else line for line in lines]
    console.out("\n".join(shown), highlight=False)


def _text(console: Console, cell: Cell) -> Text:
    return cell if isinstance(cell, Text) else Text(writable(printable(cell), console.encoding))
