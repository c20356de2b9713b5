"""Fields of a layer: each is a key of the NetFile, with type, default, unit, bounds and a sentence.

A layer is an attrs class whose fields are made by the functions here:

    @attrs.frozen(kw_only=True)
    class Dropout(Layer):
        dropout_ratio: float = number(0.5, minimum=0, maximum=1, doc="share of values dropped in training")

The same declaration serves the NetFile reader (kind, required, choices), the Python constructor
(conversion and bounds, raising `KeyValueError`) and the generated documentation page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from cnnrt.errors import KeyValueError

METADATA = "cnnrt.key"


@attrs.frozen
class Key:
    """What the NetFile reader and the documentation know of a field.

    `kind` is a kind of `netfile_spec.KeySpec`; `minimum` and `maximum` bound each number and are allowed themselves;
    `choices` maps accepted spellings to the canonical one.
    """

    kind: str
    doc: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: Mapping[str, str] = attrs.field(factory=dict)

    @property
    def bounds(self) -> str:
        """The least and largest number allowed, in words; empty where there is no bound."""
        return _bounds(self.minimum, self.maximum)


class _Required:
    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED: Any = _Required()
"""Default of a key that must be stated."""


def integer(default: int = REQUIRED, *, doc: str, minimum: int | None = None, unit: str = "") -> Any:
    """Return a field for one integer, at least `minimum`."""

    def convert(value: Any) -> int:
        return _integer(value, minimum)

    return _field(default, convert, Key("integer", doc, unit, minimum))


def optional_integer(*, doc: str, minimum: int | None = None, unit: str = "") -> Any:
    """Return a field like `integer` that is None where it is not stated."""

    def convert(value: Any) -> int | None:
        return None if value is None else _integer(value, minimum)

    return _field(None, convert, Key("integer", doc, unit, minimum))


def integers(default: Sequence[int] | None = REQUIRED, *, doc: str, minimum: int | None = None, unit: str = "") -> Any:
    """Return a field for a list of integers of any length but 0, each at least `minimum`, kept as a tuple.

    One integer is a list of one. With a default of None the key may be left out, and is None then.
    """

    def convert(value: Any) -> tuple[int, ...] | None:
        if value is None and default is None:
            return None
        if isinstance(value, list | tuple) and not value:
            raise ValueError("expected at least one integer, got none")
        return tuple(_integer(v, minimum) for v in (value if isinstance(value, list | tuple) else [value]))

    return _field(default, convert, Key("integers", doc, unit, minimum))


def number(
    default: float = REQUIRED,
    *,
    doc: str,
    minimum: float | None = None,
    maximum: float | None = None,
    unit: str = "",
) -> Any:
    """Return a field for one finite number between `minimum` and `maximum`, both allowed."""

    def convert(value: Any) -> float:
        result = _finite(value)
        _check_bounds(result, minimum, maximum)
        return result

    return _field(default, convert, Key("number", doc, unit, minimum, maximum))


def optional_number(*, doc: str, minimum: float | None = None, maximum: float | None = None, unit: str = "") -> Any:
    """Return a field like `number` that is None where it is not stated."""

    def convert(value: Any) -> float | None:
        if value is None:
            return None
        result = _finite(value)
        _check_bounds(result, minimum, maximum)
        return result

    return _field(None, convert, Key("number", doc, unit, minimum, maximum))


def numbers(default: Sequence[float] = REQUIRED, *, doc: str, unit: str = "") -> Any:
    """Return a field for a list of finite numbers, kept as a tuple."""

    def convert(value: Any) -> tuple[float, ...]:
        return tuple(_finite(v) for v in (value if isinstance(value, list | tuple) else [value]))

    return _field(default, convert, Key("numbers", doc, unit))


def boolean(default: bool = REQUIRED, *, doc: str) -> Any:
    """Return a field for true or false."""

    def convert(value: Any) -> bool:
        if not isinstance(value, bool):
            raise ValueError(f"expected true or false, got {value!r}")
        return value

    return _field(default, convert, Key("boolean", doc))


def choice(default: str = REQUIRED, *, choices: Mapping[str, str], doc: str) -> Any:
    """Return a field for one of several words; `choices` maps accepted spellings to the canonical one."""

    def convert(value: Any) -> str:
        if not isinstance(value, str) or value.lower() not in choices:
            raise ValueError(f"expected one of {', '.join(dict.fromkeys(choices))}, got {value!r}")
        return choices[value.lower()]

    return _field(default, convert, Key("string", doc, choices=choices))


def pair(default: int | tuple[int, int] = REQUIRED, *, doc: str, minimum: int = 1, unit: str = "pixels") -> Any:
    """Return a field for (vertical, horizontal), stated as one integer for both or as [vertical, horizontal]."""

    def convert(value: Any) -> tuple[int, int]:
        vertical, horizontal = _spread(value, {1: (0, 0), 2: (0, 1)}, minimum)
        return vertical, horizontal

    return _field(default, convert, Key("integers", doc, unit, minimum))


def optional_pair(*, doc: str, minimum: int = 1, unit: str = "pixels") -> Any:
    """Return a field like `pair` that is None where it is not stated."""

    def convert(value: Any) -> tuple[int, int] | None:
        if value is None:
            return None
        vertical, horizontal = _spread(value, {1: (0, 0), 2: (0, 1)}, minimum)
        return vertical, horizontal

    return _field(None, convert, Key("integers", doc, unit, minimum))


def padding(default: int = 0, *, doc: str) -> Any:
    """Return a field for (top, left, bottom, right), stated as n, [vertical, horizontal] or all four."""

    def convert(value: Any) -> tuple[int, int, int, int]:
        forms = {1: (0, 0, 0, 0), 2: (0, 1, 0, 1), 4: (0, 1, 2, 3)}
        top, left, bottom, right = _spread(value, forms, 0)
        return top, left, bottom, right

    return _field(default, convert, Key("integers", doc, "pixels", 0))


def key_of(field: attrs.Attribute[Any]) -> Key | None:
    """Return the key that a field was declared as, or None where it is no NetFile key."""
    key = field.metadata.get(METADATA)
    return key if isinstance(key, Key) else None


def _field(default: Any, convert: Callable[[Any], Any], key: Key) -> Any:
    def convert_or_explain(value: Any, field: attrs.Attribute[Any]) -> Any:
        try:
            return convert(value)
        except ValueError as error:
            raise KeyValueError(field.name, str(error)) from None

    converter = attrs.Converter(convert_or_explain, takes_field=True)
    if default is REQUIRED:
        return attrs.field(converter=converter, metadata={METADATA: key})
    return attrs.field(default=default, converter=converter, metadata={METADATA: key})


def _integer(value: Any, minimum: int | None) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"expected an integer, got {value!r}")
    _check_bounds(value, minimum, None)
    return value


def _finite(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"expected a number, got {value!r}")
    try:
        result = float(value)
    except OverflowError:
        raise ValueError("expected a number that fits a float") from None
    if result != result or result in (float("inf"), float("-inf")):
        raise ValueError(f"expected a finite number, got {value!r}")
    return result


def _spread(value: Any, forms: Mapping[int, tuple[int, ...]], minimum: int) -> tuple[int, ...]:
    given = tuple(value) if isinstance(value, list | tuple) else (value,)
    if any(isinstance(v, bool) or not isinstance(v, int) for v in given):
        raise ValueError(f"expected an integer or a list of integers, got {value!r}")
    if len(given) not in forms:
        raise ValueError(f"expected {' or '.join(str(n) for n in forms)} integers, got {len(given)}")
    for v in given:
        _check_bounds(v, minimum, None)
    return tuple(given[i] for i in forms[len(given)])


def _check_bounds(value: float, minimum: float | None, maximum: float | None) -> None:
    if (minimum is not None and value < minimum) or (maximum is not None and value > maximum):
        raise ValueError(f"expected {_bounds(minimum, maximum)}, got {value!r}")


def _bounds(minimum: float | None, maximum: float | None) -> str:
    if minimum is not None and maximum is not None:
        return f"{minimum} to {maximum}"
    if minimum is not None:
        return f"at least {minimum}"
    return "" if maximum is None else f"at most {maximum}"
