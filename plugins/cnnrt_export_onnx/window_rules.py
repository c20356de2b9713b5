"""Convolutions and poolings, with the paddings that give cnnrt's sizes."""

from __future__ import annotations

from typing import Any

from cnnrt_export_onnx.model_builder import LayerWriter, NotExpressible


def convolution(out: LayerWriter) -> None:
    """Write a Conv."""
    layer = out.layer
    out.last("Conv", _with_weights(out), **_windows(layer), pads=list(layer.pad), group=layer.group)


def deconvolution(out: LayerWriter) -> None:
    """Write a ConvTranspose."""
    layer = out.layer
    if any(more >= stride for more, stride in zip(layer.output_pad, layer.stride, strict=True)):
        raise NotExpressible("output_pad that is not less than the stride")
    out.last(
        "ConvTranspose",
        _with_weights(out),
        **_windows(layer),
        pads=list(layer.pad),
        group=layer.group,
        output_padding=list(layer.output_pad),
    )


def pooling(out: LayerWriter) -> None:
    """Write a pooling that rounds down, with as much padding behind the image as the last window reaches over it.

    So the result does not depend on what an engine makes of `ceil_mode`, on which versions of ONNX differ. A mean
    that counts padding, and has a last window that reaches beyond it, is computed on an image that is padded before.
    """
    layer = out.layer
    if layer.mask:
        raise NotExpressible("the places of the maxima (mask)")
    op = {"max": "MaxPool", "mean": "AveragePool", "lp": "LpPool"}[layer.pool]
    power = {"p": _whole(layer.p)} if layer.pool == "lp" else {}
    if layer.global_pooling:
        out.last(f"Global{op}", out.inputs, **power)
        return
    value = out.inputs[0]
    before, after = list(layer.pad[:2]), list(layer.pad[2:])
    reach = [
        (count - 1) * stride + dilation * (kernel - 1) + 1 - size - start
        for count, stride, dilation, kernel, size, start in zip(
            out.output_shape()[2:],
            layer.stride,
            layer.dilation,
            layer.kernel_size,
            out.shape()[2:],
            before,
            strict=True,
        )
    ]
    behind = [max(0, n) for n in reach]
    counts: dict[str, Any] = {}
    if layer.pool == "mean":
        counts["count_include_pad"] = int(layer.count_include_pad)
        if layer.count_include_pad and any(r > a for r, a in zip(reach, after, strict=True)):
            if any(layer.pad):
                value = out.step("Pad", [value, out.constant("pads", [0, 0, *before, 0, 0, *after])])
                behind = [max(0, n - a) for n, a in zip(reach, after, strict=True)]
                before = [0, 0]
            counts["count_include_pad"] = 0
        elif layer.count_include_pad:
            behind = after
    windows = _windows(layer)
    if layer.dilation == (1, 1):
        del windows["dilations"]
    out.last(op, [value], kernel_shape=list(layer.kernel_size), pads=[*before, *behind], **windows, **counts, **power)


def _with_weights(out: LayerWriter) -> list[str]:
    weights = out.weights()
    return [*out.inputs, *(out.constant(name, weights[name]) for name in ("weight", "bias") if name in weights)]


def _windows(layer: Any) -> dict[str, Any]:
    return {"strides": list(layer.stride), "dilations": list(layer.dilation)}


def _whole(power: float) -> int:
    if power != int(power):
        raise NotExpressible(f"a norm of the broken power {power}")
    return int(power)
