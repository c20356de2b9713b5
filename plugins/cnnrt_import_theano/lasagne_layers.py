"""Each type of Lasagne's layers as layers of a NetFile.

Source: the attributes that the classes of lasagne.layers (0.1, 0.2) keep, by which they are pickled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
import numpy as np

from cnnrt.layer import Array
from cnnrt.model_builder import UNKNOWN, ModelBuilder
from cnnrt.pickles import Global, Record
from cnnrt_import_theano.tensors import as_tensor
from netfile_spec import Value
from netfile_spec.problems import quoted

_LARGEST = 2**31 - 1


def place_of(record: Record, number: int) -> str:
    """Return what messages call a layer: its place in the network, its class, and its name if it has one."""
    name = record.attributes.get("name")
    title = f" {quoted(name)}" if isinstance(name, str) and name else ""
    return f"layer {number} ({record.name}){title}"


@attrs.frozen(eq=False)
class FoundLayer:
    """A layer of the file: its record, its number, the model being built, and the names of the values it reads."""

    record: Record
    number: int
    model: ModelBuilder
    inputs: list[str]
    flips: set[bool]

    @property
    def attributes(self) -> Mapping[str, Any]:
        """What the layer keeps."""
        return self.record.attributes

    @property
    def name(self) -> str:
        """The layer's own name, or its class with its number."""
        own = self.attributes.get("name")
        return own if isinstance(own, str) and own else f"{self.record.name}{self.number}"

    @property
    def place(self) -> str:
        """What messages call it."""
        return place_of(self.record, self.number)

    def problem(self, message: str, *, expected: str = "", hint: str = "") -> str:
        """Add a problem of this layer; return UNKNOWN."""
        return self.model.problem(self.place, message, expected=expected, hint=hint)

    def weight(self, name: str, ranks: tuple[int, ...], *, optional: bool = False) -> Array | None:
        """Return a parameter as float32; None where it is absent, which is a problem unless it may be."""
        stored = self.attributes.get(name)
        if stored is None and optional:
            return None
        tensor = as_tensor(name, stored)
        if tensor is None or len(tensor.shape) not in ranks:
            self.problem(f"its {name} is no array of {' or '.join(str(r) for r in ranks)} dimensions")
            return None
        with np.errstate(over="ignore"):
            return np.ascontiguousarray(tensor.read(), np.float32)

    def integers(self, key: str, count: int, default: Any = None) -> tuple[int, ...] | None:
        """Return an attribute of `count` numbers, one of which may stand for all; a problem where it is none."""
        value = self.attributes.get(key, default)
        value = default if value is None else value
        values = tuple(value) if isinstance(value, list | tuple) else (value,) * count
        if len(values) != count or any(type(v) is not int or not 0 <= v <= _LARGEST for v in values):
            self.problem(f"its {key} is not {count} whole numbers")
            return None
        return values

    def number_of(self, key: str, default: float) -> float:
        """Return an attribute that is one finite number; a problem where it is none."""
        value = self.attributes.get(key, default)
        if isinstance(value, bool | int | float) and abs(value) < 1e30:
            return float(value)
        self.problem(f"its {key} is no number")
        return default

    def add(
        self, type: str, keys: Mapping[str, Value] | None = None, weights: Mapping[str, Array | None] | None = None
    ) -> str:
        """Add a layer that reads this one's inputs, and behind it the nonlinearity that this one has."""
        present = {name: w for name, w in (weights or {}).items() if w is not None}
        given = self.model.layer(type, self.name, self.inputs, keys, present)
        return nonlinearity(self, self.attributes.get("nonlinearity"), given)


_PLAIN = {
    "rectify": "ReLU",
    "sigmoid": "Sigmoid",
    "tanh": "TanH",
    "softplus": "Softplus",
    "elu": "ELU",
}


def nonlinearity(found: FoundLayer, function: Any, bottom: str) -> str:
    """Add what a nonlinearity is as a layer; return the name of what it gives. None and linear ones are nothing."""
    name = function.name if isinstance(function, Global | Record) else ""
    if function is None or name in ("linear", "identity"):
        return bottom
    wanted = f"{found.name}_{name}"
    if name in _PLAIN:
        return found.model.layer(_PLAIN[name], wanted, [bottom])
    if name == "softmax":
        return found.model.layer("Softmax", wanted, [bottom])
    if isinstance(function, Record) and name in ("LeakyRectify", "ScaledTanH"):
        own = found.record
        inner = attrs.evolve(found, record=Record(own.module, own.name, state=dict(function.attributes)))
        if name == "LeakyRectify":
            keys: dict[str, Value] = {"negative_slope": inner.number_of("leakiness", 0.01)}
            return found.model.layer("ReLU", wanted, [bottom], keys)
        keys = {"amplitude": inner.number_of("scale_out", 1.0), "slope": inner.number_of("scale_in", 1.0)}
        return found.model.layer("TanH", wanted, [bottom], keys)
    known = ", ".join((*_PLAIN, "softmax", "LeakyRectify", "ScaledTanH", "linear"))
    return found.problem(f"the nonlinearity {quoted(name or type(function).__name__)}", expected=known)


def _input(found: FoundLayer) -> str:
    shape = found.attributes.get("shape")
    sizes = list(shape[1:]) if isinstance(shape, list | tuple) else []
    known = bool(sizes) and all(type(n) is int and 0 < n <= _LARGEST for n in sizes)
    if not known:
        found.model.note(f"the shape of the input {quoted(found.name)} is not fully stated")
    return found.model.input(found.name if found.attributes.get("name") else "data", sizes if known else None)


def _convolution(found: FoundLayer) -> str:
    weight, bias = found.weight("W", (4,)), found.weight("b", (1,), optional=True)
    stride = found.integers("stride", 2, 1)
    if weight is None or stride is None:
        return UNKNOWN
    keys: dict[str, Value] = {}
    pad = found.attributes.get("pad", found.attributes.get("border_mode", 0))
    rows, columns = weight.shape[2:]
    if pad == "full":
        keys["pad"] = (rows - 1, columns - 1)
    elif pad == "same":
        if rows % 2 == 0 or columns % 2 == 0:
            return found.problem("pad 'same' with an even kernel", expected="an odd one")
        keys["pad"] = (rows // 2, columns // 2)
    elif pad not in ("valid", 0, (0, 0)):
        sizes = found.integers("pad", 2)
        if sizes is None:
            return UNKNOWN
        keys["pad"] = sizes
    if stride != (1, 1):
        keys["stride"] = stride
    groups = found.attributes.get("num_groups", 1)
    if type(groups) is not int or groups < 1:
        return found.problem("its num_groups is no whole number")
    if groups != 1:
        keys["group"] = groups
    flip = found.attributes.get("flip_filters", not found.record.name.endswith("DNNLayer"))
    found.flips.add(bool(flip))
    return found.add("Convolution", keys, {"weight": _flipped(weight) if flip else weight, "bias": bias})


def _flipped(weight: Array) -> Array:
    return np.ascontiguousarray(weight[:, :, ::-1, ::-1])


def _dense(found: FoundLayer) -> str:
    weight, bias = found.weight("W", (2,)), found.weight("b", (1,), optional=True)
    if found.attributes.get("num_leading_axes", 1) != 1:
        return found.problem("several leading axes", expected="num_leading_axes=1")
    if weight is None:
        return UNKNOWN
    return found.add("FullyConnected", {}, {"weight": np.ascontiguousarray(weight.T), "bias": bias})


def _network_in_network(found: FoundLayer) -> str:
    weight, bias = found.weight("W", (2,)), found.weight("b", (1,), optional=True)
    if weight is None:
        return UNKNOWN
    kernels = np.ascontiguousarray(weight.T[:, :, None, None])
    return found.add("Convolution", {}, {"weight": kernels, "bias": bias})


def _pooling(found: FoundLayer) -> str:
    size = found.integers("pool_size", 2)
    stride, pad = found.integers("stride", 2, size), found.integers("pad", 2, 0)
    mode = found.attributes.get("mode", "max")
    modes: dict[Any, dict[str, Value]] = {
        "max": {"pool": "max"},
        "average_inc_pad": {"pool": "mean"},
        "average_exc_pad": {"pool": "mean", "count_include_pad": False},
        "average": {"pool": "mean"},
    }
    if not isinstance(mode, str) or mode not in modes:
        return found.problem("a mode of pooling that is not supported", expected=", ".join(modes))
    if size is None or stride is None or pad is None:
        return UNKNOWN
    keys: dict[str, Value] = {**modes[mode], "kernel_size": size, "stride": stride}
    if any(pad):
        keys["pad"] = pad
    if found.attributes.get("ignore_border", True):
        keys["ceil_mode"] = False
    return found.add("Pooling", keys)


def _global_pooling(found: FoundLayer) -> str:
    function = found.attributes.get("pool_function")
    name = function.name if isinstance(function, Global) else "mean"
    if name not in ("mean", "max"):
        return found.problem(f"global pooling by {quoted(name)}", expected="mean or max")
    given = found.model.layer("Pooling", found.name, found.inputs, {"pool": name, "global_pooling": True})
    return found.model.layer("Flatten", f"{found.name}_flat", [given])


def _batch_norm(found: FoundLayer) -> str:
    mean, inverse = found.weight("mean", (1,)), found.weight("inv_std", (1,))
    shift, scale = found.weight("beta", (1,), optional=True), found.weight("gamma", (1,), optional=True)
    if mean is None or inverse is None:
        return UNKNOWN
    # What Lasagne keeps is 1 / sqrt(variance + epsilon) already.
    with np.errstate(all="ignore"):
        variance = np.asarray(1 / inverse.astype(np.float64) ** 2, np.float32)
    weights = {"mean": mean, "variance": variance, "scale": scale, "shift": shift}
    return found.add("BatchNorm", {"epsilon": 0.0}, weights)


def _lrn(found: FoundLayer) -> str:
    size = found.attributes.get("n", 5)
    if type(size) is not int or not 0 < size < 1000 or size % 2 == 0:
        return found.problem("a normalisation over an even number of channels", expected="an odd one")
    keys: dict[str, Value] = {
        "local_size": size,
        "alpha": found.number_of("alpha", 1e-4) * size,  # Lasagne multiplies by the sum, cnnrt by the mean
        "beta": found.number_of("beta", 0.75),
        "k": found.number_of("k", 2.0),
    }
    return found.add("LRN", keys)


def _flatten(found: FoundLayer) -> str:
    if found.attributes.get("outdim", 2) != 2:
        return found.problem("flattening to other than two dimensions", expected="outdim=2")
    return found.add("Flatten")


def _concat(found: FoundLayer) -> str:
    axis = found.attributes.get("axis", 1)
    if type(axis) is not int or axis == 0 or _cropped(found):
        return found.problem("a concatenation of images of a batch, or one that crops")
    return found.add("Concat", {} if axis == 1 else {"axis": axis})


def _sum(found: FoundLayer) -> str:
    function = found.attributes.get("merge_function")
    name = function.name if isinstance(function, Global) else "add"
    operations = {"add": "sum", "mul": "prod", "maximum": "max"}
    coefficients = found.attributes.get("coeffs", 1)
    factors = coefficients if isinstance(coefficients, list | tuple) else [coefficients]
    if name not in operations or _cropped(found) or any(not isinstance(c, int | float) for c in factors):
        return found.problem("an element-wise combination that is not supported", expected="a sum, product or maximum")
    keys: dict[str, Value] = {} if name == "add" else {"operation": operations[name]}
    if any(c != 1 for c in factors):
        if name != "add" or len(factors) != len(found.inputs):
            return found.problem("coefficients of other than a sum")
        keys["coeff"] = tuple(float(c) for c in factors)
    return found.add("Eltwise", keys)


def _cropped(found: FoundLayer) -> bool:
    cropping = found.attributes.get("cropping")
    return isinstance(cropping, list | tuple) and any(c not in (None, "None") for c in cropping)


def _prelu(found: FoundLayer) -> str:
    slope = found.weight("alpha", (0, 1))
    if slope is None:
        return UNKNOWN
    return found.add("PReLU", {}, {"slope": slope.reshape(-1)})


def _dropout(found: FoundLayer) -> str:
    found.model.note(f"{found.place}: values are dropped in training only")
    return found.inputs[0] if found.inputs else UNKNOWN


def _same(found: FoundLayer) -> str:
    bottom = found.inputs[0] if found.inputs else UNKNOWN
    return nonlinearity(found, found.attributes.get("nonlinearity"), bottom)


RULES: Mapping[str, Callable[[FoundLayer], str]] = {
    "InputLayer": _input,
    **dict.fromkeys(("Conv2DLayer", "Conv2DMMLayer", "Conv2DDNNLayer"), _convolution),
    "DenseLayer": _dense,
    "NINLayer": _network_in_network,
    **dict.fromkeys(("Pool2DLayer", "MaxPool2DLayer", "Pool2DDNNLayer", "MaxPool2DDNNLayer"), _pooling),
    "GlobalPoolLayer": _global_pooling,
    **dict.fromkeys(("BatchNormLayer", "BatchNormDNNLayer"), _batch_norm),
    "LocalResponseNormalization2DLayer": _lrn,
    "FlattenLayer": _flatten,
    "ConcatLayer": _concat,
    **dict.fromkeys(("ElemwiseSumLayer", "ElemwiseMergeLayer"), _sum),
    "ParametricRectifierLayer": _prelu,
    **dict.fromkeys(("DropoutLayer", "GaussianNoiseLayer"), _dropout),
    "NonlinearityLayer": _same,
}
SUPPORTED = tuple(RULES)
