"""Concatenation without copies: where the inputs can be written in place, where not, and that values stay right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnrt import Net
from cnnrt.layer import Array
from cnnrt.layouts import extent_bytes, place_array
from cnnrt.tensor import TensorType
from core_suite.plugins_in_memory import host_with_backends
from core_suite.small_networks import filters, images, write_network
from core_suite.toy_backend import ToyBackend, ToyKernel
from netfile_spec import LayerBlock, layer

SIZES = {"a": 4, "b": 2, "c": 3}
"""Channels of three convolutions of 2×5×6 images."""

BRANCHES = [layer("Convolution", name, bottom="data") for name in SIZES]
JOINED = layer("Concat", "joined", bottom=list(SIZES))
BEHIND = layer("LRN", "behind")


def net_of(folder: Path, layers: Sequence[LayerBlock], *kernels: ToyKernel, **options: Any) -> Net:
    """Return a net on toy kernels that keep images channels last and write parts, unless others are given."""
    names = [block.name for block in layers]
    parameters = {name: filters(i, SIZES[name], 2, 1, 1) for i, name in enumerate(names) if name in SIZES}
    lasting: dict[str, Any] = {"takes": "NHWC", "gives": "NHWC", "parts": True}
    usual = [ToyKernel(kind, **lasting) for kind in ("Convolution", "Concat", "LRN", "Pooling", "Eltwise")]
    given = {k.layer for k in kernels}
    host = host_with_backends([ToyBackend()], [*kernels, *(k for k in usual if k.layer not in given)])
    return Net(write_network(folder, layers, parameters), plugins=host, **options)


def expected(folder: Path, layers: Sequence[LayerBlock], x: Array, **options: Any) -> Any:
    """Return what the references compute."""
    unable = (ToyKernel(kind, answer="no") for kind in ("Convolution", "Concat"))
    return net_of(folder, layers, *unable).compute(x, **options)


def kernels_of(net: Net) -> dict[str, str]:
    return {row.layer: row.kernel for row in net.plan.rows}


def assert_computes(folder: Path, layers: Sequence[LayerBlock], *kernels: ToyKernel, x: Array | None = None) -> Net:
    x = images(3, 2, 5, 6) if x is None else x
    net = net_of(folder, layers, *kernels)
    for _ in range(2):
        np.testing.assert_allclose(net.compute(x), expected(folder / "plain", layers, x), atol=1e-5)
    return net


def test_inputs_of_a_concat_are_written_where_they_belong(tmp_path: Path) -> None:
    net = assert_computes(tmp_path, [*BRANCHES, JOINED, BEHIND])
    assert kernels_of(net)["joined"] == "view"
    row = next(row for row in net.plan.rows if row.layer == "joined")
    assert (row.segment, row.why) == (-1, "its inputs are written where they belong: nothing to compute")
    joined, behind = 4 * 3 * 9 * 30, 4 * 3 * 9 * 30
    reordered = 4 * 3 * 2 * 30 + 64
    assert net.plan.memory.arena <= joined + behind + reordered, "the parts have no memory of their own"


def test_a_concat_that_is_handed_back_is_written_there(tmp_path: Path) -> None:
    kernels = [ToyKernel("Convolution"), ToyKernel("Concat")]  # both in the plain layout
    net = assert_computes(tmp_path, [*BRANCHES, JOINED], *kernels, x=images(1, 2, 5, 6))
    assert kernels_of(net)["joined"] == "view"
    first, second = (net.compute(images(1, 2, 5, 6, seed=s)) for s in (1, 2))
    assert not np.shares_memory(first, second)
    np.testing.assert_allclose(
        first, expected(tmp_path / "again", [*BRANCHES, JOINED], images(1, 2, 5, 6, seed=1)), atol=1e-5
    )


def test_a_plain_batch_of_one_is_joined_by_any_host_kernels_and_a_larger_one_is_copied(tmp_path: Path) -> None:
    kernels = [ToyKernel("Convolution"), ToyKernel("Concat"), ToyKernel("LRN")]
    layers = [*BRANCHES, JOINED, BEHIND]
    assert kernels_of(assert_computes(tmp_path / "1", layers, *kernels, x=images(1, 2, 5, 6)))["joined"] == "view"
    assert kernels_of(assert_computes(tmp_path / "2", layers, *kernels, x=images(2, 2, 5, 6)))["joined"] == "toy"


def test_a_kernel_that_writes_no_parts_has_them_copied(tmp_path: Path) -> None:
    kernel = ToyKernel("Convolution", takes="NHWC", gives="NHWC", parts=False)
    assert kernels_of(assert_computes(tmp_path, [*BRANCHES, JOINED, BEHIND], kernel))["joined"] == "toy"


@pytest.mark.parametrize(
    "layers",
    [
        [
            *BRANCHES,
            JOINED,
            BEHIND,
            layer("LRN", "other", bottom="b"),
            layer("Concat", "d", bottom=["behind", "other"]),
        ],
        [*BRANCHES[:2], layer("Concat", "joined", bottom=["a", "b", "a"]), BEHIND],
        [*BRANCHES[:2], layer("Concat", "joined", bottom=["a", "data", "b"]), BEHIND],
    ],
    ids=["a value that somebody else reads", "a value that is there twice", "a value that is handed in"],
)
def test_a_value_that_is_needed_elsewhere_is_copied(tmp_path: Path, layers: Sequence[LayerBlock]) -> None:
    assert kernels_of(assert_computes(tmp_path, layers))["joined"] == "toy"


def test_a_part_that_is_asked_for_is_copied_for_that_call(tmp_path: Path) -> None:
    layers, x = [*BRANCHES, JOINED, BEHIND], images(3, 2, 5, 6)
    net = net_of(tmp_path, layers)
    got = net.compute(x, outputs=["b", "behind"])
    assert kernels_of(net)["joined"] == "toy"
    wanted = expected(tmp_path / "plain", layers, x, outputs=["b", "behind"])
    for name, value in got.items():
        np.testing.assert_allclose(value, wanted[name], atol=1e-5)


def test_a_concat_within_a_concat_is_written_in_place_as_well(tmp_path: Path) -> None:
    layers = [
        *BRANCHES,
        layer("Concat", "inner", bottom=["b", "c"]),
        layer("Concat", "joined", bottom=["inner", "a"]),
        BEHIND,
    ]
    net = assert_computes(tmp_path, layers)
    assert (kernels_of(net)["inner"], kernels_of(net)["joined"]) == ("view", "view")


def test_a_concat_along_another_axis_within_one_of_channels_is_copied_into_it(tmp_path: Path) -> None:
    layers = [
        layer("Pooling", "p", bottom="data", kernel_size=2),
        layer("Pooling", "q", bottom="data", kernel_size=2),
        layer("Concat", "rows", bottom=["p", "q"], axis=2),
        layer("Pooling", "r", bottom="rows", kernel_size=1),
        layer("Concat", "again", bottom=["p", "q"], axis=2),
        layer("Concat", "joined", bottom=["r", "again"]),
        BEHIND,
    ]
    net = assert_computes(tmp_path, layers)
    assert kernels_of(net)["again"] == "toy"


@pytest.mark.parametrize("last", [BEHIND, layer("Pooling", "pool", kernel_size=2)], ids=lambda block: block.type)
def test_a_batch_in_parts_is_joined_part_by_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: LayerBlock
) -> None:
    monkeypatch.setattr(ToyBackend, "items_at_once", lambda self, threads: 2)
    monkeypatch.setattr("cnnrt.passes.split_batch.CACHED", 0)
    monkeypatch.setattr("cnnrt.passes.split_batch.MEMORY_SECONDS", 1.0)
    layers = [*BRANCHES, JOINED, last, *([layer("LRN", "end")] if last is not BEHIND else [])]
    net = assert_computes(tmp_path, layers, x=images(6, 2, 5, 6))
    assert any("2 items at a time, 3 times" in note for note in net.plan.notes)
    assert kernels_of(net)["joined"] == "view"
    ends = [row.layer for row in net.plan.rows if row.type == "JoinItems"]
    assert ends == ["batch of joined" if last is BEHIND else "batch of pool"]


def test_a_part_with_a_pitch_lies_between_others_in_memory() -> None:
    part = TensorType((2, 3, 4, 5), layout="NHWC", pitch=7)
    memory = np.zeros(2 * 4 * 5 * 7, np.float32)
    array = place_array(memory, part, offset=4 * 2)
    array[...] = 1
    assert array.shape == (2, 4, 5, 3)
    np.testing.assert_array_equal(memory.reshape(-1, 7), [[0, 0, 1, 1, 1, 0, 0]] * 40)
    assert extent_bytes(part) == 4 * (39 * 7 + 3)
    assert part.nbytes == 4 * 2 * 3 * 4 * 5


def test_a_part_of_an_empty_batch_holds_nothing() -> None:
    part = TensorType((0, 3, 4, 5), layout="NHWC", pitch=7)
    assert place_array(np.empty(0, np.uint8), part, offset=8).shape == (0, 4, 5, 3)
    assert extent_bytes(part) == 0
