"""`convert`: a folder that is complete or not there, with everything in it that running the model takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from cnnrt import CnnrtError, Net, conversion, convert
from cnnrt.conversion import NETFILE, PreprocessingOptions
from cnnrt.errors import ImportFailure, InputError, NetFileError, Problem
from cnnrt.importer import ImportedModel, Importer
from cnnrt.layer import Array
from cnnrt.plugins import PluginHost
from core_suite.plugins_in_memory import built_in, entry_point, host_of, plugin
from core_suite.small_networks import CHAIN, chain_parameters, images
from netfile_spec import InputBlock, Layout, NetFile, layer, read_netfile


class ToyImporter(Importer):
    """Reads files that begin with "toy" as the chain of the small networks."""

    name: ClassVar[str] = "toy"
    description: ClassVar[str] = "models of the toy framework"

    def __init__(self, netfile: NetFile | None = None, name: str = "toy") -> None:
        self.name = name  # type: ignore[misc]  # one class, several importers
        self.netfile = netfile or NetFile(CHAIN, [InputBlock("data", (3, 8, 8))], netfile_version=1, name="toy net")

    def recognises(self, files: Sequence[Path]) -> bool:
        return files[0].read_bytes().startswith(b"toy")

    def read(self, files: Sequence[Path]) -> ImportedModel:
        if files[0].read_bytes() == b"toy, broken":
            raise ImportFailure([Problem("layer 'x' is unheard of"), Problem("so is 'y'")], file=str(files[0]))
        return ImportedModel(self.netfile, chain_parameters(), notes=("the loss was left out",))

    def read_mean(self, file: Path) -> Array | None:
        return np.full((3, 10, 12), 7, np.float32) if file.suffix == ".toymean" else None


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "model.toy"
    path.write_bytes(b"toy")
    return path


def host_with(*importers: Importer) -> PluginHost:
    return host_of(
        *built_in("layer", "backend"), entry_point("importer.toy", plugin(cnnrt_importers=lambda: importers))
    )


@pytest.fixture
def host() -> PluginHost:
    return host_with(ToyImporter())


def left_over(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.name != "model.toy")


def test_the_folder_holds_a_netfile_that_runs_and_states_what_it_promises(
    tmp_path: Path, source: Path, host: PluginHost
) -> None:
    done = convert(source, tmp_path / "new" / "out", plugins=host)
    assert done.netfile == tmp_path / "new" / "out" / NETFILE
    assert (done.importer, done.notes) == ("toy", ("the loss was left out",))
    assert left_over(done.netfile.parent) == ["conv.msg", NETFILE, "scores.msg"]
    assert left_over(tmp_path / "new") == ["out"]
    netfile = read_netfile(done.netfile)
    assert (netfile.execution_mode, netfile.auto_tuning, netfile.name) == ("parallel", False, "toy net")
    assert netfile.allocated_ram is not None
    with Net(done.netfile) as net:
        assert net.compute(images(16, 3, 8, 8)).shape == (16, 5)  # within the ceiling, or it would warn
        assert net.plan.memory.peak < netfile.allocated_ram * (1 << 20)


def test_both_layouts_compute_the_same_bits(tmp_path: Path, source: Path, host: PluginHost) -> None:
    x = images(4, 3, 8, 8)
    results = set()
    layouts: tuple[Layout, ...] = ("cnnrt", "cnndroid")
    for layout in layouts:
        done = convert([source], tmp_path / layout, layout=layout, plugins=host)
        results.add(Net(done.netfile).compute(x).tobytes())
    assert len(results) == 1
    assert (tmp_path / "cnnrt" / "conv.msg").read_bytes() != (tmp_path / "cnndroid" / "conv.msg").read_bytes()


def test_what_the_model_itself_promises_is_kept(tmp_path: Path, source: Path) -> None:
    netfile = NetFile(CHAIN, netfile_version=1, allocated_ram=77, execution_mode="sequential", auto_tuning=True)
    done = convert(source, tmp_path / "out", plugins=host_with(ToyImporter(netfile)))
    found = read_netfile(done.netfile)
    assert (found.allocated_ram, found.execution_mode, found.auto_tuning) == (77, "sequential", True)


def test_the_ceiling_covers_the_weights_with_room_to_spare_where_no_shape_is_stated(
    tmp_path: Path, source: Path
) -> None:
    class Large(ToyImporter):
        def read(self, files: Sequence[Path]) -> ImportedModel:
            netfile = NetFile([layer("FullyConnected", "fc")], netfile_version=1)
            return ImportedModel(netfile, {"fc": {"weight": np.zeros((4096, 4096), np.float32)}})  # 64 MiB

    done = convert(source, tmp_path / "out", plugins=host_with(Large()))
    assert read_netfile(done.netfile).allocated_ram == 80


def test_the_function_is_cnnrts_whatever_was_imported_before() -> None:
    import cnnrt

    assert callable(cnnrt.convert)
    assert cnnrt.convert is conversion.convert


def failing(*_: Any, **__: Any) -> Any:
    raise OSError(28, "No space left on device")


FAILURES: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "no space for parameters": lambda m: m.setattr(conversion, "write_model", failing),
    "no space for the NetFile": lambda m: m.setattr(conversion, "write_netfile", failing),
    "no permission to rename": lambda m: m.setattr(Path, "rename", failing),
}


@pytest.mark.parametrize("fail", FAILURES.values(), ids=FAILURES)
@pytest.mark.parametrize("existing", [False, True])
def test_a_failure_leaves_nothing_behind_and_what_was_there_as_it_was(
    tmp_path: Path,
    source: Path,
    host: PluginHost,
    monkeypatch: pytest.MonkeyPatch,
    fail: Callable[[pytest.MonkeyPatch], None],
    existing: bool,
) -> None:
    out = tmp_path / "out"
    if existing:
        out.mkdir()
        (out / "precious.txt").write_text("keep me")
    with monkeypatch.context() as patched:
        fail(patched)
        with pytest.raises(CnnrtError, match=r"cannot be written: .*No space left"):
            convert(source, out, overwrite=True, plugins=host)
    assert left_over(tmp_path) == (["out"] if existing else [])
    if existing:
        assert (out / "precious.txt").read_text() == "keep me"
        assert left_over(out) == ["precious.txt"]


def test_what_was_there_comes_back_where_the_last_rename_fails(
    tmp_path: Path, source: Path, host: PluginHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "precious.txt").write_text("keep me")
    original = Path.rename

    def rename(self: Path, target: Path) -> Path:
        if self.suffix == ".partial":
            raise OSError(5, "Input/output error")
        return original(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(CnnrtError, match="Input/output error"):
        convert(source, out, overwrite=True, plugins=host)
    assert (left_over(tmp_path), left_over(out)) == (["out"], ["precious.txt"])


def test_a_model_that_does_not_run_is_not_left_behind(tmp_path: Path, source: Path) -> None:
    netfile = NetFile([*CHAIN, layer("ReLU", "odd", bottom="nowhere")], netfile_version=1)
    with pytest.raises(NetFileError, match="nowhere"):
        convert(source, tmp_path / "out", plugins=host_with(ToyImporter(netfile)))
    assert left_over(tmp_path) == []


def test_a_model_that_cannot_be_imported_says_all_of_it_and_writes_nothing(
    tmp_path: Path, source: Path, host: PluginHost
) -> None:
    source.write_bytes(b"toy, broken")
    with pytest.raises(ImportFailure) as caught:
        convert(source, tmp_path / "out", plugins=host)
    assert "layer 'x' is unheard of" in str(caught.value)
    assert "so is 'y'" in str(caught.value)
    assert left_over(tmp_path) == []


def test_a_folder_that_holds_something_is_replaced_only_when_told_so(
    tmp_path: Path, source: Path, host: PluginHost
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    convert(source, out, plugins=host)  # an empty one is free
    (out / "stray.txt").write_text("old")
    with pytest.raises(InputError, match=r"not empty; choose another folder, or overwrite it \(--overwrite\)"):
        convert(source, out, plugins=host)
    assert "stray.txt" in left_over(out)
    convert(source, out, overwrite=True, plugins=host)
    assert left_over(out) == ["conv.msg", NETFILE, "scores.msg"]
    assert left_over(tmp_path) == ["out"]


def test_a_model_is_never_overwritten_by_its_own_conversion(tmp_path: Path, host: PluginHost) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "m.toy").write_bytes(b"toy")
    with pytest.raises(InputError, match=r"holds m\.toy, which is to be converted"):
        convert(folder / "m.toy", folder, overwrite=True, plugins=host)
    assert (folder / "m.toy").read_bytes() == b"toy"


def test_what_cannot_be_converted_is_refused(tmp_path: Path, source: Path, host: PluginHost) -> None:
    foreign = tmp_path / "x.bin"
    foreign.write_bytes(b"foreign")
    out = tmp_path / "out"
    for files, message in (
        ([], "no file to convert was named"),
        (tmp_path / "gone", "gone: does not exist"),
        (tmp_path, "is a folder; name the model's files in it"),
        (foreign, "no installed importer recognises this; installed:\n    toy: models of the toy framework"),
    ):
        with pytest.raises(InputError, match=message):
            convert(files, out, plugins=host)
    with pytest.raises(InputError, match="no importer is named 'caffee'; installed: toy"):
        convert(source, out, importer="caffee", plugins=host)
    with pytest.raises(InputError, match="exists and is not a folder"):
        convert(source, foreign, plugins=host)
    with pytest.raises(CnnrtError, match="cannot be written"):
        convert(source, foreign / "below-a-file", plugins=host)
    assert left_over(tmp_path) == ["x.bin"]


def test_of_two_importers_that_recognise_a_model_one_must_be_named(tmp_path: Path, source: Path) -> None:
    host = host_with(ToyImporter(), ToyImporter(name="other"))
    with pytest.raises(InputError, match=r"several importers recognise this \(toy, other\): name one with --importer"):
        convert(source, tmp_path / "out", plugins=host)
    assert convert(source, tmp_path / "out", importer="other", plugins=host).importer == "other"


def options_written(tmp_path: Path, source: Path, host: PluginHost, **options: Any) -> tuple[NetFile, Path]:
    done = convert(source, tmp_path / "out", options=PreprocessingOptions(**options), overwrite=True, plugins=host)
    return read_netfile(done.netfile), done.netfile.parent


def test_preprocessing_that_the_user_states_goes_into_the_netfile(
    tmp_path: Path, source: Path, host: PluginHost
) -> None:
    netfile, _ = options_written(tmp_path, source, host, mean=[1, 2, 3], scale=0.5, channel_order="bgr", size=(16, 20))
    (block,) = netfile.inputs
    assert (block.mean, block.scale, block.channel_order, block.size) == ((1, 2, 3), 0.5, "bgr", (16, 20))
    assert (block.name, block.shape) == ("data", (3, 8, 8))


def test_it_wins_over_what_the_model_states_and_leaves_the_rest(tmp_path: Path, source: Path) -> None:
    stated = InputBlock("image", (3, 8, 8), channel_order="rgb", mean=(9, 9, 9), scale=2)
    host = host_with(ToyImporter(NetFile(CHAIN, [stated], netfile_version=1)))
    netfile, _ = options_written(tmp_path, source, host, scale=3)
    (block,) = netfile.inputs
    assert (block.name, block.channel_order, block.mean, block.scale) == ("image", "rgb", (9, 9, 9), 3)


def test_without_a_stated_input_one_is_added(tmp_path: Path, source: Path) -> None:
    host = host_with(ToyImporter(NetFile(CHAIN, netfile_version=1)))
    netfile, _ = options_written(tmp_path, source, host, scale=0.25)
    assert [(b.name, b.shape, b.scale) for b in netfile.inputs] == [("data", None, 0.25)]


def test_a_mean_image_is_cut_to_the_inputs_size_and_goes_along(tmp_path: Path, source: Path, host: PluginHost) -> None:
    from cnnrt.preprocessing import preprocessing

    image = np.arange(3 * 10 * 12, dtype=np.float64).reshape(3, 10, 12)
    np.save(tmp_path / "mean.npy", image)
    netfile, folder = options_written(tmp_path, source, host, mean=tmp_path / "mean.npy", channel_order="rgb")
    (tmp_path / "mean.npy").unlink()
    found = preprocessing(netfile.inputs[0], folder).mean
    assert found is not None
    np.testing.assert_array_equal(found, image[:, 1:9, 2:10])


def test_a_mean_file_of_an_importer_is_read_by_it(tmp_path: Path, source: Path, host: PluginHost) -> None:
    from cnnrt.preprocessing import preprocessing

    (tmp_path / "m.toymean").write_bytes(b"")
    netfile, folder = options_written(tmp_path, source, host, mean=tmp_path / "m.toymean", channel_order="rgb")
    found = preprocessing(netfile.inputs[0], folder).mean
    assert found is not None
    np.testing.assert_array_equal(found, np.full((3, 8, 8), 7))


@pytest.mark.parametrize("shape", [(3,), (3, 1, 1), (1, 3, 1, 1)])
def test_a_mean_of_one_number_a_channel_is_written_as_numbers(
    tmp_path: Path, source: Path, host: PluginHost, shape: tuple[int, ...]
) -> None:
    np.save(tmp_path / "mean.npy", np.array([104, 117, 123], np.float32).reshape(shape))
    netfile, folder = options_written(tmp_path, source, host, mean=str(tmp_path / "mean.npy"))
    assert (netfile.inputs[0].mean, netfile.inputs[0].mean_file) == ((104, 117, 123), None)
    assert "mean.msg" not in left_over(folder)


BAD_MEANS: dict[str, tuple[Any, str]] = {
    "two channels": (np.zeros((2, 8, 8)), "has 2 channels, the network's input 3"),
    "too small": (np.zeros((3, 7, 8)), "the mean image is 7×8, smaller than the input"),
    "not finite": (np.full((3, 8, 8), np.nan), "expected a finite mean"),
    "objects": (np.array([{}], object), "cannot be read as .npy"),
    "text": (np.array(["a"]), "expected an array of numbers"),
}


@pytest.mark.parametrize(("mean", "message"), BAD_MEANS.values(), ids=BAD_MEANS)
def test_a_mean_that_does_not_fit_is_refused(
    tmp_path: Path, source: Path, host: PluginHost, mean: Any, message: str
) -> None:
    np.save(tmp_path / "mean.npy", mean, allow_pickle=True)
    with pytest.raises(InputError, match=message):
        options_written(tmp_path, source, host, mean=tmp_path / "mean.npy")
    assert not (tmp_path / "out").exists()


def test_a_mean_file_that_nobody_knows_or_that_is_not_there_is_named(
    tmp_path: Path, source: Path, host: PluginHost
) -> None:
    with pytest.raises(InputError, match=r"gone\.npy: there is no such mean file"):
        options_written(tmp_path, source, host, mean=tmp_path / "gone.npy")
    with pytest.raises(InputError, match="no mean file that is known"):
        options_written(tmp_path, source, host, mean=source)


def test_an_npy_file_that_promises_more_than_it_holds_allocates_nothing(
    tmp_path: Path, source: Path, host: PluginHost
) -> None:
    np.save(tmp_path / "mean.npy", np.zeros((3, 8, 8), np.float32))
    data = (tmp_path / "mean.npy").read_bytes()
    # The header is padded with blanks, so a longer shape still fits.
    (tmp_path / "mean.npy").write_bytes(data.replace(b"(3, 8, 8), }        ", b"(3, 80000, 800000), }", 1)[: len(data)])
    with pytest.raises(InputError, match=r"cannot be read as \.npy"):
        options_written(tmp_path, source, host, mean=tmp_path / "mean.npy")


@pytest.mark.parametrize(("count", "in_file"), [(5, False), (20, False), (21, True)])
def test_labels_are_stated_or_go_along_as_a_file(
    tmp_path: Path, source: Path, host: PluginHost, count: int, in_file: bool
) -> None:
    from cnnrt.labels import read_labels

    names = [f"class {i}" for i in range(count)]
    (tmp_path / "names.txt").write_text("\r\n".join(names) + "\r\n\r\n", encoding="utf-8-sig")
    netfile, folder = options_written(tmp_path, source, host, labels=tmp_path / "names.txt")
    assert ((folder / "labels.txt").exists(), netfile.labels == "labels.txt") == (in_file, in_file)
    assert read_labels(netfile, folder) == tuple(names)


def test_an_empty_file_of_labels_is_refused(tmp_path: Path, source: Path, host: PluginHost) -> None:
    (tmp_path / "names.txt").write_text("\n")
    with pytest.raises(InputError, match="holds no labels"):
        options_written(tmp_path, source, host, labels=tmp_path / "names.txt")
    with pytest.raises(InputError, match="cannot be read as a file of labels"):
        options_written(tmp_path, source, host, labels=tmp_path / "gone.txt")


def test_several_inputs_want_their_preprocessing_in_the_netfile(tmp_path: Path, source: Path) -> None:
    blocks = [InputBlock("data", (3, 8, 8)), InputBlock("other", (3, 8, 8))]
    host = host_with(ToyImporter(NetFile(CHAIN, blocks, netfile_version=1)))
    with pytest.raises(InputError, match=r"several inputs \('data', 'other'\)"):
        options_written(tmp_path, source, host, scale=2)
