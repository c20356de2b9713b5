"""Weights are packed by native code from the rows as they are read: every value in its place, whatever the threads."""

from __future__ import annotations

import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("llvmlite", reason="the threaded backend needs llvmlite")

from cnnrt.errors import ParameterFileError
from cnnrt.stored_weights import HeldWeights
from cnnrt.weights import weight_source
from cnnrt_backend_threaded import weight_packing
from cnnrt_backend_threaded.convolution_winograd import WinogradFive, WinogradThree
from cnnrt_backend_threaded.weight_packing import for_each, pack_panels
from cnnrt_backend_threaded.winograd_packing import transform_panel
from cnnrt_layers import FullyConnected
from cnnrt_layers.winograd_matrices import Filtering, matrices
from netfile_spec import write_parameters


@st.composite
def shapes(draw: st.DrawFn) -> tuple[int, int, int, int, int, int]:
    return (
        draw(st.integers(1, 3)),
        draw(st.integers(1, 70)),
        draw(st.integers(1, 40)),
        draw(st.integers(1, 9)),
        draw(st.sampled_from([4, 8, 12, 16, 32, 48])),
        draw(st.integers(1, 3)),
    )


def weights_of(rows: int, depth: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(rows)
    return {"weight": rng.random((rows, depth), np.float32), "bias": rng.random(rows, np.float32)}


def panels_of(weight: np.ndarray, groups: int, channels: int, positions: int, outputs: int) -> np.ndarray:
    by_group = weight.reshape(groups, -1, channels, positions)
    panels = -(-by_group.shape[1] // outputs)
    whole = np.zeros((groups, panels * outputs, channels, positions), np.float32)
    whole[:, : by_group.shape[1]] = by_group
    return whole.reshape(groups, panels, outputs, channels, positions).transpose(0, 1, 4, 3, 2)


@given(shapes())
@settings(max_examples=60)
def test_every_value_is_in_its_place(drawn: tuple[int, int, int, int, int, int]) -> None:
    groups, rows, channels, positions, outputs, threads = drawn
    weights = weights_of(groups * rows, channels * positions)
    packed, biases = pack_panels(HeldWeights(weights), groups, channels, positions, outputs, threads)
    assert np.array_equal(packed, panels_of(weights["weight"], groups, channels, positions, outputs))
    filled = biases.reshape(groups, -1)
    assert np.array_equal(filled[:, :rows].ravel(), weights["bias"])
    assert not filled[:, rows:].any()


def test_the_bits_depend_neither_on_the_threads_nor_on_where_the_rows_come_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weight_packing, "PIECE", 10_000)
    weights = weights_of(600, 900)
    path = tmp_path / "weights.msg"
    write_parameters(path, weights)
    source = weight_source(path, FullyConnected.weights, "FullyConnected")
    expected = panels_of(weights["weight"], 1, 100, 9, 32)
    for threads in (1, 2, 5):
        with source.opened({name: array.shape for name, array in weights.items()}) as stored:
            packed, _ = pack_panels(stored, 1, 100, 9, 32, threads)
        assert np.array_equal(packed, expected)


def test_weights_that_are_damaged_are_an_error_before_they_are_used(tmp_path: Path) -> None:
    weights = weights_of(64, 900)
    path = tmp_path / "weights.msg"
    write_parameters(path, weights)
    data = bytearray(path.read_bytes())
    data[-5000] ^= 1
    path.write_bytes(bytes(data))
    source = weight_source(path, FullyConnected.weights, "FullyConnected")
    with (
        pytest.raises(ParameterFileError, match="'weight' is damaged"),
        source.opened({name: array.shape for name, array in weights.items()}) as stored,
    ):
        pack_panels(stored, 1, 900, 1, 32, 2)


def test_no_second_copy_of_the_weights_is_made(tmp_path: Path) -> None:
    weights = weights_of(1024, 4096)
    path = tmp_path / "weights.msg"
    write_parameters(path, weights)
    shapes = {name: array.shape for name, array in weights.items()}
    source = weight_source(path, FullyConnected.weights, "FullyConnected")
    nbytes = weights.pop("weight").nbytes
    pack_panels(HeldWeights(weights_of(32, 32)), 1, 32, 1, 32, 1)  # its code is there
    tracemalloc.start()
    try:
        with source.opened(shapes) as stored:
            packed, _ = pack_panels(stored, 1, 4096, 1, 32, 2)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert packed.nbytes == nbytes
    assert peak < nbytes + 8 * weight_packing.PIECE


@pytest.mark.parametrize("filtering", [WinogradThree.filtering, WinogradFive.filtering])
@pytest.mark.parametrize(("filters", "inputs", "outputs"), [(32, 20, 32), (5, 1, 8), (17, 33, 32)])
def test_filters_are_transformed_as_in_float64(filtering: Filtering, filters: int, inputs: int, outputs: int) -> None:
    """At most one float32 beside the rounded value: sums of few products in float64, in whatever order."""
    weight = np.random.default_rng(0).standard_normal((filters, inputs, filtering.taps, filtering.taps))
    weight = weight.astype(np.float32)
    panel = np.full((filtering.products**2, inputs, outputs), np.nan, np.float32)
    transform_panel(filtering, weight, panel)
    g = matrices(filtering).weight
    exact = np.einsum("ir,ocrs,js->ijco", g, weight.astype(np.float64), g).reshape(-1, inputs, filters)
    scale = np.abs(exact).max()
    np.testing.assert_allclose(panel[..., :filters], exact, rtol=2**-23, atol=1e-15 * scale)
    assert not panel[..., filters:].any()


def test_a_failure_in_a_thread_is_raised() -> None:
    def fail(piece: int) -> None:
        raise ValueError(f"piece {piece}")

    with pytest.raises(ValueError, match="piece 0"):
        for_each(fail, range(8), 2, 1 << 30)


def test_one_thread_does_everything_where_no_other_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    done: list[int] = []
    for_each(done.append, range(8), 2, 1 << 30)
    assert done == list(range(8))
