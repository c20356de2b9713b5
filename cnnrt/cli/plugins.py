"""`cnnrt plugins`: what is installed, provided, or failed; its subcommands grade plugins and begin new ones."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import attrs
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
    exit_codes={0: "done, whether or not plugins failed or can be used"},
)
@click.option("-v", "--verbose", is_flag=True, help="Show every kernel, and the tracebacks of plugins that failed.")
@json_option
@click.pass_context
def plugins(context: click.Context, verbose: bool, as_json: bool) -> None:
    """List the plugins, built-in ones included: kind, origin, what each provides, or why it cannot be used."""
    from cnnrt.cli.printing import print_json, stdout
    from cnnrt.errors import PluginWarning
    from cnnrt.plugin_problems import unusable
    from cnnrt.plugins import plugin_host

    if context.invoked_subcommand is not None:
        if verbose or as_json:
            option = "--json" if as_json else "--verbose"
            raise click.UsageError(f"{option} belongs behind {context.invoked_subcommand}", context)
        return
    host = plugin_host()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PluginWarning)  # what failed is listed below
        listed = [_Listed(record, unusable(host, record)) for record in host.records()]
    if as_json:
        plugins = [{**attrs.asdict(p.record), "unusable": p.unusable} for p in listed]
        print_json({"plugins": plugins, "collisions": host.collisions()})
        return
    _print(stdout(), listed, host.collisions(), verbose)


@attrs.frozen
class _Listed:
    """A plugin, and what of it cannot be used here, with the reason."""

    record: PluginRecord
    unusable: Mapping[str, str]

    @property
    def identity(self) -> dict[str, str]:
        """What it is called, its kind, and the distribution that it comes from."""
        return {"plugin": self.record.name, "kind": self.record.kind, "from": self.record.origin}

    @property
    def counted(self) -> str:
        """What it provides, with its kernels, of which there are many, only counted; marked where it is unusable."""
        if self.record.problem:
            return "not loaded, see below"
        kernels = sum("/" in name for name in self.record.provides)
        mark = dict.fromkeys(self.unusable, " (not usable here)")
        others = [name + mark.get(name, "") for name in self.record.provides if "/" not in name]
        return ", ".join([*others, plural(kernels, "kernel")] if kernels else others)


def _print(console: Console, plugins: Sequence[_Listed], collisions: Sequence[str], verbose: bool) -> None:
    from cnnrt.cli.printing import Column, print_facts, print_heading, print_table

    if verbose:
        for p in plugins:
            r = p.record
            print_facts(console, {**p.identity, "provides": ", ".join(r.provides), "module": r.module, "path": r.path})
            console.print()
    else:
        columns = [Column("plugin"), Column("kind"), Column("from"), Column("provides", wraps=True)]
        print_table(console, columns, [(*p.identity.values(), p.counted) for p in plugins])
    reasons = {f"  {name} ({p.record.kind})": why for p in plugins for name, why in p.unusable.items()}
    if reasons:
        print_heading(console, "not usable here")
        print_facts(console, reasons)
    left_out = [p.record for p in plugins if p.record.problem]
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
