"""The engines that are compared: how each loads a network and computes, in float32 on so many threads.

Everything is imported where it is needed: an engine's process holds that engine and NumPy, so that its memory is its
own.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Compute = Callable[[NDArray[Any]], NDArray[Any]]

NEEDS = {
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
    "mnn": "MNN",
    "opencv": "opencv-python-headless",
    "torch": "torch onnx",
    "tinygrad": "tinygrad onnx",
}
"""What pip installs for each peer."""


def load_cnnrt(folder: Path, shape: tuple[int, ...], threads: int, mode: str) -> Compute:
    """Return a Net; `mode` is an execution mode, with "+tuned" behind it where the auto-tuner is to be on.

    "threaded@64" keeps it to 64 MiB.
    """
    from cnnrt import Net

    rest, _, ceiling = (mode or "parallel").partition("@")
    name, _, tuned = rest.partition("+")
    tuning = "on" if tuned else "off"
    ram = float(ceiling) if ceiling else None
    path = folder / "net.netfile"
    return Net(path, execution_mode=name, threads=threads, auto_tuning=tuning, allocated_ram=ram).compute


def load_onnxruntime(folder: Path, shape: tuple[int, ...], threads: int, mode: str) -> Compute:
    """Return an ONNX Runtime session."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(folder / "net.onnx"), options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"data": x})[0]


def load_openvino(folder: Path, shape: tuple[int, ...], threads: int, mode: str) -> Compute:
    """Return an OpenVINO request, float32."""
    import openvino

    core = openvino.Core()
    model = core.read_model(folder / "net.onnx")
    model.reshape(list(shape))
    hints = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(model, "CPU", hints).create_infer_request()
    return lambda x: next(iter(request.infer({0: x}).values()))


def load_mnn(folder: Path, shape: tuple[int, ...], threads: int, mode: str) -> Compute:
    """Return an MNN module, float32; the file was converted before."""
    import numpy as np
    from MNN import expr, nn

    manager = nn.create_runtime_manager(({"backend": "CPU", "precision": "high", "numThread": threads},))
    network = nn.load_module_from_file(str(folder / "net.mnn"), [], [], runtime_manager=manager)

    def compute(x: NDArray[Any]) -> NDArray[Any]:
        value = expr.placeholder(list(shape), expr.NCHW, expr.float)
        value.write(x)
        return np.array(network.forward([value])[0].read())

    return compute


def load_opencv(folder: Path, shape: tuple[int, ...], threads: int, mode: str) -> Compute:
    """Return OpenCV's DNN module."""
    import cv2

    cv2.setNumThreads(threads)
    network = cv2.dnn.readNetFromONNX(str(folder / "net.onnx"))

    def compute(x: NDArray[Any]) -> NDArray[Any]:
        network.setInput(x)
        result: NDArray[Any] = network.forward()
        return result

    return compute


def load_torch(folder: Path, shape: tuple[int, ...], threads: int, mode: str) -> Compute:
    """Return the network in eager PyTorch, from the same ONNX graph."""
    import torch
    import torch.nn.functional as f
    from onnx import helper, load, numpy_helper

    torch.set_num_threads(threads)
    graph = load(str(folder / "net.onnx")).graph
    weights = {w.name: torch.from_numpy(numpy_helper.to_array(w).copy()) for w in graph.initializer}
    run: Mapping[str, Callable[..., Any]] = {
        "Conv": lambda a, x, w, b: f.conv2d(x, w, b, a["strides"], a["pads"][:2], 1, a["group"]),
        "Relu": lambda a, x: f.relu(x),
        "MaxPool": lambda a, x: f.max_pool2d(
            x, a["kernel_shape"], a["strides"], a["pads"][:2], ceil_mode=bool(a["ceil_mode"])
        ),
        "AveragePool": lambda a, x: f.avg_pool2d(
            x, a["kernel_shape"], a["strides"], a["pads"][:2], bool(a["ceil_mode"]), count_include_pad=False
        ),
        "GlobalAveragePool": lambda a, x: x.mean((2, 3), keepdim=True),
        "LRN": lambda a, x: f.local_response_norm(x, a["size"], a["alpha"], a["beta"], a["bias"]),
        "BatchNormalization": lambda a, x, s, b, m, v: f.batch_norm(x, m, v, s, b, eps=a["epsilon"]),
        "Flatten": lambda a, x: x.flatten(1),
        "Gemm": lambda a, x, w, b: f.linear(x, w, b),
        "Add": lambda a, x, y: x + y,
        "Concat": lambda a, *values: torch.cat(values, a["axis"]),
        "Softmax": lambda a, x: f.softmax(x, 1),
    }
    steps = [
        (run[n.op_type], {a.name: helper.get_attribute_value(a) for a in n.attribute}, list(n.input), n.output[0])
        for n in graph.node
    ]
    last = graph.output[0].name

    def compute(x: NDArray[Any]) -> NDArray[Any]:
        values = {"data": torch.from_numpy(x)}
        with torch.inference_mode():
            for function, attributes, inputs, output in steps:
                values[output] = function(attributes, *[values[i] if i in values else weights[i] for i in inputs])
        result: NDArray[Any] = values[last].numpy()
        return result

    return compute


def load_tinygrad(folder: Path, shape: tuple[int, ...], threads: int, mode: str) -> Compute:
    """Return the network in tinygrad, captured by its JIT; `mode` is its device, as in "tinygrad:CL" (OpenCL)."""
    import os

    os.environ.setdefault("DEV", mode or "CPU")
    from tinygrad import Tensor, TinyJit
    from tinygrad.nn.onnx import OnnxRunner

    network = OnnxRunner(str(folder / "net.onnx"))

    def run(x: Any) -> Any:
        return next(iter(network({"data": x}).values())).realize()

    captured = TinyJit(run)
    return lambda x: captured(Tensor(x).realize()).numpy()


LOADERS = {
    "cnnrt": load_cnnrt,
    "onnxruntime": load_onnxruntime,
    "openvino": load_openvino,
    "mnn": load_mnn,
    "opencv": load_opencv,
    "torch": load_torch,
    "tinygrad": load_tinygrad,
}


def make_ready(engine: str, folder: Path) -> None:
    """Do what an engine needs done before it can load: MNN converts the file with a program of its own."""
    if engine == "mnn" and not (folder / "net.mnn").exists():
        program = Path(sys.executable).with_name("mnnconvert")
        if not program.exists():
            raise FileNotFoundError(f"{program.name} is not installed: pip install MNN")
        files = ["--modelFile", str(folder / "net.onnx"), "--MNNModel", str(folder / "net.mnn")]
        command = [str(program), "-f", "ONNX", *files, "--bizCode", "benchmark"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{program.name} failed: {done.stderr.strip()[-200:]}")
