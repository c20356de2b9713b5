"""Packages of VELES: contents.json by its own words, arrays, in all kinds of archive."""

from __future__ import annotations

import json
from contextlib import nullcontext, suppress
from copy import copy
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from cnnrt_import_veles.conformance import convolution, dense, package_of, pooling, unit, written
from cnnrt_import_veles.importer import VelesImporter
from cnnrt_import_veles.units import SUPPORTED
from fuzz.mutations import mutated
from fuzz.target import Guarded, Target
from fuzz.text_mutations import mutated_tokens
from netfile_spec import CnnrtError

_ODD: tuple[Any, ...] = (None, 7, -1, "", "@gone", "@../../etc/passwd", [], {}, True, 1e300)
_WORDS = ("@w", "null", "[", "{", "9" * 400, '"units"', '"links"', "-1", "1e999", "NaN", '"\\ud800"')


def _unit(random: Random, number: int, count: int) -> dict[str, Any]:
    kind = random.choice((*SUPPORTED, "Deconv", ""))
    links = [number + 1] if number + 1 < count else []
    if random.random() < 0.1:
        links = [random.choice((0, 99))]
    made = _stated(random, kind, links)
    if random.random() < 0.2:
        made[random.choice(("class", "data", "links"))] = copy(random.choice(_ODD))
    if random.random() < 0.2 and isinstance(made["data"], dict):
        key = random.choice((*made["data"], "weights", "bias", "include_bias", "weights_transposed"))
        made["data"][key] = copy(random.choice(_ODD))
    return made


def _stated(random: Random, kind: str, links: list[int]) -> dict[str, Any]:
    """Return a unit of this kind with what the kind states."""
    if kind.startswith("Conv"):
        return convolution(kind, "k", "b", *links, padding=[random.randrange(3) for _ in range(4)])
    if kind.endswith("Pooling"):
        return pooling(kind, *links)
    if kind.startswith("All2All"):
        layer = random.choice(("", "2"))
        return dense(kind, f"w{layer}", f"b{layer}", *links)
    return unit(kind, *links, padding=[1, 0, 1, 0], factor=random.choice((2, 0.5)), n=random.randrange(6))


def _make(random: Random) -> bytes:
    """Return contents.json and w.npy as JSON; an archive is made of them where they are read."""
    arrays = {"w": np.zeros((4, 6), "<f2"), "b": np.zeros(4, "<f4"), "w2": np.zeros((3, 4)), "b2": np.zeros(3, "|u1")}
    arrays["k"] = np.zeros((4, 9 * random.choice((1, 4))), "<f4")
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
    tuple(f"plugins/cnnrt_import_veles/{name}.py" for name in ("contents", "images", "reading", "units")),
)
