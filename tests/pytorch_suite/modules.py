"""Modules in the manner of well-known networks, small; made only where PyTorch is installed."""

from __future__ import annotations

from typing import Any

KINDS = ("resnet", "mobilenet", "shufflenet", "vgg")


def make_module(torch: Any, kind: str) -> Any:
    """Return a module of this kind for images of 3×32×32, with random weights, in evaluation mode."""
    torch.manual_seed(0)
    nn, functional = torch.nn, torch.nn.functional

    class Residual(nn.Module):
        def __init__(self, inputs: int, outputs: int, stride: int) -> None:
            super().__init__()
            self.first = nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs))
            self.second = nn.Sequential(nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs))
            self.short = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if stride > 1 else nn.Identity()

        def forward(self, x: Any) -> Any:
            return functional.relu(self.second(functional.relu(self.first(x))) + self.short(x))

    class Excitation(nn.Module):
        def __init__(self, channels: int) -> None:
            super().__init__()
            self.squeeze, self.excite = nn.Conv2d(channels, 2, 1), nn.Conv2d(2, channels, 1)

        def forward(self, x: Any) -> Any:
            means = functional.adaptive_avg_pool2d(x, 1)
            return x * functional.hardsigmoid(self.excite(functional.relu(self.squeeze(means))))

    class Shuffle(nn.Module):
        def forward(self, x: Any) -> Any:
            images, channels, rows, columns = x.shape
            x = x.view(images, 2, channels // 2, rows, columns).transpose(1, 2).reshape(images, channels, rows, columns)
            left, right = x.chunk(2, 1)
            return torch.cat([right, functional.silu(left)], 1)

    stem = [nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8)]
    layers = {
        "resnet": lambda: (
            [
                *stem,
                nn.ReLU(),
                nn.MaxPool2d(3, 2, 1),
                Residual(8, 8, 1),
                Residual(8, 16, 2),
                nn.AdaptiveAvgPool2d(1),
                nn.Flatten(),
                nn.Linear(16, 10),
            ]
        ),
        "mobilenet": lambda: [*stem, nn.Hardswish(), nn.Conv2d(8, 8, 3, 1, 1, groups=8), nn.ReLU6(), Excitation(8)],
        "shufflenet": lambda: (
            [
                *stem,
                Shuffle(),
                nn.Upsample(scale_factor=2, mode="bilinear"),
                nn.ConvTranspose2d(8, 4, 2, 2),
                nn.PReLU(4),
                nn.GELU(),
            ]
        ),
        "vgg": lambda: (
            [
                *stem,
                nn.ELU(),
                nn.AvgPool2d(3, 2, ceil_mode=True),
                nn.Conv2d(8, 8, 3, dilation=2),
                nn.Mish(),
                nn.InstanceNorm2d(8, affine=True),
                nn.Flatten(),
                nn.Linear(128, 5),
                nn.LogSoftmax(1),
            ]
        ),
    }
    return nn.Sequential(*layers[kind]()).eval()
