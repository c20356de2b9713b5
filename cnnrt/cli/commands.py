"""The list of commands."""

from __future__ import annotations

import click

from cnnrt import __version__
from cnnrt.cli.command_line import CommandLine


@click.group(
    cls=CommandLine,
    invoke_without_command=True,
    subcommands={
        "convert": "cnnrt.cli.convert:convert",
        "export": "cnnrt.cli.export:export",
        "check": "cnnrt.cli.check:check",
        "show": "cnnrt.cli.show:show",
        "run": "cnnrt.cli.run:run",
        "bench": "cnnrt.cli.bench:bench",
        "compare": "cnnrt.cli.compare:compare",
        "tune": "cnnrt.cli.tune:tune",
        "tuning": "cnnrt.cli.tuning:tuning",
        "devices": "cnnrt.cli.devices:devices",
        "plugins": "cnnrt.cli.plugins:plugins",
        "demo": "cnnrt.cli.demo:demo",
    },
    examples="""
        cnnrt demo
        cnnrt convert deploy.prototxt weights.caffemodel -o lenet
        cnnrt run lenet/net.netfile digit.png
    """,
)
@click.version_option(__version__, message="%(prog)s %(version)s", help="Show the version.")
@click.pass_context
def cnnrt(context: click.Context) -> None:
    """Run trained convolutional networks well on whatever hardware is at hand."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
