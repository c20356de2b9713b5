"""Makes docs/demo.svg, the picture of `cnnrt demo` in the README, from what the demo really prints.

python docs/make_demo_picture.py
"""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from cnnrt.cli.demo import print_demo, read_digits

PICTURE = Path(__file__).with_name("demo.svg")
WIDTH = 100
DIGITS = 14


def main() -> None:
    """Run the demo into a recorded terminal and write the picture."""
    console = Console(
        file=io.StringIO(),
        record=True,
        width=WIDTH,
        force_terminal=True,
        color_system="truecolor",
        highlight=False,
        markup=False,
        emoji=False,
    )
    print_demo(console, read_digits(DIGITS))
    console.save_svg(str(PICTURE), title=f"cnnrt demo --count {DIGITS}")


if __name__ == "__main__":
    main()
