"""One node of an ONNX graph: what messages call it, and its attributes with their types.

Format: NodeProto and AttributeProto of ONNX.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np

from cnnrt.findings import Findings
from cnnrt_import_onnx.model_text import text_of
from netfile_spec.problems import quoted

# AttributeProto.AttributeType
_FLOAT, _INT, _STRING, _GRAPH, _FLOATS, _INTS = 1, 2, 3, 5, 6, 7
_TYPE_WORDS = {
    _FLOAT: "a number",
    _INT: "an integer",
    _STRING: "text",
    _GRAPH: "a graph",
    _FLOATS: "a list of numbers",
    _INTS: "a list of integers",
}
_MOST_INTEGERS = 1 << 16


@attrs.frozen(eq=False)
class OnnxNode:
    """A node: its operator, domain, names of inputs ("" where one is left out) and of outputs, attributes by name."""

    name: str
    op: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any] = attrs.field(repr=False)
    opset: int
    batch: int | None = None
    """The number of images that the model states for its inputs; None: it states none, or they differ."""

    @property
    def short(self) -> str:
        """Its name or, where it has none, the value that it gives, in quotes."""
        return quoted(self.name or next((o for o in self.outputs if o), ""))

    @property
    def title(self) -> str:
        """How messages begin that are about it."""
        return f"node {self.short} ({self.op})"

    def integer(self, name: str, default: int | None, findings: Findings) -> int:
        """Return an attribute that is an integer; a `default` of None means that it must be there."""
        attribute = self._attribute(name, _INT, default is None, findings)
        return (default or 0) if attribute is None else int(attribute.i)

    def number(self, name: str, default: float, findings: Findings) -> float:
        """Return an attribute that is a number, as the shortest decimal that means the same float32."""
        attribute = self._attribute(name, _FLOAT, False, findings)
        return default if attribute is None else shortest(attribute.f)

    def numbers(self, name: str, findings: Findings) -> tuple[float, ...]:
        """Return an attribute that is a list of numbers, each as the shortest decimal; empty where it is not there."""
        attribute = self._attribute(name, _FLOATS, False, findings)
        return () if attribute is None else tuple(shortest(f) for f in attribute.floats[:_MOST_INTEGERS])

    def graph(self, name: str, findings: Findings) -> Any:
        """Return an attribute that is a graph, or None and a problem."""
        attribute = self._attribute(name, _GRAPH, True, findings)
        return None if attribute is None else attribute.g

    def text(self, name: str, default: str, findings: Findings) -> str:
        """Return an attribute that is text."""
        attribute = self._attribute(name, _STRING, False, findings)
        return default if attribute is None else text_of(attribute.s)

    def integers(
        self, name: str, default: Sequence[int], findings: Findings, *, least: int | None = None, count: int | None
    ) -> tuple[int, ...]:
        """Return an attribute that is a list of `count` integers (None: any number), each at least `least`."""
        attribute = self._attribute(name, _INTS, False, findings)
        if attribute is None:
            return tuple(default)
        values = tuple(attribute.ints[:_MOST_INTEGERS])
        if count is not None and len(values) != count:
            findings.problem(f"{self.title}: {len(values)} {name}", expected=str(count))
            return tuple(default)
        if least is not None and any(not least <= v < 2**31 for v in values):
            findings.problem(f"{self.title}: {name} {list(values)}", expected=f"at least {least} each")
            return tuple(default)
        return values

    def _attribute(self, name: str, kind: int, required: bool, findings: Findings) -> Any:
        attribute = self.attributes.get(name)
        if attribute is None:
            if required:
                findings.problem(f"{self.title}: it has no {name}")
            return None
        # Files of IR version 1 and 2 may leave the type out.
        if attribute.type not in (kind, 0):
            findings.problem(f"{self.title}: {name} is of the wrong type", expected=_TYPE_WORDS[kind])
            return None
        return attribute


def shortest(value: float) -> float:
    """Return the shortest decimal that means the same float32."""
    return float(str(np.float32(value)))
