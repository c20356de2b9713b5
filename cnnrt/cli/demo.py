"""`cnnrt demo`: a trained LeNet reads handwritten digits, and shows its receipt."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from cnnrt.cli.command_line import Command
from cnnrt.cli.narrow_encodings import writable
from cnnrt.cli.net_options import json_option, mode_option

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from cnnrt.plan import Plan


@attrs.frozen
class _Look:
    """How a picture is shown: so many pixels left out on each side, where digits are black, and so many columns."""

    margin: int
    columns: int


GREY = _Look(margin=2, columns=12)
BLACK_AND_WHITE = _Look(margin=3, columns=22)
"""Without shades of grey only full size is legible."""
GAP = "  "
WIDTH_OF_PIPE = 100
MOST_IN_A_ROW = 10


@attrs.frozen
class Reading:
    """What the network read in one picture: its answer for the true digit, and how long that took."""

    digit: str
    file: Path
    answer: str
    confidence: float
    seconds: float

    @property
    def right(self) -> bool:
        """Whether the answer is the digit."""
        return self.answer == self.digit


@attrs.frozen
class Demo:
    """All readings, the plan by which they were computed, and the seconds until the first one could begin."""

    readings: tuple[Reading, ...]
    plan: Plan
    load_seconds: float

    @property
    def right(self) -> int:
        """How many answers are right."""
        return sum(reading.right for reading in self.readings)

    @property
    def median_seconds(self) -> float:
        """Median seconds for an image, each computed alone."""
        return statistics.median(reading.seconds for reading in self.readings)


@click.command(
    cls=Command,
    examples="""
        cnnrt demo
        cnnrt demo --count 10 --mode sequential
    """,
)
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="Read only the first N digits.")
@mode_option
@json_option
def demo(count: int | None, mode: str | None, as_json: bool) -> None:
    """Let a trained LeNet read handwritten digits that it has never seen.

    Each picture is shown with the answer, the network's confidence, and whether it is right; then which kernel ran each
    layer and why, the memory, and the time. Network and digits come with cnnrt: nothing is downloaded.
    """
    from cnnrt.cli.printing import print_json, stdout

    read = read_digits(count, mode)
    if as_json:
        print_json(_as_dict(read))
        return
    print_demo(stdout(), read)


def read_digits(count: int | None = None, mode: str | None = None) -> Demo:
    """Classify the demo's digits, one at a time; `count`: only so many of them."""
    from cnnrt.demo import demo_digits, demo_netfile
    from cnnrt.labels import read_labels
    from cnnrt.net import Net
    from cnnrt.preprocessing import preprocessing

    started = time.perf_counter()
    with Net(demo_netfile(), execution_mode=mode) as net:
        plan = net.prepare()
        load_seconds = time.perf_counter() - started
        labels = read_labels(net.netfile, net.root) or ()
        reader = preprocessing(net.netfile.inputs[0], net.root)
        readings = []
        for digit, file in demo_digits()[:count]:
            image = reader.load(file)
            started = time.perf_counter()
            probabilities = net.compute(image)
            seconds = time.perf_counter() - started
            best = int(probabilities.argmax())
            readings.append(Reading(digit, file, labels[best], float(probabilities[best]), seconds))
    return Demo(tuple(readings), plan, load_seconds)


def print_demo(console: Console, read: Demo) -> None:
    """Print pictures with answers, then the receipt."""
    from cnnrt.cli.plan_tables import print_memory, print_placement
    from cnnrt.cli.printing import print_facts
    from cnnrt.cli.quantities import milliseconds

    _print_pictures(console, read.readings)
    facts = {
        "right": f"{read.right} of {len(read.readings)}",
        "load": f"{milliseconds(read.load_seconds)} ms until the first digit could be read",
        "each digit": f"{milliseconds(read.median_seconds)} ms (median, one at a time)",
    }
    wrong = [f"{r.file.name} is a {r.digit}, read as {r.answer}" for r in read.readings if not r.right]
    if wrong:
        facts["wrong"] = "; ".join(wrong)
    print_facts(console, facts)
    print_placement(console, read.plan)
    print_memory(console, read.plan.memory)


def _print_pictures(console: Console, readings: Sequence[Reading]) -> None:
    from cnnrt.cli.half_blocks import UPPER

    plain = console.no_color or console.color_system is None or writable(UPPER, console.encoding) != UPPER
    look = BLACK_AND_WHITE if plain else GREY
    width = console.width if console.is_terminal else WIDTH_OF_PIPE
    in_a_row = max(1, min(MOST_IN_A_ROW, (width + len(GAP)) // (look.columns + len(GAP))))
    for start in range(0, len(readings), in_a_row):
        shown = [_shown(reading, look, console.encoding) for reading in readings[start : start + in_a_row]]
        for parts in zip(*shown, strict=True):
            line = parts[0]
            for part in parts[1:]:
                line = line + GAP + part
            if not console.is_terminal:
                line.rstrip()
            console.print(line, overflow="crop", no_wrap=True)
        console.print()


def _shown(reading: Reading, look: _Look, encoding: str) -> list[Text]:
    """Return the lines of a picture, with the answer below it."""
    import numpy as np
    from PIL import Image
    from rich.text import Text

    from cnnrt.cli.half_blocks import picture

    with Image.open(reading.file) as image:
        box = (look.margin, look.margin, image.width - look.margin, image.height - look.margin)
        pixels = image.convert("L").crop(box).resize((look.columns, look.columns), Image.Resampling.BOX)
    mark, style = ("\N{CHECK MARK}", "green") if reading.right else ("\N{BALLOT X}", "bold red")
    caption = writable(f"{reading.answer} {100 * reading.confidence:5.1f} %  {mark}", encoding)
    return [*picture(np.asarray(pixels), grey=look is GREY), Text(caption.ljust(look.columns), style)]


def _as_dict(read: Demo) -> dict[str, Any]:
    return {
        "digits": [
            {
                "file": r.file.name,
                "digit": r.digit,
                "answer": r.answer,
                "confidence": r.confidence,
                "right": r.right,
                "seconds": r.seconds,
            }
            for r in read.readings
        ],
        "right": read.right,
        "accuracy": read.right / len(read.readings),
        "load_seconds": read.load_seconds,
        "median_seconds": read.median_seconds,
        "plan": read.plan.to_dict(),
    }
