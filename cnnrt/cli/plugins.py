"""`cnnrt plugins`: what is installed, provided, or failed; its subcommands grade plugins and begin new ones."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from cnnrt.cli.command_line import CommandLine, printable
from cnnrt.cli.net_options import json_option
from cnnrt.cli.quantities import plural

if TYPE_CHECKING:
    from rich.console import Console

    from cnnrt.plugin_registry import PluginRecord


@click.group(
    cls=CommandLine,
    invoke_without_command=True,
    subcommands={
        "verify": "cnnrt.cli.plugins_verify:verify",
        "new": "cnnrt.cli.plugins_new:new",
    },
    examples="""
        cnnrt plugins
        cnnrt plugins --verbose
        cnnrt plugins new layer soft-shrink
        cnnrt plugins verify SoftShrink
    """,
    exit_codes={0: "done, whether or not plugins failed"},
)
@click.option("-v", "--verbose", is_flag=True, help="Show every kernel, and the tracebacks of plugins that failed.")
@json_option
@click.pass_context
def plugins(context: click.Context, verbose: bool, as_json: bool) -> None:
    """List the plugins, built-in ones included: kind, origin, what each provides, or why it was not loaded."""
    import attrs

    from cnnrt.cli.printing import print_json, stdout
    from cnnrt.errors import PluginWarning
    from cnnrt.plugins import plugin_host

    if context.invoked_subcommand is not None:
        if verbose or as_json:
            option = "--json" if as_json else "--verbose"
            raise click.UsageError(f"{option} belongs behind {context.invoked_subcommand}", context)
        return
    host = plugin_host()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PluginWarning)  # what failed is listed below
        records = host.records()
    if as_json:
        print_json({"plugins": [attrs.asdict(r) for r in records], "collisions": host.collisions()})
        return
    _print(stdout(), records, host.collisions(), verbose)


def _print(console: Console, records: Sequence[PluginRecord], collisions: Sequence[str], verbose: bool) -> None:
    from cnnrt.cli.printing import Column, print_facts, print_heading, print_table

    if verbose:
        for r in records:
            print_facts(
                console, {**_identity(r), "provides": ", ".join(r.provides), "module": r.module, "path": r.path}
            )
            console.print()
    else:
        columns = [Column("plugin"), Column("kind"), Column("from"), Column("provides", wraps=True)]
        print_table(console, columns, [(*_identity(r).values(), _counted(r)) for r in records])
    left_out = [r for r in records if r.problem]
    if left_out:
        print_heading(console, "not loaded")
    for record in left_out:
        click.echo(f"  {printable(record.name)} of {printable(record.origin)}: {printable(record.problem)}")
        if verbose and record.traceback:
            click.echo(textwrap.indent(printable(record.traceback.rstrip()), "    "))
    if collisions:
        print_heading(console, "collisions")
    for collision in collisions:
        click.echo(f"  {printable(collision)}")
    if any(record.traceback for record in left_out) and not verbose:
        click.echo("\n  --verbose shows the tracebacks")


def _identity(record: PluginRecord) -> dict[str, str]:
    return {"plugin": record.name, "kind": record.kind, "from": record.origin}


def _counted(record: PluginRecord) -> str:
    """Return what a plugin provides, with its kernels, of which there are many, only counted."""
    if record.problem:
        return "not loaded, see below"
    kernels = sum("/" in name for name in record.provides)
    others = [name for name in record.provides if "/" not in name]
    return ", ".join([*others, plural(kernels, "kernel")] if kernels else others)
