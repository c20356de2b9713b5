"""A network as an ONNX model, or everything of it that ONNX cannot express."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from cnnrt.errors import CnnrtError, ExportFailure, Problem
from cnnrt.exporter import ExportedNetwork, Exporter
from cnnrt_export_onnx.model_builder import IR_VERSION, OPSET, LayerWriter, ModelBuilder, NotExpressible
from cnnrt_export_onnx.supported import ADVICE, RULES

MISSING = 'writing ONNX models needs the package onnx: pip install "cnnrt[onnx]"'
_MOST_BYTES = (1 << 31) - 1
_BATCH = "batch"


class OnnxExporter(Exporter):
    """Writes one .onnx file with weights inside, checked by onnx itself before it gets its name."""

    name: ClassVar[str] = "onnx"
    description: ClassVar[str] = f"ONNX: one .onnx file, operator set {OPSET} (needs the package onnx)"
    suffix: ClassVar[str] = ".onnx"

    def problem(self) -> str:
        """Return what to install where the package onnx is missing."""
        return MISSING if find_spec("onnx") is None else ""

    def write(self, network: ExportedNetwork, target: Path) -> Sequence[str]:
        """Write the model; ExportFailure with every layer that has no form in ONNX."""
        onnx = _onnx_package()
        builder = ModelBuilder(network)
        problems = _write_layers(builder)
        size = sum(len(constant.raw_data) for constant in builder.constants)
        if size > _MOST_BYTES:
            problems.append(Problem(f"{size:,} bytes of weights", expected="less than 2 GiB, as a message of protobuf"))
        if problems:
            graph = network.graph
            raise ExportFailure(problems, file=graph.file, source=graph.source)
        model = _model(onnx, builder)
        try:
            onnx.checker.check_model(model, full_check=True)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
            message = f"what was made of it is no valid ONNX model: {str(error)[:500]}"
            hint = "this is a fault of cnnrt, not of the network: please report it"
            raise ExportFailure([Problem(message, hint=hint)], file=network.graph.file) from None
        target.write_bytes(model.SerializeToString())
        return _notes(network)


def _onnx_package() -> Any:
    try:
        import onnx
        import onnx.checker
        import onnx.shape_inference
    except ImportError:
        raise CnnrtError(MISSING) from None
    return onnx


def _write_layers(builder: ModelBuilder) -> list[Problem]:
    problems = []
    for node in builder.network.graph.nodes:
        rule = RULES.get(node.layer.type)
        if rule is None:
            hint = ADVICE.get(node.layer.type, "")
            problems.append(Problem(f"{node.title} has no form in ONNX", node.position, hint=hint))
            continue
        try:
            rule(LayerWriter(builder, node))
        except NotExpressible as missing:
            problems.append(Problem(f"{node.title}: ONNX cannot express {missing}", node.position))
    return problems


def _model(onnx: Any, builder: ModelBuilder) -> Any:
    network = builder.network
    graph = onnx.helper.make_graph(
        builder.nodes,
        network.netfile.name or "network",
        [_described(onnx, network, given.name) for given in network.graph.inputs],
        [_described(onnx, network, output) for output in network.graph.outputs],
        builder.constants,
    )
    opsets = [onnx.helper.make_opsetid("", OPSET)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="cnnrt")


def _described(onnx: Any, network: ExportedNetwork, value: str) -> Any:
    """Return a value's type: the batch is named, a dimension that is something times the batch is left open."""
    one, varies = network.shape(value), network.varies(value)
    shape = [(_BATCH if n == 1 else None) if v else n for n, v in zip(one, varies, strict=True)]
    return onnx.helper.make_tensor_value_info(value, onnx.TensorProto.FLOAT, shape)


def _notes(network: ExportedNetwork) -> list[str]:
    blocks = [b for b in network.netfile.inputs if b.channel_order or b.mean or b.mean_file or b.scale]
    if not blocks:
        return []
    return ["ONNX has no place for preprocessing: mean, scale and channel order stay in the NetFile"]
