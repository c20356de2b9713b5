"""`cnnrt export`: a network, in the form of another framework."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from cnnrt.cli.command_line import Command, printable
from cnnrt.cli.net_options import Stated, input_option, json_option, netfile_argument, root_option, shapes_by_name
from cnnrt.cli.option_types import PATH


@click.command(
    cls=Command,
    examples="""
        cnnrt export lenet --to onnx -o lenet.onnx
        cnnrt export AlexNet_def.txt --root alexnet_parameters --input 1,3,227,227 --to onnx -o alexnet.onnx
        cnnrt export lenet --to cnndroid -o lenet_for_android
    """,
    exit_codes={1: "the network cannot be exported: everything that stands in the way is listed"},
)
@netfile_argument
@click.option("--to", "exporter", required=True, metavar="NAME", help="Format to write: onnx or cnndroid.")
@click.option(
    "-o",
    "--output",
    "target",
    required=True,
    type=PATH,
    metavar="PATH",
    help="File to write; for cnndroid, a folder.",
)
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
@root_option
@input_option
@json_option
def export(
    netfile: Path,
    exporter: str,
    target: Path,
    overwrite: bool,
    root: Path | None,
    stated_inputs: Sequence[Stated],
    as_json: bool,
) -> None:
    """Write a network as a model of another framework."""
    from cnnrt.cli.printing import print_facts, print_heading, print_json, stdout
    from cnnrt.export import export as export_network
    from cnnrt.net import Net

    with Net(netfile, root_directory=root) as net:
        items = {name: shape[1:] for name, shape in shapes_by_name(net, stated_inputs).items()}
    done = export_network(netfile, target, to=exporter, inputs=items, root_directory=root, overwrite=overwrite)
    if as_json:
        print_json({"target": str(done.target), "exporter": done.exporter, "notes": done.notes})
        return
    print_facts(stdout(), {"wrote": str(done.target), "exporter": done.exporter})
    if done.notes:
        print_heading(stdout(), "notes")
        for note in done.notes:
            click.echo(f"  {printable(note)}")
