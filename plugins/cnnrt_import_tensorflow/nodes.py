"""One node of a graph: what messages call it, and its attributes with their types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import attrs
import numpy as np

from cnnrt.channels_last.constants import Constant
from cnnrt.channels_last.values import Place
from cnnrt.findings import Findings
from cnnrt.protobuf_wire import MalformedMessage, WireField
from cnnrt_import_tensorflow.messages import NodeDef, Numbers, Shape, attribute
from cnnrt_import_tensorflow.tensors import read_tensor
from netfile_spec.problems import quoted

_Default = TypeVar("_Default")


@attrs.frozen(eq=False)
class Node:
    """A node: its operator, its attributes when they are asked for. `findings` are told what is wrong with them."""

    stored: NodeDef
    findings: Findings

    @property
    def name(self) -> str:
        """Its name, which is that of its value."""
        return self.stored.name

    @property
    def op(self) -> str:
        """Its operator."""
        return self.stored.op

    @property
    def place(self) -> Place:
        """The name of its layer, and how messages begin that are about it."""
        return Place(self.name, f"node {quoted(self.name)} ({self.op})")

    def integer(self, name: str, default: int) -> int:
        """Return an attribute that is an integer."""
        value = self._value(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else self._other(name, value, default)

    def flag(self, name: str, default: bool = False) -> bool:
        """Return an attribute that is true or false."""
        value = self._value(name)
        return value if isinstance(value, bool) else self._other(name, value, default)

    def number(self, name: str, default: float) -> float:
        """Return an attribute that is a number, as the shortest decimal that means the same float32."""
        value = self._value(name)
        return float(str(np.float32(value))) if isinstance(value, float) else self._other(name, value, default)

    def text(self, name: str, default: str = "") -> str:
        """Return an attribute that is text."""
        value = self._value(name)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else self._other(name, value, default)

    def integers(self, name: str, default: Sequence[int] = ()) -> tuple[int, ...]:
        """Return an attribute that is a list of integers."""
        value = self._value(name)
        return value.integers if isinstance(value, Numbers) else self._other(name, value, tuple(default))

    def shape(self, name: str) -> Shape | None:
        """Return an attribute that is a shape; None where its rank is unknown."""
        value = self._value(name)
        return value if isinstance(value, tuple) and value[:1] != ("type",) else None

    def data_type(self, name: str) -> int:
        """Return an attribute that is a data type; 0 where there is none."""
        value = self._value(name)
        return int(value[1]) if isinstance(value, tuple) and value[:1] == ("type",) else 0

    def function(self, name: str) -> str:
        """Return the name of the function that an attribute names, or ""."""
        value = self._value(name)
        return str(value[1]) if isinstance(value, tuple) and value[:1] == ("function",) else ""

    def tensor(self, name: str) -> Constant | None:
        """Return an attribute that is a tensor."""
        value = self._value(name)
        if not isinstance(value, WireField):
            return None
        try:
            return read_tensor(self.stored.source, value, self.name)
        except MalformedMessage as error:
            self.findings.problem(f"{self.place.title}: its constant cannot be read: {error}")
            return None

    def _value(self, name: str) -> object:
        field = self.stored.attributes.get(name)
        if field is None:
            return None
        try:
            return attribute(self.stored.source, field)
        except MalformedMessage as error:
            self.findings.problem(f"{self.place.title}: its attribute {quoted(name)} cannot be read: {error}")
            return None

    def _other(self, name: str, value: object, default: _Default) -> _Default:
        if value is not None:
            self.findings.problem(f"{self.place.title}: the attribute {quoted(name)} is of the wrong type")
        return default
