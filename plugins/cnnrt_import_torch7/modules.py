"""A module in its place: what its fields hold, checked, and what it becomes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import numpy as np

from cnnrt.layer import Array
from cnnrt.lazy_weights import LazyWeights
from cnnrt.model_builder import UNKNOWN, ModelBuilder
from cnnrt_import_torch7.objects import Storage, Table, Tensor, TorchObject
from netfile_spec import Value
from netfile_spec.problems import quoted

Flow = str | tuple[Any, ...]
"""A value, by the name of the layer that gives it, or a table of them."""

_LARGEST = 2**31 - 1


@attrs.frozen(eq=False)
class Module:
    """A module: the object, its place in the tree ("3.1"), the model being built, and how its own modules are read."""

    object: TorchObject
    place: str
    model: ModelBuilder
    convert: Callable[[Any, str, Flow], Flow]

    @property
    def name(self) -> str:
        """The module's own name, as loadcaffe gives it, or its class with its place."""
        own = self.field("name")
        return own if isinstance(own, str) and own else f"{self.object.short}{self.place.replace('.', '_')}"

    @property
    def title(self) -> str:
        """What messages call it."""
        own = self.field("name")
        named = f" {quoted(own)}" if isinstance(own, str) and own else ""
        return f"module {self.place or 'itself'} ({self.object.type[:80]}){named}"

    def problem(self, message: str, *, expected: str = "", hint: str = "") -> str:
        """Add a problem of this module; return UNKNOWN."""
        return self.model.problem(self.title, message, expected=expected, hint=hint)

    def field(self, name: str) -> Any:
        """Return a field, None where it is absent."""
        return self.object.fields.get(name)

    def modules(self) -> list[Any]:
        """Return the modules that this one holds."""
        found = self.field("modules")
        return found.sequence if isinstance(found, Table) else []

    def integer(self, name: str, default: int | None = None, *, least: int = 0) -> int:
        """Return a field that is a whole number; a problem, and 1, where it is none. Old files lack some: `default`."""
        value = self.field(name)
        if value is None and default is not None:
            return default
        if type(value) is float and value.is_integer() and least <= value <= _LARGEST:
            return int(value)
        self.problem(f"its {name} is {_shown(value)}", expected=f"a whole number of at least {least}")
        return 1

    def number(self, name: str, default: float | None = None) -> float:
        """Return a field that is a finite number; a problem, and 1, where it is none."""
        value = self.field(name)
        if value is None and default is not None:
            return default
        if type(value) is float and math.isfinite(value):
            return value
        self.problem(f"its {name} is {_shown(value)}", expected="a number")
        return 1.0

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a field that is true or false."""
        value = self.field(name)
        return default if value is None else bool(value)

    def pair(self, rows: str, columns: str, default: int | None = None, *, least: int = 0) -> tuple[int, int]:
        """Return two fields, that of the rows first."""
        return self.integer(rows, default, least=least), self.integer(columns, default, least=least)

    def sizes(self, name: str) -> list[int] | None:
        """Return a field that is a LongStorage or a table of whole numbers."""
        value = self.field(name)
        numbers: list[Any] = []
        if isinstance(value, Storage) and value.count < 32:
            numbers = value.read(0, value.count).tolist()
        elif isinstance(value, Table):
            numbers = value.sequence[:32]
        if not numbers or any(n != int(n) or abs(n) > _LARGEST for n in numbers if isinstance(n, int | float)):
            return None
        return [int(n) for n in numbers] if all(isinstance(n, int | float) for n in numbers) else None

    def weight(self, name: str, shape: tuple[int, ...] | None = None) -> Array | None:
        """Return a tensor as float32, in `shape`, where as many numbers are there; a problem where it does not fit."""
        read = self.stored(name, shape)
        return None if read is None else read()

    def stored(self, name: str, shape: tuple[int, ...] | None = None) -> Callable[[], Array] | None:
        """Return what reads a tensor as `weight` does, each time it is called; a problem where it does not fit."""
        tensor = self.field(name)
        if not isinstance(tensor, Tensor) or not math.prod(tensor.shape) or not tensor.shape:
            self.problem(f"it has no {name}", hint="was the model cleared of its weights (clearState, a clone)?")
            return None
        wanted = tensor.shape if shape is None else shape
        if math.prod(tensor.shape) != math.prod(wanted):
            held = "×".join(str(n) for n in tensor.shape)
            self.problem(f"its {name} is {held}", expected="×".join(str(n) for n in wanted))
            return None

        def read() -> Array:
            with np.errstate(all="ignore"):
                return np.ascontiguousarray(tensor.array(), np.float32).reshape(wanted)

        return read

    def bias(self, outputs: int, name: str = "bias") -> Mapping[str, Array]:
        """Return the bias as weights of a layer; none where the module has none."""
        if self.field(name) is None or self.flag("noBias"):
            return {}
        found = self.weight(name, (outputs,))
        return {} if found is None else {"bias": found}

    def single(self, flow: Flow) -> str:
        """Return the one value that the module takes; a problem where it is handed a table of several."""
        if isinstance(flow, str):
            return flow
        if len(flow) == 1 and isinstance(flow[0], str):
            return flow[0]
        return self.problem("it is handed a table of values", expected="one value")

    def several(self, flow: Flow) -> list[str]:
        """Return the values of a table; a problem where it is none, or one of tables."""
        if isinstance(flow, tuple) and flow and all(isinstance(value, str) for value in flow):
            return list(flow)
        if flow != UNKNOWN:
            self.problem("it is handed no table of values", expected="a table, as ConcatTable gives")
        return [UNKNOWN]

    def add(
        self,
        type: str,
        bottoms: list[str],
        keys: Mapping[str, Value] | None = None,
        weights: Mapping[str, Array | Callable[[], Array] | None] | None = None,
        suffix: str = "",
    ) -> str:
        """Add a layer; where one of its weights was a problem (None), nothing. Weights may be what reads them."""
        if weights and any(w is None for w in weights.values()):
            return UNKNOWN
        makers = {name: w if callable(w) else _giver(w) for name, w in (weights or {}).items() if w is not None}
        return self.model.layer(type, self.name + suffix, bottoms, keys, LazyWeights(makers))


def _giver(array: Array) -> Callable[[], Array]:
    return lambda: array


def _shown(value: Any) -> str:
    if value is None:
        return "missing"
    return f"{value:g}" if isinstance(value, float) else f"a {type(value).__name__.lower()}"


Rule = Callable[[Module, Flow], Flow]
"""Adds what a module becomes; takes and gives what flows in and out."""


def windows(module: Module, pad: tuple[int, int], stride: tuple[int, int]) -> dict[str, Value]:
    """Return the keys of pads and strides that differ from their defaults."""
    keys: dict[str, Value] = {}
    if any(pad):
        keys["pad"] = pad[0] if pad[0] == pad[1] else pad
    if stride != (1, 1):
        keys["stride"] = stride[0] if stride[0] == stride[1] else stride
    return keys
