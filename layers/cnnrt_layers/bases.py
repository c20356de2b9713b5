"""The base of a power or logarithm, as Caffe states it."""

from __future__ import annotations

from cnnrt.errors import KeyValueError


def expect_base(base: float) -> None:
    """Raise KeyValueError unless `base` is positive, or -1, which stands for e."""
    if base <= 0 and base != -1:
        raise KeyValueError("base", f"expected a positive number, or -1 for e, got {base!r}")
