"""`cnnrt show`: what a network consists of, and how it would run here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnnrt.cli.command_line import Command, tell
from cnnrt.cli.net_options import (
    NetOptions,
    Stated,
    input_hint,
    input_option,
    json_option,
    mode_option,
    net_options,
    netfile_argument,
    shapes_by_name,
    unstated,
)

if TYPE_CHECKING:
    from rich.console import Console

    from cnnrt.net import Net


LABELS_SHOWN = 20


@click.command(
    cls=Command,
    examples="""
        cnnrt show lenet/net.netfile
        cnnrt show AlexNet_def.txt --root alexnet_parameters --input 16,3,227,227 --mode sequential
    """,
)
@netfile_argument
@input_option
@mode_option
@net_options
@json_option
def show(netfile: Path, stated_inputs: Sequence[Stated], mode: str | None, options: NetOptions, as_json: bool) -> None:
    """Show a network's layers, shapes, parameters and operations; which kernels would run it, and in what memory.

    Nothing is computed, and no weights are read.
    """
    from cnnrt.cli.plan_tables import parameter_counts, print_layers, print_memory, print_placement
    from cnnrt.cli.printing import print_json, stdout

    with options.open(netfile, mode) as net:
        shapes = shapes_by_name(net, stated_inputs)
        unknown = unstated(net, shapes)
        plan = None if unknown else net.plan_for(shapes)
        counts = parameter_counts(net.graph)
        if as_json:
            print_json(
                {
                    "file": str(netfile),
                    "name": net.netfile.name,
                    "parameters": counts,
                    "layers": _layers(net),
                    "plan": None if plan is None else plan.to_dict(),
                }
            )
            return
        console = stdout()
        _print_network(console, net, shapes)
        if plan is not None:
            print_layers(console, plan, counts)
            print_placement(console, plan)
            print_memory(console, plan.memory)
            return
        _print_layers_without_shapes(console, net, counts)
        hint = input_hint(unknown, several=len(net.graph.inputs) > 1)
        tell("note", f"the NetFile states no input shape; for shapes, operations and placement add {hint}")


def _print_network(console: Console, net: Net, shapes: Mapping[str, tuple[int, ...]]) -> None:
    from cnnrt.cli.printing import print_facts
    from cnnrt.layer import shape_text

    stated = net.netfile
    inputs = [
        f"{i.name} {shape_text(shapes[i.name]) if i.name in shapes else '(shape not stated)'}" for i in net.graph.inputs
    ]
    facts = {"network": stated.name or net.graph.file}
    if stated.name:
        facts["file"] = net.graph.file
    facts["input"] = ", ".join(inputs)
    facts["output"] = ", ".join(net.graph.outputs)
    if isinstance(stated.labels, str):
        facts["labels"] = stated.labels
    elif stated.labels is not None:
        more = len(stated.labels) - LABELS_SHOWN
        facts["labels"] = ", ".join(stated.labels[:LABELS_SHOWN]) + (f" and {more} more" if more > 0 else "")
    print_facts(console, facts)


def _print_layers_without_shapes(console: Console, net: Net, counts: Mapping[str, int]) -> None:
    from cnnrt.cli.printing import Column, number, print_heading, print_table
    from cnnrt.cli.quantities import scaled

    print_heading(console, "layers")
    columns = [Column("layer"), Column("type"), Column("reads"), number("parameters"), Column("weights", wraps=True)]
    rows = [
        (row["name"], row["type"], ", ".join(row["inputs"]), scaled(counts.get(row["name"], 0)), _weights_text(row))
        for row in _layers(net)
    ]
    print_table(console, columns, [*rows, ("", "", "", scaled(sum(counts.values())), "")])


def _weights_text(row: Mapping[str, Any]) -> str:
    from cnnrt.layer import shape_text

    return ", ".join(f"{name} {shape_text(shape)}" for name, shape in row["weights"].items())


def _layers(net: Net) -> list[dict[str, Any]]:
    return [
        {
            "name": node.name,
            "type": node.layer.type,
            "inputs": node.inputs,
            "weights": node.weights.shapes if node.weights else {},
        }
        for node in net.graph.nodes
    ]
