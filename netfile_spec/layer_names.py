"""A name for every layer, and no name twice.

CNNdroid asked for neither: it used names for nothing but its log and tuning files. Its files are read all the
same, so a layer without a name is called by its type and place, and in a plain chain of an old file a name that
comes again is told apart by its place.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import attrs

from netfile_spec.errors import CnnrtWarning
from netfile_spec.model import LayerBlock
from netfile_spec.problems import Problems, quoted


def name_layers(layers: Sequence[LayerBlock], problems: Problems, *, version: int | None) -> tuple[LayerBlock, ...]:
    """Return the layers, each with a name of its own.

    A repeated name is reported, except in a file of CNNdroid's (no version, no bottoms or tops): there the
    later layer is renamed, with a CnnrtWarning.
    """
    chain = version is None and not any(layer.bottoms or layer.tops for layer in layers)
    stated = {layer.name for layer in layers if layer.name}
    taken = set(stated)
    first: dict[str, LayerBlock] = {}
    renamed: list[str] = []
    result = []
    for number, layer in enumerate(layers, start=1):
        if not layer.name:
            layer = attrs.evolve(layer, name=_free(f"{layer.type.lower()}{number}", taken))
        elif layer.name in first:
            if chain:
                name = _free(f"{layer.name}_{number}", taken)
                renamed.append(f"{quoted(layer.name)} (layer {number}) is called {quoted(name)}")
                layer = attrs.evolve(layer, name=name)
            else:
                _report_again(layer, first[layer.name], problems)
        else:
            first[layer.name] = layer
        result.append(layer)
    if renamed and not problems:
        warnings.warn(
            f"{problems.file}: names of layers are repeated: {'; '.join(renamed)}", CnnrtWarning, stacklevel=4
        )
    return tuple(result)


def _report_again(layer: LayerBlock, first: LayerBlock, problems: Problems) -> None:
    where = first.key_positions.get("name")
    problems.report(
        f"there is already a layer {quoted(layer.name)}",
        layer.key_positions.get("name", layer.position),
        hint=f"the first is named in line {where.line}" if where else "",
    )


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name
