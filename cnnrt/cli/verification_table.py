"""A verification as a table: each value that was compared, and where the first difference is."""

from __future__ import annotations

import math

import click
from rich.console import Console

from cnnrt.cli.command_line import printable
from cnnrt.cli.printing import Column, number, print_heading, print_table
from cnnrt.layer import shape_text
from cnnrt.verification import Comparison, Verification


def print_verification(console: Console, verification: Verification) -> None:
    """Print the values in the network's order, the first that differs, and arrays that no value belongs to."""
    print_heading(console, "compared with the reference")
    columns = [Column("value"), Column("shape"), number("largest difference"), number("of largest"), Column("")]
    rows = [
        (printable(c.name), shape_text(c.shape), _shown(c.difference), _shown(c.relative), _verdict(c))
        for c in verification.compared
    ]
    print_table(console, columns, rows)
    first = verification.first_difference
    if first is None:
        click.echo("  all of them agree")
    else:
        remark = f"; {printable(first.remark)}" if first.remark else ""
        click.echo(f"  the first difference is at {printable(first.name)!r}: {first.layer}{remark}")
    if verification.unknown:
        listed = ", ".join(printable(name) for name in verification.unknown[:20])
        click.echo(f"  not compared, since the network has no such value: {listed}")


def _verdict(comparison: Comparison) -> str:
    return "agrees" if comparison.agrees else "differs"


def _shown(value: float) -> str:
    return f"{value:.2g}" if math.isfinite(value) else "?"
