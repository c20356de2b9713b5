"""The outcome of measuring a call: what was timed, and which of it won. Plain JSON in the store and in packs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, TypeGuard

import attrs

MOST_TIMED = 256
_LARGEST = sys.float_info.max


@attrs.frozen
class Timed:
    """A kernel that was timed: seconds of one call (median), and how far chance may have moved them."""

    device: str
    kernel: str
    tuning: Mapping[str, int | str]
    seconds: float
    noise: float
    rounds: int


@attrs.frozen
class Record:
    """What was timed on `batch` images (None: no batch), the winner, and the default; both are indices of `timed`.

    `left`: how many candidates more there were when time was up.
    """

    timed: tuple[Timed, ...]
    winner: int
    default: int
    batch: int | None
    left: int = 0

    @property
    def gain(self) -> float:
        """How many times faster the winner is than the default."""
        return self.timed[self.default].seconds / self.timed[self.winner].seconds

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        result: dict[str, Any] = attrs.asdict(self)
        result["timed"] = [{**attrs.asdict(t), "tuning": dict(t.tuning)} for t in self.timed]
        return result


def record_from(value: Any) -> Record | None:
    """Return a record from plain values, None where they are not of the right form."""
    if not isinstance(value, dict) or not isinstance(value.get("timed"), list):
        return None
    if not 0 < len(value["timed"]) <= MOST_TIMED:
        return None
    timed = [_timed(one) for one in value["timed"]]
    kept = [t for t in timed if t is not None]
    winner, default, batch = value.get("winner"), value.get("default"), value.get("batch")
    if len(kept) != len(timed) or not (_is_int(winner) and _is_int(default)):
        return None
    if not (0 <= winner < len(kept) and 0 <= default < len(kept)) or not (batch is None or _is_int(batch)):
        return None
    left = value.get("left", 0)  # records of before there was any
    return Record(tuple(kept), winner, default, batch, left) if _is_int(left) and left >= 0 else None


def _timed(value: Any) -> Timed | None:
    if not isinstance(value, dict):
        return None
    device, kernel, tuning = value.get("device"), value.get("kernel"), value.get("tuning")
    seconds, noise, rounds = value.get("seconds"), value.get("noise"), value.get("rounds")
    if not (isinstance(device, str) and isinstance(kernel, str) and _is_int(rounds) and rounds >= 1):
        return None
    if not (_is_number(seconds) and seconds > 0 and _is_number(noise) and noise >= 0):
        return None
    if not (isinstance(tuning, dict) and all(isinstance(v, str) or _is_int(v) for v in tuning.values())):
        return None
    return Timed(device, kernel, tuning, float(seconds), float(noise), rounds)


def _is_number(value: Any) -> TypeGuard[float]:
    # An integer of JSON may be beyond any float.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST


def _is_int(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
