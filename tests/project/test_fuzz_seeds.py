"""The fuzzing harness, for a few seconds under a fixed seed: no reader lets anything through, and every guard bites.

`make fuzz` runs for as long as one likes; docs/security.md tells how long it was run, and what it found.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnrt.vocabulary import vocabulary
from netfile_spec import NetFileError, format_netfile, parse_netfile

READERS = (
    "netfile",
    "prototxt",
    "caffemodel",
    "binaryproto",
    "darknet",
    "graphdef",
    "tensor-bundle",
    "keras",
    "tflite",
    "pytorch",
    "safetensors",
    "onnx",
    "parameters-cnnrt",
    "parameters-cnndroid",
    "npy",
    "npz",
    "image",
    "labels",
    "model-folder",
    "archive",
    "pickle",
    "theano",
    "torch7",
    "veles",
    "cuda-convnet",
    "tuning-pack",
)
FIRST, INPUTS = 100, 120
"""What comes before number 100 are worst cases, which take their time: `make fuzz` reads them."""

FAULTS = {
    "exception": "ValueError: planted",
    "empty-message": "an error of 0 characters",
    "warning": "warns: RuntimeWarning: planted",
    "hang": "took more than 0.3 s",
    "memory": "MemoryError",
    "open-outside": "opens /etc/",
    "write": "writes ",
    "code": "runs code of <string>",
    "program": "subprocess.Popen",
    "death": "the worker died (exit code 7)",
}


def fuzz(repository: Path, folder: Path, *arguments: object) -> tuple[int, dict[str, Any]]:
    """Run the harness in processes of its own (its guards cannot be taken off); return exit code and reports."""
    if sys.platform != "linux":
        pytest.skip("the guards need signals and limits of memory, which are complete on Linux only")
    log = folder / "log"
    command = [sys.executable, "-m", "fuzz", *map(str, arguments), "--seed", "3", "--log", str(log)]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=300, check=False)
    assert log.exists(), done.stderr
    reports = [json.loads(line) for line in log.read_text().splitlines()]
    return done.returncode, {report["target"]: report for report in reports}


@pytest.fixture(scope="module")
def reports(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Reports on all readers that the harness knows."""
    return fuzz(
        repository,
        tmp_path_factory.mktemp("fuzz"),
        "--first",
        FIRST,
        "--inputs",
        INPUTS,
        "--seconds",
        250,
        "--limit",
        20,
    )[1]


@pytest.mark.parametrize("reader", READERS)
def test_a_reader_answers_or_says_what_is_wrong(reports: dict[str, Any], reader: str) -> None:
    report = reports[reader]
    assert report["findings"] == []
    assert report["inputs"] == INPUTS
    assert report["read"] > 0
    assert report["refused"] > INPUTS // 3  # hostile they should be


def test_every_reader_is_fuzzed(reports: dict[str, Any]) -> None:
    assert set(reports) == set(READERS)


def test_every_guard_bites(repository: Path, tmp_path: Path) -> None:
    names = [f"planted-{fault}" for fault in FAULTS]
    code, reports = fuzz(repository, tmp_path, *names, "--inputs", 1, "--limit", 0.3)
    assert code == 1
    for name, said in zip(names, FAULTS.values(), strict=True):
        assert any(said in what for _, what in reports[name]["findings"]), reports[name]


# A grammar of NetFiles beside the harness's own: what hypothesis finds, it also makes small.

WORDS = st.sampled_from(
    ("ReLU", "LRN", "Pooling", "data", "a", "max", "true", "1", "-1", "0.5", "9" * 30, "1e400", '"a b"')
)
KEYS = st.sampled_from(
    ("type", "name", "bottom", "top", "pad", "stride", "kernel_size", "local_size", "pool", "beta", "x")
)


def _entries(lines: Sequence[tuple[str, str]]) -> str:
    return "\n".join(f"  {key}: {value}" for key, value in lines)


VALUES = WORDS | st.lists(WORDS, max_size=4).map(lambda items: f"[{', '.join(items)}]")
BLOCKS = st.builds(
    lambda kind, lines: f"{kind} {{\n{_entries(lines)}\n}}",
    st.sampled_from(("layer", "input", "Layer", "other")),
    st.lists(st.tuples(KEYS, VALUES), max_size=6),
)


@settings(max_examples=150)
@given(st.lists(BLOCKS, max_size=5), st.booleans())
def test_what_the_grammar_makes_is_refused_or_read_and_then_survives_being_written(
    blocks: list[str], versioned: bool
) -> None:
    text = "\n".join([*(["netfile_version: 1"] if versioned else []), *blocks])
    try:
        netfile = parse_netfile(text, vocabulary())
    except NetFileError:
        return
    if versioned:
        assert parse_netfile(format_netfile(netfile), vocabulary()) == netfile
