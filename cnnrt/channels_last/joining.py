"""Layers that become a part of the layer before, where nobody else reads what lies between.

- an affine step behind another one: one step
- an affine step that only adds, behind a layer with a bias: its bias
- limits behind limits or a ReLU: one Clip (graphs of TensorFlow write ReLU6 as three nodes)
- zeros around an image before a convolution: its padding
- a reshape of an input whose shape the source leaves open: the input
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnrt.channels_last.values import AFFINE, INPUT, Step, Weight
from netfile_spec import Value as KeyValue

_BIASED = ("Convolution", "Deconvolution", "FullyConnected")


def join(steps: Sequence[Step], outputs: Collection[Step]) -> list[Step]:
    """Return the steps, in order, that are left; `outputs` are not joined with what reads them."""
    readers = Counter(id(step) for reader in steps for step in reader.inputs)
    kept = {id(step) for step in outputs}
    left: dict[int, Step] = {}
    replaced: dict[int, Step] = {}
    for step in steps:
        step.inputs = [replaced.get(id(before), before) for before in step.inputs]
        before = step.inputs[0] if len(step.inputs) == 1 else None
        if before is not None and readers[id(before)] == 1 and id(before) not in kept and _joined(before, step):
            # The later step stays, under its own name: it gives the value that others read.
            left.pop(id(before), None)
            replaced[id(before)] = step
        left[id(step)] = step
    return list(left.values())


def _joined(before: Step, step: Step) -> bool:
    """Make `step` do the work of `before` as well, if it can."""
    if before.type == INPUT and before.open and step.type in ("Flatten", "Reshape"):
        step.type, step.keys, step.inputs, step.open = INPUT, {}, [], True
        return True
    if step.type == AFFINE and before.type == AFFINE:
        step.weights = _chained(before.weights, step.weights)
        step.inputs = before.inputs
        return True
    if step.type == AFFINE and before.type in _BIASED and "scale" not in step.weights and _has_channels(before):
        bias, shift = before.weights.get("bias"), step.weights["shift"]
        step.weights = {**before.weights, "bias": shift if bias is None else _sum(bias, shift)}
        step.type, step.keys, step.inputs = before.type, before.keys, before.inputs
        return True
    if step.type in ("Clip", "ReLU") and before.type in ("Clip", "ReLU"):
        if any("negative_slope" in s.keys for s in (before, step)):
            return False
        least, most = _clipped(_limits(before), _limits(step))
        keys: dict[str, KeyValue] = {"min": least} if least is not None else {}
        step.type, step.keys, step.inputs = "Clip", keys | ({"max": most} if most is not None else {}), before.inputs
        if (least, most) == (0, None):
            step.type, step.keys = "ReLU", {}
        return True
    if step.type == "Convolution" and before.type == "Pad" and before.inputs:
        return _padded(before, step)
    return False


def _has_channels(step: Step) -> bool:
    """Tell whether axis 1 of the output is what the bias belongs to."""
    return step.type != "FullyConnected" or "axis" not in step.keys


def _chained(first: dict[str, Weight], second: dict[str, Weight]) -> dict[str, Weight]:
    """Return (x * s1 + t1) * s2 + t2 as one factor and one offset."""
    chained = {}
    s1, t1, s2, t2 = first.get("scale"), first.get("shift"), second.get("scale"), second.get("shift")
    scale = s1 if s2 is None else s2 if s1 is None else _product(s1, s2)
    if scale is not None:
        chained["scale"] = scale
    moved = t1 if t1 is None or s2 is None else _product(t1, s2)
    shift = t2 if moved is None else moved if t2 is None else _sum(moved, t2)
    if shift is not None:
        chained["shift"] = shift
    return chained


def _product(a: Weight, b: Weight) -> Weight:
    return Weight(a.shape, lambda: _combined(np.multiply, a, b), ("product", a.key, b.key))


def _sum(a: Weight, b: Weight) -> Weight:
    return Weight(a.shape, lambda: _combined(np.add, a, b), ("sum", a.key, b.key))


def _combined(function: np.ufunc, a: Weight, b: Weight) -> NDArray[Any]:
    with np.errstate(all="ignore"):
        return np.asarray(function(a.values().astype(np.float64), b.values().astype(np.float64)))


def _limits(step: Step) -> tuple[float | None, float | None]:
    if step.type == "ReLU":
        return 0.0, None
    least, most = step.keys.get("min"), step.keys.get("max")
    return (
        float(least) if isinstance(least, int | float) else None,
        float(most) if isinstance(most, int | float) else None,
    )


def _clipped(
    inner: tuple[float | None, float | None], outer: tuple[float | None, float | None]
) -> tuple[float | None, float | None]:
    """Return the limits of clipping to `inner` and then to `outer`."""
    (least, most), (low, high) = inner, outer

    def clip(number: float | None, otherwise: float | None) -> float | None:
        if number is None:
            return otherwise
        number = number if low is None else max(low, number)
        return number if high is None else min(high, number)

    return clip(least, low), clip(most, high)


def _padded(before: Step, step: Step) -> bool:
    axes, first, last = (before.keys.get(key) for key in ("axes", "before", "after"))
    if not (isinstance(axes, tuple) and isinstance(first, tuple) and isinstance(last, tuple)):
        return False
    if set(before.keys) != {"axes", "before", "after"} or not set(axes) <= {2, 3}:
        return False
    numbers = dict(zip(axes, zip(first, last, strict=True), strict=True))
    (top, bottom), (left, right) = numbers.get(2, (0, 0)), numbers.get(3, (0, 0))
    if min(int(n) for n in (top, bottom, left, right)) < 0:
        return False
    old = step.keys.get("pad", 0)
    own = (old,) * 4 if not isinstance(old, tuple) else old * 2 if len(old) == 2 else old
    pads = tuple(int(a) + int(b) for a, b in zip(own, (top, left, bottom, right), strict=True))
    step.keys["pad"] = pads[:2] if pads[:2] == pads[2:] else pads
    step.inputs = before.inputs
    return True
