"""Writes a built network as ONNX, for the engines that read it, with the batch left open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.network_builder import Builder
from netfile_spec import LayerBlock

OPSET, IR_VERSION = 13, 8
"""Old enough for every engine."""

Operator = tuple[str, dict[str, Any]]


def write_onnx(builder: Builder, path: Path) -> None:
    """Write the network; needs onnx."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes = []
    for block in builder.blocks:
        operator, attributes = _operator(block)
        sources = list(block.bottoms or ())
        if operator == "Gemm":  # takes vectors
            nodes.append(helper.make_node("Flatten", sources, [f"{block.name}.flat"], axis=1))
            sources = [f"{block.name}.flat"]
        weights = [f"{block.name}.{name}" for name in _weight_order(block)]
        nodes.append(helper.make_node(operator, [*sources, *weights], [block.name], name=block.name, **attributes))
    tensors = [
        numpy_helper.from_array(value, f"{name}.{key}")
        for name, own in builder.weights.items()
        for key, value in own.items()
    ]
    given = helper.make_tensor_value_info("data", TensorProto.FLOAT, ["batch", *builder.item])
    result = helper.make_tensor_value_info(builder.at.name, TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, path.parent.name or "network", [given], [result], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.save(onnx.shape_inference.infer_shapes(model), path)


def _operator(block: LayerBlock) -> Operator:
    """Return the operator that computes a layer, with its attributes."""
    keys: dict[str, Any] = dict(block.keys)
    window = {"strides": [keys.get("stride", 1)] * 2, "pads": [keys.get("pad", 0)] * 4}
    match block.type:
        case "Convolution":
            return "Conv", {**window, "group": keys.get("group", 1)}
        case "Pooling" if keys.get("global_pooling"):
            return "GlobalAveragePool", {}
        case "Pooling":
            shape = {"kernel_shape": [keys["kernel_size"]] * 2, "ceil_mode": int(keys["ceil_mode"])}
            return ("MaxPool" if keys["pool"] == "max" else "AveragePool"), {**window, **shape}
        case "LRN":
            chosen = {"size": keys["local_size"], "alpha": keys["alpha"], "beta": keys["beta"], "bias": 1.0}
            return "LRN", chosen
        case "BatchNorm":
            return "BatchNormalization", {"epsilon": 1e-5}
        case "FullyConnected":
            return "Gemm", {"transB": 1}
        case "Softmax" | "Concat" | "Flatten":
            return block.type, {"axis": 1}
        case "ReLU":
            return "Relu", {}
        case "Eltwise":
            return "Add", {}
    raise ValueError(f"layer {block.name!r}: no ONNX operator is known here for {block.type}")


def _weight_order(block: LayerBlock) -> tuple[str, ...]:
    """Return a layer's weights in the order in which its operator takes them."""
    match block.type:
        case "Convolution" | "FullyConnected":
            return ("weight", "bias")
        case "BatchNorm":
            return ("scale", "shift", "mean", "variance")
    return ()
