"""Weights that stay in their file until they are looked up, so that a conversion holds one array at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import attrs

from cnnrt.layer import Array


@attrs.frozen(eq=False)
class LazyWeights(Mapping[str, Array]):
    """The weights of one layer by name; each look-up makes the array anew (float32, the caller's own)."""

    makers: Mapping[str, Callable[[], Array]]

    def __getitem__(self, name: str) -> Array:
        return self.makers[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self.makers)

    def __len__(self) -> int:
        return len(self.makers)
