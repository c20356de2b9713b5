"""Which tensor is which weight of which layer: by name where the names say so, else in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
from attrs import field

from cnnrt.errors import Problem
from cnnrt.graph import Node
from cnnrt.layer import Shape, shape_text
from cnnrt.loose_weights import Conventions, LooseTensor, LooseWeights, StoredWeight
from netfile_spec.problems import closest, quoted

_MOST_LISTED = 20


@attrs.define(eq=False)
class Match:
    """The tensors of each layer by weight, with how they are stored; what did not fit; sentences for the user."""

    tensors: dict[str, dict[str, tuple[StoredWeight, LooseTensor]]] = field(factory=dict)
    problems: list[Problem] = field(factory=list)
    notes: list[str] = field(factory=list)

    @property
    def shapes(self) -> dict[str, dict[str, tuple[LooseTensor, Shape]]]:
        """For each layer and weight the tensor, and its shape with the layer's order of axes."""
        return {
            layer: {weight: (tensor, _in_order(stored, tensor.shape)) for weight, (stored, tensor) in found.items()}
            for layer, found in self.tensors.items()
        }


def match_tensors(nodes: Sequence[Node], weights: LooseWeights) -> Match:
    """Return the tensors as weights of `nodes`, which are those whose layers have weights, in order."""
    tensors = [t for t in weights.tensors if not weights.ignored(t.name)]
    stored = {node.name: stored_weights(node, weights.conventions) for node in nodes}
    groups = _groups(tensors)
    if groups is None:
        return _in_sequence(nodes, stored, tensors)
    return _by_name(nodes, stored, groups)


def stored_weights(node: Node, conventions: Conventions) -> Sequence[StoredWeight]:
    """Return how the weights of a node's layer are stored, in order."""
    by_type = {type.lower(): weights for type, weights in conventions.items()}
    plain = tuple(StoredWeight(w.name, (w.name.lower(),)) for w in node.layer.weights)
    return by_type.get(node.layer.type.lower(), plain)


def _groups(tensors: Sequence[LooseTensor]) -> dict[str, list[tuple[str, LooseTensor]]] | None:
    """Return the tensors by all but the last part of their names, in order; None where not all have such names."""
    if not tensors or not all("." in t.name or "/" in t.name for t in tensors):
        return None
    groups: dict[str, list[tuple[str, LooseTensor]]] = {}
    for tensor in tensors:
        name = tensor.name.replace("/", ".")
        stem, _, leaf = name.rpartition(".")
        groups.setdefault(stem, []).append((leaf.lower(), tensor))
    return groups


def _by_name(
    nodes: Sequence[Node],
    stored: Mapping[str, Sequence[StoredWeight]],
    groups: Mapping[str, list[tuple[str, LooseTensor]]],
) -> Match:
    """Match groups of names with layers: by their names, else one after the other."""
    match = Match()
    stems = _named_as_layers(nodes, groups)
    if stems is None:
        stems = {node.name: stem for node, stem in zip(nodes, groups, strict=False)}
        if len(groups) != len(nodes):
            match.problems.append(_wrong_number(nodes, list(groups), "groups of tensors"))
        elif nodes:
            match.notes.append("names of tensors and layers differ: they are matched in order")
    by_name = {node.name: node for node in nodes}
    for name, stem in stems.items():
        _take_group(by_name[name], stored[name], stem, groups[stem], match)
    unused = [stem for stem in groups if stem not in stems.values()]
    if unused and len(groups) == len(nodes):
        match.problems.append(Problem(f"no layer takes the tensors of {_listed(unused)}"))
    return match


def _named_as_layers(nodes: Sequence[Node], groups: Mapping[str, object]) -> dict[str, str] | None:
    """Return each layer's group where all have one of their names, perhaps behind a prefix that all share."""
    names = [node.name for node in nodes]
    prefixes = {""}
    if groups and names:
        first = next(iter(groups))
        prefixes |= {first[: i + 1] for i, c in enumerate(first) if c == "."}
    for prefix in sorted(prefixes, key=len):
        known = {stem.removeprefix(prefix): stem for stem in groups if stem.startswith(prefix)}
        known |= {stem.replace(".", "/"): whole for stem, whole in known.items()}
        if len(set(known.values())) == len(groups) and all(name in known for name in names):
            return {name: known[name] for name in names}
    return None


def _take_group(
    node: Node, stored: Sequence[StoredWeight], stem: str, group: list[tuple[str, LooseTensor]], match: Match
) -> None:
    by_leaf = {leaf: weight for weight in stored for leaf in (weight.weight.lower(), *weight.names)}
    found = match.tensors.setdefault(node.name, {})
    for leaf, tensor in group:
        weight = by_leaf.get(leaf)
        if weight is None:
            near = closest(leaf, by_leaf)
            hint = f"did you mean {quoted(near)}?" if near else ""
            match.problems.append(
                Problem(
                    f"{node.title}: {quoted(tensor.name)} ({shape_text(tensor.shape)}) is none of its weights",
                    node.position,
                    expected=", ".join(by_leaf) or "none",
                    hint=hint,
                )
            )
        elif weight.weight in found:
            message = f"{node.title}: {quoted(tensor.name)} is a second tensor for {weight.weight}"
            match.problems.append(Problem(message, node.position))
        else:
            found[weight.weight] = (weight, tensor)
    needed = [w.name for w in node.layer.weights if not w.optional and w.name not in found]
    if needed:
        match.problems.append(Problem(f"{node.title}: {quoted(stem)} lacks {', '.join(needed)}", node.position))


def _in_sequence(
    nodes: Sequence[Node], stored: Mapping[str, Sequence[StoredWeight]], tensors: Sequence[LooseTensor]
) -> Match:
    """Hand out tensors one after the other; one that may be absent is taken where its shape is that of such a one."""
    match = Match()
    at = 0
    for node in nodes:
        optional = {w.name for w in node.layer.weights if w.optional}
        found = match.tensors.setdefault(node.name, {})
        for weight in stored[node.name]:
            if at >= len(tensors):
                if weight.weight not in optional:
                    match.problems.append(
                        Problem(f"{node.title}: no tensor is left for {weight.weight}", node.position)
                    )
            elif weight.weight not in optional or _continues(tensors[at], found):
                found[weight.weight] = (weight, tensors[at])
                at += 1
    if at < len(tensors):
        left = [f"{quoted(t.name)} ({shape_text(t.shape)})" for t in tensors[at:]]
        match.problems.append(
            Problem(
                f"no layer takes {len(left)} of {len(tensors)} tensors: {_listed(left)}",
                expected=f"weights of {len(nodes)} layers",
                hint="does the topology lack a layer?",
            )
        )
    return match


def _continues(tensor: LooseTensor, found: Mapping[str, tuple[StoredWeight, LooseTensor]]) -> bool:
    """Tell whether a tensor looks like one more weight of a layer that has `found`: one number for each output."""
    if len(tensor.shape) != 1:
        return False
    outputs = {_in_order(stored, first.shape)[:1] for stored, first in found.values()}
    return not outputs or tensor.shape in outputs


def _wrong_number(nodes: Sequence[Node], names: Sequence[str], what: str) -> Problem:
    return Problem(
        f"{len(names)} {what} ({_listed([quoted(n) for n in names])}) for {len(nodes)} layers with weights "
        f"({_listed([quoted(n.name) for n in nodes])})",
        expected="as many of one as of the other, or the same names",
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_MOST_LISTED]) + (", ..." if len(names) > _MOST_LISTED else "")


def _in_order(stored: StoredWeight, shape: Shape) -> Shape:
    if stored.axes is None or len(stored.axes) != len(shape):
        return shape
    return tuple(shape[axis] for axis in stored.axes)
