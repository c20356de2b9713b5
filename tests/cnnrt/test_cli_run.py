"""`cnnrt run`: images and arrays in, answers and files out."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli_suite.command import answer, complaint, json_answer, run_cnnrt
from cli_suite.small_model import LABELS, SHAPE, write_small_model
from cnnrt import Net
from netfile_spec import InputBlock


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_small_model(tmp_path / "model")


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(1).standard_normal((5, 1, 8, 8), np.float32)


def expected(model: Path, images: np.ndarray, *outputs: str) -> np.ndarray:
    with Net(model) as net:
        return net.compute(images, outputs[0])[outputs[0]] if outputs else net.compute(images)


def save_png(path: Path, seed: int, size: int = 8) -> np.ndarray:
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size), np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def test_top_classes_with_labels(model: Path, images: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", images)
    done = json_answer("run", model, tmp_path / "x.npy", "--top", "2")
    probabilities = expected(model, images)
    for listed, row in zip(done["outputs"]["prob"]["top"], probabilities, strict=True):
        best = np.argsort(-row)[:2]
        assert [a["index"] for a in listed] == best.tolist()
        assert [a["label"] for a in listed] == [LABELS[i] for i in best]
        assert [a["score"] for a in listed] == pytest.approx(row[best].tolist())


def test_the_table_has_a_block_for_each_item(model: Path, images: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", images)
    lines = answer("run", model, tmp_path / "x.npy").splitlines()
    assert lines[0].split() == ["item", "class", "label", "score"]
    assert len(lines) == 2 + 5 * len(LABELS)


def test_images_become_numbers_as_the_netfile_states(model: Path, tmp_path: Path) -> None:
    files = [tmp_path / f"{i}.png" for i in range(3)]
    pixels = np.stack([save_png(file, seed=i) for i, file in enumerate(files)])
    answer("run", model, *files, "-o", tmp_path / "y.npy")
    batch = pixels[:, np.newaxis].astype(np.float32) / 256
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), expected(model, batch))


def test_many_images_are_computed_in_bounded_batches(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    compute = Net.compute

    def noting(self, images, outputs=None):  # type: ignore[no-untyped-def]  # stands in for Net.compute
        sizes.append(len(images["data"]))
        return compute(self, images, outputs)

    files = [tmp_path / f"{i:02}.png" for i in range(18)]
    pixels = np.stack([save_png(file, seed=i) for i, file in enumerate(files)])
    monkeypatch.setattr(Net, "compute", noting)
    answer("run", model, *files, "-o", tmp_path / "y.npy")
    assert sizes == [16, 2]
    monkeypatch.undo()
    batch = pixels[:, np.newaxis].astype(np.float32) / 256
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), expected(model, batch), rtol=1e-5)


def test_a_single_item_gets_a_batch_of_one(model: Path, images: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", images[0])
    answer("run", model, tmp_path / "x.npy", "-o", tmp_path / "y.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), expected(model, images[:1]))


def test_an_array_can_be_cut_into_batches(model: Path, images: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", images)
    answer("run", model, tmp_path / "x.npy", "--batch", "2", "-o", tmp_path / "y.npy")
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), expected(model, images), rtol=1e-5)


def test_a_network_that_takes_one_batch_only_gets_batches_of_that_size(
    model: Path, images: np.ndarray, tmp_path: Path
) -> None:
    block = InputBlock(name="data", shape=SHAPE, channel_order="gray", batch=1)
    one_only = write_small_model(tmp_path / "one_only", inputs=(block,))
    np.save(tmp_path / "x.npy", images)
    answer("run", one_only, tmp_path / "x.npy", "-o", tmp_path / "y.npy")
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), expected(model, images), rtol=1e-5)


def test_chosen_values_are_written_by_name(model: Path, images: np.ndarray, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", data=images)
    text = answer("run", model, tmp_path / "x.npz", "--outputs", "conv,prob", "-o", tmp_path / "y.npz")
    assert "conv  5×2×6×6, min " in text
    with np.load(tmp_path / "y.npz") as written:
        assert sorted(written.files) == ["conv", "prob"]
        np.testing.assert_array_equal(written["conv"], expected(model, images, "conv"))


def test_values_that_are_no_scores_are_summed_up(model: Path, images: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", images)
    found = json_answer("run", model, tmp_path / "x.npy", "--outputs", "pool")["outputs"]["pool"]
    values = expected(model, images, "pool")
    assert found == {
        "shape": [5, 2, 3, 3],
        "min": pytest.approx(values.min()),
        "max": pytest.approx(values.max()),
        "mean": pytest.approx(values.mean(), abs=1e-6),
    }


def test_several_values_need_npz(model: Path, tmp_path: Path) -> None:
    text = complaint("run", model, "x.npy", "--outputs", "conv,prob", "-o", tmp_path / "y.npy", code=2)
    assert "name a .npz" in text
    assert "ends in .npy or .npz" in complaint("run", model, "x.npy", "-o", "y.txt", code=2)


def test_the_only_array_of_an_npz_needs_no_name(model: Path, images: np.ndarray, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", whatever=images)
    assert json_answer("run", model, tmp_path / "x.npz")["items"] == 5


def test_arrays_of_other_names_are_told(model: Path, images: np.ndarray, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", data=images, truth=np.arange(5))
    assert "also holds truth, which is no input" in run_cnnrt("run", model, tmp_path / "x.npz").stderr
    np.savez(tmp_path / "x.npz", images=images, truth=np.arange(5))
    assert "holds images, truth; expected an array named 'data'" in complaint("run", model, tmp_path / "x.npz")


def test_integers_are_refused_and_wider_floats_converted(model: Path, images: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", images.astype(np.float64))
    assert "float64 was converted to float32" in run_cnnrt("run", model, tmp_path / "x.npy").stderr
    np.save(tmp_path / "x.npy", np.zeros((1, 1, 8, 8), np.uint8))
    assert "expected float32, got uint8" in complaint("run", model, tmp_path / "x.npy")


def test_raw_pixels_are_warned_about(tmp_path: Path) -> None:
    model = write_small_model(tmp_path, inputs=(InputBlock(name="data", shape=(1, 8, 8)),))
    save_png(tmp_path / "x.png", seed=1)
    assert "warning: the NetFile states no preprocessing" in run_cnnrt("run", model, tmp_path / "x.png").stderr


def test_images_of_other_sizes_are_resized_where_a_size_is_known(model: Path, tmp_path: Path) -> None:
    save_png(tmp_path / "a.png", seed=1, size=8)
    save_png(tmp_path / "b.png", seed=2, size=20)
    assert len(json_answer("run", model, tmp_path / "a.png", tmp_path / "b.png")["items"]) == 2


def test_what_is_no_image_is_an_error(model: Path, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_text("no image")
    assert "cannot be read as an image" in complaint("run", model, tmp_path / "x.png")
    assert "y.png: cannot be read as an image: No such file" in complaint("run", model, tmp_path / "y.png")


def test_arrays_and_images_do_not_mix(model: Path) -> None:
    assert "several inputs must all be images" in complaint("run", model, "x.npy", "y.png")


def test_nothing_is_unpickled(model: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{}], object), allow_pickle=True)
    assert "cannot be read as .npy" in complaint("run", model, tmp_path / "x.npy")
    np.savez(tmp_path / "x.npz", data=np.array([{}], object))
    assert "cannot be read as .npz" in complaint("run", model, tmp_path / "x.npz")


def test_a_header_that_promises_too_much_allocates_nothing(model: Path, tmp_path: Path) -> None:
    header = np.lib.format.magic(1, 0)
    text = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000, 8), }\n"
    content = header + len(text).to_bytes(2, "little") + text
    (tmp_path / "x.npy").write_bytes(content)
    assert "cannot be read as .npy" in complaint("run", model, tmp_path / "x.npy")
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("data.npy", content)
    assert "holds less than its header's shape" in complaint("run", model, tmp_path / "x.npz")


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00", b"\x93NUMPY\x01\x00\x10\x00{'descr': oops!"]
)
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_damaged_arrays_are_errors(model: Path, tmp_path: Path, content: bytes, suffix: str) -> None:
    (tmp_path / f"x{suffix}").write_bytes(content)
    assert f"cannot be read as {suffix}" in complaint("run", model, tmp_path / f"x{suffix}")


def test_a_failed_write_leaves_the_old_file(model: Path, images: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", images)
    complaint("run", model, tmp_path / "x.npy", "-o", tmp_path / "absent" / "y.npy")
    assert not (tmp_path / "absent").exists()


def test_profile_lists_every_layer(model: Path, images: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", images)
    found = json_answer("run", model, tmp_path / "x.npy", "--profile")["profile"]
    assert [times["layer"] for times in found] == ["conv", "pool", "score", "prob"]
    assert all(times["run_seconds"] > 0 for times in found)
    assert "whole call" in answer("run", model, tmp_path / "x.npy", "--profile")


def test_where_it_ran_is_told_on_stderr(model: Path, images: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", images)
    assert "note: 5 items computed in " in run_cnnrt("run", model, tmp_path / "x.npy").stderr
