"""What was stated for a key, as the kind of value that the key has.

A bare word and a string differ only where a key's kind is not known (no vocabulary): there quotes make text,
and a bare word is a number or true or false where it reads as one. CNNdroid read values in the same way: by
the key and whether or not they were quoted.
"""

from __future__ import annotations

import math
import re

from netfile_spec.lexer import Token
from netfile_spec.limits import INTEGER_RANGE, MAX_NUMBER_LENGTH
from netfile_spec.model import Scalar, Value
from netfile_spec.problems import Problems, nearest, quoted
from netfile_spec.syntax import Entry
from netfile_spec.vocabulary import KINDS, KeySpec

_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_BOOLEANS = {"true": True, "false": False, "on": True, "off": False}
_UNTYPED_BOOLEANS = {"true": True, "false": False}


class _WrongValueError(Exception):
    """A value is not of its key's kind; holds message, expected and hint."""

    def __init__(self, message: str, *, expected: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.expected = expected
        self.hint = hint


def typed_value(entry: Entry, spec: KeySpec, problems: Problems) -> Value | None:
    """Return the value of an entry as its key's kind, or None, reported, where it is something else.

    A key that takes a list takes a single value as well, which stays single.
    """
    if entry.items is None:
        return None
    takes_list = spec.kind.endswith("s")
    if entry.is_list and (not takes_list or not entry.items):
        what = "a list" if entry.items else "an empty list"
        problems.report(f"{quoted(spec.name)} is {what}", entry.position, expected=_expected(spec))
        return None
    items = [_typed_item(token, spec, problems) for token in entry.items]
    found = tuple(item for item in items if item is not None)
    if len(found) < len(items):
        return None
    return found if entry.is_list else found[0]


def untyped_value(entry: Entry, problems: Problems) -> Value | None:
    """Return the value of an entry as it is written, or None where it cannot be read (reported)."""
    if entry.items is None:
        return None
    items = [_untyped_item(token, problems) for token in entry.items]
    found = tuple(item for item in items if item is not None)
    if len(found) < len(items):
        return None
    return found if entry.is_list else found[0]


def _typed_item(token: Token, spec: KeySpec, problems: Problems) -> Scalar | None:
    try:
        match spec.kind.removesuffix("s"):
            case "integer":
                return _integer(token.text.strip())
            case "number":
                return _number(token.text.strip())
            case "boolean":
                return _boolean(token.text.strip())
            case _:
                return _text(token.text, spec)
    except _WrongValueError as error:
        message = f"{quoted(spec.name)}: {error}"
        problems.report(message, token.position, expected=error.expected or _expected(spec), hint=error.hint)
        return None


def _untyped_item(token: Token, problems: Problems) -> Scalar | None:
    text = token.text
    if token.kind == "string":
        return text
    try:
        if _INTEGER.fullmatch(text):
            return _integer(text)
        if _NUMBER.fullmatch(text):
            return _number(text)
    except _WrongValueError as error:
        problems.report(str(error), token.position, expected=error.expected)
        return None
    return _UNTYPED_BOOLEANS.get(text.lower(), text)


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise _WrongValueError(f"{quoted(text)} is no integer")
    least, largest = INTEGER_RANGE
    # The length comes first: int() takes quadratic time.
    if len(text) > MAX_NUMBER_LENGTH or not least <= int(text) <= largest:
        raise _WrongValueError(f"{quoted(text)} is out of range", expected="an integer of at most 64 bits")
    return int(text)


def _number(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise _WrongValueError(f"{quoted(text)} is no number")
    if len(text) > MAX_NUMBER_LENGTH or math.isinf(float(text)):
        raise _WrongValueError(
            f"{quoted(text)} is out of range",
            expected=f"a number that fits a double, in at most {MAX_NUMBER_LENGTH} characters",
        )
    return float(text)


def _boolean(text: str) -> bool:
    if text.lower() not in _BOOLEANS:
        raise _WrongValueError(f"{quoted(text)} is neither true nor false")
    return _BOOLEANS[text.lower()]


def _text(text: str, spec: KeySpec) -> str:
    if not spec.choices:
        return text
    if text.lower() not in spec.choices:
        raise _WrongValueError(f"{quoted(text)} is not one of its values", hint=nearest(text, spec.choices))
    return spec.choices[text.lower()]


def _expected(spec: KeySpec) -> str:
    return ", ".join(f'"{choice}"' for choice in spec.choices) if spec.choices else KINDS[spec.kind]
