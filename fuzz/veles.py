"""Packages of VELES: contents.json by its own words, arrays, in all kinds of archive."""

from __future__ import annotations

import json
from contextlib import nullcontext, suppress
from copy import copy
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from cnnrt_import_veles.conformance import dense, package_of, written
from cnnrt_import_veles.importer import VelesImporter
from cnnrt_import_veles.units import SUPPORTED
from fuzz.mutations import mutated
from fuzz.target import Guarded, Target
from fuzz.text_mutations import mutated_tokens
from netfile_spec import CnnrtError

_ODD: tuple[Any, ...] = (None, 7, -1, "", "@gone", "@../../etc/passwd", [], {}, True, 1e300)
_WORDS = ("@w", "null", "[", "{", "9" * 400, '"units"', '"links"', "-1", "1e999", "NaN", '"\\ud800"')


def _unit(random: Random, number: int, count: int) -> dict[str, Any]:
    kind = random.choice((*SUPPORTED, "Conv", ""))
    links = [number + 1] if number + 1 < count else []
    if random.random() < 0.1:
        links = [random.choice((0, 99))]
    layer = random.choice(("", "2"))
    unit = dense(kind, f"w{layer}", f"b{layer}", *links)
    if random.random() < 0.2:
        unit[random.choice(("class", "data", "links"))] = copy(random.choice(_ODD))
    if random.random() < 0.2 and isinstance(unit["data"], dict):
        unit["data"][random.choice(("weights", "bias", "include_bias", "weights_transposed"))] = copy(
            random.choice(_ODD)
        )
    return unit


def _make(random: Random) -> bytes:
    """Return contents.json and w.npy as JSON; an archive is made of them where they are read."""
    arrays = {"w": np.zeros((4, 6), "<f2"), "b": np.zeros(4, "<f4"), "w2": np.zeros((3, 4)), "b2": np.zeros(3, "|u1")}
    count = random.choice((0, 1, 1, 2, 2, 3))
    files = package_of([_unit(random, number, count) for number in range(count)], arrays)
    if random.random() < 0.4:
        text = files["contents.json"].decode()
        files["contents.json"] = mutated_tokens(random, text, (), _WORDS).encode("utf-8", "replace")
    if random.random() < 0.4:
        name = random.choice(tuple(files))
        files[name] = mutated(random, files[name], list(files.values()))
    kind = random.choice(("zip", "tar.gz", "tar"))
    return json.dumps([kind, {name: content.hex() for name, content in files.items()}]).encode()


def _prepare(folder: Path) -> None:
    for i in range(60):
        with suppress(CnnrtError):
            _read(_make(Random(i)), folder, nullcontext)


def _read(data: bytes, folder: Path, guarded: Guarded) -> None:
    kind, files = json.loads(data)
    path = written(folder / f"x.{kind}", {name: bytes.fromhex(content) for name, content in files.items()})
    importer = VelesImporter()
    with guarded():
        importer.recognises([path])
        importer.read([path])


TARGET = Target(
    "veles",
    _prepare,
    _make,
    _read,
    ("plugins/cnnrt_import_veles/contents.py", "plugins/cnnrt_import_veles/units.py"),
)
