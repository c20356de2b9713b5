"""The keys of the language itself: of the file, of an input block, and those that every layer has.

SPEC.md says what they mean. The keys of each type of layer come from the caller's vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from netfile_spec.vocabulary import KeySpec

NETFILE_VERSION = 1
"""The newest netfile_version that this package reads, and the one to write."""


def _table(keys: Iterable[KeySpec]) -> Mapping[str, KeySpec]:
    return {key.name: key for key in keys}


STORAGES = {"float32": "float32", "float16": "float16"}

FILE_KEYS = _table(
    [
        KeySpec("netfile_version", "integer", doc="Version of the language; the first entry of the file."),
        KeySpec("name", "string", doc="What the net is called."),
        KeySpec("root_directory", "string", doc="Folder of the parameter files."),
        KeySpec("allocated_ram", "number", doc="Ceiling on memory, in MiB."),
        KeySpec("execution_mode", "string", doc='"parallel", "sequential" or the name of a backend.'),
        KeySpec("auto_tuning", "boolean", doc='"on" or "off".'),
        KeySpec("weight_storage", "string", choices=STORAGES, doc="Type in which weights are kept in memory."),
        KeySpec("labels", "strings", doc="Names of the classes, or the file that lists them."),
        KeySpec("requires", "strings", doc="Plugin distributions without which the net cannot run."),
    ]
)

CHANNEL_ORDERS = {"rgb": "rgb", "bgr": "bgr", "gray": "gray", "grey": "gray"}

INPUT_KEYS = _table(
    [
        KeySpec("name", "string", doc="Name of the input."),
        KeySpec("shape", "integers", doc="Shape of one item, without the batch dimension."),
        KeySpec("batch", "integer", doc="The only number of items that the net takes."),
        KeySpec("channel_order", "string", choices=CHANNEL_ORDERS, doc="Order of an image's channels."),
        KeySpec("mean", "numbers", doc="Subtracted from the pixels: one number, or one for each channel."),
        KeySpec("mean_file", "string", doc="Parameter file with a mean image to subtract."),
        KeySpec("scale", "number", doc="Factor after the mean is subtracted."),
        KeySpec("size", "integers", doc="[height, width] that images are resized to."),
    ]
)

LAYER_KEYS = _table(
    [
        KeySpec("type", "string", required=True, doc="Type of the layer."),
        KeySpec("name", "string", doc="Name of the layer and of its output."),
        KeySpec("bottom", "strings", doc="Values that the layer takes."),
        KeySpec("top", "strings", doc="Names for its outputs."),
        KeySpec("parameters_file", "string", doc="File of its weights."),
    ]
)

REPEATABLE = frozenset({"bottom", "top", "requires"})
"""Keys that may be stated several times; the values are taken together."""
