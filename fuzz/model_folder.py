"""Whole model folders: links, pipes, devices, names that lead outside; read as a Net, and by netfile_spec alone."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import nullcontext, suppress
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from cnnrt import Net
from cnnrt.labels import read_labels
from cnnrt.preprocessing import preprocessing
from fuzz.target import Guarded, Target
from netfile_spec import CnnrtError, read_model, write_parameters

_KINDS = (
    "weights",
    "weights",
    "weights",
    "labels",
    "mean",
    "empty",
    "junk",
    "folder",
    "pipe",
    "link",
    "link",
    "hard link",
)
_NAMES: tuple[str, ...] = (
    "w.msg",
    "W.MSG",
    "sub/w.msg",
    "labels.txt",
    "mean.msg",
    "net.netfile",
    ".hidden",
    "a b.msg",
    "é.msg",
    "e\u0301.msg",
)
_NAMES += ("con", "nul.msg", "-rf", "x" * 200, "w.msg ", "w.msg.", "sub", "sub/..w", "...", "*", "$HOME", "~", "%2e%2e")
_STATED: tuple[str, ...] = (
    *_NAMES,
    "../outside.msg",
    "sub/../w.msg",
    "sub/../../outside.msg",
    "/etc/passwd",
    "{outside}",
    "/dev/zero",
    "/dev/stdin",
)
_STATED += (
    "/proc/self/mem",
    "w.msg\0",
    "\0",
    "",
    ".",
    "..",
    "C:w.msg",
    "C:\\w.msg",
    "..\\outside.msg",
    "\\\\server\\share",
    "sub//w.msg",
)
_STATED += (
    "./w.msg",
    "x" * 5000,
    "/".join("a" * 3000),
    "file:///etc/passwd",
    "w.msg:stream",
    "loop",
    "sub/loop/w.msg",
    "\u202e",
    "link",
)
_TARGETS: tuple[str, ...] = (
    "w.msg",
    "sub/w.msg",
    "..",
    "../outside.msg",
    "{outside}",
    "/etc/passwd",
    "/dev/zero",
    "/dev/null",
    "/",
    ".",
    "loop",
    "link",
)
_TARGETS += ("/proc/self/environ", "/proc/self/fd/0", "missing", "../model/w.msg", "sub", "pipe")
_ROOTS = (
    None,
    None,
    None,
    ".",
    "sub",
    "..",
    "/",
    "/etc",
    "{outside}",
    "link",
    "loop",
    "./sub/..",
    "missing",
    "//server/share",
    "~",
    "",
    "\0",
    "w.msg",
    "pipe",
)


def _make(random: Random) -> bytes:
    """Return a folder as JSON: what lies in it, and what its NetFile states."""
    entries = [
        ["weights", "w.msg", ""],
        ["folder", "sub", ""],
        ["weights", "sub/w.msg", ""],
        ["labels", "labels.txt", ""],
    ]
    entries = [e for e in [*entries, ["mean", "mean.msg", ""]] if random.random() < 0.97]
    for _ in range(random.choice((0, 1, 1, 2, 4))):
        kind = random.choice(_KINDS)
        name = random.choice(("link", "loop", "pipe") if kind in ("link", "pipe") and random.random() < 0.6 else _NAMES)
        entries.append([kind, name, random.choice(_TARGETS)])
    stated = {"weights": random.choice(("w.msg", "w.msg", "sub/w.msg")), "labels": "labels.txt", "mean": "mean.msg"}
    for key in stated:
        if random.random() < 0.3:
            stated[key] = random.choice(_STATED)
    root = random.choice(_ROOTS) if random.random() < 0.4 else None
    return json.dumps({"entries": entries, "root": root, **stated}).encode()


def _build(recipe: dict[str, Any], folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    outside = folder.parent / "outside.msg"
    sound = folder.parent / "sound.msg"

    def meant(name: str) -> str:
        return name.replace("{outside}", str(outside))

    for kind, name, target in recipe["entries"]:
        path = folder / name
        with suppress(OSError, ValueError):
            path.unlink(missing_ok=True)
            match kind:
                case "weights" | "mean":
                    shutil.copyfile(sound if kind == "weights" else folder.parent / "mean.msg", path)
                case "labels" | "empty" | "junk":
                    path.write_bytes({"labels": b"a\nb", "empty": b"", "junk": b"\x93\x93\x93"}[kind])
                case "folder":
                    path.mkdir()
                case "pipe":
                    os.mkfifo(path)
                case "link":
                    path.symlink_to(meant(target))
                case "hard link":
                    path.hardlink_to(outside)
    texts = {key: json.dumps(meant(recipe[key])) for key in ("weights", "labels", "mean")}
    root = "" if recipe["root"] is None else f"root_directory: {json.dumps(meant(recipe['root']))}\n"
    with suppress(OSError):
        (folder / "net.netfile").unlink(missing_ok=True)
        (folder / "net.netfile").write_text(
            f"netfile_version: 1\n{root}labels: {texts['labels']}\n"
            f"input {{ name: data shape: [3, 8, 8] channel_order: rgb mean_file: {texts['mean']} }}\n"
            f'layer {{ type: Convolution name: "conv" parameters_file: {texts["weights"]} }}\n'
        )


def _prepare(folder: Path) -> None:
    weights = {"weight": np.ones((2, 3, 3, 3), np.float32), "bias": np.zeros(2, np.float32)}
    write_parameters(folder.parent / "sound.msg", weights)
    write_parameters(folder.parent / "outside.msg", weights)
    write_parameters(folder.parent / "mean.msg", {"mean": np.ones((3, 8, 8), np.float32)})
    for data in (_make(Random(i)) for i in range(60)):
        with suppress(CnnrtError):
            _read(data, folder, nullcontext)


def _read(data: bytes, folder: Path, guarded: Guarded) -> None:
    _build(json.loads(data), folder)
    path = folder / "net.netfile"
    with guarded():
        with suppress(CnnrtError):
            read_model(path)
        with Net(path, auto_tuning="off") as net:  # measuring is no reading, and writes what it learns
            read_labels(net.netfile, net.root)
            preprocessing(net.netfile.inputs[0], net.root)
            net.compute(np.ones((3, 8, 8), np.float32))


TARGET = Target(
    "model-folder",
    _prepare,
    _make,
    _read,
    (
        "netfile_spec/parameters/inside_root.py",
        "netfile_spec/model_folder.py",
        "cnnrt/root_directory.py",
        "cnnrt/weights.py",
    ),
)
