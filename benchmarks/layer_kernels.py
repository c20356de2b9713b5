"""The rarer layers by their reference, by the sequential backend and by the threaded one, taking turns in one process.

Each on one thread, by the time that the processor spends on it; the best of several samples counts. So what else runs
on the machine matters least.

A table is printed of those whose names hold one of the WORDS, or of all.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping

import attrs
import click
import numpy as np
from threadpoolctl import threadpool_limits

from cnnrt.candidates import find_candidates
from cnnrt.kernel_trial import make_trial
from cnnrt.layer import Array, Layer, Shape, shape_text
from cnnrt.layer_call import LayerCall
from cnnrt.plugins import plugin_host
from cnnrt.tensor import TensorType
from cnnrt_layers import (
    ELU,
    GELU,
    MVN,
    ChannelShuffle,
    Crop,
    Deconvolution,
    DepthToSpace,
    InstanceNorm,
    Interp,
    Mish,
    Normalize,
    Pad,
    Permute,
    Pooling,
    Reduction,
    Resize,
    Slice,
    SpaceToDepth,
    StridedSlice,
)

ROUNDS = 15
SECONDS = 0.02
"""That one sample takes, if a call is shorter."""


@attrs.frozen
class Work:
    """A layer at the sizes of a network."""

    layer: Layer
    shapes: tuple[Shape, ...]
    weights: Mapping[str, Shape] = attrs.field(factory=dict)


def _deconvolution(layer: Deconvolution, shape: Shape, outputs: int, kernel: int) -> Work:
    weights = {"weight": (shape[1], outputs // layer.group, kernel, kernel), "bias": (outputs,)}
    return Work(layer, (shape,), weights)


WORK: Mapping[str, Work] = {
    "ChannelShuffle, ShuffleNet v1": Work(ChannelShuffle(group=3), ((16, 240, 28, 28),)),
    "ChannelShuffle, ShuffleNet v2": Work(ChannelShuffle(group=2), ((16, 116, 28, 28),)),
    "Slice, ShuffleNet v2": Work(Slice(parts=2), ((16, 116, 28, 28),)),
    "Permute to (N, H, W, C), SSD": Work(Permute(order=(0, 2, 3, 1)), ((4, 84, 38, 38),)),
    "Permute of five axes": Work(Permute(order=(0, 2, 1, 3, 4)), ((4, 3, 80, 28, 28),)),
    "Pad, zeros": Work(Pad(before=(1, 1), after=(1, 1)), ((4, 64, 112, 112),)),
    "Pad, reflect, style transfer": Work(Pad(before=(4, 4), after=(4, 4), mode="reflect"), ((1, 32, 256, 256),)),
    "Crop, FCN": Work(Crop(offset=(19,)), ((1, 21, 544, 544), (1, 21, 500, 500))),
    "DepthToSpace, super resolution": Work(DepthToSpace(block=3, mode="CRD"), ((1, 27, 224, 224),)),
    "SpaceToDepth, YOLO": Work(SpaceToDepth(block=2), ((4, 64, 26, 26),)),
    "StridedSlice, every other": Work(
        StridedSlice(axes=(2, 3), starts=(0, 0), ends=(2**31, 2**31), steps=(2, 2)), ((4, 64, 56, 56),)
    ),
    "Deconvolution 4×4, stride 2, GAN": _deconvolution(
        Deconvolution(stride=(2, 2), pad=(1, 1, 1, 1)), (4, 256, 16, 16), 128, 4
    ),
    "Deconvolution 2×2, stride 2, U-Net": _deconvolution(Deconvolution(stride=(2, 2)), (1, 256, 64, 64), 128, 2),
    "Deconvolution 3×3, stride 2, style transfer": _deconvolution(
        Deconvolution(stride=(2, 2), pad=(1, 1, 1, 1), output_pad=(1, 1)), (1, 128, 64, 64), 64, 3
    ),
    "Deconvolution 16×16, stride 8, FCN": _deconvolution(Deconvolution(stride=(8, 8)), (1, 21, 34, 34), 21, 16),
    "Deconvolution 4×4, stride 2, depthwise": _deconvolution(
        Deconvolution(stride=(2, 2), pad=(1, 1, 1, 1), group=64), (1, 64, 56, 56), 64, 4
    ),
    "Resize, nearest, YOLO": Work(Resize(scale=(2.0,)), ((1, 256, 26, 26),)),
    "Resize, linear, half pixels": Work(Resize(scale=(2.0,), mode="linear"), ((1, 128, 64, 64),)),
    "Resize, cubic": Work(Resize(scale=(2.0,), mode="cubic"), ((1, 64, 64, 64),)),
    "Interp, PSPNet": Work(Interp(zoom_factor=8), ((1, 21, 60, 60),)),
    "Pooling with places, SegNet": Work(Pooling(kernel_size=(2, 2), stride=(2, 2), mask=True), ((1, 64, 180, 240),)),
    "Pooling with gaps": Work(Pooling(kernel_size=(3, 3), dilation=(2, 2), pad=(2, 2, 2, 2)), ((1, 256, 28, 28),)),
    "Pooling, Euclidean norm": Work(Pooling(pool="lp", kernel_size=(2, 2), stride=(2, 2)), ((1, 64, 112, 112),)),
    "Normalize, SSD": Work(Normalize(), ((1, 512, 38, 38),), {"scale": (512,)}),
    "InstanceNorm, style transfer": Work(InstanceNorm(), ((1, 64, 128, 128),), {"scale": (64,), "bias": (64,)}),
    "MVN": Work(MVN(), ((1, 64, 56, 56),)),
    "Reduction, mean of images": Work(Reduction(operation="mean", axes=(2, 3)), ((4, 960, 7, 7),)),
    "ELU": Work(ELU(), ((1, 64, 112, 112),)),
    "GELU": Work(GELU(), ((1, 64, 56, 56),)),
    "Mish": Work(Mish(), ((1, 64, 56, 56),)),
}


@click.command(help=__doc__)
@click.argument("words", nargs=-1)
def main(words: tuple[str, ...]) -> None:
    """Measure, and print the table."""
    with threadpool_limits(1):
        _table(words)


def _table(words: tuple[str, ...]) -> None:
    print("| layer | input | reference, ms | sequential, ms | threaded, ms | times faster than its reference |")
    print("|---|---|---|---|---|---|")
    for name, work in WORK.items():
        if not words or any(word.lower() in name.lower() for word in words):
            reference, sequential, threaded = (_text(ms) for ms in _measured(work))
            times = "" if "-" in (reference, threaded) else f"{float(reference) / float(threaded):.1f}"
            print(f"| {name} | {shape_text(work.shapes[0])} | {reference} | {sequential} | {threaded} | {times} |")


def _text(milliseconds: float | None) -> str:
    return "-" if milliseconds is None else f"{milliseconds:.3g}"


def _measured(work: Work) -> list[float | None]:
    """Return the milliseconds of the reference and of each backend's first kernel; None where it has none."""
    rng = np.random.default_rng(0)
    inputs = [rng.standard_normal(shape, np.float32) for shape in work.shapes]
    weights: dict[str, Array] = {n: rng.standard_normal(shape, np.float32) for n, shape in work.weights.items()}
    outputs = work.layer.output_shapes(work.shapes, dict(work.weights))
    types = {name: TensorType(shape) for name, shape in work.weights.items()}
    ins, outs = (tuple(TensorType(shape) for shape in shapes) for shapes in (work.shapes, outputs))
    call = LayerCall(work.layer, ins, outs, types)
    runs: list[Callable[[], object] | None] = [lambda: call.reference(inputs, weights)]
    host = plugin_host()
    for name in ("sequential", "threaded"):
        backend = host.backends()[name]
        able = find_candidates(call, backend.devices()[:1], host, lambda kernel, device: "", 1).able
        if not able:
            runs.append(None)
            continue
        trial = make_trial(able[0].kernel, backend, able[0].device, call, inputs, weights, 1)
        results, scratch = trial.buffers()
        runs.append(functools.partial(trial.run, results, scratch))
    return _best(runs)


def _best(runs: list[Callable[[], object] | None]) -> list[float | None]:
    repeats = [max(1, int(SECONDS / max(_seconds(run, 1), 1e-7))) if run else 0 for run in runs]
    samples: list[list[float]] = [[] for _ in runs]
    for _ in range(ROUNDS):
        for run, count, found in zip(runs, repeats, samples, strict=True):
            if run:
                found.append(_seconds(run, count) / count * 1e3)
    return [min(found) if found else None for found in samples]


def _seconds(run: Callable[[], object], count: int) -> float:
    started = time.thread_time()
    for _ in range(count):
        run()
    return time.thread_time() - started


if __name__ == "__main__":
    main()
