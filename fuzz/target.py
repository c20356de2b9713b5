"""What is fuzzed: how an input is made, and what reads it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from random import Random

import attrs

Guarded = Callable[[], AbstractContextManager[None]]


@attrs.frozen
class Target:
    """One reader.

    - `prepare(folder)`: write what the reader needs besides the input, and read something good once, so that what is
      imported on first use is imported.
    - `cases`: inputs of its own making; number `i` is `cases[i]()`.
    - `make(random)`: one of the further inputs, which depends on nothing but `random`.
    - `read(data, folder, guarded)`: put the input into `folder` and, within `guarded()`, read it. CnnrtError is an
      answer, all else is a finding.
    - `source`: files whose line coverage tells how far the inputs reach, relative to the repository.
    - `writes`: whether the reader may write into its folder.
    """

    name: str
    prepare: Callable[[Path], None]
    make: Callable[[Random], bytes]
    read: Callable[[bytes, Path, Guarded], None]
    source: tuple[str, ...] = ()
    writes: bool = False
    cases: tuple[Callable[[], bytes], ...] = ()

    def input(self, seed: int, number: int) -> bytes:
        """Return input `number` under a seed: the cases, which no seed changes, come first."""
        if number < len(self.cases):
            return self.cases[number]()
        return self.make(Random(f"{self.name}/{seed}/{number}"))
