"""The walk over a model: one operator after the other becomes a layer, a constant, or a name of what is there.

An operator that is a problem does not stop the walk; what depends on it is taken as it is, so that every cause is
named once.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from pathlib import Path

from cnnrt.channels_last.finishing import finished
from cnnrt.channels_last.graph_rules import Operand
from cnnrt.channels_last.network import Network
from cnnrt.channels_last.values import FAILED, Flow, shape_words
from cnnrt.errors import ImportFailure, Problem
from cnnrt.findings import Findings
from cnnrt.importer import ImportedModel
from cnnrt_import_tflite.flatbuffer import MalformedBuffer, root
from cnnrt_import_tflite.operands import Context, Operator
from cnnrt_import_tflite.schema import FLOAT16, FLOAT32, IDENTIFIER, Model, OperatorInfo, read_model
from cnnrt_import_tflite.supported import RULES, advice
from cnnrt_import_tflite.tensors import QUANTISED, MalformedTensor, constant_tensor
from netfile_spec.problems import quoted

_MOST_NAMED = 12


def read_file(path: Path) -> ImportedModel:
    """Return the model at `path`; raises ImportFailure with every problem."""
    data = _opened(path)
    try:
        return _Walk(read_model(root(data)), Findings(str(path))).model()
    except MalformedBuffer as error:
        hint = "it is damaged, incomplete, or another kind of file"
        raise _failure(path, f"not a readable TFLite model: {error}", hint) from None


def _opened(path: Path) -> memoryview:
    try:
        with path.open("rb") as file:
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except ValueError:
        raise _failure(path, "the file is empty", "download or save it again") from None
    except OSError as error:
        raise _failure(path, f"cannot be read: {error.strerror or error}", "") from None
    if bytes(data[:23]) == b"version https://git-lfs":
        raise _failure(path, "this is a Git LFS pointer, not the model itself", "fetch it with `git lfs pull`")
    if bytes(data[4:8]) != IDENTIFIER:
        raise _failure(path, "not a TFLite model: bytes 4 to 8 are not TFL3", "give the .tflite file that was saved")
    return data


def _failure(path: Path, message: str, hint: str) -> ImportFailure:
    return ImportFailure([Problem(message, hint=hint)], file=str(path))


class _Walk:
    """The table of values while the operators go by."""

    def __init__(self, stored: Model, findings: Findings) -> None:
        self.stored = stored
        self.findings = findings
        batches = {stored.tensors[n].shape[:1] for n in stored.inputs if n >= 0}
        (first,) = batches.pop() if len(batches) == 1 and batches != {()} else (None,)
        self.context = Context(Network(findings), first)
        self.values: dict[int, Operand] = {}
        self.unsupported: dict[str, list[str]] = {}
        self.quantised = False

    def model(self) -> ImportedModel:
        """Return what the operators that the outputs need become."""
        for number in dict.fromkeys(self.stored.inputs):
            if number >= 0:
                self.values[number] = self._input(number)
        for operator in _live(self.stored):
            self._take(operator)
        for op, names in self.unsupported.items():
            listed = ", ".join(quoted(name) for name in names[:_MOST_NAMED])
            more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
            self.findings.problem(f"{op:.80} is not supported: it gives {listed}{more}", hint=advice(op))
        if self.quantised:
            self.findings.note(
                "the model is quantised; here it is computed in floating point with the same weights, so that results "
                "differ by what its integers round off"
            )
        return finished(self.context.net, self._outputs())

    def _input(self, number: int) -> Flow:
        tensor = self.stored.tensors[number]
        if tensor.kind not in (FLOAT32, FLOAT16, *QUANTISED) or len(tensor.shape) < 2:
            place = Operator("input", tensor.name).place
            message = f"an input of shape {shape_words(tensor.shape)} and data type {tensor.kind}"
            return self.context.net.problem(place, message, expected="a batch of numbers")
        return self.context.net.input(tensor.name, tensor.shape[1:])

    def _take(self, stored: OperatorInfo) -> None:
        name = self.stored.tensors[stored.outputs[0]].name if stored.outputs and stored.outputs[0] >= 0 else ""
        rule = RULES.get(stored.op)
        if rule is None:
            self.unsupported.setdefault(stored.op, []).append(name)
            return
        operator = Operator(stored.op, name, stored.options)
        left_out = len(stored.inputs)
        while left_out and stored.inputs[left_out - 1] < 0:
            left_out -= 1
        inputs = [self._value(number) for number in stored.inputs[:left_out]]
        if not (rule.least <= len(inputs) and (rule.most is None or len(inputs) <= rule.most)):
            wanted = f"{rule.least}" if rule.most == rule.least else f"{rule.least} or more"
            self.context.net.problem(operator.place, f"{len(inputs)} inputs", expected=wanted)
            return
        if any(
            self.stored.tensors[n].kind in QUANTISED and self.stored.tensors[n].values is None for n in stored.outputs
        ):
            self.quantised = True
        result = rule.apply(self.context, operator, inputs)
        results = list(result) if isinstance(result, Sequence) else [result]
        for output, value in zip(stored.outputs, results, strict=False):
            self.values[output] = value

    def _value(self, number: int) -> Operand:
        if number in self.values:
            return self.values[number]
        if number < 0 or self.stored.tensors[number].values is None:
            return FAILED
        tensor = self.stored.tensors[number]
        try:
            value: Operand = constant_tensor(self.stored.data, tensor)
        except MalformedTensor as error:
            self.findings.problem(f"the constant {quoted(tensor.name)} cannot be read: {error}")
            value = FAILED
        self.values[number] = value
        return value

    def _outputs(self) -> dict[str, Flow]:
        found: dict[str, Flow] = {}
        for number in self.stored.outputs:
            name = self.stored.tensors[number].name if number >= 0 else ""
            value = self.values.get(number, FAILED)
            if isinstance(value, Flow):
                if value.failed and not self.findings.problems:
                    self.findings.problem(f"nothing gives the output {quoted(name)}")
                found[name if name not in found else f"{name}:{number}"] = value
            else:
                self.findings.note(f"the output {quoted(name)} is left out: it does not depend on the input")
        return found


def _live(model: Model) -> list[OperatorInfo]:
    """Return the operators on which an output depends, in file order, which is the order of computation."""
    needed = set(model.outputs)
    live = []
    for operator in reversed(model.operators):
        if needed.intersection(operator.outputs):
            live.append(operator)
            needed.update(operator.inputs)
    return live[::-1]
