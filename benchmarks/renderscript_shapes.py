"""RenderScript kernels of several shapes on the host: register tiles, and CNNdroid's F8F4 and F4F4.

    python -m benchmarks.renderscript_shapes [--network alexnet] [--batch 1] [--threads 2] [--rounds 10] [--json FILE]

(a) the whole network, all convolution and fully connected layers in one shape; (b) AlexNet's conv2, beside NumPy with
its windows copied into a matrix (im2col) and multiplied by BLAS. Contestants take turns; the best and the median of all
rounds are shown, since what else runs on the machine only ever adds to a time.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.networks import build
from benchmarks.record import machine_line, write_record
from cnnrt import Net
from cnnrt.backend import Kernel
from cnnrt.cli.measurement import random_inputs
from cnnrt.kernel_trial import make_trial, random_arrays
from cnnrt.layer_call import LayerCall
from cnnrt.plugins import PluginHost, plugin_host
from cnnrt.tensor import TensorType
from cnnrt.testing.offered import offered
from cnnrt_backend_renderscript.backend import RenderScriptBackend
from cnnrt_backend_renderscript.kernel_list import renderscript_kernels
from cnnrt_layers import Convolution, ReLU

SHAPES: Mapping[str, tuple[tuple[str, ...], Mapping[str, int]]] = {
    "tile": (("tile", "tile8", "tile16"), {}),
    "tile of float4": (("tile",), {}),
    "F8F4": (("dot",), {"inputs": 8, "outputs": 4}),
    "F4F4": (("dot",), {"inputs": 4, "outputs": 4}),
}
"""Kernels, of which the cost model chooses, and tuning of each shape. The first has as wide vectors as there are."""
PRODUCTS = ("Convolution", "FullyConnected")
WARM_UP_ROUNDS = 2

Samples = dict[str, list[float]]
"""Milliseconds of every round."""


def kernels_of(shape: str) -> list[Kernel]:
    """Return the backend's kernels, with this shape alone for layers of products."""
    names, tuning = SHAPES[shape]
    return [
        kernel.tuned(tuning) if kernel.layer in PRODUCTS and tuning else kernel
        for kernel in renderscript_kernels()
        if kernel.layer not in PRODUCTS or kernel.name in names
    ]


def host_of(shape: str) -> PluginHost:
    """Return a plugin host with nothing else than these kernels."""
    layers = list(plugin_host().layers().values())
    return offered(layers=layers, backends=[RenderScriptBackend()], kernels=kernels_of(shape))


def whole_network(name: str, batch: int, threads: int, rounds: int) -> Samples:
    """Return the times of a network in each shape."""
    builder = build(name)
    images = random_inputs({"data": (batch, *builder.item)})["data"]
    with tempfile.TemporaryDirectory() as folder:
        path = builder.write(Path(folder))
        nets = {
            shape: Net(path, plugins=host_of(shape), execution_mode="renderscript", threads=threads, strict=True)
            for shape in SHAPES
        }
        return in_turns({shape: functools.partial(net.compute, images) for shape, net in nets.items()}, rounds)


def conv2(threads: int, rounds: int) -> Samples:
    """Return the times of AlexNet's conv2 with its ReLU, one image."""
    call = LayerCall(
        Convolution(pad=(2, 2, 2, 2), group=2),
        (TensorType((1, 96, 27, 27)),),
        (TensorType((1, 256, 27, 27)),),
        {"weight": TensorType((256, 48, 5, 5)), "bias": TensorType((256,))},
        (ReLU(),),
    )
    inputs, weights = random_arrays(call)
    contestants: dict[str, Callable[[], object]] = {"NumPy im2col + BLAS": _im2col(inputs[0], weights)}
    backend = RenderScriptBackend()
    device = backend.devices()[0]
    for shape in SHAPES:
        able = [k for k in kernels_of(shape) if k.layer == "Convolution" and k.can_run(call, device) is True]
        kernel = min(able, key=lambda k: k.estimate(call, device))
        trial = make_trial(kernel, backend, device, call, inputs, weights, threads)
        contestants[shape] = functools.partial(trial.run, *trial.buffers())
    with threadpool_limits(threads, user_api="blas"):
        return in_turns(contestants, rounds)


def _im2col(images: np.ndarray, weights: Mapping[str, np.ndarray]) -> Callable[[], object]:
    matrices = weights["weight"].reshape(2, 128, 1200)
    bias = weights["bias"].reshape(2, 128, 1)
    padded = np.zeros((2, 48, 31, 31), np.float32)
    windows = np.empty((2, 48, 5, 5, 27, 27), np.float32)
    out = np.empty((2, 128, 729), np.float32)

    def run() -> np.ndarray:
        padded[:, :, 2:29, 2:29] = images.reshape(2, 48, 27, 27)
        for r, s in np.ndindex(5, 5):
            windows[:, :, r, s] = padded[:, :, r : r + 27, s : s + 27]
        np.matmul(matrices, windows.reshape(2, 1200, 729), out=out)
        np.add(out, bias, out=out)
        return np.maximum(out, 0, out=out)

    return run


def in_turns(contestants: Mapping[str, Callable[[], object]], rounds: int) -> Samples:
    """Return the times of all, one after the other in each round."""
    samples: Samples = {name: [] for name in contestants}
    for number in range(WARM_UP_ROUNDS + rounds):
        for name, run in contestants.items():
            started = time.perf_counter()
            run()
            if number >= WARM_UP_ROUNDS:
                samples[name].append((time.perf_counter() - started) * 1e3)
    return samples


def show(heading: str, samples: Samples, base: str) -> None:
    """Print a table: best and median of each, and how many times the base's best."""
    print(f"\n{heading}\n{'':22}{'best, ms':>10}{'median, ms':>12}{f'best / {base}':>30}")
    for name, ms in samples.items():
        times = min(ms) / min(samples[base])
        print(f"{name:22}{min(ms):10.2f}{statistics.median(ms):12.2f}{times:30.2f}")


def main() -> None:
    """Read the arguments, measure, and print both tables."""
    parser = argparse.ArgumentParser(description="RenderScript kernels of several shapes on the host")
    parser.add_argument("--network", default="alexnet")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--json", type=Path, help="keep the samples in this file")
    arguments = parser.parse_args()
    compiler = RenderScriptBackend().devices()[0].details.get("compiler", "no compiler")
    print(f"{machine_line()}; {compiler}; {arguments.threads} threads, {arguments.rounds} rounds")
    layer = conv2(arguments.threads, 3 * arguments.rounds)
    show("AlexNet conv2, one image", layer, "NumPy im2col + BLAS")
    whole = whole_network(arguments.network, arguments.batch, arguments.threads, arguments.rounds)
    show(f"{arguments.network}, {arguments.batch} images", whole, "tile")
    if arguments.json:
        results = {"compiler": compiler, "conv2": layer, "network": whole}
        write_record(arguments.json, "renderscript_shapes", vars(arguments), results)


if __name__ == "__main__":
    main()
