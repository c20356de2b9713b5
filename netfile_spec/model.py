"""What a NetFile says, as values: a `NetFile` of `InputBlock`s and `LayerBlock`s.

All are frozen and compare by what they say. Where they say it (positions, file, source) is kept for error
messages and is no part of equality. None means "not stated" throughout: defaults belong to whoever uses
the value, so that a file that is read and written again states exactly what it stated before.
"""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Mapping

import attrs

from netfile_spec.errors import NetFileError, Position, Problem

Scalar = bool | int | float | str
Value = Scalar | tuple[Scalar, ...]
"""What a key of a layer may hold: true or false, a number, text, or a list of these."""


def _names(names: str | Iterable[str] | None) -> tuple[str, ...] | None:
    if names is None:
        return None
    return (names,) if isinstance(names, str) else tuple(names)


def _labels(labels: str | Iterable[str] | None) -> tuple[str, ...] | str | None:
    return labels if labels is None or isinstance(labels, str) else tuple(labels)


def _integers(integers: Iterable[int] | None) -> tuple[int, ...] | None:
    return None if integers is None else tuple(int(n) for n in integers)


def _means(mean: float | Iterable[float]) -> tuple[float, ...]:
    return tuple(float(m) for m in mean) if isinstance(mean, Iterable) else (float(mean),)


def _lower(text: str | None) -> str | None:
    return None if text is None else text.lower()


def _positions(positions: Iterable[Position]) -> tuple[Position, ...]:
    return tuple(positions)


def _float(number: float | None) -> float | None:
    return None if number is None else float(number)


def _whole_if_possible(number: float | None) -> float | int | None:
    number = _float(number)
    # From 2**53 on every double is whole, and its digits would say more than it knows.
    return int(number) if number is not None and number.is_integer() and abs(number) < 2**53 else number


def _keys(keys: Mapping[str, object]) -> dict[str, Value]:
    return {name.lower(): plain_value(value, name) for name, value in keys.items()}


def plain_value(value: object, key: str) -> Value:
    """Return `value` as a NetFile can hold it: lists become tuples, NumPy scalars and arrays plain numbers.

    Raises NetFileError, naming `key`, for anything but true, false, numbers, text and flat lists of them.
    """
    if isinstance(value, list | tuple) or hasattr(value, "tolist"):
        plain = value.tolist() if hasattr(value, "tolist") else value
        if isinstance(plain, list | tuple):
            return tuple(_plain_scalar(item, key) for item in plain)
        return _plain_scalar(plain, key)
    return _plain_scalar(value, key)


def _plain_scalar(value: object, key: str) -> Scalar:
    if isinstance(value, bool | str):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    raise NetFileError(
        [
            Problem(
                f"the key {key!r} holds a {type(value).__name__}",
                expected="true or false, a number, text, or a flat list of these",
            )
        ],
        file="<layer>",
    )


@attrs.frozen
class LayerBlock:
    """One `layer { ... }`: its type and name, where its inputs come from, and the keys it states.

    - `bottoms`: names of the values it takes; None: the output of the previous layer.
    - `tops`: names for its outputs; None: its own name.
    - `parameters_file`: path inside the root directory, or None.
    - `keys`: only the stated keys of the layer's type, by lower-case name.
    - `position`, `key_positions`, `bottom_positions`: of the block, of each value (also of "type", "name",
      "bottom", "top" and "parameters_file"), and of each entry of `bottoms`.

    Read with a vocabulary, `type` and `keys` are spelled and typed as the vocabulary says.
    """

    type: str
    name: str
    bottoms: tuple[str, ...] | None = attrs.field(default=None, converter=_names)
    tops: tuple[str, ...] | None = attrs.field(default=None, converter=_names)
    parameters_file: str | None = None
    keys: Mapping[str, Value] = attrs.field(factory=dict, converter=_keys)
    position: Position | None = attrs.field(default=None, eq=False, repr=False)
    key_positions: Mapping[str, Position] = attrs.field(factory=dict, eq=False, repr=False)
    bottom_positions: tuple[Position, ...] = attrs.field(default=(), eq=False, repr=False, converter=_positions)


def layer(
    type: str,
    name: str,
    *,
    bottom: str | Iterable[str] | None = None,
    top: str | Iterable[str] | None = None,
    parameters_file: str | None = None,
    **keys: object,
) -> LayerBlock:
    """Return a LayerBlock, written as it would stand in a NetFile.

    >>> layer("Convolution", "conv1", bottom="data", stride=2).keys
    {'stride': 2}

    Raises NetFileError where a key holds something that a NetFile cannot.
    """
    return LayerBlock(type, name, _names(bottom), _names(top), parameters_file, _keys(keys))


@attrs.frozen
class InputBlock:
    """One `input { ... }`: a named input of the net, and how an image becomes its values.

    - `shape`: of one item, without the batch dimension, for example (3, 227, 227).
    - `channel_order`: "rgb", "bgr" or "gray".
    - `mean`: subtracted; one number for each channel, or one for all, in `channel_order`, on the scale 0..255.
    - `mean_file`: parameter file with one tensor (channels, rows, columns), subtracted instead of `mean`.
    - `scale`: factor applied after the mean was subtracted.
    - `size`: (height, width) that images are resized to; None: the last two numbers of `shape`.
    - `batch`: the only number of items that the net takes; None: any.

    value = (pixel - mean) * scale, with pixels 0..255.
    """

    name: str = "data"
    shape: tuple[int, ...] | None = attrs.field(default=None, converter=_integers)
    channel_order: str | None = None
    mean: tuple[float, ...] = attrs.field(default=(), converter=_means)
    mean_file: str | None = None
    scale: float | None = attrs.field(default=None, converter=_float)
    size: tuple[int, ...] | None = attrs.field(default=None, converter=_integers)
    batch: int | None = None
    position: Position | None = attrs.field(default=None, eq=False, repr=False)
    key_positions: Mapping[str, Position] = attrs.field(factory=dict, eq=False, repr=False)


def _layers(layers: Iterable[LayerBlock]) -> tuple[LayerBlock, ...]:
    return tuple(layers)


def _inputs(inputs: Iterable[InputBlock]) -> tuple[InputBlock, ...]:
    return tuple(inputs)


def _requirements(names: str | Iterable[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


@attrs.frozen
class NetFile:
    """A whole NetFile: the layers in order, the inputs, and the promises made before them.

    - `root_directory`: folder of the parameter files, as written.
    - `allocated_ram`: ceiling in MiB, above 0.
    - `execution_mode`: lower case; which ones exist is for the backends to say.
    - `auto_tuning`: True for "on".
    - `weight_storage`: "float32" or "float16".
    - `netfile_version`: None is CNNdroid's language, 1 the current one.
    - `labels`: names of the classes, or the name of a file inside the root with one on each line.
    - `requires`: plugin distributions without which the net cannot run.
    - `positions`: of the values above, by key; `file` and `source`: what was read, for later errors.
    """

    layers: tuple[LayerBlock, ...] = attrs.field(default=(), converter=_layers)
    inputs: tuple[InputBlock, ...] = attrs.field(default=(), converter=_inputs)
    root_directory: str | None = None
    allocated_ram: float | int | None = attrs.field(default=None, converter=_whole_if_possible)
    execution_mode: str | None = attrs.field(default=None, converter=_lower)
    auto_tuning: bool | None = None
    weight_storage: str | None = attrs.field(default=None, kw_only=True)
    netfile_version: int | None = None
    name: str | None = None
    labels: tuple[str, ...] | str | None = attrs.field(default=None, converter=_labels)
    requires: tuple[str, ...] = attrs.field(default=(), converter=_requirements)
    positions: Mapping[str, Position] = attrs.field(factory=dict, eq=False, repr=False)
    file: str | None = attrs.field(default=None, eq=False, repr=False)
    source: str = attrs.field(default="", eq=False, repr=False)
