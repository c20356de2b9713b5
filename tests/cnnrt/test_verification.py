"""`verify`, and `cnnrt convert --verify`: layer by layer, where the first difference is and what it looks like."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cli_suite.command import answer, complaint, json_answer, run_cnnrt
from cnnrt import Net
from cnnrt.demo import demo_netfile
from cnnrt.errors import InputError
from cnnrt.layer import Array
from cnnrt.verification import Verification, verify

DIGITS = np.random.default_rng(0).random((2, 1, 28, 28), np.float32)


@pytest.fixture
def net() -> Iterator[Net]:
    with Net(demo_netfile(), execution_mode="sequential") as net:
        yield net


@pytest.fixture
def reference(net: Net) -> dict[str, Array]:
    """What the original framework would have saved: the input, and three of its blobs, in no order."""
    values = net.compute(DIGITS, outputs=["prob", "pool1", "conv1"])
    return {"input": DIGITS, **{name: np.array(value) for name, value in values.items()}}


def differing(verification: Verification) -> list[str]:
    return [c.name for c in verification.compared if not c.agrees]


def test_values_are_compared_in_the_networks_order(net: Net, reference: dict[str, Array]) -> None:
    found = verify(net, {**reference, "of another": DIGITS})
    assert [c.name for c in found.compared] == ["conv1", "pool1", "prob"]
    assert found.first_difference is None
    assert found.unknown == ("of another",)


def test_the_first_difference_and_how_far_it_is(net: Net, reference: dict[str, Array]) -> None:
    reference["pool1"].flat[7] += 0.5
    reference["prob"] *= 0.9
    found = verify(net, reference)
    assert differing(found) == ["pool1", "prob"]
    first = found.first_difference
    assert first is not None
    assert (first.name, first.layer) == ("pool1", "layer 'pool1' (Pooling)")
    assert first.difference == pytest.approx(0.5, rel=1e-5)


@pytest.mark.parametrize("off", [0.5, 2])
def test_the_tolerance_is_of_the_largest_value(net: Net, reference: dict[str, Array], off: float) -> None:
    reference["conv1"].flat[3] += off * 1e-3 * np.abs(reference["conv1"]).max()
    assert (verify(net, reference, tolerance=1e-3).first_difference is None) == (off < 1)


def test_common_faults_are_recognised(net: Net, reference: dict[str, Array]) -> None:
    conv = reference["conv1"]
    for changed, remark in (
        (np.maximum(conv, 0), "the value behind the activation"),
        (conv[:, ::-1], "the channels in opposite order"),
        (conv * 2, "equal to it times 0.5"),
        (conv[:, :, 1:], "the reference is 2×"),
        (conv.astype("U8"), "the reference holds"),
    ):
        first = verify(net, {"input": DIGITS, "conv1": changed}).first_difference
        assert first is not None
        assert remark in first.remark


def test_channels_may_be_last_and_vectors_of_any_shape(net: Net, reference: dict[str, Array]) -> None:
    turned = {"conv1": reference["conv1"].transpose(0, 2, 3, 1), "prob": reference["prob"].reshape(2, 10, 1, 1)}
    assert verify(net, {"input": DIGITS, **turned}).first_difference is None


def test_what_is_missing_is_named(net: Net, reference: dict[str, Array]) -> None:
    with pytest.raises(InputError, match=r"no array for the input 'data'; it holds 'prob'"):
        verify(net, {"prob": reference["prob"]})
    with pytest.raises(InputError, match=r"none of the arrays is a value of the network.*such as 'prob'"):
        verify(net, {"input": DIGITS, "other": DIGITS})


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """A model of Darknet: one layer, whose weights are ones."""
    paths = [tmp_path / "net.cfg", tmp_path / "net.weights"]
    paths[0].write_text("[net]\nchannels=1\nheight=2\nwidth=2\n[connected]\noutput=2\nactivation=relu\n")
    paths[1].write_bytes(np.array([0, 1, 0, 0], "<i4").tobytes() + np.ones(10, "<f4").tobytes())
    return paths


def save(folder: Path, expected: float) -> Path:
    inputs = np.ones((1, 1, 2, 2), np.float32)
    np.savez(folder / "reference.npz", input=inputs, connected_0=np.full((1, 2), expected, np.float32))
    return folder / "reference.npz"


def test_convert_says_that_all_agrees(tmp_path: Path, files: list[Path]) -> None:
    text = answer("convert", *files, "-o", tmp_path / "out", "--verify", save(tmp_path, 5))
    assert "compared with the reference" in text
    assert "all of them agree" in text


def test_convert_fails_where_something_differs_and_keeps_what_it_wrote(tmp_path: Path, files: list[Path]) -> None:
    arguments = ("convert", *files, "-o", tmp_path / "out", "--verify", save(tmp_path, 5.1))
    done = run_cnnrt(*arguments)
    assert done.exit_code == 1
    assert "the first difference is at 'connected_0': layer 'connected_0' (FullyConnected)" in done.stdout
    assert (tmp_path / "out" / "net.netfile").is_file()
    answer(*arguments, "--overwrite", "--tolerance", "0.1")


def test_as_json(tmp_path: Path, files: list[Path]) -> None:
    found = json_answer("convert", *files, "-o", tmp_path / "out", "--verify", save(tmp_path, 5))
    assert found["verification"]["agrees"] is True
    assert [value["name"] for value in found["verification"]["values"]] == ["connected_0"]


def test_a_reference_that_is_none_is_an_error(tmp_path: Path, files: list[Path]) -> None:
    (tmp_path / "reference.npz").write_bytes(b"PK")
    text = complaint("convert", *files, "-o", tmp_path / "out", "--verify", tmp_path / "reference.npz")
    assert "cannot be read as .npz" in text
