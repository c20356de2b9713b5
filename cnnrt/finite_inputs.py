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


class FiniteInputs:
    """Within it arrays are computed from, by input name; leaving it raises InputError where one is not finite.

    Unless they are read `meanwhile`, that is raised before anything is computed.
    """

    def __init__(self, arrays: Mapping[str, Array], *, meanwhile: bool) -> None:
        self._arrays = arrays
        self._problem: InputError | None = None
        self._thread: threading.Thread | None = None
        self._meanwhile = meanwhile and sum(a.nbytes for a in arrays.values()) >= WORTH_A_THREAD

    def __enter__(self) -> None:
        if self._meanwhile:
            self._thread = threading.Thread(target=self._look, name="cnnrt-finite", daemon=True)
            self._thread.start()
        else:
            self._look()
            self._tell()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is not None:
            self._thread.join()
            self._tell()

    def _look(self) -> None:
        for name, array in self._arrays.items():
            self._problem = self._problem or _problem(name, array)

    def _tell(self) -> None:
        if self._problem is not None:
            raise self._problem


def _problem(name: str, array: Array) -> InputError | None:
    # One pass without a temporary; only a sum that is not finite is worth a closer look.
    with np.errstate(over="ignore", invalid="ignore"):
        suspicious = array.size and not np.isfinite(array.sum())
    if suspicious:
        wrong = ~np.isfinite(array)
        if wrong.any():
            first = np.unravel_index(int(np.argmax(wrong)), array.shape)
            return InputError(
                f"input {name!r}: {int(wrong.sum())} of {array.size} values are NaN or infinite, "
                f"the first at {tuple(int(i) for i in first)}"
            )
    return None
