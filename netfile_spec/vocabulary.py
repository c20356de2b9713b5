"""Which layers exist and which keys they have: handed in by whoever knows, so that the language need not.

The reader looks types and keys up here, by lower-case name in plain dictionaries. Nothing that a file says
is ever used as the name of an attribute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import attrs

from netfile_spec.model import Value

KINDS: Mapping[str, str] = {
    "integer": "an integer",
    "number": "a number",
    "string": "text",
    "boolean": 'true or false (or "on", "off")',
    "integers": "an integer or a list of integers",
    "numbers": "a number or a list of numbers",
    "strings": "text or a list of texts",
}
"""The kinds of value that a key may have, and what they are called in messages."""

LAYER_LANGUAGE_KEYS = ("type", "name", "bottom", "top", "parameters_file")
"""Keys that every layer has; the language gives them their meaning."""

Check = Callable[[Mapping[str, Value]], Sequence[tuple[str | None, str]]]
"""Takes the stated keys of a layer, gives what is wrong with them: (key, or None for all of it; message)."""


def _known_kind(_: object, __: object, kind: str) -> None:
    if kind not in KINDS:
        raise ValueError(f"a key's kind is one of {', '.join(KINDS)}, not {kind!r}")


def _lower(name: str) -> str:
    return name.lower()


def _lower_choices(choices: Mapping[str, str]) -> dict[str, str]:
    return {spelling.lower(): canonical for spelling, canonical in choices.items()}


@attrs.frozen
class KeySpec:
    """One key: its name (lower case), its kind, and for text the words it may hold.

    - `kind`: one of `KINDS`. "integer" becomes int, "number" float, "integers" an int or a tuple of int as
      written, and so on.
    - `required`: whether a file must state it.
    - `choices`: accepted spelling (compared without case) -> canonical one; empty: any text.
    - `doc`: one sentence.
    """

    name: str = attrs.field(converter=_lower)
    kind: str = attrs.field(validator=_known_kind)
    required: bool = False
    choices: Mapping[str, str] = attrs.field(factory=dict, converter=_lower_choices)
    doc: str = ""


def _key_specs(keys: Iterable[KeySpec]) -> tuple[KeySpec, ...]:
    return tuple(keys)


@attrs.frozen
class LayerSpec:
    """One type of layer: its name as it is to be written, its keys, whether it has a parameter file.

    - `parameters`: "none", "optional" or "required": whether `parameters_file` may or must be stated.
    - `check`: looks at the stated values together, once each is of its kind; its messages become problems
      at the key that they name.

    Raises ValueError for keys named twice, or named as one of the language's own.
    """

    type: str
    keys: tuple[KeySpec, ...] = attrs.field(default=(), converter=_key_specs)
    parameters: str = attrs.field(default="none", validator=attrs.validators.in_(("none", "optional", "required")))
    check: Check | None = None

    def __attrs_post_init__(self) -> None:
        taken = set(LAYER_LANGUAGE_KEYS)
        for key in self.keys:
            if key.name in taken:
                raise ValueError(f"{self.type}: the key {key.name!r} is taken; give it another name")
            taken.add(key.name)


def _by_type(layers: Mapping[str, LayerSpec] | Iterable[LayerSpec]) -> dict[str, LayerSpec]:
    found: dict[str, LayerSpec] = {}
    for spec in layers.values() if isinstance(layers, Mapping) else layers:
        if found.setdefault(spec.type.lower(), spec) is not spec:
            raise ValueError(f"two layers have the type {spec.type!r} (upper and lower case are the same)")
    return found


@attrs.frozen
class Vocabulary:
    """All the types of layer that a NetFile may use: `Vocabulary([LayerSpec(...), ...])`.

    `layers` maps lower-case type to spec. Raises ValueError where two specs have the same type.
    """

    layers: Mapping[str, LayerSpec] = attrs.field(converter=_by_type)

    def lookup(self, type: str) -> LayerSpec | None:
        """Return the spec of a type, whatever its case, or None."""
        return self.layers.get(type.lower())

    @property
    def types(self) -> tuple[str, ...]:
        """The types as they are to be written, in the order in which they were given."""
        return tuple(spec.type for spec in self.layers.values())
