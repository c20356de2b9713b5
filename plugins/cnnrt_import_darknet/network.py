"""The layers and values made so far, by the numbers with which sections refer to each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs

from cnnrt.layer import Array
from cnnrt.lazy_weights import LazyWeights
from cnnrt_import_darknet.cfg import Section
from cnnrt_import_darknet.weights_file import WeightsFile
from netfile_spec import LayerBlock
from netfile_spec import Value as KeyValue

Maker = Callable[[], Array]
Shape = tuple[int, ...]
INPUT = "data"


@attrs.frozen
class Value:
    """What a layer gives: its name and the shape of one item; one number where it is flat. `failed`: of a problem."""

    name: str
    shape: Shape
    failed: bool = False


@attrs.define(eq=False)
class Network:
    """Collects layer blocks; `outputs[i]` is what section i gives, `value` what the next section takes."""

    weights: WeightsFile
    value: Value
    image: Value
    blocks: list[LayerBlock] = attrs.field(factory=list)
    parameters: dict[str, LazyWeights] = attrs.field(factory=dict)
    outputs: list[Value] = attrs.field(factory=list)
    heads: dict[str, str] = attrs.field(factory=dict)
    _previous: str = INPUT

    def add(
        self,
        kind: str,
        name: str,
        inputs: Sequence[Value],
        shape: Shape,
        keys: Mapping[str, KeyValue] | None = None,
        weights: Mapping[str, Maker] | None = None,
    ) -> Value:
        """Add a layer and return what it gives; bottoms are stated where they are not simply the layer before."""
        bottoms = [value.name for value in inputs]
        self.blocks.append(LayerBlock(kind, name, None if bottoms == [self._previous] else bottoms, keys=keys or {}))
        if weights:
            self.parameters[name] = LazyWeights(weights)
        self._previous = name
        return Value(name, shape, any(value.failed for value in inputs))

    def earlier(self, section: Section, index: int, key: str) -> Value | None:
        """Return what the section `index` gives, counted from the start, or back from this one where negative."""
        number = index if index >= 0 else section.number + index
        if 0 <= number < section.number:
            return self.outputs[number]
        section.problem(f"{key} refers to layer {number}", key, expected=f"an earlier layer, 0 to {section.number - 1}")
        return None

    def name_output(self, value: Value, name: str) -> None:
        """Call what a layer gives `name` as well: heads are asked for by the section that reads them."""
        self.heads.setdefault(value.name, name)

    def finished_blocks(self) -> list[LayerBlock]:
        """Return the blocks, those of heads with the name of their section as top."""
        return [
            attrs.evolve(block, tops=self.heads[block.name]) if block.name in self.heads else block
            for block in self.blocks
        ]


def failed(section: Section, shape: Shape) -> Value:
    """Return a stand-in for what a section would have given, of which nothing more is said."""
    return Value(f"{section.type}_{section.number}", shape, failed=True)
