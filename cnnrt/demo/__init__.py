"""The demo's data: a LeNet that reads handwritten digits, and digits that it has never seen in training.

training/README.md in the repository tells how the network was trained, LICENSE-digits.md where the digits are from.
"""

from __future__ import annotations

from pathlib import Path

from cnnrt.errors import CnnrtError

FOLDER = Path(__file__).parent


def demo_netfile() -> Path:
    """Return the path of the demo's NetFile. Raises CnnrtError where the installation lacks it."""
    path = FOLDER / "net.netfile"
    if not path.is_file():
        raise CnnrtError(f"{path}: the demo's data is missing from this installation; install cnnrt again")
    return path


def demo_digits() -> tuple[tuple[str, Path], ...]:
    """Return (digit, path of its picture) for each of the demo's images: 0 to 9, and again.

    Pictures are PNGs of 28×28 pixels, white on black, named after the digit and a number: 7-03.png.
    """
    pictures = sorted(FOLDER.glob("digits/*.png"), key=lambda path: (path.stem.partition("-")[2], path.stem))
    return tuple((path.name[0], path) for path in pictures)
