"""A configuration as layers, and the nodes by which they are connected: one form for all versions of Keras.

A layer that is called several times has a node for each call. Tensors are named by layer, number of the node, and
number among the node's outputs. Keras 1 and 2 write them as lists, ["conv1", 0, 0, {}], Keras 3 as objects with a
`keras_history`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

MODELS = ("Functional", "Model", "Sequential")
MOST_LAYERS = 8192

Tensor = tuple[str, int, int]


class MalformedConfig(Exception):
    """A configuration that is no model; the text says why."""


@attrs.frozen(eq=False)
class LayerConfig:
    """A layer: its class, name and settings, and for each of its calls the tensors that it was given.

    `numbers`: for each call the plain numbers that stood among the tensors, by their places; Keras 3 writes x + 3 so.
    """

    kind: str
    name: str
    settings: Mapping[str, Any]
    calls: tuple[tuple[Tensor, ...], ...] = ()
    numbers: tuple[Mapping[int, float], ...] = ()


@attrs.frozen(eq=False)
class ModelConfig:
    """A model: its layers in the file's order, and the tensors that are its inputs and outputs."""

    name: str
    layers: tuple[LayerConfig, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def read_config(config: Mapping[str, Any], name: str = "") -> ModelConfig:
    """Return the model of a configuration ({class_name, config}); raises MalformedConfig."""
    kind, settings = config.get("class_name"), config.get("config")
    if kind not in MODELS:
        raise MalformedConfig(f"a model of class {str(kind)[:60]!r}; expected {', '.join(MODELS)}")
    stored = settings.get("layers") if isinstance(settings, dict) else settings  # Keras 1: a list
    if not isinstance(stored, list) or not stored or len(stored) > MOST_LAYERS:
        raise MalformedConfig("a model without layers, or of too many")
    called = name or (str(settings.get("name", "")) if isinstance(settings, dict) else "")
    layers = [_layer(entry) for entry in stored]
    if kind == "Sequential":
        return _sequential(called, layers)
    assert isinstance(settings, dict)
    inputs, outputs = (tuple(_tensors(settings.get(f"{end}_layers"))) for end in ("input", "output"))
    if not outputs:
        raise MalformedConfig("a model without outputs")
    layers, outputs = _counted_from_0(layers, outputs)
    return ModelConfig(called, tuple(layers), inputs, outputs)


def _counted_from_0(
    layers: Sequence[LayerConfig], outputs: tuple[Tensor, ...]
) -> tuple[list[LayerConfig], tuple[Tensor, ...]]:
    """Return layers and outputs in which calls of models within the model count from 0, like all others.

    TensorFlow 2 takes the making of such a model for its first call, which is not in the file.
    """
    named = [t for layer in layers for call in layer.calls for t in call] + list(outputs)
    last: dict[str, int] = {}
    for name, number, _ in named:
        last[name] = max(last.get(name, 0), number)
    late = {e.name for e in layers if e.kind in MODELS and last.get(e.name, 0) >= len(e.calls)}

    def counted(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple((name, n - 1 if name in late else n, output) for name, n, output in tensors)

    moved = [attrs.evolve(layer, calls=tuple(counted(call) for call in layer.calls)) for layer in layers]
    return moved, counted(outputs)


def _layer(entry: object) -> LayerConfig:
    if not isinstance(entry, dict):
        raise MalformedConfig("a layer that is no object")
    settings = entry.get("config")
    kind = entry.get("class_name")
    if not isinstance(kind, str) or not isinstance(settings, dict | list):
        raise MalformedConfig("a layer without class or settings")
    name = entry.get("name") or (settings.get("name") if isinstance(settings, dict) else None) or kind.lower()
    if isinstance(settings, list) or kind in MODELS:
        settings = {"model": entry}
    shape = entry.get("build_config")
    if isinstance(shape, dict) and "input_shape" in shape:
        settings = {"build_input_shape": shape["input_shape"], **settings}
    nodes = entry.get("inbound_nodes") or []
    if not isinstance(nodes, list):
        raise MalformedConfig(f"calls of {str(name)[:60]!r} that are no list")
    # Some files of TensorFlow 2 leave out the list of calls where there is one.
    if nodes and all(isinstance(n, list) and n and isinstance(n[0], str) for n in nodes):
        nodes = [nodes]
    calls = tuple(tuple(_tensors(node)) for node in nodes)
    return LayerConfig(kind, str(name), settings, calls, tuple(_numbers(node) for node in nodes))


def _numbers(node: object) -> Mapping[int, float]:
    """Return the numbers among the arguments of a call, by their places among all arguments."""
    arguments = node.get("args") if isinstance(node, dict) else None
    if not isinstance(arguments, list):
        return {}
    return {
        place: float(a)
        for place, a in enumerate(arguments[:16])
        if isinstance(a, int | float) and not isinstance(a, bool) and abs(a) < 1e300
    }


def _sequential(name: str, layers: Sequence[LayerConfig]) -> ModelConfig:
    """Return a chain: each layer is called once, with what the layer before gives."""
    first = layers[0]
    chain: list[LayerConfig] = []
    if first.kind != "InputLayer":
        keys = ("batch_input_shape", "batch_shape", "input_shape", "build_input_shape")
        shape = next((first.settings[k] for k in keys if k in first.settings), None)
        if isinstance(shape, list) and "input_shape" in first.settings and shape is first.settings["input_shape"]:
            shape = [None, *shape]
        chain.append(LayerConfig("InputLayer", f"{first.name}_input", {"batch_shape": shape}))
    chain += layers
    names = [layer.name for layer in chain]
    if len(set(names)) < len(names):
        raise MalformedConfig("two layers of one name")
    called = [attrs.evolve(b, calls=(((a.name, 0, 0),),)) for a, b in itertools.pairwise(chain)]
    ends = (chain[0].name, 0, 0), (chain[-1].name, 0, 0)
    return ModelConfig(name, (chain[0], *called), (ends[0],), (ends[1],))


def _tensors(value: object) -> Iterator[Tensor]:
    """Yield all tensors that are named somewhere in a value, in order."""
    if isinstance(value, dict):
        history = value.get("keras_history")
        if isinstance(history, list):
            yield from _tensors(history)
        else:
            for inner in value.values():
                yield from _tensors(inner)
    elif isinstance(value, list):
        match value:
            case [str() as name, int() as node, int() as output, *more]:
                yield (name, node, output)
                yield from _tensors(more)
            case _:
                for inner in value:
                    yield from _tensors(inner)
