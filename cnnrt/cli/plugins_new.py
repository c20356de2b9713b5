"""`cnnrt plugins new`: a small, complete plugin to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from cnnrt.cli.command_line import Command
from cnnrt.cli.option_types import PATH

if TYPE_CHECKING:
    from cnnrt.plugin_template import Kind, PluginName


@click.command(
    cls=Command,
    examples="""
        cnnrt plugins new layer soft-shrink
        cnnrt plugins new backend numexpr -o numexpr-backend
        cnnrt plugins new importer plain-text
        cnnrt plugins new meter wall-plug
    """,
)
@click.argument("kind", type=click.Choice(["layer", "backend", "importer", "meter"]))
@click.argument("name")
@click.option("-o", "folder", type=PATH, metavar="DIR", help="Where to write it; by default its own name.")
def new(kind: str, name: str, folder: Path | None) -> None:
    """Write a plugin to begin with: a distribution with its module, README and tests, which pass.

    NAME is written with dashes (soft-shrink); of a layer, it gives the type SoftShrink.
    """
    from cnnrt.plugin_template import plugin_name, write_plugin

    chosen = plugin_name(cast("Kind", kind), name)
    _refuse_taken(chosen)
    target = folder or Path(chosen.distribution)
    for file in write_plugin(chosen, target):
        click.echo(target / file)
    shown = chosen.camel if kind == "layer" else chosen.dashed
    click.echo(f"\nnext:\n  pip install -e '{target}[test]'\n  cnnrt plugins verify {shown}")


def _refuse_taken(name: PluginName) -> None:
    """Raise InputError for a name that an installed plugin has: two of one name would both be left out."""
    from cnnrt.errors import InputError
    from cnnrt.plugins import plugin_host

    host = plugin_host()
    origins = {
        "layer": host.layers().origins,
        "backend": host.backends().origins,
        "importer": host.importers().origins,
        "meter": host.meters().origins,
    }[name.kind]
    key = name.camel.lower() if name.kind == "layer" else name.dashed
    if key in origins:
        raise InputError(
            f"{origins[key]} provides a {name.kind} named {name.dashed!r} already; two of one name would "
            f"both be left out: choose another name"
        )
