"""Writes networks as ONNX models, so that Netron and every other tool can open what cnnrt runs.

exporter.py           OnnxExporter: from a network to a file, or everything that ONNX cannot express
model_builder.py      nodes, constants and names, collected
window_rules.py       convolutions and poolings, with the paddings that give cnnrt's sizes
value_rules.py        layers that work value by value, or combine values of several inputs
channel_rules.py      normalisations, products, softmax, reductions
move_rules.py         layers that move values
supported.py          the table of all of them
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnrt import hookimpl

if TYPE_CHECKING:
    from cnnrt.exporter import Exporter

plugin_api = 1


@hookimpl
def cnnrt_exporters() -> list[Exporter]:
    """Return the exporter to ONNX; the onnx package is imported when a network is written."""
    from cnnrt_export_onnx.exporter import OnnxExporter

    return [OnnxExporter()]
