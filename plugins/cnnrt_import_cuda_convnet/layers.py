"""Each type of layer. Weights are (channels × rows × columns, filters): the channel changes slowest.

Source: cuda-convnet, layer.py (what each parser puts into its dictionary) and conv_util.cu. Sizes of outputs are
rounded up, for convolutions too; a mean divides by the pixels that are there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
import numpy as np

from cnnrt.layer import Array
from cnnrt.model_builder import UNKNOWN, ModelBuilder
from cnnrt.pickles import PickledArray
from cnnrt_import_cuda_convnet.neurons import neuron
from netfile_spec import Value
from netfile_spec.problems import quoted

_LARGEST = 1 << 20


@attrs.frozen(eq=False)
class FoundLayer:
    """A layer of the checkpoint: its dictionary, its number, and the names of the values that it reads."""

    stated: Mapping[str, Any]
    number: int
    model: ModelBuilder
    inputs: list[str]

    @property
    def type(self) -> str:
        """Its type, as the cfg has it."""
        return str(self.stated.get("type"))[:60]

    @property
    def name(self) -> str:
        """Its name, or its type with its number."""
        own = self.stated.get("name")
        return own if isinstance(own, str) and own else f"{self.type}{self.number}"

    @property
    def place(self) -> str:
        """What messages call it."""
        return f"layer {self.number} {quoted(self.name)} ({self.type})"

    def problem(self, message: str, *, expected: str = "", hint: str = "") -> str:
        """Add a problem of this layer; return UNKNOWN."""
        return self.model.problem(self.place, message, expected=expected, hint=hint)

    def integer(self, key: str, default: int | None = None, *, least: int = 0) -> int:
        """Return a whole number, which may be the only one of a list; a problem, and 1, where there is none."""
        value = self.stated.get(key, default)
        if isinstance(value, list | tuple) and len(value) == 1:
            value = value[0]
        if type(value) is int and least <= value <= _LARGEST:
            return value
        self.problem(f"its {key} is no whole number of at least {least}")
        return 1

    def number_of(self, key: str, default: float | None = None) -> float:
        """Return a number; a problem, and 1, where there is none."""
        value = self.stated.get(key, default)
        if isinstance(value, int | float) and abs(value) < 1e30:
            return float(value)
        self.problem(f"its {key} is no number")
        return 1.0

    def array(self, key: str, count: int | None = None) -> Array | None:
        """Return an array, which may be the only one of a list, as float32; a problem where it does not fit."""
        value = self.stated.get(key)
        if isinstance(value, list | tuple) and len(value) == 1:
            value = value[0]
        if not isinstance(value, PickledArray) or not value.is_numeric:
            self.problem(f"it has no {key}")
            return None
        found = value.array()
        if count is not None and found.size != count:
            self.problem(f"its {key} has {found.size:,} values", expected=f"{count:,}")
            return None
        with np.errstate(all="ignore"):
            return np.asarray(found, np.float32)

    def add(self, type: str, keys: Mapping[str, Value], weights: Mapping[str, Array] | None = None) -> str:
        """Add a layer, the neuron that it has, and the factor that dropout leaves behind."""
        given = self.model.layer(type, self.name, self.inputs, keys, weights)
        given = neuron(self.stated.get("neuron"), self.place, f"{self.name}_neuron", given, self.model)
        dropped = self.number_of("dropout", 0.0)
        return scaled(self, 1 - dropped, f"{self.name}_dropout", given) if dropped else given

    def single(self) -> bool:
        """Tell whether it reads one value; a problem where it reads several."""
        if len(self.inputs) == 1:
            return True
        self.problem(f"it reads {len(self.inputs)} values", expected="one")
        return False


def scaled(found: FoundLayer, factor: float, wanted: str, bottom: str) -> str:
    """Add the factor by which values are multiplied once training with dropout is over."""
    found.model.note(f"{found.place}: values are multiplied by {factor:g}, as dropout does once training is over")
    return found.model.layer("Power", wanted, [bottom], {"scale": factor})


def _convolution(found: FoundLayer) -> str:
    filters, channels = found.integer("filters", least=1), found.integer("channels", least=1)
    size, stride = found.integer("filterSize", least=1), found.integer("stride", 1, least=1)
    groups, image = found.integer("groups", 1, least=1), found.integer("imgSize", least=1)
    # The kernels of the graphics card count padding as a negative offset: either sign means the same.
    pad = abs(found.integer("padding", 0, least=-_LARGEST))
    if not found.single():
        return UNKNOWN
    if channels % groups or filters % groups:
        return found.problem(f"{channels} channels and {filters} filters in {groups} groups")
    seen = channels // groups
    weights = found.array("weights", seen * size * size * filters)
    biases = found.array("biases", filters)
    if weights is None or biases is None:
        return UNKNOWN
    modules = found.integer("modulesX", 1 + max(0, -(-(2 * pad + image - size) // stride)), least=1)
    more = max(0, (modules - 1) * stride + size - image - 2 * pad)
    keys: dict[str, Value] = {}
    if pad or more:
        keys["pad"] = pad if not more else (pad, pad, pad + more, pad + more)
    if stride != 1:
        keys["stride"] = stride
    if groups != 1:
        keys["group"] = groups
    kernels = np.ascontiguousarray(weights.reshape(seen, size, size, filters).transpose(3, 0, 1, 2))
    return found.add("Convolution", keys, {"weight": kernels, "bias": biases.reshape(-1)})


def _fully_connected(found: FoundLayer) -> str:
    outputs = found.integer("outputs", least=1)
    if not found.single():
        return UNKNOWN
    weights, biases = found.array("weights"), found.array("biases", outputs)
    if weights is None or biases is None:
        return UNKNOWN
    if weights.ndim != 2 or weights.shape[1] != outputs:
        return found.problem("its weights are not (inputs, outputs)")
    return found.add("FullyConnected", {}, {"weight": np.ascontiguousarray(weights.T), "bias": biases.reshape(-1)})


def _pooling(found: FoundLayer) -> str:
    size, stride = found.integer("sizeX", least=1), found.integer("stride", 1, least=1)
    start, image = found.integer("start", 0, least=-_LARGEST), found.integer("imgSize", least=1)
    method = found.stated.get("pool")
    if method not in ("max", "avg"):
        return found.problem("pooling that is not supported", expected="max or avg")
    if start > 0 or -start >= size:
        return found.problem(f"pooling that starts at {start}", expected="0, or less than a window before the image")
    wanted = 1 + max(0, -(-(image - start - size) // stride))
    if found.stated.get("outputsX", wanted) != wanted:
        return found.problem("another number of outputs than its windows give", expected=str(wanted))
    keys: dict[str, Value] = {"pool": "max" if method == "max" else "mean", "kernel_size": size, "stride": stride}
    if start:
        keys["pad"] = (-start, -start, 0, 0)
    if method == "avg":
        keys["count_include_pad"] = False
    return found.add("Pooling", keys) if found.single() else UNKNOWN


def _response_norm(found: FoundLayer) -> str:
    size, scale = found.integer("size", least=1), found.number_of("scale")
    across = found.type == "cmrnorm"
    constant = found.number_of("minDiv", 1.0)
    if size % 2 == 0 or found.stated.get("blocked") or (constant != 1 and not across):
        return found.problem("a normalisation over an even number, or in blocks", expected="an odd size, not blocked")
    # The checkpoint has the scale divided by the neighbourhood already; here alpha is what it was before.
    alpha = scale * (size if across else size * size)
    keys: dict[str, Value] = {"local_size": size, "alpha": alpha, "beta": found.number_of("pow"), "k": constant}
    if not across:
        keys["norm_region"] = "within_channel"
    return found.add("LRN", keys) if found.single() else UNKNOWN


def _softmax(found: FoundLayer) -> str:
    return found.add("Softmax", {}) if found.single() else UNKNOWN


def _neuron(found: FoundLayer) -> str:
    if not found.single():
        return UNKNOWN
    return neuron(found.stated.get("neuron"), found.place, found.name, found.inputs[0], found.model)


def _sum(found: FoundLayer) -> str:
    stated = found.stated.get("coeffs")
    factors = list(stated) if isinstance(stated, list | tuple) else []
    if any(not isinstance(c, int | float) for c in factors) or len(factors) not in (0, len(found.inputs)):
        return found.problem("its coeffs are not one number for each input")
    return found.add("Eltwise", {"coeff": tuple(float(c) for c in factors)} if any(c != 1 for c in factors) else {})


def _maximum(found: FoundLayer) -> str:
    return found.add("Eltwise", {"operation": "max"})


def _concat(found: FoundLayer) -> str:
    return found.add("Concat", {})


def _dropout(found: FoundLayer) -> str:
    """Multiply by the share that was kept; dropout2 divided by it in training already."""
    if not found.single():
        return UNKNOWN
    if found.type == "dropout2" or not found.stated.get("enable", True):
        return found.inputs[0]
    return scaled(found, found.number_of("keep", 0.5), found.name, found.inputs[0])


RULES: Mapping[str, Callable[[FoundLayer], str]] = {
    "conv": _convolution,
    "fc": _fully_connected,
    "pool": _pooling,
    **dict.fromkeys(("cmrnorm", "rnorm"), _response_norm),
    "softmax": _softmax,
    "neuron": _neuron,
    "eltsum": _sum,
    "eltmax": _maximum,
    "concat": _concat,
    **dict.fromkeys(("dropout", "dropout2"), _dropout),
}

ADVICE: Mapping[str, str] = {
    "local": "each place has weights of its own; the nearest that is supported is conv",
    "cnorm": "the nearest that is supported is rnorm, which subtracts no mean",
}
