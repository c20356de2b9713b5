"""Darknet's files: a cfg and its weights, one behind the other with a mark between them."""

from __future__ import annotations

import functools
import tempfile
from contextlib import nullcontext, suppress
from pathlib import Path
from random import Random

import numpy as np

from cnnrt_import_darknet.conformance import DarknetSuite
from cnnrt_import_darknet.importer import DarknetImporter
from fuzz.mutations import BYTES, mutated
from fuzz.target import Guarded, Target
from fuzz.text_mutations import WORDS, mutated_tokens
from netfile_spec import CnnrtError

_MARK = b"\n=====weights=====\n"
_SECTIONS = (
    "[convolutional]\nfilters=2\nsize=3\npad=1\nbatch_normalize=1\nactivation=mish\n",
    "[maxpool]\nsize=3\nstride=1\n",
    "[maxpool]\nstride=2\n",
    "[avgpool]\n",
    "[shortcut]\nfrom=-1\n",
    "[route]\nlayers=-1,0\n",
    "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n",
    "[upsample]\nstride=2\n",
    "[reorg]\nstride=2\n",
    "[scale_channels]\nfrom=0\n",
    "[softmax]\ntemperature=2\n",
    "[connected]\noutput=2\n",
    "[yolo]\nanchors=1,2\nmask=0\nclasses=1\n",
    "[crop]\n",
)
_WORDS = (
    *WORDS,
    *(word for section in _SECTIONS for word in section.split("\n") if word),
    "[net]",
    "dilation=2",
    "groups=2",
    "stride_x=2",
    "padding=5",
    "=",
    "#",
    ",",
)


@functools.cache
def _models() -> tuple[tuple[str, bytes], ...]:
    with tempfile.TemporaryDirectory() as folder:
        written = DarknetSuite().models(Path(folder))
        return tuple((cfg.read_text(encoding="utf-8"), weights.read_bytes()) for cfg, weights in written)


def _make(random: Random) -> bytes:
    cfg, weights = random.choice(_models())
    way = random.random()
    if way < 0.1:
        pass
    elif way < 0.3:
        lines = cfg.split("\n[")
        place = random.randint(1, len(lines))
        cfg = "\n[".join([*lines[:place], random.choice(_SECTIONS)[1:], *lines[place:]])
    elif way < 0.8:
        cfg = mutated_tokens(random, cfg, [random.choice(_SECTIONS)], _WORDS)
    else:
        weights = mutated(random, weights, [weights], BYTES)
    if random.random() < 0.1:
        weights += bytes(random.choice((1, 4, 40, 4000)))
    return cfg.encode("utf-8", "replace") + _MARK + weights


def _read(data: bytes, folder: Path, guarded: Guarded) -> None:
    cfg, _, weights = data.partition(_MARK)
    paths = [folder / "net.cfg", folder / "net.weights"]
    for path, content in zip(paths, (cfg, weights), strict=True):
        path.write_bytes(content)
    with guarded():
        importer = DarknetImporter()
        importer.recognises(paths)
        model = importer.read(paths)
        for tensors in model.parameters.values():
            for name in tensors:
                assert tensors[name].dtype == np.float32


def _prepare(folder: Path) -> None:
    for number in range(40):
        with suppress(CnnrtError):
            _read(_make(Random(number)), folder, nullcontext)


_FOLDER = "plugins/cnnrt_import_darknet/"
_FILES = (
    "activations",
    "cfg",
    "convert",
    "head_rules",
    "importer",
    "join_rules",
    "layer_rules",
    "network",
    "weights_file",
)
TARGET = Target("darknet", _prepare, _make, _read, tuple(f"{_FOLDER}{name}.py" for name in _FILES))
