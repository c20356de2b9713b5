"""The same targets guided by coverage: `python -m fuzz.guided TARGET [OPTIONS OF LIBFUZZER]`, for example -runs=100000.

Needs atheris (`pip install atheris`). Inputs that reach new lines of cnnrt are kept and changed further, which finds
what blind changes would take too long to find. What is not a CnnrtError ends the run, and libFuzzer saves the input.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
import warnings
from contextlib import nullcontext
from pathlib import Path
from random import Random
from typing import Any

from fuzz.mutations import mutated

OWN = ["cnnrt", "cnnrt_import_caffe", "netfile_spec"]
"""Packages whose lines count as reached or not."""

FRESH = 0.1
"""Share of inputs that are made anew rather than changed."""


def main() -> None:
    """Run until something is found, or as long as the options say."""
    try:
        atheris: Any = importlib.import_module("atheris")  # it states no types, and few have it
    except ImportError:
        raise SystemExit("this needs atheris: pip install atheris") from None
    with atheris.instrument_imports(include=OWN):
        from fuzz.targets import find
    from netfile_spec import CnnrtError, CnnrtWarning

    target = find(sys.argv[1])
    folder = Path(tempfile.mkdtemp(prefix="cnnrt-fuzz-"), "model")
    folder.mkdir()
    warnings.simplefilter("error")
    warnings.simplefilter("ignore", CnnrtWarning)
    target.prepare(folder)

    def change(data: bytes, most: int, seed: int) -> bytes:
        random = Random(seed)
        changed = target.make(random) if random.random() < FRESH else mutated(random, data, [target.make(random)])
        return changed[:most]

    def read(data: bytes) -> None:
        try:
            target.read(data, folder, nullcontext)
        except CnnrtError:
            return

    atheris.Setup([sys.argv[0], "-max_len=65536", "-timeout=10", *sys.argv[2:]], read, custom_mutator=change)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
