"""What goes into a rule: an operator with its options, and what rules share."""

from __future__ import annotations

import attrs

from cnnrt.channels_last import graph_rules
from cnnrt.channels_last.activations import activation
from cnnrt.channels_last.values import Flow, Place
from cnnrt.channels_last.windows import Sliding
from cnnrt_import_tflite.flatbuffer import Table
from netfile_spec.problems import quoted

# ActivationFunctionType: what is done to a result before it is handed on.
_FUSED = {1: "relu", 2: "relu_n1_to_1", 3: "relu6", 4: "tanh"}


@attrs.frozen(eq=False)
class Operator:
    """An operator: its kind, the name of its (first) result, its options (None: defaults)."""

    op: str
    name: str
    options: Table | None = attrs.field(default=None, repr=False)

    @property
    def place(self) -> Place:
        """The name for its layer, and how messages begin that are about it."""
        return Place(self.name, f"operator {quoted(self.name)} ({self.op})")

    def part(self, what: str) -> Place:
        """Return the place of a layer that does a part of the work."""
        return Place(f"{self.name}/{what}", self.place.title)

    def integer(self, field: int, code: str = "i", default: int = 0) -> int:
        """Return an option that is an integer."""
        return self.options.integer(field, code, default) if self.options is not None else default

    def number(self, field: int, default: float = 0.0) -> float:
        """Return an option that is a number, as the shortest decimal that means the same float32."""
        return float(f"{self.options.number(field, 'f', default):.9g}") if self.options is not None else default

    def flag(self, field: int) -> bool:
        """Return an option that is true or false."""
        return self.options is not None and self.options.flag(field)

    def integers(self, field: int) -> tuple[int, ...]:
        """Return an option that is a list of integers."""
        return self.options.integers(field, most=64) if self.options is not None else ()


@attrs.frozen(eq=False)
class Context(graph_rules.Context):
    """What rules share, and what is done to a result before it is handed on."""

    def fused(self, operator: Operator, field: int, value: Flow) -> Flow:
        """Apply the activation that an option names; the value was made at `inner_place`."""
        number = operator.integer(field, "b")
        if number == 0 or value.failed:
            return value
        if number not in _FUSED:
            return self.net.problem(operator.place, f"activation number {number}")
        return activation(self.net, operator.place, value, _FUSED[number])


def inner_place(operator: Operator, field: int) -> Place:
    """Return the place of what an operator computes before its activation (option `field`), if it has one."""
    return operator.part("linear") if operator.integer(field, "b") else operator.place


def sliding_of(operator: Operator, dilation: tuple[int, int] = (1, 1)) -> Sliding:
    """Return how windows lie: option 0 is the padding, 1 and 2 the strides of columns and rows."""
    padding = "valid" if operator.integer(0, "b") == 1 else "same"
    stride = (operator.integer(2), operator.integer(1))
    return Sliding("valid" if padding == "valid" else "same", stride, dilation)
