"""One `layer { ... }` of a file to a `LayerBlock`, checked against the vocabulary."""

from __future__ import annotations

from typing import Any

from netfile_spec.language import LAYER_KEYS
from netfile_spec.model import LayerBlock
from netfile_spec.problems import Problems, nearest, quoted
from netfile_spec.stated_keys import StatedKeys, read_keys
from netfile_spec.syntax import Block
from netfile_spec.values import typed_value
from netfile_spec.vocabulary import LayerSpec, Vocabulary


def read_layer(block: Block, vocabulary: Vocabulary | None, problems: Problems) -> LayerBlock:
    """Return what the block states; report what is wrong in it.

    Without a vocabulary, or where the type is unknown, the keys of the layer are kept as written. A layer
    that states no name gets the empty one here.
    """
    type = _stated_type(block)
    spec = vocabulary.lookup(type) if vocabulary and type else None
    known = {**LAYER_KEYS, **{key.name: key for key in spec.keys}} if spec else LAYER_KEYS
    owner = f"a layer of type {spec.type}" if spec else "a layer"
    stated = read_keys(block.entries, known, problems, owner=owner, keep_unknown=spec is None)
    values: dict[str, Any] = dict(stated.values)

    if "type" not in stated.mentioned and block.sound:
        problems.report("a layer without a type", block.position, expected='type: "..."')
    elif vocabulary and type and spec is None:
        hint = nearest(type, vocabulary.types)
        problems.report(f"there is no layer of type {quoted(type)}", stated.positions["type"], hint=hint)
    for key in ("type", "parameters_file"):
        if values.get(key) == "":
            problems.report(f'"{key}" is empty', stated.positions[key])
    for key in ("bottom", "top"):
        for name, position in zip(values.get(key, ()), stated.item_positions.get(key, ()), strict=True):
            if not name:
                problems.report(f'"{key}" holds an empty name', position)

    result = LayerBlock(
        type=spec.type if spec else values.get("type", ""),
        name=values.get("name", ""),
        bottoms=values.get("bottom"),
        tops=values.get("top"),
        parameters_file=values.get("parameters_file"),
        keys={key: value for key, value in stated.values.items() if key not in LAYER_KEYS},
        position=block.position,
        key_positions=stated.positions,
        bottom_positions=stated.item_positions.get("bottom", ()),
    )
    if spec:
        _check(result, spec, block, stated, problems)
    return result


def _stated_type(block: Block) -> str:
    """Return the type without reporting anything: it is looked at again with the other keys."""
    for entry in block.entries:
        if entry.key == "type":
            value = typed_value(entry, LAYER_KEYS["type"], Problems("", ""))
            return value if isinstance(value, str) else ""
    return ""


def _check(layer: LayerBlock, spec: LayerSpec, block: Block, stated: StatedKeys, problems: Problems) -> None:
    who = f"layer {quoted(layer.name)} of type {spec.type}" if layer.name else f"a layer of type {spec.type}"
    missing = [key.name for key in spec.keys if key.required and key.name not in stated.mentioned]
    if spec.parameters == "required" and "parameters_file" not in stated.mentioned:
        missing.append("parameters_file")
    if spec.parameters == "none" and "parameters_file" in stated.mentioned:
        position = stated.positions.get("parameters_file", block.position)
        problems.report(f"{who} has no parameters", position, hint='remove "parameters_file"')
    if missing and block.sound:
        problems.report(f"{who} lacks {', '.join(quoted(key) for key in missing)}", block.position)
    if spec.check and stated.sound and block.sound and not missing:
        for key, message in spec.check(layer.keys):
            position = stated.positions.get(key, block.position) if key else block.position
            problems.report(f"{who}: {message}", position)
