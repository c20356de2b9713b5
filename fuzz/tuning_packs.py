"""Packs of measurements, as one machine hands them to another: read, remembered, listed, written again."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from random import Random
from typing import Any

from cnnrt.tuning.packs import FORMAT, LARGEST_PACK, VERSION, export_pack, import_pack, is_measurement_key
from cnnrt.tuning.record import record_from
from cnnrt.tuning.store import LONGEST_VALUE, Store
from fuzz.mutations import INTEGERS, mutated
from fuzz.target import Guarded, Target
from fuzz.text_mutations import mutated_tokens

_ODD: tuple[Any, ...] = (None, True, "", "x", "\ud800", "\0", "../x", [], [[]], {}, 0.0, -1, 1e-320, 1e308, -0.0)
_ODD += (*INTEGERS, 10**400, [1] * 50, {"a": {"b": []}}, "x" * 5000)


def _measurement(random: Random) -> dict[str, Any]:
    """Return a measurement as `cnnrt tuning export` writes it."""
    tensor = ["float32", random.choice((1, 16)), random.randint(1, 64), 8, 8]
    kernels = random.sample(("direct", "winograd3x5", "panels", "tile"), random.randint(1, 3))
    competitor = {"source": "5f3a", "device": "threaded:cpu; AMD EPYC", "tunables": [["tile", 1, 2, 4], ["order", "a"]]}
    timed = [
        {
            "device": "threaded:cpu",
            "kernel": f"threaded/{name}",
            "tuning": random.choice(({}, {"tile": 2}, {"order": "a"})),
            "seconds": random.choice((1e-5, 0.002, 3)),
            "noise": 1e-6,
            "rounds": random.randint(1, 30),
        }
        for name in kernels
    ]
    call = {
        "layer": "Convolution(kernel_size=3)",
        "folded": random.choice(([], ["ReLU(negative_slope=0.0)"])),
        "inputs": [tensor],
        "outputs": [[*tensor, "pitch 128"]],
        "weights": {"weight": ["float32", 8, 3, 3, 3]},
    }
    space = [{**competitor, "kernel": f"Convolution/threaded/{name}"} for name in kernels]
    value = {"timed": timed, "winner": 0, "default": len(timed) - 1, "batch": random.choice((1, 16, None))}
    return {"key": {"call": call, "threads": random.choice((None, 2)), "space": space}, "value": value}


def _spoiled(random: Random, value: Any) -> Any:
    """Return plain values of which one, at some depth, is another, is missing, or is there twice."""
    if isinstance(value, dict) and value and random.random() < 0.9:
        name = random.choice(list(value))
        changed = {key: _spoiled(random, v) if key == name else v for key, v in value.items()}
        match random.randrange(12):
            case 0:
                del changed[name]
            case 1:
                changed[random.choice(("path", "", "call", name * 2))] = changed.pop(name)
        return changed
    if isinstance(value, list) and value and random.random() < 0.9:
        place = random.randrange(len(value))
        changed_list = [*value[:place], _spoiled(random, value[place]), *value[place + 1 :]]
        return changed_list * (random.choice((2, 100)) if random.random() < 0.1 and len(repr(value)) < 5000 else 1)
    return random.choice(_ODD)


def _make(random: Random) -> bytes:
    pack: Any = {"format": FORMAT, "version": VERSION, "measurements": [_measurement(random) for _ in range(3)]}
    for _ in range(random.choice((0, 1, 1, 1, 2))):
        pack = _spoiled(random, pack)
    text = json.dumps(pack)
    match random.randrange(6):
        case 0:
            return mutated(random, text.encode(), [text.encode()])
        case 1:
            return mutated_tokens(random, text, [text]).encode("utf-8", "surrogatepass")
    return text.encode()


def _read(data: bytes, folder: Path, guarded: Guarded) -> None:
    path = folder / "pack.json"
    path.write_bytes(data)
    with guarded():
        store = Store(None)
        count = import_pack(store, path)
        facts = store.facts("measurement")
        assert len(facts) <= count
        for fact in facts:
            record = record_from(fact.value)
            assert record is not None
            assert is_measurement_key(fact.key)
            assert record.gain >= 0
        assert export_pack(store, folder / "again.json") == len(facts)


def _good(random: Random) -> dict[str, Any]:
    return {"format": FORMAT, "version": VERSION, "measurements": [_measurement(random)]}


def _filled(fill: Callable[[dict[str, Any]], None]) -> bytes:
    pack = _good(Random(0))
    fill(pack)
    return json.dumps(pack).encode()[: LARGEST_PACK + 1]


_CASES: tuple[Callable[[], bytes], ...] = (
    lambda: _filled(lambda pack: pack.update(measurements=pack["measurements"] * 10_000)),
    lambda: _filled(lambda pack: pack.update(measurements=[1] * 5_000_000)),
    lambda: _filled(lambda pack: pack["measurements"][0]["key"]["call"].update(layer="x" * (LONGEST_VALUE - 2000))),
    lambda: _filled(lambda pack: pack.update(more="y" * LARGEST_PACK)),
    lambda: b"[" * LARGEST_PACK,
    lambda: b'{"a":' * (LARGEST_PACK // 5),
    lambda: b"9" * LARGEST_PACK,
    lambda: b'{"version": ' + b"9" * 4300 + b"}",
    lambda: b'"' + b"\\ud800" * (LARGEST_PACK // 6 - 1) + b'"',
)


TARGET = Target(
    "tuning-pack",
    lambda folder: _read(_filled(lambda pack: None), folder, nullcontext),
    _make,
    _read,
    ("cnnrt/tuning/packs.py", "cnnrt/tuning/record.py"),
    writes=True,
    cases=_CASES,
)
