"""The eight networks that are measured: those of CNNdroid's examples, and those that people deploy since.

    python -m benchmarks.networks DIR [NAME ...]      writes NAME/net.netfile, parameter files, and NAME/net.onnx

Architectures are the published ones: LeNet and the quick network for CIFAR-10 of Caffe's examples, bvlc_alexnet,
bvlc_reference_caffenet, network in network (Lin et al. 2014), SqueezeNet 1.1 (Iandola et al. 2016), MobileNet v1
(Howard et al. 2017), ResNet-18 (He et al. 2016). Weights are seeded, not trained. The last layer is scaled so that its
outputs spread by about 2: a softmax that is saturated or flat would hide differences between engines.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from benchmarks.network_builder import Builder
from benchmarks.onnx_file import write_onnx
from cnnrt import Net

SPREAD = 2.0
"""Standard deviation of what goes into the softmax."""


def lenet() -> Builder:
    """LeNet of Caffe's MNIST example."""
    b = Builder((1, 28, 28)).convolution(20, 5, relu=False).pooling("max", 2, 2)
    return b.convolution(50, 5, relu=False).pooling("max", 2, 2).fully_connected(500).fully_connected(10, relu=False)


def cifar10() -> Builder:
    """Caffe's quick network for CIFAR-10."""
    b = Builder((3, 32, 32)).convolution(32, 5, pad=2, relu=False).pooling("max", 3, 2).relu()
    b.convolution(32, 5, pad=2).pooling("mean", 3, 2).convolution(64, 5, pad=2).pooling("mean", 3, 2)
    return b.fully_connected(64, relu=False).fully_connected(10, relu=False)


def _alexnet(*, norm_first: bool) -> Builder:
    b = Builder((3, 227, 227))
    for outputs, kernel, stride, pad, group in ((96, 11, 4, 0, 1), (256, 5, 1, 2, 2)):
        b.convolution(outputs, kernel, stride=stride, pad=pad, group=group)
        if norm_first:
            b.lrn().pooling("max", 3, 2)
        else:
            b.pooling("max", 3, 2).lrn()
    b.convolution(384, 3, pad=1).convolution(384, 3, pad=1, group=2).convolution(256, 3, pad=1, group=2)
    return b.pooling("max", 3, 2).fully_connected(4096).fully_connected(4096).fully_connected(1000, relu=False)


def alexnet() -> Builder:
    """Caffe's bvlc_alexnet: normalisation, then pooling."""
    return _alexnet(norm_first=True)


def caffenet() -> Builder:
    """Caffe's bvlc_reference_caffenet: pooling, then normalisation."""
    return _alexnet(norm_first=False)


def nin() -> Builder:
    """Network in network for ImageNet."""
    b = Builder((3, 224, 224))
    for outputs, kernel, stride, pad in ((96, 11, 4, 0), (256, 5, 1, 2), (384, 3, 1, 1)):
        b.convolution(outputs, kernel, stride=stride, pad=pad).convolution(outputs, 1).convolution(outputs, 1)
        b.pooling("max", 3, 2)
    b.convolution(1024, 3, pad=1).convolution(1024, 1).convolution(1000, 1)
    return b.pooling("mean", b.at.shape[1], 1).flatten()


def squeezenet() -> Builder:
    """SqueezeNet 1.1."""
    b = Builder((3, 227, 227)).convolution(64, 3, stride=2).pooling("max", 3, 2)

    def fire(squeeze: int, expand: int) -> Builder:
        start = b.convolution(squeeze, 1).at
        narrow = b.convolution(expand, 1).at
        b.at = start
        wide = b.convolution(expand, 3, pad=1).at
        return b.concat(narrow, wide)

    for squeeze, expand in ((16, 64), (32, 128)):
        fire(squeeze, expand)
        fire(squeeze, expand).pooling("max", 3, 2)
    for squeeze, expand in ((48, 192), (48, 192), (64, 256), (64, 256)):
        fire(squeeze, expand)
    return b.convolution(1000, 1).global_mean()


def mobilenet() -> Builder:
    """MobileNet v1, width 1."""
    b = Builder((3, 224, 224)).convolution(32, 3, stride=2, pad=1, relu=False).batch_norm()
    stages = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
    for outputs, stride in stages:
        channels = b.at.shape[0]
        b.convolution(channels, 3, stride=stride, pad=1, group=channels, relu=False).batch_norm()
        b.convolution(outputs, 1, relu=False).batch_norm()
    return b.global_mean().fully_connected(1000, relu=False)


def resnet18() -> Builder:
    """ResNet-18."""
    b = Builder((3, 224, 224)).convolution(64, 7, stride=2, pad=3, relu=False).batch_norm()
    b.pooling("max", 3, 2, pad=1, ceil=False)
    for outputs, stride in ((64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)):
        start = shortcut = b.at
        if start.shape[0] != outputs:
            shortcut = b.convolution(outputs, 1, stride=stride, relu=False).batch_norm(relu=False).at
            b.at = start
        b.convolution(outputs, 3, stride=stride, pad=1, relu=False).batch_norm()
        main = b.convolution(outputs, 3, pad=1, relu=False).batch_norm(relu=False).at
        b.add(main, shortcut).relu()
    return b.global_mean().fully_connected(1000, relu=False)


def vgg19() -> Builder:
    """VGG-19 (Simonyan and Zisserman 2015): 548 MiB of weights."""
    b = Builder((3, 224, 224))
    for outputs, count in ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4)):
        for _ in range(count):
            b.convolution(outputs, 3, pad=1)
        b.pooling("max", 2, 2)
    return b.fully_connected(4096).fully_connected(4096).fully_connected(1000, relu=False)


NETWORKS: Mapping[str, Callable[[], Builder]] = {
    f.__name__: f for f in (lenet, cifar10, alexnet, caffenet, nin, squeezenet, mobilenet, resnet18)
}

LARGE: Mapping[str, Callable[[], Builder]] = {f.__name__: f for f in (vgg19,)}
"""Networks that only the measurement of memory is interested in."""


def build(name: str) -> Builder:
    """Return a network with its softmax, and its last layer scaled."""
    builder = {**NETWORKS, **LARGE}[name]()
    return builder.scale_last(SPREAD / _spread(builder)).softmax()


def _spread(builder: Builder) -> float:
    """Return the standard deviation of a network's outputs over the classes, on random images."""
    images = np.random.default_rng(1).standard_normal((2, *builder.item), np.float32)
    with tempfile.TemporaryDirectory() as folder:
        net = Net(builder.write(Path(folder)), execution_mode="sequential")
        return float(net.compute(images).std(axis=1).mean())


def main() -> None:
    """Write networks."""
    parser = argparse.ArgumentParser(description="write the networks that are measured")
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", default=list(NETWORKS), metavar="NAME", help=", ".join(NETWORKS))
    arguments = parser.parse_args()
    for name in arguments.names:
        builder = build(name)
        print(builder.write(arguments.folder / name))
        write_onnx(builder, arguments.folder / name / "net.onnx")


if __name__ == "__main__":
    main()
