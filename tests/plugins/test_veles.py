"""Packages that VELES exported: units, their links, and a published one against its reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnrt import Net, convert
from cnnrt.errors import ImportFailure
from cnnrt.layer import Array
from cnnrt.plugins import plugin_host
from cnnrt_import_veles.conformance import VelesSuite, convolution, dense, package_of, pooling, unit, written
from cnnrt_import_veles.importer import VelesImporter


class TestConformance(VelesSuite):
    """The suite that every importer has to pass."""


def values(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


ARRAYS = {"w": values(4, 6), "b": values(4), "w2": values(3, 4), "b2": values(3)}


def computed(folder: Path, units: list[dict[str, Any]], name: str = "p.zip", arrays: Any = None) -> Array:
    path = written(folder / name, package_of(units, arrays or ARRAYS))
    with Net(convert(path, folder / "net", overwrite=True).netfile) as net:
        result = net.compute(values(2, 6))
    assert isinstance(result, np.ndarray)
    return result


def problems(folder: Path, units: Any) -> list[str]:
    path = written(folder / "p.zip", package_of(units, ARRAYS))
    with pytest.raises(ImportFailure) as caught:
        VelesImporter().read([path])
    return [p.message for p in caught.value.problems]


ACTIVATIONS = {
    "All2All": lambda x: x,
    "All2AllTanh": lambda x: 1.7159 * np.tanh(0.6666 * x),
    "All2AllRELU": lambda x: np.log1p(np.exp(x)),
    "All2AllStrictRELU": lambda x: np.maximum(x, 0),
    "All2AllSigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "All2AllSoftmax": lambda x: np.exp(x) / np.exp(x).sum(axis=1, keepdims=True),
}


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_dense_units_have_the_activations_of_znicz(tmp_path: Path, kind: str) -> None:
    wanted = ACTIVATIONS[kind](values(2, 6) @ ARRAYS["w"].T + ARRAYS["b"])
    np.testing.assert_allclose(computed(tmp_path, [dense(kind, "w", "b")]), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["p.zip", "p.tar", "p.tar.gz"])
def test_units_follow_their_links_in_every_kind_of_archive(tmp_path: Path, name: str) -> None:
    units = [dense("All2All", "w2", "b2"), dense("All2All", "w", "b", 0)]
    wanted = (values(2, 6) @ ARRAYS["w"].T + ARRAYS["b"]) @ ARRAYS["w2"].T + ARRAYS["b2"]
    np.testing.assert_allclose(computed(tmp_path, units, name), wanted, rtol=1e-5, atol=1e-5)


def test_weights_may_be_transposed_and_biases_absent(tmp_path: Path) -> None:
    unit = dense("All2All", "t", "b", weights_transposed=True, include_bias=False)
    found = computed(tmp_path, [unit], arrays={"t": np.ascontiguousarray(ARRAYS["w"].T)})
    np.testing.assert_allclose(found, values(2, 6) @ ARRAYS["w"].T, rtol=1e-5, atol=1e-5)


# Images. Fixtures are made by the published sources of VELES: no package with units of images could be found.

KERNELS = {"k": values(3, 2 * 4 * 2), "kb": values(3), "m": values(5, 3 * 2 * 3), "mb": values(5)}


def images() -> Array:
    """Return images as a NetFile has them, (N, C, H, W)."""
    return values(2, 2, 7, 9)


def given(folder: Path, units: list[dict[str, Any]], **arrays: Array) -> Array:
    path = written(folder / "p.zip", package_of(units, KERNELS | arrays))
    with Net(convert(path, folder / "net", overwrite=True).netfile) as net:
        result = net.compute(images())
    assert isinstance(result, np.ndarray)
    return result


def convolved(x: Array, weights: Array, bias: Array, ky: int, kx: int, padding: Any, sliding: Any) -> Array:
    """Compute what conv.py says, in the axes of VELES, window by window; x and result are (N, C, H, W)."""
    left, top, right, bottom = padding
    padded = np.pad(x.transpose(0, 2, 3, 1), ((0, 0), (top, bottom), (left, right), (0, 0)))
    rows = range(0, padded.shape[1] - ky + 1, sliding[1])
    columns = range(0, padded.shape[2] - kx + 1, sliding[0])
    result = [[padded[:, i : i + ky, j : j + kx].reshape(len(x), -1) @ weights.T + bias for j in columns] for i in rows]
    return np.array(result).transpose(2, 3, 0, 1)


@pytest.mark.parametrize("kind", ["", "Tanh", "RELU", "StrictRELU", "Sigmoid"])
def test_convolutions_have_kernels_and_pads_of_znicz(tmp_path: Path, kind: str) -> None:
    placed: dict[str, Any] = {"kx": 2, "ky": 4, "padding": [1, 0, 2, 3], "sliding": [3, 2]}
    found = given(tmp_path, [convolution(f"Conv{kind}", "k", "kb", **placed)])
    exact = convolved(images(), KERNELS["k"], KERNELS["kb"], 4, 2, placed["padding"], placed["sliding"])
    np.testing.assert_allclose(found, ACTIVATIONS[f"All2All{kind}"](exact), rtol=1e-5, atol=1e-5)


def test_kernels_may_be_transposed_and_biases_absent(tmp_path: Path) -> None:
    module = convolution("Conv", "t", "kb", kx=2, ky=4, weights_transposed=True, include_bias=False)
    found = given(tmp_path, [module], t=np.ascontiguousarray(KERNELS["k"].T))
    exact = convolved(images(), KERNELS["k"], np.zeros(3), 4, 2, (0, 0, 0, 0), (1, 1))
    np.testing.assert_allclose(found, exact, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("kind", "reduced"), [("MaxPooling", np.max), ("AvgPooling", np.mean)])
def test_the_last_window_of_a_pooling_is_clipped(tmp_path: Path, kind: str, reduced: Any) -> None:
    found = given(tmp_path, [pooling(kind, kx=3, ky=2, sliding=[2, 3])])
    rows, columns = range(0, 7, 3), range(0, 7, 2)
    wanted = [[reduced(images()[:, :, i : i + 2, j : j + 3], axis=(2, 3)) for j in columns] for i in rows]
    np.testing.assert_allclose(found, np.array(wanted).transpose(2, 3, 0, 1), rtol=1e-5, atol=1e-6)


def test_normalisation_does_not_divide_alpha(tmp_path: Path) -> None:
    found = given(tmp_path, [unit("LRNormalizerForward", alpha=0.5, beta=0.75, k=1, n=3)])
    wanted = images() / (1 + 0.5 * (images() ** 2).sum(axis=1, keepdims=True)) ** 0.75
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_a_normalisation_whose_numbers_are_not_exported_says_what_it_takes(tmp_path: Path) -> None:
    model = VelesImporter().read([written(tmp_path / "p.zip", package_of([unit("LRNormalizerForward")], {}))])
    (block,) = model.netfile.layers
    assert block.keys == {"local_size": 5, "alpha": 5e-4, "beta": 0.75, "k": 2}
    assert "unit 0 (LRNormalizerForward): the package does not state its beta; 0.75 is znicz's own" in model.notes


def test_units_that_move_or_scale(tmp_path: Path) -> None:
    units = [unit("DropoutForward", 1), unit("Cutter", 2, padding=[1, 2, 3, 0]), unit("ForwardMul", factor=-2.5)]
    np.testing.assert_allclose(given(tmp_path, units), -2.5 * images()[:, :, 2:, 1:-3], rtol=1e-6)


def test_a_dense_unit_behind_images_reads_rows_columns_channels(tmp_path: Path) -> None:
    units = [convolution("Conv", "k", "kb", 1, kx=2, ky=4, sliding=[4, 3]), dense("All2All", "m", "mb")]
    exact = convolved(images(), KERNELS["k"], KERNELS["kb"], 4, 2, (0, 0, 0, 0), (4, 3))
    assert exact.shape == (2, 3, 2, 2)
    m = values(5, 12)
    found = given(tmp_path, units, m=m)
    np.testing.assert_allclose(found, exact.transpose(0, 2, 3, 1).reshape(2, -1) @ m.T + KERNELS["mb"], rtol=1e-4)


def test_everything_wrong_with_units_of_images_is_listed(tmp_path: Path) -> None:
    units = [
        convolution("Conv", "w", "b", 1, kx=4),
        convolution("Conv", "w", "b", 2, padding=[1, -1, 0, 0], sliding=3, kx="3"),
        convolution("Conv", "w", "b", 3, kx=3, ky=1, n_kernels=5),
        convolution("Conv", "w", "b", 4, kx=3, ky=2),
        convolution("Conv", "w2", "b2", 5, kx=2, ky=2),
        convolution("Conv", "w", "b", 6, kx=3, ky=2),
        dense("All2All", "w", "b", 7),
        pooling("AvgPooling", 8, kx=0),
        unit("LRNormalizerForward", 9, beta="x"),
        unit("LRNormalizerForward", 10, n=10**400),
        unit("ForwardMul", 11, factor=[[[]]]),
        unit("MaxAbsPooling"),
    ]
    assert problems(tmp_path, units) == [
        "unit 0 (Conv): 6 values in a kernel of 3 by 4",
        'unit 1 (Conv): its kx is "3"',
        "unit 1 (Conv): its padding is [1, -1, 0, 0]",
        "unit 1 (Conv): its sliding is 3",
        "unit 2 (Conv): 4 kernels where n_kernels says another number",
        "unit 4 (Conv): kernels for 1 channels of images of 4",
        "unit 6 (All2All): its weights are for 6 features of images of 4 channels",
        "unit 7 (AvgPooling): its kx is 0",
        'unit 8 (LRNormalizerForward): its beta is "x"',
        "unit 9 (LRNormalizerForward): its n is a large number",
        "unit 10 (ForwardMul): its factor is a list",
        "unit 11 (MaxAbsPooling): it is not supported",
    ]


def test_everything_that_stands_in_the_way_is_listed(tmp_path: Path) -> None:
    units = [
        dense("KohonenForward", "w", "b", 1),
        dense("All2All", "b", "b", 2),
        dense("All2All", "w2", "b", 3),
        dense("All2AllTanh", "w", "b", weights=7),
    ]
    assert problems(tmp_path, units) == [
        "unit 0 (KohonenForward): it is not supported",
        'unit 1 (All2All): its weights ("@b") has 1 dimensions',
        "unit 2 (All2All): 4 biases for 3 outputs",
        "unit 3 (All2AllTanh): its weights is no reference to an array",
    ]


@pytest.mark.parametrize(
    ("units", "message"),
    [
        ([dense("All2All", "w", "b", 1), dense("All2All", "w", "b", 0)], "in a circle"),
        ([dense("All2All", "w", "b", 7)], "linked to a unit that is not there"),
        ([dense("All2All", "w", "gone")], 'holds no "gone.npy"'),
        ("units", "has no list of units"),
        ([], "holds no layers"),
    ],
)
def test_a_package_that_makes_no_sense_is_refused(tmp_path: Path, units: Any, message: str) -> None:
    assert message in problems(tmp_path, units)[0]


def test_contents_that_are_no_json_are_refused(tmp_path: Path) -> None:
    for content in (b"{", b"[" * 100_000, b"\xff"):
        path = written(tmp_path / "p.zip", {"contents.json": content})
        with pytest.raises(ImportFailure, match="is no JSON"):
            VelesImporter().read([path])


def test_it_comes_in_by_the_plugin_door() -> None:
    assert isinstance(plugin_host().importers()["veles"], VelesImporter)


@pytest.mark.parametrize("file", ["mnist.zip", "mnist.tar.gz"])
def test_a_published_package_agrees_with_its_reference(tmp_path: Path, shared_folder: Path, file: str) -> None:
    folder = shared_folder / "models" / "veles-mnist"
    reference = np.load(folder / "reference.npz")
    with Net(convert(folder / file, tmp_path / "net").netfile) as net:
        found = net.compute(reference["input"], outputs=["tanh0", "all2all1", "softmax1"])
        digits = np.load(folder / "mnist500.npz")
        answers = net.compute(digits["images"][:, None].astype(np.float32) / 127.5 - 1)
    for ours, theirs in (("tanh0", "hidden_scaled_tanh"), ("all2all1", "logits"), ("softmax1", "softmax")):
        assert np.abs(found[ours] - reference[theirs]).max() <= 1e-5 * np.abs(reference[theirs]).max()
    assert isinstance(answers, np.ndarray)
    assert (answers.argmax(axis=1) == digits["labels"]).mean() > 0.9
