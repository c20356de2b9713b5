"""Networks as ONNX models: every layer that has a form there, computed by onnx's own evaluator; what has none."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings

from cnnrt import Net, convert
from cnnrt.demo import demo_netfile
from cnnrt.errors import ExportFailure, InputError, NetFileError
from cnnrt.export import export
from cnnrt.layer import Array
from cnnrt.plugins import plugin_host
from cnnrt.testing.case import Case
from cnnrt.testing.layer_net import fits_a_net, net_inputs, stated_keys, write_layer_net
from cnnrt.testing.suite_of import layer_suite
from cnnrt.vocabulary import layer_class
from cnnrt_export_onnx.supported import RULES
from netfile_spec import InputBlock, NetFile, layer, write_model

onnx = pytest.importorskip("onnx", reason="onnx is not installed")

WITHOUT_FORM = {"Accuracy", "DetectionOutput", "MVN", "MaxUnpool", "Normalize", "ROIPooling"}
ENGINES = ["onnx", *(["onnxruntime"] if importlib.util.find_spec("onnxruntime") else [])]


def run(model: Path, inputs: Mapping[str, Array], engine: str) -> list[Array]:
    """Compute a model with an engine that is not cnnrt."""
    if engine == "onnxruntime":
        import onnxruntime

        session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
        return list(session.run(None, dict(inputs)))
    from onnx.reference import ReferenceEvaluator

    with np.errstate(all="ignore"):
        return list(ReferenceEvaluator(str(model)).run(None, dict(inputs)))


def errs(engine: str, case: Case) -> bool:
    """Tell whether an engine is known to get a case wrong.

    ONNX Runtime gives another value here and there for an LRN of one channel, and refuses paddings of poolings that
    are smaller than the window only with its gaps. onnx's evaluator, which is for reading
    more than for computing, takes the batch for the channels in LRN, the logarithm of a Softmax that underflowed for
    a LogSoftmax, passes negative paddings to NumPy, spreads no groups, and has no GlobalLpPool.
    """
    kind, shape, keys = case.layer.type, case.call.input_shapes[0], stated_keys(case.layer)
    if engine == "onnxruntime":
        return (kind == "LRN" and keys.get("local_size") == 1) or (kind == "Pooling" and "dilation" in keys)
    return (
        (kind == "LRN" and shape[0] != shape[1])
        or (kind == "LogSoftmax" and float(np.abs(case.inputs[0]).max()) > 30)
        or (kind == "Pad" and min(*keys["before"], *keys["after"]) < 0)
        or (kind == "Pooling" and keys.get("pool") == "lp" and "global_pooling" in keys)
        or (kind == "Deconvolution" and "group" in keys)
    )


def exported(folder: Path, case: Case) -> Path:
    netfile = write_layer_net(folder / "net", case)
    return export(netfile, folder / "net.onnx", to="onnx").target


def takes(model: Path, case: Case) -> bool:
    """Tell whether a model takes the batch of a case: some networks take one only."""
    batch = onnx.load(model).graph.input[0].type.tensor_type.shape.dim[0]
    return bool(batch.dim_param) or batch.dim_value == case.call.input_shapes[0][0]


def assert_same(case: Case, got: Sequence[Array]) -> None:
    with np.errstate(all="ignore"):
        wanted = case.layer.reference(*case.in_float64())
        for folded in case.call.folded:
            wanted = folded.reference(wanted, {})
    assert len(got) == len(wanted)
    for value, right in zip(got, wanted, strict=True):
        assert value.shape == right.shape
        largest = np.abs(right).max(initial=0)
        if not largest < 1e30:  # where float32 ends, rounding decides what is infinite
            continue
        finite = right[np.isfinite(right)]
        scale = max(1.0, float(np.abs(finite).max(initial=0)))
        np.testing.assert_allclose(value, right, rtol=1e-3, atol=1e-4 * scale)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", sorted(set(RULES) - {"Constant"}))
def test_every_layer_that_has_a_form_computes_the_same_there(kind: str, engine: str) -> None:
    computed = []

    @settings(max_examples=12, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(layer_suite(layer_class(kind)).cases())
    def check(case: Case) -> None:
        assume(fits_a_net(case) and case.inputs and case.call.input_shapes[0][0] > 0)
        with tempfile.TemporaryDirectory() as folder:
            try:
                model = exported(Path(folder), case)
            except NetFileError:  # takes no single item, such as a Reshape of the whole batch
                return
            except ExportFailure as failure:
                if "ONNX cannot express" not in str(failure):
                    raise
                return
            if takes(model, case) and not errs(engine, case):
                assert_same(case, run(model, net_inputs(case), engine))
        computed.append(case)

    check()
    assert computed


def test_every_layer_either_has_a_form_or_is_known_to_have_none() -> None:
    shipped = {kind.type for kind in plugin_host().layers().values() if kind.__module__.startswith("cnnrt_layers")}
    assert set(RULES) | WITHOUT_FORM == shipped


def write(folder: Path, layers: Sequence[Any], weights: Mapping[str, Mapping[str, Array]] | None = None) -> Path:
    return write_model(
        folder / "net", NetFile(layers, [InputBlock("data", (3, 8, 8))], netfile_version=1), weights or {}
    )


def test_a_constant_is_stored(tmp_path: Path) -> None:
    stored = {"c": {"value": np.arange(3, dtype=np.float32).reshape(3, 1, 1)}}
    netfile = write(tmp_path, [layer("Constant", "c"), layer("Eltwise", "e", bottom=["data", "c"])], stored)
    data = np.ones((2, 3, 8, 8), np.float32)
    (got,) = run(export(netfile, tmp_path / "net.onnx", to="onnx").target, {"data": data}, "onnx")
    np.testing.assert_array_equal(got, data + stored["c"]["value"])


def test_the_demo_there_and_back(tmp_path: Path) -> None:
    done = export(demo_netfile(), tmp_path / "lenet.onnx", to="onnx")
    assert done.notes == ("ONNX has no place for preprocessing: mean, scale and channel order stay in the NetFile",)
    digits = np.random.default_rng(0).random((3, 1, 28, 28), np.float32)
    with Net(demo_netfile()) as net, Net(convert(done.target, tmp_path / "back").netfile) as again:
        wanted = net.compute(digits)
        np.testing.assert_allclose(run(done.target, {"data": digits}, "onnx")[0], wanted, atol=1e-6)
        np.testing.assert_allclose(again.compute(digits), wanted, atol=1e-6)


def test_inputs_and_outputs_keep_their_names_and_the_batch_is_free(tmp_path: Path) -> None:
    graph = onnx.load(export(demo_netfile(), tmp_path / "lenet.onnx", to="onnx").target).graph
    assert [(value.name, value.type.tensor_type.shape.dim[0].dim_param) for value in graph.input] == [("data", "batch")]
    assert [value.name for value in graph.output] == ["prob"]


def test_everything_without_a_form_is_listed_and_nothing_is_written(tmp_path: Path) -> None:
    layers = [layer("MVN", "m"), layer("ReLU", "r"), layer("LRN", "l", norm_region="within_channel", local_size=3)]
    layers.append(layer("Normalize", "n"))
    netfile = write(tmp_path, layers)
    with pytest.raises(ExportFailure) as caught:
        export(netfile, tmp_path / "out" / "net.onnx", to="onnx")
    assert [problem.message for problem in caught.value.problems] == [
        "layer 'm' (MVN) has no form in ONNX",
        "layer 'l' (LRN): ONNX cannot express norm_region within_channel",
        "layer 'n' (Normalize) has no form in ONNX",
    ]
    assert all(problem.position for problem in caught.value.problems)
    assert list((tmp_path / "out").iterdir()) == []


def test_what_is_there_is_only_replaced_when_asked(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_text("mine")
    with pytest.raises(InputError, match="--overwrite"):
        export(demo_netfile(), tmp_path / "net.onnx", to="onnx")
    export(demo_netfile(), tmp_path / "net.onnx", to="onnx", overwrite=True)
    assert onnx.load(tmp_path / "net.onnx").graph.node
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="exists"):
        export(demo_netfile(), tmp_path / "folder", to="onnx", overwrite=True)


def test_an_unknown_format_names_those_that_are_there() -> None:
    with pytest.raises(InputError, match="no exporter is named 'onx'; did you mean"):
        export(demo_netfile(), "x", to="onx")


def test_shapes_that_the_netfile_leaves_open_are_asked_for(tmp_path: Path) -> None:
    netfile = write_model(tmp_path / "net", NetFile([layer("ReLU", "r")], netfile_version=1), {})
    with pytest.raises(ExportFailure, match="input 'data' has no shape"):
        export(netfile, tmp_path / "net.onnx", to="onnx")
    export(netfile, tmp_path / "net.onnx", to="onnx", inputs={"data": (3, 8, 8)})


def test_a_published_network_computes_the_same_there(tmp_path: Path, shared_folder: Path) -> None:
    """The second net of MTCNN: PReLU, poolings whose last window reaches over the edge, two outputs."""
    folder = shared_folder / "models" / "caffe-mtcnn"
    netfile = convert([folder / "det2.prototxt", folder / "det2.caffemodel"], tmp_path / "net").netfile
    faces = np.random.default_rng(0).random((2, 3, 24, 24), np.float32)
    with Net(netfile, execution_mode="sequential") as net:
        wanted = net.compute(faces)
    model = export(netfile, tmp_path / "net.onnx", to="onnx").target
    names = [output.name for output in onnx.load(model).graph.output]
    assert set(names) == set(wanted)
    for name, value in zip(names, run(model, {"data": faces}, "onnx"), strict=True):
        np.testing.assert_allclose(value, wanted[name], rtol=1e-4, atol=1e-5)
