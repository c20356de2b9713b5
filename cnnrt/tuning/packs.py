"""Packs: measurements as JSON, to hand from one machine to its like. Whatever a pack says, it cannot make a result
wrong.

A measurement chooses among kernels that are here and parameters that their search space holds, and it counts only where
device, driver, sources and shapes are the same. Verifications and quarantines stay where they were found out.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeGuard

from cnnrt.arguments import is_count
from cnnrt.errors import CnnrtError, InputError
from cnnrt.tuning.record import record_from
from cnnrt.tuning.store import LONGEST_VALUE, Fact, Store

FORMAT = "cnnrt tuning pack"
VERSION = 1
LARGEST_PACK = 16 << 20
"""Bytes."""
MOST_MEASUREMENTS = 20_000


def export_pack(store: Store, path: Path) -> int:
    """Write all measurements into a file, whole or not at all, and return how many there are.

    Raises CnnrtError where the file cannot be written.
    """
    facts = store.facts("measurement")
    kept = [{"key": f.key, "value": f.value} for f in facts if record_from(f.value) is not None]
    pack = {"format": FORMAT, "version": VERSION, "measurements": kept}
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(json.dumps(pack, indent=1) + "\n", encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise CnnrtError(f"{path}: cannot be written: {error.strerror or error}") from error
    return len(kept)


def import_pack(store: Store, path: Path) -> int:
    """Remember all measurements of a file, or none, and return how many there are.

    Raises InputError where it is no pack, of another version, too large, or anything in it is of the wrong form.
    """
    facts = read_pack(path)
    store.put_all(facts)
    return len(facts)


def read_pack(path: Path) -> Sequence[Fact]:
    """Return the measurements of a file; errors as in `import_pack`."""
    pack = _parsed(path)
    if not isinstance(pack, dict) or pack.get("format") != FORMAT:
        raise InputError(f"{path}: this is no {FORMAT}; `cnnrt tuning export` writes one")
    if pack.get("version") != VERSION:
        raise InputError(f"{path}: a pack of version {pack.get('version')!r:.20}; this cnnrt reads version {VERSION}")
    rows = pack.get("measurements")
    if not isinstance(rows, list) or len(rows) > MOST_MEASUREMENTS:
        raise InputError(f"{path}: expected a list of at most {MOST_MEASUREMENTS} measurements")
    now = time.time()
    facts = []
    for number, row in enumerate(rows):
        key = row.get("key") if isinstance(row, dict) else None
        record = record_from(row.get("value")) if isinstance(row, dict) else None
        if not is_measurement_key(key) or record is None:
            raise InputError(f"{path}: measurement {number} is not of the right form; nothing was imported")
        facts.append(Fact("measurement", key, record.to_json(), now))
    return facts


def _parsed(path: Path) -> Any:
    if not path.is_file():
        raise InputError(f"{path}: expected a regular file with a {FORMAT}")
    with path.open("rb") as file:
        content = file.read(LARGEST_PACK + 1)
    if len(content) > LARGEST_PACK:
        raise InputError(f"{path}: larger than {LARGEST_PACK >> 20} MiB, which no pack is")
    try:
        return json.loads(content.decode("utf-8"), parse_constant=_refuse)
    except UnicodeDecodeError:
        raise InputError(f"{path}: this is no text in UTF-8; `cnnrt tuning export` writes a {FORMAT}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: this is no JSON: {str(error) or type(error).__name__:.200}") from error


def is_measurement_key(key: Any) -> TypeGuard[dict[str, Any]]:
    """Tell whether a key has the form of a measurement's; what it says decides only whom it is for."""
    return (
        _has(key, {"call": _is_call, "threads": _is_count_or_none, "space": _list_of(_is_competitor)})
        and len(json.dumps(key)) <= LONGEST_VALUE
    )


def _is_call(value: Any) -> bool:
    tensors = _list_of(_is_tensor)
    weights = value.get("weights") if isinstance(value, dict) else None
    parts = {"layer": _is_text, "folded": _list_of(_is_text), "inputs": tensors, "outputs": tensors}
    named = isinstance(weights, dict) and all(map(_is_tensor, weights.values()))
    return named and _has(value, {**parts, "weights": lambda weights: True})


def _is_competitor(value: Any) -> bool:
    texts = dict.fromkeys(("kernel", "source", "device"), _is_text)
    return _has(value, {**texts, "tunables": _list_of(_list_of(_is_number_or_text))})


def _is_tensor(value: Any) -> bool:
    """Tell whether something is a dtype and a shape, as `cnnrt.tuning.key` writes them."""
    return isinstance(value, list) and bool(value) and _is_text(value[0]) and all(map(_is_number_or_text, value[1:]))


def _has(value: Any, parts: Mapping[str, Callable[[Any], bool]]) -> bool:
    """Tell whether something is a dictionary of exactly these parts, each of which is right."""
    return (
        isinstance(value, dict)
        and set(value) == set(parts)
        and all(is_right(value[name]) for name, is_right in parts.items())
    )


def _list_of(is_right: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(is_right, value))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_count_or_none(value: Any) -> bool:
    return value is None or is_count(value)


def _is_number_or_text(value: Any) -> bool:
    return isinstance(value, str) or is_count(value)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")
