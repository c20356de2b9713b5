"""One node of an ONNX graph: what messages call it, and its attributes with their types.

Format: NodeProto and AttributeProto of ONNX.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np

from cnnrt_import_onnx.findings import Findings
from cnnrt_import_onnx.model_text import text_of
from netfile_spec.problems import quoted

# AttributeProto.AttributeType
_FLOAT, _INT, _STRING, _INTS = 1, 2, 3, 7
_TYPE_WORDS = {_FLOAT: "a number", _INT: "an integer", _STRING: "text", _INTS: "a list of integers"}


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
        return default if attribute is None else float(str(np.float32(attribute.f)))

    def text(self, name: str, default: str, findings: Findings) -> str:
        """Return an attribute that is text."""
        attribute = self._attribute(name, _STRING, False, findings)
        return default if attribute is None else text_of(attribute.s)

    def integers(self, name: str, default: Sequence[int], findings: Findings, least: int = 0) -> tuple[int, ...]:
        """Return an attribute that is a list of as many integers as the default, each at least `least`."""
        attribute = self._attribute(name, _INTS, False, findings)
        if attribute is None:
            return tuple(default)
        values = tuple(attribute.ints)
        if len(values) != len(default):
            shown = "an image has 2 dimensions"
            findings.problem(f"{self.title}: {len(values)} {name}", expected=f"{len(default)}: {shown}")
            return tuple(default)
        if any(not least <= v < 2**31 for v in values):
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
