"""Files of Torch7: trees of modules in both encodings, with fields that are missing or of another kind."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from cnnrt_import_torch7.conformance import Identity, Longs, Written, ascii_text, binary, nn
from cnnrt_import_torch7.importer import Torch7Importer
from cnnrt_import_torch7.supported import RULES
from fuzz.mutations import BYTES, INTEGERS, mutated
from fuzz.target import Guarded, Target
from netfile_spec import CnnrtError

_KINDS = tuple(RULES)
_FIELDS: dict[str, Any] = {
    "nInputPlane": 2,
    "nOutputPlane": 3,
    **dict.fromkeys(("kW", "kH"), 2),
    **dict.fromkeys(("dW", "dH"), 1),
    "dimension": 2,
    "size": 3,
    "index": 1,
    "scale_factor": 2,
    "constant_scalar": 0.5,
    "pow": 2,
    "W": 1,
    "H": 1,
    **dict.fromkeys(("dim", "pad", "p", "offset", "length", "upscaleFactor"), 2),
    "kernel": np.ones((3, 3), np.float32),
}
_ODD: tuple[Any, ...] = (-1, 0, 0.5, 2**31, 1e300, float("inf"), float("nan"), "text", True, None, [], Longs((-1, -1)))
_ODD += (Longs((-1, 12)), Longs((2, 2, 3)), {"1": 2})


def _tensor(random: Random) -> Any:
    shape = random.choice(((3, 2, 2, 2), (3,), (2,), (4, 8), (3, 8), (1,), (0,), (1, 3, 1, 1), (5, 2)))
    return np.zeros(shape, random.choice(("f4", "f8", "i8", "u1")))


def _module(random: Random, depth: int = 0) -> Any:
    if random.random() < 0.02:
        return random.choice(_ODD)
    kind = random.choice(_KINDS) if random.random() < 0.98 else random.choice(("Odd", "os.execute", "", "x" * 300))
    inner = [_module(random, depth + 1) for _ in range(random.choice((0, 1, 2, 3)))] if depth < 4 else []
    fields = dict(_FIELDS)
    fields |= {"weight": np.zeros((3, 2, 2, 2), np.float32), "bias": np.zeros(3, np.float32)}
    for _ in range(random.choice((0, 0, 1, 3))):
        field = random.choice((*fields, "padW", "ceil_mode", "groups", "v2", "running_mean", "numInputDims"))
        fields[field] = random.choice((*_ODD, _tensor(random), random.choice(INTEGERS)))
    module = nn("Sequential" if depth == 0 else kind, *inner, **fields)
    if random.random() < 0.05 and inner:
        inner[0] = module
        module.fields["modules"] = inner
    return module


def _graph(random: Random) -> Written:
    nodes = [Written("nngraph.Node", {"data": {"mapindex": {}}, "children": []}) for _ in range(random.randint(2, 6))]
    for one in nodes:
        if random.random() < 0.8:
            one.fields["data"]["module"] = _module(random, 4)
        for other in nodes:
            if random.random() < 0.3:
                one.fields["children"].append(other)
                other.fields["data"]["mapindex"][Identity(one.fields["data"])] = random.choice((1, 1, 2, 1e9, -1))
    return nn("gModule", forwardnodes=nodes, innode=nodes[0], outnode=nodes[-1])


def _make(random: Random) -> bytes:
    root = _graph(random) if random.random() < 0.2 else _module(random)
    if random.random() < 0.1:
        root = {random.choice(("model", "mean", "x")): root, "std": _tensor(random)}
    write = ascii_text if random.random() < 0.4 else binary
    data = write(root) if write is ascii_text or random.random() < 0.9 else binary(root, long_size=4)
    words = (*BYTES, b"nn.Sequential", b"torch.FloatTensor", b"V 1", b"\x03\0\0\0", b"\x08\0\0\0", b"3\n", b"1\n")
    return mutated(random, data, [binary(_module(random, 3))], words) if random.random() < 0.6 else data


def _prepare(folder: Path) -> None:
    for i in range(60):
        with suppress(CnnrtError):
            _read(_make(Random(i)), folder, nullcontext)


def _read(data: bytes, folder: Path, guarded: Guarded) -> None:
    path = folder / "x.t7"
    path.write_bytes(data)
    importer = Torch7Importer()
    with guarded():
        importer.recognises([path])
        model = importer.read([path])
        for weights in model.parameters.values():
            for values in weights.values():
                assert values.dtype == np.float32


TARGET = Target(
    "torch7",
    _prepare,
    _make,
    _read,
    (
        "plugins/cnnrt_import_torch7/object_reader.py",
        "plugins/cnnrt_import_torch7/streams.py",
        "plugins/cnnrt_import_torch7/objects.py",
        "plugins/cnnrt_import_torch7/modules.py",
        "plugins/cnnrt_import_torch7/graphs.py",
        "plugins/cnnrt_import_torch7/containers.py",
    ),
    cases=(
        lambda: b"\x03\0\0\0\x01\0\0\0\xff\xff\xff\x7f" + b"\0" * 9_000_000,
        lambda: b"3\n1\n900000\n" + b"5\n1\n" * 1_000_000,
        lambda: b"".join(b"\x03\0\0\0" + i.to_bytes(4, "little") + b"\x01\0\0\0\0\0\0\0" for i in range(600_000)),
        lambda: binary(_doubling(40)),
    ),
)


def _doubling(depth: int) -> Written:
    inner = nn("Concat", nn("Abs"), nn("Abs"), dimension=2)
    for _ in range(depth):
        inner = nn("ConcatTable", inner, inner)
    return inner
