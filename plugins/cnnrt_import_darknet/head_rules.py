"""Sections that end a network: heads of detectors, softmax, and costs, which only training has."""

from __future__ import annotations

import math

from cnnrt_import_darknet.activations import activate, activation_of
from cnnrt_import_darknet.cfg import Section
from cnnrt_import_darknet.network import Network, Value
from netfile_spec import Value as KeyValue
from netfile_spec.problems import quoted

THRESHOLD = 0.2
"""Scores up to it are 0 where the cfg states no `thresh`, as in OpenCV; Darknet's programs have it as an argument."""


def head(network: Network, section: Section) -> Value:
    """Give what a detector's head takes under the head's own name; boxes are not decoded."""
    name = f"{section.type}_{section.number}"
    value = network.value
    if network.blocks and not value.failed:
        network.name_output(value, name)
    stated = [
        f"{key} {quoted(section.text(key, ''))[1:-1]}"
        for key in ("anchors", "mask", "classes", "coords", "num", "scale_x_y", "side", "sqrt")
        if key in section.options
    ]
    section.asked.update(section.options)  # the rest is about training
    section.findings.note(
        f"{quoted(name)} is the output {quoted(value.name)} as the head takes it: boxes are not decoded "
        f"({'; '.join(stated) or 'nothing is stated for that'})"
    )
    return value


def yolo(network: Network, section: Section) -> Value:
    """Make a YoloBoxes; what the next section takes is what the head takes, which routes go on from."""
    value = network.value
    classes = section.integer("classes", 20)
    stated = section.numbers("anchors")
    chosen = section.integers("mask") if "mask" in section.options else list(range(section.integer("num", 1, least=1)))
    threshold = section.number_of("thresh", THRESHOLD)
    keys: dict[str, KeyValue] = {"scale_x_y": section.number_of("scale_x_y", 1.0), "threshold": max(threshold, 0.0)}
    if section.flag("new_coords"):
        keys["activated"] = True
    section.asked.update(section.options)  # the rest is about training
    if not stated:
        return value  # which was told
    if not chosen or not all(0 <= number < len(stated) // 2 for number in chosen):
        expected = f"numbers of the {len(stated) // 2} pairs of anchors, from 0"
        section.problem(f"boxes of the anchors {chosen}", "mask", expected=expected)
        return value
    anchors = tuple(size for number in chosen for size in stated[2 * number : 2 * number + 2])
    if min(anchors) <= 0:
        section.problem(f"anchors of the sizes {list(anchors)}", "anchors", expected="positive numbers")
        return value
    if len(value.shape) != 3 or value.shape[0] != len(chosen) * (5 + classes):
        needed = len(chosen) * (5 + classes)
        expected = f"{needed} channels: boxes × (5 + classes) = {len(chosen)} × (5 + {classes})"
        section.problem(f"reads {'×'.join(map(str, value.shape))}", expected=expected)
        return value
    name = f"yolo_{section.number}"
    keys = {"anchors": anchors, "classes": classes, **keys}
    rows = (value.shape[1] * value.shape[2] * len(chosen), 5 + classes)
    if not value.failed:
        network.add("YoloBoxes", name, [value, network.image], rows, keys)
        section.findings.note(
            "boxes are rows as OpenCV has them: middle, width and height as shares of the image, objectness, and "
            "scores of classes; those that overlap are all there"
        )
        zeros = f"; scores up to {keys['threshold']:g} are 0, see its threshold" if keys["threshold"] else ""
        section.findings.note(f"{quoted(name)} gives the boxes of {quoted(value.name)}{zeros}")
    return value


def softmax(network: Network, section: Section) -> Value:
    """Make a Softmax over all values of an image, or with `spatial` over the channels of each pixel."""
    if section.integer("groups", 1, least=1) != 1:
        section.problem("groups are not supported", "groups", expected="groups=1")
    if "tree" in section.options:
        section.problem("a tree of classes is not supported", "tree")
    temperature = section.number_of("temperature", 1.0)
    value = network.value
    name = f"softmax_{section.number}"
    if not temperature > 0:
        section.problem("the temperature is not positive", "temperature")
    elif temperature != 1:
        value = network.add("Power", f"{name}_scaled", [value], value.shape, {"scale": 1 / temperature})
    if len(value.shape) == 3 and not section.flag("spatial"):
        value = network.add("Flatten", f"{name}_flat", [value], (math.prod(value.shape),))
    return network.add("Softmax", name, [value], value.shape)


def activation(network: Network, section: Section) -> Value:
    """Make a layer of an activation alone."""
    return activate(network, section, network.value, activation_of(section, "linear"))


def logistic(network: Network, section: Section) -> Value:
    """Make a Sigmoid."""
    value = network.value
    return network.add("Sigmoid", f"logistic_{section.number}", [value], value.shape)


def nothing(network: Network, section: Section) -> Value:
    """Give the value unchanged: dropout and cost mean something in training only."""
    section.asked.update(section.options)
    return network.value
