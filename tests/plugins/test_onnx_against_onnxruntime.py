"""Windows of convolutions and poolings against ONNX Runtime, where it happens to be installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnx_suite.small_models import computed, make_model, node, values

onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed; ONNX's evaluator is the oracle")


@st.composite
def window_nodes(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """Draw an operator and its attributes; not those on which ONNX Runtime departs from the specification.

    It rounds up with auto_pad VALID and ceil_mode, it cuts the image or stops where SAME would need a negative padding,
    and it refuses dilations together with SAME.
    """
    op = draw(st.sampled_from(["Conv", "MaxPool", "AveragePool"]))
    sizes = st.integers(1, 4)
    kernel = [draw(sizes), draw(sizes)]
    mode = draw(st.sampled_from(["NOTSET", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]))
    attributes: dict[str, Any] = {"kernel_shape": kernel, "auto_pad": mode}
    attributes["strides"] = [draw(st.integers(1, k if mode.startswith("SAME") else 5)) for k in kernel]
    if mode == "NOTSET":
        attributes["pads"] = [draw(st.integers(0, kernel[i % 2] - 1)) for i in range(4)]
    if op == "Conv":
        if mode in ("NOTSET", "VALID"):
            attributes["dilations"] = [draw(st.integers(1, 2)), draw(st.integers(1, 2))]
    elif mode != "VALID":
        attributes["ceil_mode"] = draw(st.integers(0, 1))
    if op == "AveragePool":
        attributes["count_include_pad"] = draw(st.integers(0, 1))
    return op, attributes


@given(window_nodes(), st.integers(7, 12), st.integers(7, 12))
@settings(max_examples=300)
def test_windows(
    tmp_path_factory: pytest.TempPathFactory, drawn: tuple[str, dict[str, Any]], height: int, width: int
) -> None:
    op, attributes = drawn
    weights = {"w": values(4, 3, *attributes["kernel_shape"])} if op == "Conv" else {}
    model = make_model([node(op, ["x", *weights], ["y"], **attributes)], weights, inputs={"x": ["N", 3, height, width]})
    x = values(2, 3, height, width)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (wanted,) = session.run(None, {"x": x})
    got = computed(tmp_path_factory.mktemp("windows"), model, {"x": x}, ["y"])["y"]
    assert got.shape == wanted.shape
    np.testing.assert_allclose(got, wanted, atol=1e-4)
