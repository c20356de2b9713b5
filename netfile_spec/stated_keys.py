"""The entries of a file or block, matched with the keys that may stand there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from netfile_spec.errors import Position
from netfile_spec.language import FILE_KEYS, INPUT_KEYS, LAYER_KEYS, REPEATABLE
from netfile_spec.model import Scalar, Value
from netfile_spec.problems import Problems, closest, nearest, quoted
from netfile_spec.syntax import Entry
from netfile_spec.values import typed_value, untyped_value
from netfile_spec.vocabulary import KeySpec


@attrs.frozen
class StatedKeys:
    """What the entries stated.

    - `values`: by key; of repeatable keys a tuple.
    - `positions`: of the values; `item_positions`: of each single value of repeatable keys.
    - `mentioned`: every key that was stated, even if it was misspelled or its value could not be used.
    """

    values: Mapping[str, Value]
    positions: Mapping[str, Position]
    item_positions: Mapping[str, tuple[Position, ...]]
    mentioned: frozenset[str]

    @property
    def sound(self) -> bool:
        """Whether everything that was stated could be used."""
        return self.mentioned == self.values.keys()


def read_keys(
    entries: Iterable[Entry],
    known: Mapping[str, KeySpec],
    problems: Problems,
    *,
    owner: str,
    keep_unknown: bool = False,
) -> StatedKeys:
    """Return the values of `entries`, each of its key's kind; report unknown and repeated keys.

    `owner` says in messages whose keys they are. With `keep_unknown`, keys that are not known are kept as written.
    """
    values: dict[str, Value] = {}
    positions: dict[str, Position] = {}
    items: dict[str, list[Scalar]] = {}
    item_positions: dict[str, list[Position]] = {}
    first: dict[str, Position] = {}
    misspelled: set[str] = set()
    for entry in entries:
        key = entry.key
        if key not in known and not keep_unknown:
            hint = _home(key, known) or nearest(key, known)
            problems.report(f"{owner} has no key {quoted(key)}", entry.key_position, hint=hint)
            # A misspelled key is not missing as well.
            misspelled.add(closest(key, known) or key)
            continue
        if key in first and key not in REPEATABLE:
            line = first[key].line
            problems.report(
                f"the key {quoted(key)} is stated again", entry.key_position, hint=f"first stated in line {line}"
            )
            continue
        first.setdefault(key, entry.key_position)
        spec = known.get(key)
        value = typed_value(entry, spec, problems) if spec else untyped_value(entry, problems)
        if value is None:
            continue
        positions.setdefault(key, entry.position)
        if spec and key in REPEATABLE:
            items.setdefault(key, []).extend(value if isinstance(value, tuple) else (value,))
            item_positions.setdefault(key, []).extend(token.position for token in entry.items or ())
        else:
            values[key] = value
    return StatedKeys(
        values={**values, **{key: tuple(several) for key, several in items.items()}},
        positions=positions,
        item_positions={key: tuple(places) for key, places in item_positions.items()},
        mentioned=frozenset(first) | misspelled,
    )


def _home(key: str, here: Mapping[str, KeySpec]) -> str:
    """Return where a key of the language belongs, if it is one and stands in the wrong place."""
    if key in FILE_KEYS and FILE_KEYS is not here:
        return "it is a key of the file and stands outside the blocks"
    if key in INPUT_KEYS and INPUT_KEYS is not here:
        return "it is a key of input blocks"
    if key in LAYER_KEYS and not LAYER_KEYS.keys() <= here.keys():
        return "it is a key of layer blocks"
    return ""
