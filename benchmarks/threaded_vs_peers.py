"""The threaded backend against ONNX Runtime, OpenVINO and PyTorch: whole networks, float32, all cores.

    pip install cnnrt onnx onnxruntime openvino torch
    python benchmarks/threaded_vs_peers.py [alexnet lenet cifar10 nin] [--batch 16 1] [--rounds 9] [--json FILE]

Each network is built here with seeded weights, as a NetFile and as ONNX. Each engine has a process of its own; they
take turns on the same images, round after round, so that whatever else the machine does slows all of them alike. What
counts is the ratio within a round; the table gives its median. An engine that is not installed is left out.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from cnnrt import Net
from cnnrt.layer import Array
from cnnrt.plugin_discovery import installed_entry_points
from cnnrt.plugins import PluginHost
from netfile_spec import InputBlock, LayerBlock, NetFile, layer, write_model

Compute = Callable[[Array], Array]


@attrs.define
class Builder:
    """A chain of layers under construction: blocks of a NetFile, weights, the shapes of an item at first and now."""

    item: tuple[int, ...]
    shape: tuple[int, ...] = attrs.field(default=attrs.Factory(lambda self: self.item, takes_self=True))
    blocks: list[LayerBlock] = attrs.field(factory=list)
    weights: dict[str, dict[str, Array]] = attrs.field(factory=dict)
    random: np.random.Generator = attrs.field(factory=lambda: np.random.default_rng(2016))

    def convolution(self, outputs: int, kernel: int, *, relu: bool = True, **keys: int) -> Builder:
        """Add a convolution, by default with a ReLU."""
        taken = self.shape[0] // keys.get("group", 1)
        size = (self.shape[1] + 2 * keys.get("pad", 0) - kernel) // keys.get("stride", 1) + 1
        self._weighted("Convolution", (outputs, taken, kernel, kernel), keys)
        self.shape = (outputs, size, size)
        return self.relu() if relu else self

    def fully_connected(self, outputs: int, *, relu: bool = True) -> Builder:
        """Add a fully connected layer, by default with a ReLU."""
        self._weighted("FullyConnected", (outputs, int(np.prod(self.shape))), {})
        self.shape = (outputs,)
        return self.relu() if relu else self

    def pooling(self, kind: str, kernel: int, stride: int) -> Builder:
        """Add a pooling."""
        size = -(-(self.shape[1] - kernel) // stride) + 1
        self.shape = (self.shape[0], size, size)
        return self.plain("Pooling", pool=kind, kernel_size=kernel, stride=stride, count_include_pad=False)

    def relu(self) -> Builder:
        """Add a ReLU."""
        return self.plain("ReLU")

    def plain(self, kind: str, **keys: Any) -> Builder:
        """Add a layer without weights."""
        self.blocks.append(layer(kind, f"{kind.lower()}{len(self.blocks)}", **keys))
        return self

    def _weighted(self, kind: str, shape: tuple[int, ...], keys: Mapping[str, int]) -> None:
        name = f"{kind.lower()}{len(self.blocks)}"
        weight = self.random.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / np.prod(shape[1:])))
        self.weights[name] = {"weight": weight, "bias": self.random.standard_normal(shape[0], np.float32) / 10}
        self.blocks.append(layer(kind, name, **keys))


def lenet() -> Builder:
    """LeNet of Caffe's MNIST example."""
    b = Builder((1, 28, 28)).convolution(20, 5, relu=False).pooling("max", 2, 2)
    return b.convolution(50, 5, relu=False).pooling("max", 2, 2).fully_connected(500).fully_connected(10, relu=False)


def cifar10() -> Builder:
    """Caffe's quick network for CIFAR-10."""
    b = Builder((3, 32, 32)).convolution(32, 5, pad=2, relu=False).pooling("max", 3, 2).relu()
    b.convolution(32, 5, pad=2).pooling("mean", 3, 2).convolution(64, 5, pad=2).pooling("mean", 3, 2)
    return b.fully_connected(64, relu=False).fully_connected(10, relu=False)


def alexnet() -> Builder:
    """Caffe's bvlc_alexnet."""
    b = Builder((3, 227, 227))
    for outputs, kernel, keys in ((96, 11, {"stride": 4}), (256, 5, {"pad": 2, "group": 2})):
        b.convolution(outputs, kernel, **keys).plain("LRN", local_size=5, alpha=1e-4, beta=0.75).pooling("max", 3, 2)
    b.convolution(384, 3, pad=1).convolution(384, 3, pad=1, group=2).convolution(256, 3, pad=1, group=2)
    return b.pooling("max", 3, 2).fully_connected(4096).fully_connected(4096).fully_connected(1000, relu=False)


def nin() -> Builder:
    """Network in network for ImageNet."""
    b = Builder((3, 224, 224))
    for outputs, kernel, keys in ((96, 11, {"stride": 4}), (256, 5, {"pad": 2}), (384, 3, {"pad": 1})):
        b.convolution(outputs, kernel, **keys).convolution(outputs, 1).convolution(outputs, 1).pooling("max", 3, 2)
    b.convolution(1024, 3, pad=1).convolution(1024, 1).convolution(1000, 1)
    return b.pooling("mean", b.shape[1], 1).plain("Flatten")


NETWORKS = {f.__name__: f for f in (lenet, cifar10, alexnet, nin)}


def write_onnx(b: Builder, path: Path, item: tuple[int, ...]) -> None:
    """Write the chain as ONNX, with the batch left open."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes, value = [], "data"
    for block in b.blocks:
        own = [f"{block.name}.{name}" for name in b.weights.get(block.name, {})]
        keys: dict[str, Any] = dict(block.keys)
        attributes: dict[str, Any] = {}
        match block.type:
            case "Convolution":
                op = "Conv"
                attributes = {"strides": [keys.get("stride", 1)] * 2, "pads": [keys.get("pad", 0)] * 4}
                attributes["group"] = keys.get("group", 1)
            case "Pooling":
                op = "MaxPool" if keys["pool"] == "max" else "AveragePool"
                attributes = {
                    "kernel_shape": [keys["kernel_size"]] * 2,
                    "strides": [keys["stride"]] * 2,
                    "ceil_mode": 1,
                }
            case "LRN":
                op, attributes = "LRN", {"size": 5, "alpha": 1e-4, "beta": 0.75, "bias": 1.0}
            case "FullyConnected":
                nodes.append(helper.make_node("Flatten", [value], [f"{block.name}.flat"]))
                op, attributes, value = "Gemm", {"transB": 1}, f"{block.name}.flat"
            case "Softmax":
                op, attributes = "Softmax", {"axis": 1}
            case other:
                op = {"ReLU": "Relu"}.get(other, other)
        nodes.append(helper.make_node(op, [value, *own], [block.name], **attributes))
        value = block.name
    given = helper.make_tensor_value_info("data", TensorProto.FLOAT, ["batch", *item])
    result = helper.make_tensor_value_info(value, TensorProto.FLOAT, None)
    tensors = [numpy_helper.from_array(w, f"{n}.{k}") for n, own in b.weights.items() for k, w in own.items()]
    graph = helper.make_graph(nodes, "benchmark", [given], [result], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


def load_cnnrt(folder: Path, shape: tuple[int, ...], threads: int) -> Compute:
    """Return a Net on the threaded backend, which need not be installed as a plugin."""
    points = list(installed_entry_points())
    if not any(point.name == "backend.threaded" for point in points):
        points.append(metadata.EntryPoint("backend.threaded", "cnnrt_backend_threaded", "cnnrt.plugins"))
    net = Net(folder / "net.netfile", execution_mode="threaded", threads=threads, plugins=PluginHost(points))
    return net.compute


def load_onnxruntime(folder: Path, shape: tuple[int, ...], threads: int) -> Compute:
    """Return an ONNX Runtime session."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(folder / "net.onnx"), options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"data": x})[0]


def load_openvino(folder: Path, shape: tuple[int, ...], threads: int) -> Compute:
    """Return an OpenVINO request, float32."""
    import openvino

    core = openvino.Core()
    model = core.read_model(folder / "net.onnx")
    model.reshape(list(shape))
    hints = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(model, "CPU", hints).create_infer_request()
    return lambda x: next(iter(request.infer({0: x}).values()))


def load_torch(folder: Path, shape: tuple[int, ...], threads: int) -> Compute:
    """Return the chain in eager PyTorch."""
    import torch
    import torch.nn.functional as f
    from onnx import load, numpy_helper

    torch.set_num_threads(threads)
    graph = load(folder / "net.onnx").graph
    weights = {w.name: torch.from_numpy(numpy_helper.to_array(w).copy()) for w in graph.initializer}
    run: dict[str, Callable[..., Any]] = {
        "Conv": lambda a, x, w, b: f.conv2d(x, w, b, list(a["strides"].ints), a["pads"].ints[0], 1, a["group"].i),
        "Relu": lambda a, x: f.relu(x),
        "MaxPool": lambda a, x: f.max_pool2d(x, list(a["kernel_shape"].ints), list(a["strides"].ints), ceil_mode=True),
        "AveragePool": lambda a, x: f.avg_pool2d(
            x, list(a["kernel_shape"].ints), list(a["strides"].ints), ceil_mode=True, count_include_pad=False
        ),
        "LRN": lambda a, x: f.local_response_norm(x, a["size"].i, a["alpha"].f, a["beta"].f, a["bias"].f),
        "Flatten": lambda a, x: x.flatten(1),
        "Gemm": lambda a, x, w, b: f.linear(x, w, b),
        "Softmax": lambda a, x: f.softmax(x, 1),
    }
    steps = [(run[n.op_type], {a.name: a for a in n.attribute}, [weights[w] for w in n.input[1:]]) for n in graph.node]

    @torch.inference_mode()
    def compute(x: Array) -> Array:
        value = torch.from_numpy(x)
        for function, attributes, own in steps:
            value = function(attributes, value, *own)
        result: Array = value.numpy()
        return result

    return compute


LOADERS = {"cnnrt": load_cnnrt, "onnxruntime": load_onnxruntime, "openvino": load_openvino, "torch": load_torch}


def serve(pipe: Connection, engine: str, folder: Path, shape: tuple[int, ...], threads: int, seconds: float) -> None:
    """Be one engine: load, send the first result, then time calls whenever asked."""
    x = np.random.default_rng(1).standard_normal(shape, np.float32)
    try:
        compute = LOADERS[engine](folder, shape, threads)
        first = np.array(compute(x)).reshape(shape[0], -1)
    except Exception as error:  # an engine that cannot take part leaves the others to race
        pipe.send(f"{type(error).__name__}: {error}"[:200])
        return
    pipe.send(first)
    while pipe.recv():
        times: list[float] = []
        end = time.perf_counter() + seconds
        while time.perf_counter() < end or len(times) < 3:
            started = time.perf_counter()
            compute(x)
            times.append(time.perf_counter() - started)
        pipe.send(statistics.median(times) * 1e3)


def race(name: str, batch: int, rounds: int, threads: int, seconds: float) -> dict[str, Any]:
    """Run one race; return each engine's medians in milliseconds, round by round, or why it was left out."""
    context = multiprocessing.get_context("spawn")
    builder = NETWORKS[name]()
    builder.plain("Softmax")
    item = builder.item
    report: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        write_model(folder, NetFile(builder.blocks, [InputBlock("data", item)], netfile_version=1), builder.weights)
        write_onnx(builder, Path(folder) / "net.onnx", item)
        pipes = {}
        reference = None
        for engine in LOADERS:
            here, there = context.Pipe()
            arguments = (there, engine, Path(folder), (batch, *item), threads, seconds)
            context.Process(target=serve, args=arguments, daemon=True).start()
            answer = here.recv()
            if isinstance(answer, str):
                report[engine] = {"left_out": answer}
                continue
            reference = answer if reference is None else reference
            report[engine] = {"ms": [], "largest_difference": float(np.abs(answer - reference).max())}
            pipes[engine] = here
        for _ in range(rounds):
            for engine, pipe in pipes.items():
                pipe.send(True)
                report[engine]["ms"].append(pipe.recv())
        for pipe in pipes.values():
            pipe.send(False)
    return report


def main() -> None:
    """Read the arguments, race, and print a table for each network and batch."""
    parser = argparse.ArgumentParser(description="the threaded backend against other engines")
    parser.add_argument("networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--batch", type=int, nargs="+", default=[16, 1])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.5, help="of work for each engine in a round")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", type=Path, help="write all medians to this file")
    arguments = parser.parse_args()
    everything = {}
    for name in arguments.networks:
        for batch in arguments.batch:
            report = race(name, batch, arguments.rounds, arguments.threads, arguments.seconds)
            everything[f"{name}, batch {batch}"] = report
            print(f"{name}, batch {batch}, {arguments.threads} threads")
            for engine, found in report.items():
                if "left_out" in found:
                    print(f"    {engine:12} left out: {found['left_out']}")
                    continue
                pairs = zip(found["ms"], report["cnnrt"]["ms"], strict=True)
                ratio = statistics.median(theirs / ours for theirs, ours in pairs)
                print(f"    {engine:12}{statistics.median(found['ms']):10.3f} ms{ratio:8.2f} × cnnrt", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(everything, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
