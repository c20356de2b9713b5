"""The network that pickled layers of Lasagne make up: each layer holds the ones before it, and its own weights."""

from __future__ import annotations

from typing import Any

from cnnrt.importer import ImportedModel
from cnnrt.model_builder import UNKNOWN, ModelBuilder
from cnnrt.pickles import PickledArray, Record
from cnnrt_import_theano.lasagne_layers import RULES, SUPPORTED, FoundLayer, place_of

_PACKAGE = "lasagne.layers"
_MOST_LAYERS = 8192


def lasagne_layers(value: Any) -> list[Record]:
    """Return the layers of Lasagne that a value is or lists; none where it is something else."""
    values = value if isinstance(value, list | tuple) else list(value.values()) if isinstance(value, dict) else [value]
    if isinstance(value, PickledArray) and value.items is not None:
        values = value.items
    return [v for v in values if isinstance(v, Record) and v.module.startswith(_PACKAGE)]


def read_network(layers: list[Record], file: str) -> ImportedModel:
    """Return the network of these layers and of all that they read; raises ImportFailure with every problem."""
    model = ModelBuilder(file)
    given: dict[int, str] = {}
    flips: set[bool] = set()
    for number, record in enumerate(_in_order(layers, model)):
        found = FoundLayer(record, number, model, [given.get(id(r), UNKNOWN) for r in inputs_of(record)], flips)
        rule = RULES.get(record.name)
        if rule is None:
            hint = f"supported are {', '.join(SUPPORTED)}"
            given[id(record)] = model.problem(place_of(record, number), "a layer that is not supported", hint=hint)
        else:
            given[id(record)] = rule(found)
    if flips:
        how = "those whose layers say so" if len(flips) > 1 else "all of them" if True in flips else "none of them"
        model.note(f"kernels are flipped as each layer's flip_filters says: {how}")
    return model.finish()


def inputs_of(record: Record) -> list[Any]:
    """Return the layers that a layer reads."""
    attributes = record.attributes
    several = attributes.get("input_layers")
    if isinstance(several, list | tuple):
        return list(several)
    single = attributes.get("input_layer")
    return [] if single is None else [single]


def _in_order(layers: list[Record], model: ModelBuilder) -> list[Record]:
    """Return all layers, each behind those that it reads; without recursion, since files may nest as they like."""
    done: dict[int, Record] = {}
    waiting: set[int] = set()
    stack: list[tuple[Record, bool]] = [(layer, False) for layer in reversed(layers)]
    while stack:
        record, ready = stack.pop()
        if ready:
            waiting.discard(id(record))
            done.setdefault(id(record), record)
        elif id(record) in waiting:
            model.problem("", "layers that read one another in a circle")
            return []
        elif id(record) not in done:
            if len(done) + len(waiting) > _MOST_LAYERS:
                model.problem("", f"more than {_MOST_LAYERS:,} layers")
                return []
            waiting.add(id(record))
            stack.append((record, True))
            stack += [(r, False) for r in reversed(inputs_of(record)) if isinstance(r, Record)]
    return list(done.values())
