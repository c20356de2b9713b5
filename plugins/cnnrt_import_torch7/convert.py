"""A tree of modules as an ImportedModel, or everything that stands in the way."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnrt.importer import ImportedModel
from cnnrt.layer import Array
from cnnrt.model_builder import UNKNOWN, ModelBuilder
from cnnrt_import_torch7.modules import Flow, Module
from cnnrt_import_torch7.objects import Table, Tensor, TorchObject
from cnnrt_import_torch7.supported import PACKAGES, RULES, advice
from netfile_spec.problems import quoted

MOST_MODULES = 20_000
_DEEPEST = 60
_PLACES = ("model", "net", "network", "module", "modules")


def convert(root: Any, file: str, before: Table | None = None) -> ImportedModel:
    """Return the model that an object of a file is or holds; raises ImportFailure with every problem.

    `before`: a table of `mean` and `std` for each channel, by which images are normalised before the network.
    """
    model = ModelBuilder(file)
    found, place = _network(root)
    if found is None:
        model.problem("", "holds no network", expected="a module of nn, or a table with one", hint=_what_it_is(root))
        return model.finish()
    if place:
        model.note(f"the file is a table; its network is read from {quoted(place)}")
    data = model.input("data", None)
    walk = _Walk(model)
    result = walk.take(found, "", data if before is None else _normalised(model, data, before))
    if not model.problems and not model.layers:
        model.problem("", "the network computes nothing")
    model.note('Torch7 states no input shape: add shape: [channels, rows, columns] to the input "data" of the NetFile')
    return model.finish(outputs=_flat(result))


def _flat(flow: Flow) -> list[str]:
    """Return the values of tables in tables, each once."""
    found: dict[str, None] = {}
    waiting = [flow]
    while waiting:
        value = waiting.pop()
        if isinstance(value, tuple):
            waiting += value
        else:
            found[value] = None
    return list(found)


def is_normalisation(root: Any) -> bool:
    """Tell whether an object is a table of the means and deviations of channels, as preprocessing scripts save it."""
    return isinstance(root, Table) and all(_numbers(root.get(key)) is not None for key in ("mean", "std"))


def _normalised(model: ModelBuilder, data: str, before: Table) -> str:
    mean, deviation = (_numbers(before.get(key)) for key in ("mean", "std"))
    if mean is None or deviation is None or mean.shape != deviation.shape:
        return model.problem("", "a table of mean and std that do not go together")
    model.note("a first layer normalises images by the mean and std of the second file: state their --scale")
    weights = {"mean": mean.astype(np.float32), "variance": (deviation**2).astype(np.float32)}
    return model.layer("BatchNorm", "normalised", [data], {"epsilon": 0.0}, weights)


def _numbers(value: Any) -> Array | None:
    """Return a tensor or a table of finite numbers as float64, None for anything else."""
    if isinstance(value, Tensor) and len(value.shape) == 1 and value.shape[0] < 10_000:
        found = value.array().astype(np.float64)
    elif isinstance(value, Table) and value.sequence and all(type(n) is float for n in value.sequence):
        found = np.array(value.sequence)
    else:
        return None
    return found if np.isfinite(found).all() and (np.abs(found) < 1e15).all() and found.size else None


def _network(root: Any) -> tuple[TorchObject | None, str]:
    """Return the network that an object is, or that a table (a checkpoint) holds, and under which key."""
    if isinstance(root, TorchObject):
        return root, ""
    if isinstance(root, Table):
        named = [(key, root.get(key)) for key in (*_PLACES, *root.plain)]
        for key, value in named:
            if isinstance(value, TorchObject) and value.type.partition(".")[0] in PACKAGES:
                return value, str(key)
    return None, ""


def _what_it_is(root: Any) -> str:
    if isinstance(root, Table):
        keys = ", ".join(quoted(str(key)) for key in list(root.plain)[:10])
        return f"it is a table with {keys}" if keys else "it is an empty table"
    return f"it is a {type(root).__name__.lower()}"


class _Walk:
    """The walk over the tree. Modules may hold themselves, or one another many times: every visit counts."""

    def __init__(self, model: ModelBuilder) -> None:
        self.model = model
        self.visits = 0
        self.depth = 0

    def take(self, item: Any, place: str, flow: Flow) -> Flow:
        if not isinstance(item, TorchObject):
            return self.model.problem(f"module {place}", "it is no module")
        self.visits += 1
        module = Module(item, place, self.model, self.take)
        if self.visits > MOST_MODULES:
            if self.visits == MOST_MODULES + 1:
                self.model.problem("", f"more than {MOST_MODULES:,} modules")
            return UNKNOWN
        if self.depth >= _DEEPEST:
            return module.problem(f"modules in modules, more than {_DEEPEST} deep")
        rule = RULES.get(item.short) if item.type.partition(".")[0] in PACKAGES else None
        if rule is None:
            return module.problem("it is not supported", hint=advice(item.short))
        self.depth += 1
        try:
            return rule(module, flow)
        finally:
            self.depth -= 1
