"""One layer of Keras: its settings with their types, its weights by role."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from cnnrt.channels_last.constants import Constant
from cnnrt.channels_last.values import Place, shape_words
from cnnrt.findings import Findings
from netfile_spec.problems import quoted

_LARGEST = 1 << 31
# What Keras 1 called its settings.
_OLD_NAMES = {
    "units": "output_dim",
    "filters": "nb_filter",
    "strides": "subsample",
    "padding": "border_mode",
    "use_bias": "bias",
    "data_format": "dim_ordering",
    "rate": "p",
}


@attrs.frozen(eq=False)
class KerasLayer:
    """A layer: its class, name, settings, stored weights; `version` is Keras's, (2, 0) where none is stated.

    `numbers`: plain numbers that stood among its inputs, by their places. `title`: what messages call it, where it does
    the work of a layer of another name.
    """

    kind: str
    name: str
    settings: Mapping[str, Any] = attrs.field(repr=False)
    findings: Findings = attrs.field(repr=False)
    version: tuple[int, int] = (2, 0)
    backend: str = ""
    stored: tuple[Constant, ...] = attrs.field(default=(), repr=False)
    numbers: Mapping[int, float] = attrs.field(factory=dict)
    title: str = ""

    @property
    def place(self) -> Place:
        """The name for its layer, and how messages begin that are about it."""
        return Place(self.name, f"layer {quoted(self.title or self.name)} ({self.kind:.60})")

    def part(self, what: str) -> Place:
        """Return the place of a layer that does a part of the work."""
        return Place(f"{self.name}/{what}", self.place.title)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a setting as it is stored."""
        if name in self.settings:
            return self.settings[name]
        return self.settings.get(_OLD_NAMES.get(name, ""), default)

    def flag(self, name: str, default: bool) -> bool:
        """Return a setting that is true or false."""
        value = self.get(name, default)
        return value if isinstance(value, bool) else bool(self._wrong(name, value, default))

    def number(self, name: str, default: float) -> float:
        """Return a setting that is a number; arrays of one number count."""
        value = self.get(name, default)
        if isinstance(value, dict) and isinstance(value.get("config"), dict):
            value = value["config"].get("value")
        if isinstance(value, dict) and "value" in value:
            value = value["value"]
        while isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300:
            return float(value)
        return float(self._wrong(name, value, default))

    def integer(self, name: str, default: int) -> int:
        """Return a setting that is an integer."""
        value = self.get(name, default)
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST:
            return value
        return int(self._wrong(name, value, default))

    def text(self, name: str, default: str) -> str:
        """Return a setting that is text."""
        value = self.get(name, default)
        return value if isinstance(value, str) else str(self._wrong(name, value, default))

    def pair(self, name: str, default: tuple[int, int]) -> tuple[int, int]:
        """Return a setting that is one integer for rows and columns, or two."""
        value = self.get(name)
        if value is None:
            return default
        both = value if isinstance(value, list) else [value, value]
        if len(both) == 1:
            both = both * 2
        if len(both) == 2 and all(_is_count(n) for n in both):
            return both[0], both[1]
        self._wrong(name, value, default)
        return default

    def sides(self, name: str) -> tuple[int, int, int, int]:
        """Return a setting of pixels at the sides: n, [rows, columns], or [[top, bottom], [left, right]]."""
        value = self.get(name, 1)
        if isinstance(value, dict):  # Keras 1
            value = [[value.get(f"{side}_pad", 0) for side in pair] for pair in (("top", "bottom"), ("left", "right"))]
        if _is_count(value):
            value = [value, value]
        if isinstance(value, list) and len(value) == 4:
            value = [value[:2], value[2:]]
        if isinstance(value, list) and len(value) == 2:
            rows, columns = (v if isinstance(v, list) else [v, v] for v in value)
            if len(rows) == 2 and len(columns) == 2 and all(_is_count(n) for n in (*rows, *columns)):
                return rows[0], rows[1], columns[0], columns[1]
        self._wrong(name, value, 0)
        return 0, 0, 0, 0

    def integers(self, name: str) -> tuple[int, ...]:
        """Return a setting that is a list of integers (or one)."""
        value = self.get(name)
        listed = value if isinstance(value, list) else [value]
        if len(listed) <= 32 and all(isinstance(n, int) and abs(n) < _LARGEST for n in listed):
            return tuple(int(n) for n in listed)
        self._wrong(name, value, ())
        return ()

    @property
    def channels_last(self) -> bool:
        """Whether images have their channels last; "tf" and "th" are Keras 1's words."""
        return self.text("data_format", "channels_last") not in ("channels_first", "th")

    def weights(self, roles: Sequence[str]) -> dict[str, Constant] | None:
        """Return the weights for these roles in Keras's order; None, and a problem, where they are not as many."""
        if len(self.stored) != len(roles):
            found = ", ".join(shape_words(c.shape) for c in self.stored[:8]) or "none"
            self.findings.problem(
                f"{self.place.title}: it needs {', '.join(roles)}; stored for it: {found}",
                hint="" if self.stored else "save the whole model (model.save), with its weights",
            )
            return None
        return dict(zip(roles, self.stored, strict=True))

    def _wrong(self, name: str, value: object, default: Any) -> Any:
        if value is not None:
            self.findings.problem(f"{self.place.title}: {name} is {str(value)[:60]!r}")
        return default


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LARGEST
