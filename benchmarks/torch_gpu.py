"""A chain of layers in PyTorch on a GPU, with the weights that cnnrt computes with; imports torch when asked."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from benchmarks.network_builder import Builder
from cnnrt.graph import Graph
from cnnrt.layer import Array


def missing() -> str:
    """Return why PyTorch cannot compute on a GPU here; empty: it can."""
    if find_spec("torch") is None:
        return "torch is not installed"
    import torch

    return "" if torch.cuda.is_available() else "torch sees no GPU"


class TorchChain:
    """A network whose layers follow one another, in float32: TF32 off, cuDNN chooses its kernels by trying them."""

    def __init__(self, graph: Graph, builder: Builder) -> None:
        import torch

        self._torch: Any = torch
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.benchmark = True
        self._layers: list[tuple[Any, Mapping[str, Any]]] = [
            (node.layer, {k: torch.from_numpy(w).cuda() for k, w in builder.weights.get(node.name, {}).items()})
            for node in graph.nodes
        ]
        self.name = f"PyTorch {torch.__version__}, cuDNN {torch.backends.cudnn.version()}"

    def resident(self, images: Array) -> Any:
        """Return images on the GPU."""
        return self._torch.from_numpy(images).cuda()

    def compute(self, x: Any) -> Any:
        """Compute values that are on the GPU from such; returns when they are there."""
        with self._torch.inference_mode():
            for layer, weights in self._layers:
                x = self._apply(layer, weights, x)
        self._torch.cuda.synchronize()
        return x

    def __call__(self, images: Array) -> Array:
        """Compute from and to the host's memory."""
        result: Array = self.compute(self.resident(images)).cpu().numpy()
        return result

    def _apply(self, layer: Any, weights: Mapping[str, Any], x: Any) -> Any:
        f = self._torch.nn.functional
        match layer.type:
            case "Convolution":
                pad, moves = layer.pad[:2], (layer.stride, layer.pad[:2], layer.dilation, layer.group)
                if layer.pad != pad * 2:
                    raise ValueError(f"padding {layer.pad}: PyTorch pads both sides alike")
                return f.conv2d(x, weights["weight"], weights.get("bias"), *moves)
            case "FullyConnected":
                return f.linear(x.flatten(1), weights["weight"], weights.get("bias"))
            case "LRN":
                return f.local_response_norm(x, layer.local_size, layer.alpha, layer.beta, layer.k)
            case "Pooling":
                return f.max_pool2d(x, layer.kernel_size, layer.stride, layer.pad[:2], ceil_mode=layer.ceil_mode)
            case "ReLU":
                return f.relu(x)
            case "Softmax":
                return f.softmax(x, dim=1)
        raise ValueError(f"{layer.type}: a layer that this chain does not know")
