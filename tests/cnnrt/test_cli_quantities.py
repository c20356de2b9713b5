"""Numbers as people read them."""

from __future__ import annotations

import pytest

from cnnrt.cli.quantities import milliseconds, plural, scaled, size, three_digits


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (0.01234, "0.0123"), (1.2345, "1.23"), (123.4, "123"), (12345, "12300"), (0.00001234, "1.23e-05")],
)
def test_three_digits_that_count(number: float, text: str) -> None:
    assert three_digits(number) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (999, "999"), (999.6, "1 k"), (431080, "431 k"), (4.5859e6, "4.59 M")]
)
def test_counts_by_thousands(number: float, text: str) -> None:
    assert scaled(number) == text


@pytest.mark.parametrize(("nbytes", "text"), [(0, "0 B"), (512, "512 B"), (1536, "1.5 KiB"), (1 << 30, "1 GiB")])
def test_bytes(nbytes: int, text: str) -> None:
    assert size(nbytes) == text


def test_milliseconds_and_plurals() -> None:
    assert milliseconds(0.0123456) == "12.3"
    assert plural(1, "image") == "1 image"
    assert plural(1200, "image") == "1,200 images"
