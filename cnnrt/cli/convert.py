"""`cnnrt convert`: another framework's model, as a NetFile and parameter files."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cnnrt.cli.command_line import FAILED, Command, printable
from cnnrt.cli.net_options import json_option
from cnnrt.cli.option_types import PATH, Number

if TYPE_CHECKING:
    from cnnrt.conversion import Conversion
    from cnnrt.net import Net
    from cnnrt.verification import Verification
    from netfile_spec import Layout


def _mean(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[float, ...] | Path | None:
    """Return the numbers for each channel, or a path where it is not numbers alone."""
    if value is None:
        return None
    try:
        return tuple(float(part) for part in value.split(","))
    except ValueError:
        return Path(value)


def _size(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """Return (height, width) of "224x320", or of one number for both."""
    if value is None:
        return None
    parts = value.lower().split("x")
    if len(parts) > 2 or not all(part.isascii() and part.isdigit() and int(part) for part in parts):
        raise click.BadParameter(f"{value!r}: expected HEIGHTxWIDTH, as in 224x320, or one number for both")
    return int(parts[0]), int(parts[-1])


@click.command(
    cls=Command,
    examples="""
        cnnrt convert deploy.prototxt weights.caffemodel -o alexnet --mean 104,117,123 --channel-order bgr
        cnnrt convert lenet.prototxt lenet.caffemodel -o lenet --scale 0.00390625 --layout cnndroid
        cnnrt convert net.cfg net.weights -o net --verify reference.npz
        cnnrt convert weights.npz --topology layers.netfile --no-flip-kernels -o net
    """,
    exit_codes={1: "the model cannot be converted: everything that stands in the way is listed; or --verify differs"},
)
@click.argument("files", nargs=-1, required=True, type=PATH, metavar="FILE...")
@click.option(
    "-o",
    "--output",
    "folder",
    required=True,
    type=PATH,
    metavar="DIR",
    help="Folder to write; it gets net.netfile and the parameter files.",
)
@click.option("--importer", metavar="NAME", help="Importer to use, where several recognise the files.")
@click.option(
    "--layout",
    type=click.Choice(["cnnrt", "cnndroid"]),
    default="cnnrt",
    show_default=True,
    help="Layout of the parameter files; cnndroid's is read by CNNdroid too.",
)
@click.option(
    "--mean",
    callback=_mean,
    metavar="A,B,C|FILE",
    help="What is subtracted from pixels: a number for each channel, or a mean image.",
)
@click.option("--scale", type=Number(), metavar="X", help="Factor after the mean was subtracted.")
@click.option("--channel-order", type=click.Choice(["rgb", "bgr", "gray"]), help="Order of an image's channels.")
@click.option("--size", callback=_size, metavar="HxW|N", help="Size that images are brought to.")
@click.option(
    "--topology",
    type=PATH,
    metavar="NETFILE",
    help="Layers of files that hold weights alone; they may leave out parameters_file.",
)
@click.option(
    "--flip-kernels/--no-flip-kernels",
    default=None,
    help="With --topology: whether kernels are mirrored. By default as the format has it; notes say which.",
)
@click.option("--labels", type=PATH, metavar="FILE", help="Names of the classes, one a line.")
@click.option(
    "--verify",
    "reference",
    type=PATH,
    metavar="FILE.npz",
    help="Compare with the original framework: inputs, and values by the names of layers.",
)
@click.option(
    "--tolerance",
    type=Number(min=0, min_open=True),
    metavar="X",
    help="With --verify: largest difference by largest value. By default 1e-5.",
)
@click.option(
    "--trust", is_flag=True, help="Read FILE though that may run code that is in it: .pt2, programs of torch.export."
)
@click.option("--overwrite", is_flag=True, help="Replace DIR and all that is in it.")
@json_option
@click.pass_context
def convert(
    context: click.Context,
    files: Sequence[Path],
    folder: Path,
    importer: str | None,
    layout: Layout,
    mean: tuple[float, ...] | Path | None,
    scale: float | None,
    channel_order: str | None,
    size: tuple[int, int] | None,
    topology: Path | None,
    flip_kernels: bool | None,
    labels: Path | None,
    reference: Path | None,
    tolerance: float | None,
    trust: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Convert another framework's model into a NetFile and parameter files.

    Models rarely state how images become numbers: say it here with --mean, --scale, --channel-order and --size, and
    name the classes with --labels. value = (pixel - mean) * scale, with pixels 0..255.
    """
    from cnnrt.cli.printing import print_json
    from cnnrt.cli.progress import progress
    from cnnrt.conversion import convert as convert_model
    from cnnrt.net import Net
    from cnnrt.stated_preprocessing import PreprocessingOptions

    options = PreprocessingOptions(mean, scale, channel_order, size, labels)
    with progress("converting"):
        done = convert_model(
            list(files),
            folder,
            layout=layout,
            options=options,
            importer=importer,
            topology=topology,
            flip_kernels=flip_kernels,
            overwrite=overwrite,
            trust=trust,
        )
    verification = _verified(done, reference, tolerance)
    with Net(done.netfile) as net:
        if as_json:
            print_json(
                {
                    "netfile": str(done.netfile),
                    "importer": done.importer,
                    "layout": layout,
                    "layers": len(net.graph.nodes),
                    "parameters": _parameters(net),
                    "files": _parameter_files(net),
                    "notes": done.notes,
                    **({} if verification is None else {"verification": verification.to_dict()}),
                }
            )
        else:
            _report(done, net, layout, verification)
    if verification is not None and verification.first_difference is not None:
        context.exit(FAILED)


def _verified(done: Conversion, reference: Path | None, tolerance: float | None) -> Verification | None:
    """Compare the network with a reference, where one is given; the folder stays, whatever comes of it."""
    if reference is None:
        if tolerance is not None:
            raise click.UsageError("--tolerance is for --verify")
        return None
    from cnnrt.cli.array_files import read_npz
    from cnnrt.net import Net
    from cnnrt.verification import TOLERANCE, verify

    arrays = read_npz(reference)
    with Net(done.netfile) as net:
        return verify(net, arrays, tolerance=tolerance or TOLERANCE)


def _report(done: Conversion, net: Net, layout: str, verification: Verification | None) -> None:
    from cnnrt.cli.printing import print_facts, print_heading, stdout
    from cnnrt.cli.quantities import plural, scaled, size
    from cnnrt.cli.verification_table import print_verification

    console = stdout()
    files = _parameter_files(net)
    stored = size(sum((net.root / name).stat().st_size for name in files))
    count = scaled(_parameters(net))
    print_facts(
        console,
        {
            "wrote": str(done.netfile),
            "importer": done.importer,
            "layers": str(len(net.graph.nodes)),
            "parameters": f"{count}, {stored} in {plural(len(files), 'file')} (layout {layout})",
        },
    )
    if done.notes:
        print_heading(console, "notes")
        for note in done.notes:
            click.echo(f"  {printable(note)}")
    if verification is not None:
        print_verification(console, verification)
    print_heading(console, "next")
    path = shlex.quote(str(done.netfile))
    shape = "" if all(i.shape is not None for i in net.graph.inputs) else " --input 1,3,227,227"
    click.echo(f"  cnnrt show {path}{shape}")
    click.echo(f"  cnnrt run {path} IMAGE")
    if not _states_preprocessing(net):
        click.echo(
            "\nThe NetFile states no preprocessing. If the network was trained on anything but raw pixels 0..255,\n"
            "convert again with --mean, --scale and --channel-order (and --overwrite)."
        )


def _states_preprocessing(net: Net) -> bool:
    return any(b.channel_order or b.mean or b.mean_file or b.scale for b in net.netfile.inputs)


def _parameters(net: Net) -> int:
    sources = {node.weights.path: node.weights for node in net.graph.nodes if node.weights}
    return sum(source.nbytes // 4 for source in sources.values())


def _parameter_files(net: Net) -> list[str]:
    return list(dict.fromkeys(layer.parameters_file for layer in net.netfile.layers if layer.parameters_file))
