"""Time and peak memory of loading AlexNet's fc6 (37.7 million weights), in both layouts.

    python benchmarks/load_parameters.py [--folder DIR]

The files (189 MB as CNNdroid's scripts wrote them, the same with every tenth weight an integer as lua-MessagePack
writes whole numbers, 151 MB in cnnrt's layout) are made in a temporary folder first, and so are read from the page
cache: the figures are about decoding, not about the disk. Each loading runs in a process of its own. The peak is what
the process grew by, divided by the bytes of the tensor.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgpack
import numpy as np

from netfile_spec import open_parameters, write_parameters

SHAPE = (4096, 9216)
REPEATS = 3
CASES = ("cnndroid", "mixed", "cnnrt", "mapped")


def main() -> None:
    """Make the files, load each in a process of its own, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", help="where the files go for the time being (520 MB)")
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        print(json.dumps(measure(arguments.case, arguments.file)))
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        files = make_files(Path(folder))
        print(f"{'file':<10}{'MB':>8}{'open s':>10}{'load s':>10}{'peak / tensor':>16}")
        for case in CASES:
            runs = [run(case, files[case]) for _ in range(REPEATS)]
            best = min(runs, key=lambda figures: figures["open"] + figures["load"])
            peak = max(figures["peak"] for figures in runs)
            size = files[case].stat().st_size / 1e6
            print(f"{case:<10}{size:>8.1f}{best['open']:>10.4f}{best['load']:>10.3f}{peak:>16.2f}")


def make_files(folder: Path) -> dict[str, Path]:
    """Write fc6 as each case has it, and return the files."""
    weight = np.random.default_rng(6).standard_normal(SHAPE, dtype=np.float32)
    bias = np.zeros(SHAPE[0], np.float32)
    files = {case: folder / f"{case}.msg" for case in CASES}
    write_parameters(files["cnndroid"], {"weight": weight, "bias": bias}, layout="cnndroid")
    write_parameters(files["cnnrt"], {"weight": weight, "bias": bias})
    files["mapped"] = files["cnnrt"]
    with files["mixed"].open("wb") as stream:
        packer = msgpack.Packer(use_single_float=True, autoreset=True)
        stream.write(packer.pack_array_header(weight.size))
        for row in weight:
            numbers = row.tolist()
            numbers[::10] = [0] * len(numbers[::10])
            stream.write(b"".join(map(packer.pack, numbers)))
        stream.write(packer.pack([0] * bias.size))
    return files


def run(case: str, file: Path) -> dict[str, float]:
    """Measure one case in a fresh process."""
    command = [sys.executable, __file__, "--case", case, "--file", str(file)]
    figures: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return figures


def measure(case: str, file: Path) -> dict[str, float]:
    """Return seconds to open and to load the weights, and the growth of this process in tensors."""
    before = peak_bytes()
    start = time.perf_counter()
    with open_parameters(file) as parameters:
        opened = time.perf_counter()
        weight = parameters.map(0) if case == "mapped" else parameters.load(0)
        loaded = time.perf_counter()
    return {"open": opened - start, "load": loaded - opened, "peak": (peak_bytes() - before) / weight.nbytes}


def peak_bytes() -> int:
    """Return the most memory that this process has held at once (Linux only).

    Not getrusage: its ru_maxrss starts with what the parent held when it started this process.
    """
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


if __name__ == "__main__":
    main()
