"""Sections that join or rearrange what earlier layers gave."""

from __future__ import annotations

from collections.abc import Sequence

from cnnrt_import_darknet.activations import activate, activation_of
from cnnrt_import_darknet.cfg import Section
from cnnrt_import_darknet.network import Network, Value, failed
from netfile_spec import Value as KeyValue


def shortcut(network: Network, section: Section) -> Value:
    """Make a sum of the layer before and earlier ones of the same shape, and the activation."""
    activation = activation_of(section, "linear")
    value = network.value
    if section.text("weights_type", "none") != "none":
        section.problem("a weighted sum is not supported", "weights_type", expected="weights_type=none")
    others = [network.earlier(section, index, "from") for index in section.integers("from")]
    found = [other for other in others if other is not None]
    if len(found) < len(others) or not others or value.failed or any(other.failed for other in found):
        return failed(section, value.shape)
    if any(other.shape != value.shape for other in found):
        shapes = ", ".join(_shown(v.shape) for v in (value, *found))
        section.problem(f"adds values of different shapes ({shapes})", "from", expected="equal shapes")
        return failed(section, value.shape)
    result = network.add("Eltwise", f"shortcut_{section.number}", [value, *found], value.shape)
    return activate(network, section, result, activation)


def route(network: Network, section: Section) -> Value:
    """Give an earlier value, several of them one after the other, or one of `groups` equal parts of each."""
    groups = section.integer("groups", 1, least=1)
    group = section.integer("group_id", 0)
    indices = section.integers("layers")
    sources = [network.earlier(section, index, "layers") for index in indices]
    values = [value for value in sources if value is not None]
    if not values or len(values) < len(sources) or any(value.failed for value in values):
        return failed(section, (1, 1, 1))
    if group >= groups:
        section.problem(f"group_id={group}", "group_id", expected=f"less than groups={groups}")
        return failed(section, values[0].shape)
    if any(value.shape[1:] != values[0].shape[1:] for value in values):
        shapes = ", ".join(_shown(value.shape) for value in values)
        section.problem(f"joins values of different sizes ({shapes})", "layers", expected="equal rows and columns")
        return failed(section, values[0].shape)
    if any(value.shape[0] % groups for value in values):
        section.problem(f"{groups} groups do not divide the channels", "groups")
        return failed(section, values[0].shape)
    if groups > 1:
        values = [_part(network, section, value, groups, group, i) for i, value in enumerate(values)]
    if len(values) == 1:
        return values[0]
    shape = (sum(value.shape[0] for value in values), *values[0].shape[1:])
    return network.add("Concat", f"route_{section.number}", values, shape)


def _part(network: Network, section: Section, value: Value, groups: int, group: int, number: int) -> Value:
    channels = value.shape[0] // groups
    name = f"route_{section.number}" + (f"_part_{number}" if len(section.integers("layers")) > 1 else "")
    keys = {"axes": 1, "starts": group * channels, "ends": (group + 1) * channels}
    return network.add("StridedSlice", name, [value], (channels, *value.shape[1:]), keys)


def scale_channels(network: Network, section: Section) -> Value:
    """Make a product: each channel of an earlier value with the one number that the layer before has for it."""
    activation = activation_of(section, "linear")
    value = network.value
    other = network.earlier(section, section.integer("from", 0, least=-(2**31)), "from")
    if section.flag("scale_wh"):
        section.problem("scale_wh is not supported", "scale_wh")
    if other is None or value.failed or other.failed:
        return failed(section, value.shape)
    if value.shape != (other.shape[0], 1, 1):
        section.problem(
            f"multiplies {_shown(other.shape)} by {_shown(value.shape)}", "from", expected="one number for each channel"
        )
        return failed(section, other.shape)
    result = network.add("Eltwise", f"scale_{section.number}", [other, value], other.shape, {"operation": "prod"})
    return activate(network, section, result, activation)


def sam(network: Network, section: Section) -> Value:
    """Make a product of the layer before and an earlier one of the same shape."""
    activation = activation_of(section, "linear")
    value = network.value
    other = network.earlier(section, section.integer("from", 0, least=-(2**31)), "from")
    if other is None or value.failed or other.failed:
        return failed(section, value.shape)
    if value.shape != other.shape:
        shapes = f"{_shown(other.shape)} by {_shown(value.shape)}"
        section.problem(f"multiplies {shapes}", "from", expected="equal shapes")
        return failed(section, value.shape)
    result = network.add("Eltwise", f"sam_{section.number}", [value, other], value.shape, {"operation": "prod"})
    return activate(network, section, result, activation)


def upsample(network: Network, section: Section) -> Value:
    """Repeat each pixel `stride` times in both directions."""
    stride = section.integer("stride", 2, least=1)
    if section.number_of("scale", 1.0) != 1:
        section.problem("a scale other than 1 is not supported", "scale")
    value = network.value
    if value.failed or len(value.shape) != 3:
        return _not_an_image(section, value)
    channels, rows, columns = value.shape
    shape = (channels, rows * stride, columns * stride)
    keys: dict[str, KeyValue] = {"scale": stride, "coordinates": "asymmetric", "rounding": "floor"}
    return network.add("Resize", f"upsample_{section.number}", [value], shape, keys)


def reorg(network: Network, section: Section) -> Value:
    """Make channels of pixels, in the order that Darknet has always had.

    `reorg_cpu` reads the input as if it had stride² times fewer channels and stride times more rows and columns, and
    moves the pixels of each square of that into channels; the result counts as an image of the input's size divided by
    the stride.
    """
    stride = section.integer("stride", 1, least=1)
    for key in ("reverse", "flatten", "extra"):
        if section.flag(key):
            section.problem(f"{key} is not supported", key)
    value = network.value
    if value.failed or len(value.shape) != 3:
        return _not_an_image(section, value)
    channels, rows, columns = value.shape
    if channels % stride**2 or rows % stride or columns % stride:
        section.problem(f"stride {stride} does not divide {_shown(value.shape)}", "stride")
        return failed(section, value.shape)
    name = f"reorg_{section.number}"
    squares = (channels // stride**2, rows, stride, columns, stride)
    split = network.add("Reshape", f"{name}_squares", [value], squares, {"shape": (0, *squares)})
    moved = (stride, stride, channels // stride**2, rows, columns)
    turned = network.add("Permute", f"{name}_turned", [split], moved, {"order": (0, 3, 5, 1, 2, 4)})
    shape = (channels * stride**2, rows // stride, columns // stride)
    return network.add("Reshape", name, [turned], shape, {"shape": (0, *shape)})


def _not_an_image(section: Section, value: Value) -> Value:
    if not value.failed:
        section.problem("takes images, but the layer before gives features", expected="a layer that gives images")
    return failed(section, value.shape)


def _shown(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))
