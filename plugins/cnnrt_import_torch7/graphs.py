"""nn.gModule: a graph of modules, made by nngraph.

Source: nngraph, gmodule.lua (`updateOutput`) and node.lua. Nodes are computed in the order of `forwardnodes`; what a
node gives goes to its children, each of which knows by the table `mapindex` at which place of its input.
"""

from __future__ import annotations

from cnnrt.model_builder import UNKNOWN
from cnnrt_import_torch7.modules import Flow, Module
from cnnrt_import_torch7.objects import Table, TorchObject


def graph(module: Module, flow: Flow) -> Flow:
    """nn.gModule."""
    nodes = module.field("forwardnodes")
    start, end = (_data(module.field(name)) for name in ("innode", "outnode"))
    if not isinstance(nodes, Table) or start is None or end is None:
        return module.problem("a graph without its nodes (forwardnodes, innode, outnode)")
    given: dict[int, dict[int, Flow]] = {id(start): {1: flow}}
    for number, node in enumerate(nodes.sequence, start=1):
        data = _data(node)
        if data is None or not isinstance(node, TorchObject):
            module.problem(f"node {number} of its graph is none")
            continue
        if data is end:
            continue
        value = _value(module, number, data, given.get(id(data), {}))
        _propagate(module, number, node, data, value, given)
    return _input_of(given.get(id(end), {}))


def _data(node: object) -> Table | None:
    data = node.fields.get("data") if isinstance(node, TorchObject) else None
    return data if isinstance(data, Table) else None


def _input_of(places: dict[int, Flow]) -> Flow:
    """Return what a node is handed: one value, or a table of those at 1, 2, 3 and so on."""
    if not places:
        return UNKNOWN
    if len(places) == 1:
        return next(iter(places.values()))
    return tuple(places[place] for place in sorted(places))


def _value(module: Module, number: int, data: Table, places: dict[int, Flow]) -> Flow:
    value = _input_of(places)
    select = data.get("selectindex")
    if select is not None:
        index = int(select) if type(select) is float and 1 <= select <= 10_000 else 0
        if isinstance(value, tuple) and 1 <= index <= len(value):
            selected: Flow = value[index - 1]
            return selected
        return value if value == UNKNOWN else module.problem(f"node {number} selects a value that is not there")
    inner = data.get("module")
    if inner is None:
        return value
    return module.convert(inner, f"{module.place}.node{number}" if module.place else f"node{number}", value)


def _propagate(
    module: Module, number: int, node: TorchObject, data: Table, value: Flow, given: dict[int, dict[int, Flow]]
) -> None:
    children = node.fields.get("children")
    for child in children.sequence if isinstance(children, Table) else []:
        inner = _data(child)
        places = inner.get("mapindex") if inner is not None else None
        place = places.get(data) if isinstance(places, Table) else None
        if inner is None or type(place) is not float or not 1 <= place <= 10_000:
            module.problem(f"node {number} of its graph has a child that does not know it")
            continue
        given.setdefault(id(inner), {})[int(place)] = value
