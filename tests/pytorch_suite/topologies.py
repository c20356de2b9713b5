"""The layers of published PyTorch models, which their files do not state: written from the models' sources."""

from __future__ import annotations

from pathlib import Path

CIFAR = """netfile_version: 1
input { name: "data" shape: [3, 32, 32] channel_order: "rgb" mean: 127.5 scale: 0.00784313725490196 }
layer { type: "Convolution" name: "conv1" pad: 1 }
layer { type: "BatchNorm" name: "bn1" }
layer { type: "ReLU" name: "relu1" }
layer { type: "Convolution" name: "conv2" pad: 1 }
layer { type: "BatchNorm" name: "bn2" }
layer { type: "ReLU" name: "relu2" }
layer { type: "Pooling" name: "pool" kernel_size: 2 stride: 2 }
layer { type: "Convolution" name: "conv4" pad: 1 }
layer { type: "BatchNorm" name: "bn4" }
layer { type: "ReLU" name: "relu4" }
layer { type: "Convolution" name: "conv5" pad: 1 }
layer { type: "BatchNorm" name: "bn5" }
layer { type: "ReLU" name: "relu5" }
layer { type: "FullyConnected" name: "fc1" }
"""
_FACE_BLOCKS = [
    (16, 1),
    (32, 2),
    (32, 1),
    (32, 2),
    (64, 1),
    (64, 1),
    (64, 1),
    (64, 2),
    (128, 1),
    (128, 1),
    (128, 2),
    (256, 1),
]
"""Channels that come in and stride of the depthwise blocks 1 to 12."""


def face_detector() -> str:
    """Return the layers of the ultra-light face detector, slim version, on 240×320 pixels."""
    text = ['netfile_version: 1\ninput { name: "data" shape: [3, 240, 320] }']

    def layer(kind: str, name: str, bottom: str, keys: str = "") -> str:
        text.append(f'layer {{ type: "{kind}" name: "{name}" bottom: "{bottom}" {keys} }}')
        return name

    def relu(bottom: str) -> str:
        return layer("ReLU", f"relu.{bottom}", bottom)

    def separable(name: str, bottom: str, channels: int, stride: int = 1) -> str:
        keys = f"pad: 1 group: {channels} stride: {stride}"
        return layer("Convolution", f"{name}.2", relu(layer("Convolution", f"{name}.0", bottom, keys)))

    value = layer("Convolution", "base_net.0.0", "data", "pad: 1 stride: 2")
    value = relu(layer("BatchNorm", "base_net.0.1", value))
    sources = []
    for number, (channels, stride) in enumerate(_FACE_BLOCKS, start=1):
        name = f"base_net.{number}"
        value = layer("Convolution", f"{name}.0", value, f"pad: 1 group: {channels} stride: {stride}")
        value = relu(layer("BatchNorm", f"{name}.1", value))
        value = layer("Convolution", f"{name}.3", value)
        value = relu(layer("BatchNorm", f"{name}.4", value))
        if number in (7, 10, 12):
            sources.append((value, {7: 64, 10: 128, 12: 256}[number]))
    value = relu(layer("Convolution", "extras.0.0", value))
    sources.append((relu(separable("extras.0.2", value, 64, 2)), 256))
    for head, outputs, shape in (("classification_headers", "scores", 2), ("regression_headers", "boxes", 4)):
        rows = []
        for number, (source, channels) in enumerate(sources):
            name = f"{head}.{number}"
            value = separable(name, source, channels) if number < 3 else layer("Convolution", name, source, "pad: 1")
            value = layer("Permute", f"{name}.permuted", value, "order: [0, 2, 3, 1]")
            rows.append(layer("Reshape", f"{name}.rows", value, f"shape: [0, -1, {shape}]"))
        listed = '", "'.join(rows)
        text.append(f'layer {{ type: "Concat" name: "{outputs}.raw" bottom: ["{listed}"] axis: 1 }}')
    layer("Softmax", "scores", "scores.raw", "axis: 2")
    return "\n".join(text) + "\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "layers.netfile"
    path.write_text(text, encoding="utf-8")
    return path
