"""AlexNet on the sequential backend against PyTorch at one thread: medians of interleaved rounds, and their ratio.

    pip install cnnrt torch
    python benchmarks/sequential_vs_torch.py [--batch 1 16] [--rounds 15] [--layers] [--cpu-time]

Both compute the same values from the same seeded weights (checked first) and alternate within each round, so that
whatever else the machine does falls on both; `--cpu-time` also leaves out the time that other programs ran on the
processor instead. PyTorch runs eagerly in inference mode with oneDNN's own choice of
kernels. AlexNet is that of Caffe's bvlc_alexnet, 227 × 227 pixels, grouped convolutions.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it

from cnnrt.backend import BufferSpec, Device, Frame, Kernel, Segment, Step
from cnnrt.kernel_trial import Resident
from cnnrt.layer import Array, Layer, Shape
from cnnrt.layer_call import LayerCall
from cnnrt.tensor import TensorType
from cnnrt_backend_sequential.backend import SequentialBackend
from cnnrt_backend_sequential.kernels import sequential_kernels
from cnnrt_layers import LRN, Convolution, FullyConnected, Pooling, ReLU, Softmax

NORM = LRN(local_size=5, alpha=1e-4, beta=0.75)
POOL = Pooling(pool="max", kernel_size=(3, 3), stride=(2, 2))

ALEXNET: list[tuple[str, Layer, Shape, bool]] = [
    ("conv1", Convolution(stride=(4, 4)), (96, 3, 11, 11), True),
    ("norm1", NORM, (), False),
    ("pool1", POOL, (), False),
    ("conv2", Convolution(pad=(2, 2, 2, 2), group=2), (256, 48, 5, 5), True),
    ("norm2", NORM, (), False),
    ("pool2", POOL, (), False),
    ("conv3", Convolution(pad=(1, 1, 1, 1)), (384, 256, 3, 3), True),
    ("conv4", Convolution(pad=(1, 1, 1, 1), group=2), (384, 192, 3, 3), True),
    ("conv5", Convolution(pad=(1, 1, 1, 1), group=2), (256, 192, 3, 3), True),
    ("pool5", POOL, (), False),
    ("fc6", FullyConnected(), (4096, 9216), True),
    ("fc7", FullyConnected(), (4096, 4096), True),
    ("fc8", FullyConnected(), (1000, 4096), False),
    ("prob", Softmax(), (), False),
]
"""Name, layer, shape of the weights, whether a ReLU follows."""


def seeded_weights() -> dict[str, dict[str, Array]]:
    """Return weights and biases that keep activations at about the same size from layer to layer."""
    random = np.random.default_rng(2016)
    weights = {}
    for name, _, shape, _ in ALEXNET:
        if shape:
            scale = np.sqrt(2 / np.prod(shape[1:]))
            weight = random.standard_normal(shape, np.float32) * np.float32(scale)
            weights[name] = {"weight": weight, "bias": random.standard_normal(shape[0], np.float32) / 10}
    return weights


class StepTimes:
    """Collects the milliseconds of each layer."""

    def __init__(self) -> None:
        self.milliseconds: dict[str, float] = {}

    def record(self, layer_name: str, run_seconds: float, load_seconds: float) -> None:
        """Note a layer's time."""
        self.milliseconds[layer_name] = run_seconds * 1e3


class Ours:
    """AlexNet as one segment of the sequential backend."""

    def __init__(self, images: Array, weights: dict[str, dict[str, Array]]) -> None:
        backend = SequentialBackend()
        device = backend.devices()[0]
        self.frame: Frame = [images]
        self.kernels: dict[str, str] = {}
        steps = []
        for name, layer, _, rectified in ALEXNET:
            own = weights.get(name, {})
            shapes = {key: value.shape for key, value in own.items()}
            call = LayerCall(
                layer,
                (TensorType(self.frame[-1].shape),),
                tuple(TensorType(s) for s in layer.output_shapes([self.frame[-1].shape], shapes)),
                {key: TensorType(shape) for key, shape in shapes.items()},
                (ReLU(),) if rectified else (),
            )
            kernel = choose_kernel(call, device)
            self.kernels[name] = kernel.name
            source = len(self.frame) - 1
            # A workspace for each layer would flatter nobody: the plan of a Net shares one, and so does this.
            self.frame.append(np.empty(call.outputs[0].shape, np.float32))
            packed = Resident(kernel.pack(call, own))
            steps.append(Step(name, call, kernel, (source,), (source + 1,), packed, len(ALEXNET) + 1))
        scratch = max(step.kernel.workspace(step.call) for step in steps)
        self.frame.append(aligned_bytes(scratch))
        specs = [BufferSpec(TensorType(a.shape, a.dtype.name), None) for a in self.frame]
        self.segment = backend.compile(Segment(0, device, tuple(steps)), specs, 1)

    def __call__(self) -> Array:
        """Compute all layers."""
        self.segment.run(self.frame)
        return self.frame[-2]

    def by_layer(self) -> dict[str, float]:
        """Compute all layers and return the milliseconds of each."""
        times = StepTimes()
        self.segment.run(self.frame, times)
        return times.milliseconds


def choose_kernel(call: LayerCall, device: Device) -> Kernel:
    """Return the kernel that expects to be the fastest, as placement does."""
    fitting = [k for k in sequential_kernels() if k.layer == call.layer.type and k.can_run(call, device) is True]
    return min(fitting, key=lambda kernel: kernel.estimate(call, device))


def aligned_bytes(size: int) -> Array:
    """Return `size` bytes that start on a cache line."""
    block = np.empty(size + 64, np.uint8)
    start = -block.ctypes.data % 64
    return block[start : start + size]


class Torch:
    """The same network in PyTorch."""

    def __init__(self, images: Array, weights: dict[str, dict[str, Array]]) -> None:
        self.images = torch.from_numpy(images)
        self.weights = {n: {k: torch.from_numpy(v) for k, v in own.items()} for n, own in weights.items()}

    def _layer(self, x: torch.Tensor, name: str, layer: Layer, rectified: bool) -> torch.Tensor:
        own = self.weights.get(name, {})
        if isinstance(layer, Convolution):
            x = F.conv2d(x, own["weight"], own["bias"], layer.stride, layer.pad[:2], layer.dilation, layer.group)
        elif isinstance(layer, FullyConnected):
            x = F.linear(x.flatten(1), own["weight"], own["bias"])
        elif isinstance(layer, LRN):
            x = F.local_response_norm(x, layer.local_size, layer.alpha, layer.beta, layer.k)
        elif isinstance(layer, Pooling):
            x = F.max_pool2d(x, layer.kernel_size, layer.stride, ceil_mode=layer.ceil_mode)
        else:
            x = F.softmax(x, dim=1)
        return F.relu_(x) if rectified else x

    def __call__(self) -> Array:
        """Compute all layers."""
        x = self.images
        with torch.inference_mode():
            for name, layer, _, rectified in ALEXNET:
                x = self._layer(x, name, layer, rectified)
        result: Array = x.numpy()
        return result

    def by_layer(self) -> dict[str, float]:
        """Compute all layers and return the milliseconds of each."""
        x = self.images
        times = {}
        with torch.inference_mode():
            for name, layer, _, rectified in ALEXNET:
                started = time.perf_counter()
                x = self._layer(x, name, layer, rectified)
                times[name] = (time.perf_counter() - started) * 1e3
        return times


def milliseconds(compute: Callable[[], object], clock: Callable[[], float]) -> float:
    """Return the milliseconds of one call."""
    started = clock()
    compute()
    return (clock() - started) * 1e3


def compare(batch: int, rounds: int, layers: bool, clock: Callable[[], float]) -> None:
    """Measure one batch size and print the medians; the table of layers is always by the wall clock."""
    weights = seeded_weights()
    images = np.random.default_rng(1).standard_normal((batch, 3, 227, 227), np.float32)
    ours, theirs = Ours(images, weights), Torch(images, weights)
    # The first calls also warm both up. 1e-5: float32 sums in another order, after a softmax.
    np.testing.assert_allclose(ours(), theirs(), rtol=1e-3, atol=1e-5)
    pairs = [(milliseconds(ours, clock), milliseconds(theirs, clock)) for _ in range(rounds)]
    mine, torchs = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"batch {batch}: cnnrt {mine:.1f} ms, PyTorch {torchs:.1f} ms, ratio {ratio:.2f} (median of {rounds} rounds)")
    if not layers:
        return
    tables = [(ours.by_layer(), theirs.by_layer()) for _ in range(rounds)]
    print(f"    {'':16}{'kernel':14}{'cnnrt ms':>10}{'PyTorch ms':>12}{'ratio':>8}")
    groups = {name: ([name], ours.kernels[name]) for name, *_ in ALEXNET}
    groups["convolutions"] = ([name for name in ours.kernels if name.startswith("conv")], "")
    groups["fully connected"] = ([name for name in ours.kernels if name.startswith("fc")], "")
    for title, (names, kernel) in groups.items():
        a, b = (statistics.median(sum(table[side][name] for name in names) for table in tables) for side in (0, 1))
        print(f"    {title:16}{kernel:14}{a:10.3f}{b:12.3f}{a / b:8.2f}")


def main() -> None:
    """Read the arguments and compare."""
    parser = argparse.ArgumentParser(description="AlexNet: cnnrt's sequential backend against PyTorch at one thread")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--layers", action="store_true", help="also layer by layer")
    parser.add_argument("--cpu-time", action="store_true", help="measure processor time instead of the wall clock")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    clock = time.thread_time if arguments.cpu_time else time.perf_counter
    for batch in arguments.batch:
        compare(batch, arguments.rounds, arguments.layers, clock)


if __name__ == "__main__":
    main()
