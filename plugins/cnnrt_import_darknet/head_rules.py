"""Sections that end a network: heads of detectors, softmax, and costs, which only training has."""

from __future__ import annotations

import math

from cnnrt_import_darknet.activations import activate, activation_of
from cnnrt_import_darknet.cfg import Section
from cnnrt_import_darknet.network import Network, Value
from netfile_spec.problems import quoted


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
