"""Shape inference: every problem at once, and none that only follows from another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cnnrt import CnnrtError, Net
from cnnrt.errors import NetFileError
from cnnrt.shapes import infer_shapes
from core_suite.small_networks import filters, write_chain, write_text


def test_shapes_of_all_values_and_weights_are_inferred(tmp_path: Path) -> None:
    graph = Net(write_chain(tmp_path)).graph
    shapes = infer_shapes(graph, {"data": (7, 3, 8, 8)})
    assert shapes.values == {
        "data": (7, 3, 8, 8),
        "conv": (7, 4, 8, 8),
        "relu": (7, 4, 8, 8),
        "pool": (7, 4, 4, 4),
        "drop": (7, 4, 4, 4),
        "flat": (7, 64),
        "scores": (7, 5),
        "prob": (7, 5),
    }
    assert shapes.weights["conv"] == {"weight": (4, 3, 3, 3), "bias": (4,)}
    assert shapes.weights["relu"] == {}


def test_two_branches_that_fail_are_both_reported_and_what_lies_behind_them_is_not(tmp_path: Path) -> None:
    path = write_text(
        tmp_path,
        """input { name: "data" shape: [3, 8, 8] }
layer { type: "Convolution" name: "four_channels" bottom: "data" parameters_file: "w.msg" }
layer { type: "ReLU" name: "behind" bottom: "four_channels" }
layer { type: "Pooling" name: "too_large" bottom: "data" kernel_size: 99 ceil_mode: false }
layer { type: "Eltwise" name: "sum" bottom: ["behind", "too_large"] }
layer { type: "ReLU" name: "fine" bottom: "data" }
""",
        w=filters(0, 2, 4, 3, 3),
    )
    with pytest.raises(NetFileError) as caught:
        Net(path).prepare()
    assert [p.position.line for p in caught.value.problems if p.position] == [2, 4]
    text = str(caught.value)
    assert f"{path}:2:" in text
    assert "layer 'four_channels' (Convolution)" in text
    assert "its input is 1×3×8×8" in text
    assert "layer 'too_large' (Pooling)" in text
    assert not any(name in text for name in ("behind", "sum'", "fine"))


def test_a_value_of_absurd_size_is_refused_before_anything_is_allocated(tmp_path: Path) -> None:
    path = write_text(
        tmp_path,
        'layer { type: "Convolution" name: "grow" parameters_file: "w.msg" pad: 2000000 }',
        w=filters(0, 1, 1, 1, 1),
    )
    with pytest.raises(NetFileError, match="too large"):
        Net(path).compute(np.zeros((1, 1, 1, 1), np.float32))


def test_what_the_machine_cannot_hold_is_refused_before_anything_is_allocated(tmp_path: Path) -> None:
    path = write_text(tmp_path, 'layer { type: "LRN" name: "n" }')
    with pytest.raises(CnnrtError, match=r"computing this needs \d+ MiB, the machine has"):
        Net(path).prepare((1 << 14, 64, 1 << 9, 1 << 9))
