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
from cnnrt_import_veles.conformance import VelesSuite, dense, package_of, written
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
