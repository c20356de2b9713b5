"""One `input { ... }` of a file to an `InputBlock`."""

from __future__ import annotations

from typing import Any

from netfile_spec.language import INPUT_KEYS
from netfile_spec.model import InputBlock
from netfile_spec.problems import Problems
from netfile_spec.stated_keys import StatedKeys, read_keys
from netfile_spec.syntax import Block

CHANNELS = {"rgb": 3, "bgr": 3, "gray": 1}
_LONGEST_SHAPE = 8
_LARGEST_DIMENSION = 2**31 - 1


def read_input(block: Block, problems: Problems) -> InputBlock:
    """Return what the block states; report what is wrong in it."""
    stated = read_keys(block.entries, INPUT_KEYS, problems, owner="an input block")
    _check(stated, problems)
    values: dict[str, Any] = dict(stated.values)
    for key in ("shape", "size"):
        if isinstance(values.get(key), int):
            values[key] = (values[key],)
    if len(values.get("size", ())) == 1:
        values["size"] *= 2
    return InputBlock(**values, position=block.position, key_positions=stated.positions)


def _check(stated: StatedKeys, problems: Problems) -> None:
    values: dict[str, Any] = dict(stated.values)
    at = stated.positions

    def report(key: str, message: str, expected: str = "") -> None:
        problems.report(message, at[key], expected=expected)

    def several(key: str) -> tuple[Any, ...]:
        value = values.get(key, ())
        return value if isinstance(value, tuple) else (value,)

    for key in ("name", "mean_file"):
        if values.get(key) == "":
            report(key, f'"{key}" is empty')
    shape, size, mean = several("shape"), several("size"), several("mean")
    if "shape" in values and not (len(shape) <= _LONGEST_SHAPE and all(0 < n <= _LARGEST_DIMENSION for n in shape)):
        report(
            "shape",
            '"shape" is no shape',
            f"1 to {_LONGEST_SHAPE} sizes of at least 1: one item's, without the batch",
        )
    if not 0 < values.get("batch", 1) <= _LARGEST_DIMENSION:
        report("batch", '"batch" is no number of items', "at least 1; leave it out where any number will do")
    if "size" in values and not (len(size) <= 2 and all(0 < n <= _LARGEST_DIMENSION for n in size)):
        report("size", '"size" is no size of an image', "[height, width], each at least 1")
    if "mean" in values and "mean_file" in values:
        report("mean_file", '"mean" and "mean_file" are both stated', "one of them")
    if values.get("scale") == 0:
        report("scale", '"scale" is 0', "a factor that leaves something of the image")

    order = values.get("channel_order")
    channels = CHANNELS[order] if order else shape[0] if len(shape) == 3 else None
    if order and len(shape) == 3 and shape[0] != channels:
        report(
            "channel_order",
            f'"{order}" has {channels} channels, "shape" has {shape[0]}',
            "shape [channels, height, width]",
        )
    elif len(mean) > 1 and channels and len(mean) != channels:
        so_many = "1 channel" if channels == 1 else f"{channels} channels"
        report("mean", f'"mean" has {len(mean)} numbers for {so_many}', "one number, or one for each channel")
