"""Packs: measurements as JSON, to hand from one machine to its like. Whatever a pack says, it cannot make a result
wrong.

A measurement chooses among kernels that are here and parameters that their search space holds, and it counts only where
device, driver, sources and shapes are the same. Verifications and quarantines stay where they were found out.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeGuard

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
    """Tell whether a key has the parts of a measurement's; what they say decides only whom it is for."""
    if not isinstance(key, dict) or set(key) != {"call", "threads", "space"}:
        return False
    call, space = key["call"], key["space"]
    if not isinstance(call, dict) or not isinstance(call.get("layer"), str) or not isinstance(space, list):
        return False
    lists = [call.get(name) for name in ("folded", "inputs", "outputs")]
    return (
        all(isinstance(own, list) for own in lists)
        and all(isinstance(s, dict) for s in space)
        and len(json.dumps(key)) <= LONGEST_VALUE
    )


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")
