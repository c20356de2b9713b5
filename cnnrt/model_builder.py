"""Putting an ImportedModel together, layer by layer: unique names, bottoms, weights, and everything that is wrong.

For importers whose formats are trees of modules or lists of units. A layer that is a problem does not stop the walk:
what it would have given is called `UNKNOWN`, and what depends on that is not added, so that every cause is named once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
from attrs import field

from cnnrt.errors import Problem
from cnnrt.findings import Findings
from cnnrt.importer import ImportedModel
from cnnrt.layer import Array
from netfile_spec import InputBlock, LayerBlock, NetFile, Value
from netfile_spec.limits import MAX_BLOCKS

UNKNOWN = ""
"""The name of a value that a layer would give, had it not been a problem."""

_LONGEST_NAME = 200


@attrs.define(eq=False)
class ModelBuilder:
    """Collects inputs, layers with their weights, and findings; `file` is what messages call the model."""

    file: str
    inputs: list[InputBlock] = field(factory=list)
    layers: list[LayerBlock] = field(factory=list)
    parameters: dict[str, Mapping[str, Array]] = field(factory=dict)
    findings: Findings = field(init=False)
    _taken: set[str] = field(factory=set)
    _next: dict[str, int] = field(factory=dict)
    _bottoms: dict[str, Sequence[str]] = field(factory=dict)

    @findings.default
    def _no_findings(self) -> Findings:
        return Findings(self.file)

    @property
    def problems(self) -> list[Problem]:
        """The problems so far."""
        return self.findings.problems

    def input(self, wanted: str, shape: Sequence[int] | None) -> str:
        """Add an input whose items have this shape (None: not known); return its name."""
        name = self._unique(wanted)
        self.inputs.append(InputBlock(name, shape))
        return name

    def layer(
        self,
        type: str,
        wanted: str,
        bottoms: Sequence[str],
        keys: Mapping[str, Value] | None = None,
        weights: Mapping[str, Array] | None = None,
    ) -> str:
        """Add a layer that reads the values `bottoms`; return its name, which is that of the value it gives.

        The name is `wanted`, or that with a number. `weights`: float32, in the shapes of the layer's class; one and the
        same mapping may be given to several layers.
        """
        if UNKNOWN in bottoms:
            return UNKNOWN
        if len(self.layers) >= MAX_BLOCKS:
            self.problem("", f"more than {MAX_BLOCKS:,} layers")
            return UNKNOWN
        name = self._unique(wanted or type.lower())
        self.layers.append(LayerBlock(type, name, keys=keys or {}))
        self._bottoms[name] = tuple(bottoms)
        if weights:
            self.parameters[name] = weights
        return name

    def problem(self, place: str, message: str, *, expected: str = "", hint: str = "") -> str:
        """Add a problem of the layer at `place` (a path in the module tree, a name); return UNKNOWN."""
        self.findings.problem(f"{place}: {message}" if place else message, expected=expected, hint=hint)
        return UNKNOWN

    def note(self, message: str) -> None:
        """Add a sentence for the user, once; after many of them, only that there are more."""
        self.findings.note(message)

    def finish(self, name: str | None = None, outputs: Sequence[str] | None = None) -> ImportedModel:
        """Return the model, called `name`; raises ImportFailure with every problem.

        Where `outputs` are given, layers that none of them depends on are left out with a note.
        """
        if not self.layers and not self.problems:
            self.problem("", "the model holds no layers")
        self.findings.raise_if_any()
        layers = self.layers if outputs is None else self._needed(outputs)
        netfile = NetFile(self._wired(layers), self.inputs, netfile_version=1, name=name)
        kept = {layer.name for layer in layers}
        parameters = {layer: weights for layer, weights in self.parameters.items() if layer in kept}
        return ImportedModel(netfile, parameters, self.findings.notes)

    def _needed(self, outputs: Sequence[str]) -> list[LayerBlock]:
        needed = set(outputs)
        for layer in reversed(self.layers):
            if layer.name in needed:
                needed.update(self._bottoms[layer.name])
        left_out = [layer.name for layer in self.layers if layer.name not in needed]
        if left_out:
            shown = ", ".join(left_out[:10]) + (", ..." if len(left_out) > 10 else "")
            self.note(f"left out, since no output depends on it: {shown}")
        return [layer for layer in self.layers if layer.name in needed]

    def _wired(self, layers: Sequence[LayerBlock]) -> list[LayerBlock]:
        """Return the layers with their bottoms, stated only where they are not simply the layer before."""
        previous = self.inputs[0].name if self.inputs else ""
        wired = []
        for layer in layers:
            bottoms = self._bottoms[layer.name]
            wired.append(layer if bottoms == (previous,) else attrs.evolve(layer, bottoms=bottoms))
            previous = layer.name
        return wired

    def _unique(self, wanted: str) -> str:
        printable = "".join(c if c.isprintable() else "_" for c in wanted[:_LONGEST_NAME]) or "layer"
        name = printable
        while name in self._taken:
            number = self._next[printable] = self._next.get(printable, 1) + 1
            name = f"{printable}_{number}"
        self._taken.add(name)
        return name
