"""`cnnrt check`: everything that is wrong with a model, at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from cnnrt.cli.command_line import FAILED, Command, tell
from cnnrt.cli.net_options import Stated, input_option, json_option, netfile_argument, root_option


@click.command(
    cls=Command,
    examples="""
        cnnrt check lenet/net.netfile
        cnnrt check AlexNet_def.txt --root alexnet_parameters --input 1,3,227,227
    """,
    exit_codes={0: "nothing is wrong", 1: "something is wrong: all of it is listed"},
)
@netfile_argument
@root_option
@input_option
@json_option
@click.pass_context
def check(
    context: click.Context, netfile: Path, root: Path | None, stated_inputs: Sequence[Stated], as_json: bool
) -> None:
    """Check a NetFile, the shapes of its layers, and every byte of its parameter files."""
    from cnnrt.cli.model_check import check_model
    from cnnrt.cli.printing import print_facts, print_json, stdout
    from cnnrt.errors import describe_problem

    found = check_model(netfile, root, stated_inputs)
    if as_json:
        print_json(found.to_dict())
        context.exit(FAILED if found.problems else 0)
    if found.problems:
        for problem in found.problems:
            tell("error", describe_problem(problem, found.file, found.source))
        if len(found.problems) > 1:
            click.echo(f"{found.file}: {len(found.problems)} problems", err=True)
        context.exit(FAILED)
    print_facts(stdout(), {"good": found.file, **found.facts})
    for note in found.notes:
        tell("note", note)
