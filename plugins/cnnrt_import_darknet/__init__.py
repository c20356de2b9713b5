"""Reads Darknet's models: a cfg becomes a NetFile, the .weights file its weights.

The way from two files to a model, module by module:

    importer.py      DarknetImporter: which files are Darknet's, and which is which
    cfg.py           the cfg as sections of options, each with its place
    weights_file.py  the .weights file: its header, and the values that one section after the other takes from it
    network.py       the layers and values made so far, by the numbers that sections refer to each other with
    activations.py   what `activation` becomes
    layer_rules.py   sections with weights or windows
    join_rules.py    sections that join or rearrange earlier values: route, shortcut, upsample, reorg ...
    head_rules.py    sections that end a network: yolo, region, detection, softmax, cost
    convert.py       all of it together: a NetFile, its weights, notes, problems
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnrt import hookimpl

if TYPE_CHECKING:
    from cnnrt.importer import Importer

plugin_api = 1


@hookimpl
def cnnrt_importers() -> list[Importer]:
    """Return the importer of Darknet's models."""
    from cnnrt_import_darknet.importer import DarknetImporter

    return [DarknetImporter()]
