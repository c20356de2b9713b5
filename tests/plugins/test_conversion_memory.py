"""Converting holds a few tensors at a time, never a model: at most twice the largest one and 32 MiB."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from cnnrt.layer import Array
from cnnrt.process_memory import memory_of

MIB = 1 << 20
DEPTH, WIDE, NARROW = 6, 2048, 64
"""Layers of a network, and how wide they are: tensors of 16 MiB, and of next to nothing."""
MOST = 2 * 4 * WIDE * WIDE + 32 * MIB
assert DEPTH * 4 * WIDE * WIDE > MOST, "a converter that held the whole model would be noticed"

Files = list[Path]
TOPOLOGY = 'netfile_version: 1\ninput {{ name: "data" shape: [{width}, 1, 1] }}\n'
LAYER = 'layer {{ type: "FullyConnected" name: "fc{number}" }}\n'


def tensors(width: int) -> list[tuple[Array, Array]]:
    """Weight and bias of each layer."""
    row = np.linspace(-1, 1, width, dtype=np.float32)
    return [(np.add.outer(row, (i + 1) * row), row) for i in range(DEPTH)]


NAMES = ("weight", "bias")


def topology(folder: Path, width: int) -> None:
    text = TOPOLOGY.format(width=width) + "".join(LAYER.format(number=i) for i in range(DEPTH))
    (folder / "topology.netfile").write_text(text, encoding="utf-8")


def onnx(folder: Path, width: int) -> Files:
    helper = pytest.importorskip("onnx.helper", reason="ONNX models are read by the onnx package")
    from onnx import numpy_helper

    from onnx_suite.small_models import make_model

    nodes, weights = [], {}
    for i, (weight, bias) in enumerate(tensors(width)):
        weights |= {f"w{i}": numpy_helper.from_array(weight, f"w{i}"), f"b{i}": numpy_helper.from_array(bias, f"b{i}")}
        nodes.append(helper.make_node("Gemm", [f"x{i}" if i else "x", f"w{i}", f"b{i}"], [f"x{i + 1}"], transB=1))
    model = make_model(nodes, weights, inputs={"x": ("N", width)})
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return [folder / "model.onnx"]


def caffe(folder: Path, width: int) -> Files:
    text = f'input: "data" input_shape {{ dim: 1 dim: {width} dim: 1 dim: 1 }}\n'
    model = b""
    for i, arrays in enumerate(tensors(width)):
        bottom = f"fc{i - 1}" if i else "data"
        text += f'layer {{ name: "fc{i}" type: "InnerProduct" bottom: "{bottom}" top: "fc{i}" '
        text += f"inner_product_param {{ num_output: {width} }} }}\n"
        blobs = b""
        for array in arrays:
            shape = _field(1, b"".join(map(_varint, array.shape)))
            blobs += _field(7, _field(7, shape) + _field(5, array.tobytes()))
        model += _field(100, _field(1, f"fc{i}".encode()) + _field(2, b"InnerProduct") + blobs)
    paths = [folder / "net.prototxt", folder / "net.caffemodel"]
    paths[0].write_text(text, encoding="utf-8")
    paths[1].write_bytes(model)
    return paths


def _varint(number: int) -> bytes:
    head = b""
    while number > 127:
        head += bytes([number % 128 + 128])
        number //= 128
    return head + bytes([number])


def _field(number: int, content: bytes) -> bytes:
    return _varint(8 * number + 2) + _varint(len(content)) + content


def _named(width: int) -> dict[str, Array]:
    return {
        f"fc{i}.{n}": a for i, pair in enumerate(tensors(width)) for n, a in zip(("weight", "bias"), pair, strict=True)
    }


def pytorch(folder: Path, width: int) -> Files:
    from cnnrt_import_pytorch.conformance import write_zip

    topology(folder, width)
    write_zip(folder / "net.pth", _named(width))
    return [folder / "net.pth"]


def safetensors(folder: Path, width: int) -> Files:
    from cnnrt_import_pytorch.conformance import write_safetensors

    topology(folder, width)
    write_safetensors(folder / "net.safetensors", _named(width))
    return [folder / "net.safetensors"]


def torch7(folder: Path, width: int) -> Files:
    from cnnrt_import_torch7.conformance import binary, nn

    layers = [nn("Linear", weight=weight, bias=bias) for weight, bias in tensors(width)]
    (folder / "net.t7").write_bytes(binary(nn("Sequential", *layers)))
    return [folder / "net.t7"]


def tflite(folder: Path, width: int) -> Files:
    from cnnrt_import_tflite.conformance import ModelWriter

    writer = ModelWriter()
    writer.value("x0", 1, width)
    for i, (weight, bias) in enumerate(tensors(width)):
        names = [f"x{i}", writer.constant(f"w{i}", weight), writer.constant(f"b{i}", bias)]
        writer.operator("FULLY_CONNECTED", names, f"x{i + 1}")
    (folder / "net.tflite").write_bytes(writer.model(["x0"], [f"x{DEPTH}"]))
    return [folder / "net.tflite"]


def keras(folder: Path, width: int) -> Files:
    pytest.importorskip("h5py", reason="HDF5 is read by h5py")
    from cnnrt_import_keras.conformance import layer, save_h5, sequential

    layers = [layer("Dense", f"fc{i}", units=width) for i in range(DEPTH)]
    weights = {f"fc{i}": pair for i, pair in enumerate(tensors(width))}
    return [save_h5(folder / "net.h5", sequential(layers, (width,)), weights)]


def darknet(folder: Path, width: int) -> Files:
    from darknet_suite.model_files import write

    section = f"[convolutional]\nfilters={width}\nsize=1\nstride=1\nactivation=linear\n"
    arrays = [array for weight, bias in tensors(width) for array in (bias, weight)]
    return write(folder, f"[net]\nchannels={width}\nheight=1\nwidth=1\n" + section * DEPTH, arrays)


def npz(folder: Path, width: int) -> Files:
    topology(folder, width)
    arrays = [array for pair in tensors(width) for array in pair]
    np.savez(folder / "net.npz", *arrays)
    return [folder / "net.npz"]


HEAVY = pytest.mark.skipif(not os.environ.get("CNNRT_HEAVY_TESTS"), reason="takes seconds: CNNRT_HEAVY_TESTS=1")
ALWAYS = (onnx, safetensors)
ALL = (onnx, caffe, pytorch, safetensors, torch7, tflite, keras, darknet, npz)
FORMATS = [pytest.param(f, id=f.__name__, marks=() if f in ALWAYS else HEAVY) for f in ALL]

CONVERT = """
import json, resource, sys
from cnnrt import convert
from cnnrt.process_memory import peak_bytes
files, topology, folder = json.loads(sys.argv[1])
convert(files, folder, topology=topology)
children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10
print(json.dumps([peak_bytes(), children]))
"""


def run(script: str, *arguments: str) -> list[int]:
    """Run a script and return the bytes that it prints."""
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found: list[int] = json.loads(done.stdout)
    return found


def peaks(folder: Path, write: Callable[[Path, int], Sequence[Path]], width: int) -> list[int]:
    """Return the peaks of converting a model, and of its children."""
    folder.mkdir()
    files = [str(file) for file in write(folder, width)]
    stated = folder / "topology.netfile"
    told = [files, str(stated) if stated.exists() else None, str(folder / "out")]
    return run(CONVERT, json.dumps(told))


@pytest.mark.skipif(memory_of() is None, reason="this system does not tell a process's peak")
@pytest.mark.parametrize("write", FORMATS)
def test_a_conversion_holds_few_tensors_at_a_time(tmp_path: Path, write: Callable[[Path, int], Files]) -> None:
    large = peaks(tmp_path / "large", write, WIDE)
    small = peaks(tmp_path / "small", write, NARROW)
    assert large[0] - small[0] <= MOST
    assert large[1] - small[1] <= MOST, "of the children, which count as well"
    written = list((tmp_path / "large" / "out").glob("*.msg"))
    assert sum(file.stat().st_size for file in written) >= DEPTH * 4 * WIDE * WIDE
