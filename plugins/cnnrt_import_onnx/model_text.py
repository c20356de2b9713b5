"""Text of a model: names, operators, paths."""

from __future__ import annotations


def text_of(text: str | bytes) -> str:
    """Return text of a model as a string: the protobuf library hands over as bytes what is not UTF-8."""
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else text
