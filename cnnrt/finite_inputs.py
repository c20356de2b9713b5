"""That inputs hold numbers alone: NaN would go through a network unseen, or be taken for the fault of a layer.

Reading all values takes milliseconds where there are many. While the network runs on a device of its own, the host has
nothing else to do; so then they are read meanwhile, and what was computed of bad ones is thrown away.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import TracebackType

import numpy as np

from cnnrt.errors import InputError
from cnnrt.layer import Array

WORTH_A_THREAD = 1 << 20
"""Bytes that take longer to read than a thread takes to start."""
MOST_READERS = 4
SHARE = 8 << 20
"""Bytes for each of several threads."""


class FiniteInputs:
    """Within it arrays are computed from, by input name; leaving it raises InputError where one is not finite.

    `threads`, 1 at least: the most that read them meanwhile, if they are large; small ones are read before.
    """

    def __init__(self, arrays: Mapping[str, Array], *, threads: int) -> None:
        self._arrays = arrays
        nbytes = sum(a.nbytes for a in arrays.values())
        count = min(threads, MOST_READERS, max(1, nbytes // SHARE)) if nbytes >= WORTH_A_THREAD else 0
        self._suspicious = [False] * count
        self._threads = [
            threading.Thread(target=self._read, args=(number,), name="cnnrt-finite", daemon=True)
            for number in range(count)
        ]

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()
        if not self._threads:
            check_finite(self._arrays)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for thread in self._threads:
            thread.join()
        if any(self._suspicious):
            check_finite(self._arrays)

    def _read(self, number: int) -> None:
        """Read a thread's share of every array."""
        for array in self._arrays.values():
            flat, count = array.reshape(-1), len(self._threads)
            step = -(-flat.size // count)
            if _may_hold_others(flat[number * step : (number + 1) * step]):
                self._suspicious[number] = True


def check_finite(arrays: Mapping[str, Array]) -> None:
    """Raise InputError where an array, by input name, holds NaN or an infinity."""
    for name, array in arrays.items():
        if _may_hold_others(array):
            _raise_if_any(name, array)


def _may_hold_others(array: Array) -> bool:
    # One pass without a temporary; only a sum that is not finite is worth a closer look.
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(array.size) and not np.isfinite(array.sum())


def _raise_if_any(name: str, array: Array) -> None:
    wrong = ~np.isfinite(array)
    if wrong.any():
        first = np.unravel_index(int(np.argmax(wrong)), array.shape)
        raise InputError(
            f"input {name!r}: {int(wrong.sum())} of {array.size} values are NaN or infinite, "
            f"the first at {tuple(int(i) for i in first)}"
        )
