"""The pass that joins kernels of different layouts: where neighbours differ, a visible Reorder step is inserted."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from cnnrt.graph import Node
from cnnrt.layer_call import LayerCall
from cnnrt.layouts import Reorder, ReorderKernel
from cnnrt.placement import CORE, Placed
from cnnrt.shapes import Shapes
from cnnrt.tensor import PLAIN, TensorType


@attrs.frozen
class Joined:
    """The placed nodes with their reorders; the type of every value; for each wanted value the one to return."""

    placed: tuple[Placed, ...]
    types: dict[str, TensorType]
    results: dict[str, str]


def insert_reorders(placed: Sequence[Placed], shapes: Shapes, inputs: Sequence[str], wanted: Sequence[str]) -> Joined:
    """Return the placed nodes so that each reads the layout that its kernel takes.

    What enters and leaves is in the plain layout. A value is reordered once for each layout in which it is read.
    """
    types = {name: TensorType(shapes.values[name]) for name in inputs}
    done: list[Placed] = []
    copies: dict[tuple[str, str], str] = {}  # (value, layout) -> its copy in that layout
    taken = {*shapes.values, *(p.node.name for p in placed)}

    def in_layout(value: str, layout: str) -> str:
        if types[value].layout == layout:
            return value
        if (value, layout) not in copies:
            source = types[value]
            name = copies[value, layout] = _free(f"{value} ({layout})", taken)
            types[name] = attrs.evolve(source, layout=layout)
            layer = Reorder(source=source.layout, target=layout)
            node = Node(_free(f"reorder {value} to {layout}", taken), layer, (value,), (name,))
            call = LayerCall(node.layer, (source,), (types[name],))
            done.append(Placed(node, call, CORE, ReorderKernel(), f"{source.layout} is given, {layout} is taken"))
        return copies[value, layout]

    for p in placed:
        takes, gives = (p.kernel.takes, p.kernel.gives) if p.kernel else (PLAIN, PLAIN)
        values = tuple(in_layout(value, takes) for value in p.node.inputs)
        outputs = tuple(attrs.evolve(t, layout=gives) for t in p.call.outputs)
        types.update(zip(p.node.outputs, outputs, strict=True))
        call = attrs.evolve(p.call, inputs=tuple(types[v] for v in values), outputs=outputs)
        done.append(attrs.evolve(p, node=attrs.evolve(p.node, inputs=values), call=call))
    results = {value: in_layout(value, PLAIN) for value in wanted}
    return Joined(tuple(done), types, results)


def _free(name: str, taken: set[str]) -> str:
    while name in taken:  # layers may be called anything
        name += "'"
    taken.add(name)
    return name
