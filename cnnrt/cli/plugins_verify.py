"""`cnnrt plugins verify`: the conformance suites, run over what is installed, with a grade for each check."""

from __future__ import annotations

import textwrap
import warnings
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from cnnrt.cli.command_line import FAILED, Command, printable
from cnnrt.cli.net_options import json_option
from cnnrt.cli.quantities import plural

if TYPE_CHECKING:
    from rich.console import Console

    from cnnrt.testing.grading import Grade


@click.command(
    cls=Command,
    examples="""
        cnnrt plugins verify QuickGelu
        cnnrt plugins verify cnnrt-quick-gelu --verbose
        cnnrt plugins verify caffe --kind importer --json
    """,
    exit_codes={0: "every check passed, or was skipped for the reason that is shown", FAILED: "a check failed"},
)
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(["layer", "backend", "importer", "meter"]),
    help="Where one name stands for several.",
)
@click.option("-v", "--verbose", is_flag=True, help="Show every check, and the tracebacks of those that failed.")
@json_option
@click.pass_context
def verify(context: click.Context, name: str, kind: str | None, verbose: bool, as_json: bool) -> int:
    """Grade an installed plugin: NAME is a layer type, a backend, an importer, a meter, a plugin, or a distribution.

    Runs the suites of cnnrt.testing, which needs pytest and hypothesis: pip install "cnnrt[testing]".
    """
    import attrs

    from cnnrt.cli.printing import print_json, stdout
    from cnnrt.cli.progress import progress
    from cnnrt.errors import PluginWarning
    from cnnrt.plugins import plugin_host
    from cnnrt.testing.grading import grade
    from cnnrt.testing.subjects import find_subjects

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PluginWarning)  # what failed is graded, or none of this plugin's business
        subjects = find_subjects(plugin_host(), name, kind)
    with progress(f"grading {name}") as count_up:
        grades = grade(subjects, lambda grade: count_up(1))
    passed = all(g.outcome != "fail" for g in grades)
    if as_json:
        print_json({"name": name, "passed": passed, "checks": [attrs.asdict(g) for g in grades]})
    else:
        _print(stdout(), grades, verbose)
    return 0 if passed else FAILED


def _print(console: Console, grades: Sequence[Grade], verbose: bool) -> None:
    from cnnrt.cli.printing import Column, number, print_heading, print_table

    things = dict.fromkeys((g.kind, g.name, g.origin) for g in grades)
    counts = {thing: Counter(g.outcome for g in grades if (g.kind, g.name, g.origin) == thing) for thing in things}
    columns = [Column("kind"), Column("name"), Column("from"), number("passed"), number("failed"), number("skipped")]
    rows = [(*thing, *(str(c[outcome]) for outcome in ("pass", "fail", "skip"))) for thing, c in counts.items()]
    print_table(console, columns, rows)
    headings = {"pass": "passed", "skip": "skipped", "fail": "failed"}
    for outcome, heading in headings.items():
        chosen = [g for g in grades if g.outcome == outcome]
        if not chosen or (outcome == "pass" and not verbose):
            continue
        print_heading(console, heading)
        for g in chosen:
            reason = textwrap.indent(printable(g.reason), "      ").lstrip()
            click.echo(f"  {printable(g.name)}: {printable(g.check)}" + (f": {reason}" if reason else ""))
            if verbose and g.details:
                click.echo(textwrap.indent(printable(g.details.rstrip()), "      "))
    failed = sum(c["fail"] for c in counts.values())
    click.echo(f"\n{plural(failed, 'check')} failed" if failed else "\nno check failed")
