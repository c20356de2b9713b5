"""FullyConnected: what is flattened, how flat weights are divided, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from cnnrt.errors import ShapeError
from cnnrt_layers import FullyConnected, fully_connected

Shapes = dict[str, tuple[int, ...]]


def test_features_are_flattened_in_order() -> None:
    image = np.arange(8, dtype=np.float32).reshape(1, 2, 2, 2)
    weight = np.zeros((2, 8), np.float32)
    weight[0, 5], weight[1, 7] = 1, 10
    (result,) = FullyConnected().reference([image], {"weight": weight, "bias": np.array([0, 1], np.float32)})
    np.testing.assert_array_equal(result, [[5, 71]])


def test_dimensions_before_the_axis_stay() -> None:
    assert FullyConnected(axis=2).output_shapes([(2, 3, 4, 5)], {"weight": (7, 20)}) == ((2, 3, 7),)
    assert FullyConnected(axis=-1).output_shapes([(2, 3, 4, 5)], {"weight": (7, 5)}) == ((2, 3, 4, 7),)


@pytest.mark.parametrize(
    "stored", [{"weight": (400_000,), "bias": (500,)}, {"weight": (400_000,)}, {"weight": (500, 800), "bias": (500,)}]
)
def test_flat_weights_as_cnndroid_stored_them_become_a_matrix(stored: Shapes) -> None:
    shapes = FullyConnected().weight_shapes(stored, [(16, 50, 4, 4)])
    assert shapes == {**stored, "weight": (500, 800)}


def test_reference_gives_the_same_in_one_block_and_in_many(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    weights = {"weight": rng.standard_normal((50, 30)), "bias": rng.standard_normal(50)}
    x = rng.standard_normal((4, 30))
    (whole,) = FullyConnected().reference([x], weights)
    for values in (0, 30, 100):
        monkeypatch.setattr(fully_connected, "BLOCK_VALUES", values)
        np.testing.assert_allclose(FullyConnected().reference([x], weights)[0], whole, rtol=1e-13)


def test_flops_count_a_multiply_add_twice() -> None:
    assert FullyConnected().flops([(3, 800)], [(3, 500)], {"weight": (500, 800)}) == 2 * 3 * 500 * 800


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ({"bias": (500,)}, "expected 'weight' in the parameter file, which holds bias"),
        (
            {"weight": (400_000,), "bias": (500,)},
            "the parameter file holds 400000 weights and 500 biases; an input of shape 16×50×5×5 has 1250 features and "
            "needs 500 × 1250 = 625000 weights; check the size of the network's input",
        ),
        (
            {"weight": (400_000 + 1,)},
            "the parameter file holds 400001 weights; an input of shape 16×50×5×5 has 1250 features and needs a "
            "multiple of 1250 weights",
        ),
    ],
)
def test_flat_weights_that_do_not_fit(stored: Shapes, message: str) -> None:
    with pytest.raises(ShapeError) as caught:
        FullyConnected().weight_shapes(stored, [(16, 50, 5, 5)])
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("layer", "input_shape", "weights", "message"),
    [
        (
            FullyConnected(),
            (1, 20, 7, 7),
            {"weight": (500, 800)},
            "the weights 500×800 take 800 features, an input of shape 1×20×7×7 has 980; check the size of the "
            "network's input",
        ),
        (FullyConnected(), (1, 800), {"weight": (5, 4, 40)}, "expected weights of shape (outputs, features)"),
        (FullyConnected(), (1, 0), {"weight": (5, 0)}, "each at least 1, got 5×0"),
        (
            FullyConnected(),
            (1, 800),
            {"weight": (500, 800), "bias": (500, 1)},
            "expected a bias of 500 values, one for each output of the weights, got 500×1",
        ),
        (
            FullyConnected(axis=2),
            (1, 800),
            {"weight": (500, 800)},
            "axis 2 does not exist in an input of shape 1×800: allowed are -2 to 1",
        ),
        (FullyConnected(), (), {"weight": (500, 800)}, "axis 1 does not exist in an input of shape scalar"),
    ],
)
def test_shapes_that_do_not_fit(
    layer: FullyConnected, input_shape: tuple[int, ...], weights: Shapes, message: str
) -> None:
    with pytest.raises(ShapeError) as caught:
        layer.output_shapes([input_shape], weights)
    assert message in str(caught.value)
