"""The layers in the making: each put behind those that it reads, with the shapes of what it gives by its own rule."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import attrs

from cnnrt.errors import KeyValueError, PluginError, ShapeError
from cnnrt.findings import Findings
from cnnrt.layer import Shape
from cnnrt.shapes import LARGEST_VALUE
from cnnrt.vocabulary import layer_class
from cnnrt_import_onnx.tensors import Sizes, Tensor, shape_words
from cnnrt_import_onnx.values import Flow, Made, weight_of
from netfile_spec.problems import quoted

_BATCHES = (3, 5)
"""Numbers of images that shapes are asked for: what does not follow the batch, or mixes it, gives itself away."""


@attrs.define(eq=False)
class FoundLayer:
    """A layer: its name as far as the model has one, the node's operator, what it was made as, with its inputs placed.

    `values`: for each output the names that the model calls it by.
    """

    name: str
    op: str
    made: Made
    inputs: tuple[Flow, ...]
    values: tuple[list[str], ...]


@attrs.define(eq=False)
class LayerList:
    """Layers in the order in which they are computed."""

    findings: Findings
    layers: list[FoundLayer] = attrs.field(factory=list)
    _constants: dict[Hashable, Flow] = attrs.field(factory=dict)

    def place(self, made: Made, title: str, name: str, op: str, outputs: Sequence[str]) -> list[Flow]:
        """Put a layer, and those that it is made of, behind the others; return what it gives.

        `title` begins messages; `name` is the node's; `outputs` are the names of its values.
        """
        return self._place(made, title, name, op, outputs, {})

    def _place(
        self, made: Made, title: str, name: str, op: str, outputs: Sequence[str], done: dict[int, Flow]
    ) -> list[Flow]:
        inputs, started = [], len(self.layers)
        for given in made.inputs:
            if isinstance(given, Flow):
                inputs.append(given)
            elif isinstance(given, Tensor):
                inputs.append(self._constant(given, title))
            else:
                if id(given) not in done:
                    base = f"{name or next((o for o in outputs if o), op)}_{given.type.lower()}"
                    alike = sum(layer.name.startswith(base) for layer in self.layers[started:])
                    inner = self._place(given, title, f"{base}{alike + 1}" if alike else base, op, [""], done)
                    done[id(given)] = inner[0]
                inputs.append(done[id(given)])
        flows = tuple(inputs)
        values = tuple([output] if output else [] for output in (*outputs, *[""] * made.outputs)[: made.outputs])
        self.layers.append(FoundLayer(name, op, made, flows, values))
        return self.outputs_of(len(self.layers) - 1, title)

    def outputs_of(self, index: int, title: str) -> list[Flow]:
        """Return what a layer gives, with the shapes of it."""
        layer = self.layers[index]
        free = any(flow.free for flow in layer.inputs)
        failed = any(flow.failed for flow in layer.inputs)
        shapes = [None] * layer.made.outputs if failed else self._shapes(layer, free, title)
        failed = failed or shapes is None
        known: Sequence[Sizes | None] = shapes if shapes is not None else [None] * layer.made.outputs
        return [Flow(index, shape, free, number, failed) for number, shape in enumerate(known)]

    def _constant(self, tensor: Tensor, title: str) -> Flow:
        key = (tensor.origin, tensor.shape)
        if key not in self._constants:
            made = Made("Constant", (), {}, {"value": weight_of(tensor)})
            (self._constants[key],) = self.place(made, title, f"{tensor.name or 'a'}_constant", "Constant", [""])
        if tensor.batch is not None:
            self.findings.problem(f"{title}: the number of images is one of the values of {quoted(tensor.name)}")
        return self._constants[key]

    def _shapes(self, layer: FoundLayer, free: bool, title: str) -> list[Sizes | None] | None:
        """Return the shapes of a layer's outputs by its own rule; None where there is a problem."""
        made = layer.made
        try:
            rule = layer_class(made.type)(**made.keys)
            stored = {name: weight.shape for name, weight in made.weights.items()}
            given = [flow.shape for flow in layer.inputs]
            if any(flow.shape is None or None in flow.shape[flow.free :] for flow in layer.inputs):
                return [None if made.item is None else (None, *made.item)] + [None] * (made.outputs - 1)
            found: list[list[Sizes]] = []
            for batch in _BATCHES if free else (1,):
                shapes = [tuple(batch if n is None else n for n in shape or ()) for shape in given]
                results = rule.output_shapes(shapes, rule.weight_shapes(stored, shapes))
                found.append([_open(shape, batch) if free else shape for shape in results])
        except (KeyValueError, PluginError, ShapeError) as error:
            self.findings.problem(f"{title}: {error}")
            return None
        return self._checked(made, found, free, title)

    def _checked(
        self, made: Made, found: Sequence[Sequence[Sizes]], free: bool, title: str
    ) -> list[Sizes | None] | None:
        if any(shapes != found[0] for shapes in found) or (free and any(s[:1] != (None,) for s in found[0])):
            self.findings.problem(f"{title}: it mixes the images of a batch", expected="each image by itself")
            return None
        for shape in found[0]:
            if math.prod(n or 1 for n in shape) > LARGEST_VALUE:
                self.findings.problem(f"{title}: its output of {shape_words(shape)} is too large")
                return None
        return [*found[0][: made.outputs]]


def _open(shape: Shape, batch: int) -> Sizes:
    """Return a shape whose first size is the batch with that size open."""
    return (None, *shape[1:]) if shape[:1] == (batch,) else shape
