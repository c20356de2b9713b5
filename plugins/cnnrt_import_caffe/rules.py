"""What it takes to read a type of layer: a rule, and how Caffe states numbers, pairs and outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np

from cnnrt_import_caffe.findings import Findings
from cnnrt_import_caffe.net import CaffeLayer
from netfile_spec import Value

Pair = tuple[int, int]
LARGEST = 2**31 - 1


@attrs.frozen
class WeightShape:
    """What a weight's stored shape must be; None stands for any size, or, alone, for any shape.

    `transpose`: stored the other way round. `divisor`: the index of the blob by whose only value it is divided
    (BatchNorm stores sums and their number); that blob's own name is empty, since no layer of cnnrt has it.
    """

    name: str
    shape: tuple[int | None, ...] | None
    transpose: bool = False
    divisor: int | None = None


@attrs.frozen
class Converted:
    """A layer of a NetFile: type, keys, and the weights that go with it."""

    type: str
    keys: dict[str, Value]
    weights: tuple[WeightShape, ...] = ()


@attrs.frozen
class Rule:
    """How a type is read: the block of its parameters ("": none), the conversion, least and most bottoms (None: any).

    `most_tops`: how many values it may give; None: any number.
    """

    block: str
    convert: Callable[[CaffeLayer, Findings], Converted]
    bottoms: tuple[int, int | None] = (1, 1)
    most_tops: int | None = 1


def outputs_of(layer: CaffeLayer, findings: Findings, block: str) -> int:
    """Return num_output; 1 beside a problem where it makes no sense."""
    outputs: int = getattr(layer.param, block).num_output
    if not 1 <= outputs <= LARGEST:
        findings.of_layer(layer, f"num_output {outputs}", block, "num_output", expected="at least 1")
        return 1
    return outputs


def pair_of(
    layer: CaffeLayer, findings: Findings, block: str, key: str, stem: str, *, default: int | None, least: int
) -> Pair:
    """Return (vertical, horizontal) of `key`, given once, twice, or as `stem`_h and `stem`_w.

    A `default` of None means that it must be stated; the result is then (least, least) beside a problem.
    """
    param = getattr(layer.param, block)
    stated = tuple(getattr(param, key))
    apart = [side for side in (f"{stem}_h", f"{stem}_w") if stem and param.HasField(side)]
    fallback = least if default is None else default
    if apart and stated:
        findings.of_layer(layer, f"both {key} and {apart[0]}", block, apart[0], expected="one of the two forms")
        return fallback, fallback
    if apart:
        stated = (getattr(param, f"{stem}_h"), getattr(param, f"{stem}_w"))
    if len(stated) > 2:
        message = f"{key} for {len(stated)} dimensions"
        findings.of_layer(layer, message, block, key, expected="images: one or two numbers")
        return fallback, fallback
    pair = (stated[0], stated[-1]) if stated else (fallback, fallback)
    if not stated and default is None:
        findings.of_layer(layer, f"no {key}", block, expected=f"{key}, or {stem}_h and {stem}_w")
    elif min(pair) < least or max(pair) > LARGEST:
        where = apart[0] if apart else key
        findings.of_layer(layer, f"{key} {pair[0]}×{pair[1]}", block, where, expected=f"at least {least}")
        return fallback, fallback
    return pair


def add_pair(keys: dict[str, Value], key: str, pair: Pair, default: int) -> None:
    """State a pair, as one number where both are alike; nothing where it is the default."""
    if pair != (default, default):
        keys[key] = pair[0] if pair[0] == pair[1] else pair


def refuse(layer: CaffeLayer, findings: Findings, block: str, key: str, what: str, harmless: str = "UNFUSED") -> None:
    """Add a problem for a key that only some forks of Caffe have and that changes the result."""
    value = layer.place.value(block, key)
    if value is not None and value != harmless:
        findings.of_layer(layer, f"{what} ({key}: {value[:40]})", block, key, hint="no layer of cnnrt does this")


def number(value: Any) -> float:
    """Return a float32 as the shortest decimal number that means it: 0.0001, not 0.00009999999747."""
    return float(str(np.float32(value)))
