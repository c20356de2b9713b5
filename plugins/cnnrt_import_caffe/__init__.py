"""Reads Caffe's models: prototxt and caffemodel, current and legacy forms, and mean images.

The way from files to a model, module by module:

    importer.py      CaffeImporter: which files are Caffe's, and the path from files to an ImportedModel
    messages.py      the message types, described here (field names and numbers as Caffe published them)
    blobs.py         one blob of numbers: shape, where its values lie, and how they become an array
    caffemodel.py    a caffemodel without loading its weights; mean images
    text_tree.py     where each key of a prototxt stands
    prototxt.py      a prototxt as a message with places
    legacy.py        V0 and V1 layers as current ones
    phases.py        include and exclude rules
    net.py           the layers that run in phase TEST, whatever the file looked like
    inputs.py        input blobs and data layers as input blocks, with their preprocessing
    wiring.py        blobs, in-place layers and dropped layers, as values named after layers
    layers.py        each supported type's keys
    unknown_keys.py  keys that only other Caffes know, told to the user
    weights.py       blobs matched to layers by name, shared ones included
    findings.py      problems and notes, collected
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
    """Return the importer of Caffe's files; the protobuf library is imported when a file is read."""
    from cnnrt_import_caffe.importer import CaffeImporter

    return [CaffeImporter()]
