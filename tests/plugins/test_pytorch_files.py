"""State dicts in every form of torch.save: which are PyTorch's, what is read of them, and what is refused."""

import io
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cnnrt import Net, convert
from cnnrt.errors import ImportFailure
from cnnrt.layer import Array
from cnnrt_import_pytorch.conformance import TOPOLOGY, pickled, state_dict, write_legacy, write_zip
from cnnrt_import_pytorch.importer import PyTorchImporter
from pytorch_suite.topologies import written

IMPORTER = PyTorchImporter()
Write = Callable[[Path, dict[str, Array]], None]


def write_tar(path: Path, tensors: dict[str, Array]) -> None:
    """Write the form before 0.1.11; tensor and storage of number n have the keys 100 + n and n."""

    def pickles(*values: object) -> bytes:
        return b"".join(pickle.dumps(value, protocol=2) for value in values)

    def described(key: int, other: bytes, name: str) -> bytes:
        return b"\x80\x02(" + b"J" + struct.pack("<i", key) + other + f"ctorch\n{name}\nt.".encode()

    place = b"X\x03\0\0\0cpu"
    storages, views = pickles(len(tensors)), pickles(len(tensors))
    saved = bytearray(b"\x80\x02}(")
    for number, (name, values) in enumerate(tensors.items()):
        kind = "Long" if values.dtype == np.int64 else "Float"
        storages += described(number, place, f"{kind}Storage") + struct.pack("<q", values.size) + values.tobytes()
        views += described(100 + number, b"J" + struct.pack("<i", number), f"{kind}Storage")
        strides = [stride // values.itemsize for stride in values.strides]
        views += struct.pack(f"<ii{2 * values.ndim + 1}q", values.ndim, 0, *values.shape, *strides, 0)
        saved += b"X" + struct.pack("<I", len(name)) + name.encode() + f"U\x03{100 + number}Q".encode()
    files = {
        "sys_info": pickles({}),
        "storages": storages + pickles([]),
        "tensors": views,
        "pickle": bytes(saved + b"u."),
    }
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for member, content in files.items():
            info = tarfile.TarInfo(member)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def test_tar_archives_of_others_are_left_alone(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "net.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("contents.json"), io.BytesIO())
    assert not IMPORTER.recognises([tmp_path / "net.tar"])


def failure(path: Path) -> ImportFailure:
    with pytest.raises(ImportFailure) as caught:
        IMPORTER.read_weights([path])
    return caught.value


@pytest.mark.parametrize("write", [write_zip, write_legacy, write_tar])
def test_all_forms_hold_the_same_tensors_in_the_same_order(tmp_path: Path, write: Write) -> None:
    write(tmp_path / "net.pth", state_dict())
    assert IMPORTER.recognises([tmp_path / "net.pth"])
    tensors = IMPORTER.read_weights([tmp_path / "net.pth"]).tensors
    assert [tensor.name for tensor in tensors] == list(state_dict())
    for tensor in tensors:
        assert tensor.shape == state_dict()[tensor.name].shape
        values = tensor.read()
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, state_dict()[tensor.name])


@pytest.mark.parametrize("prefix", ["", "module.", "model.module."])
def test_with_a_topology_it_is_a_network(tmp_path: Path, prefix: str) -> None:
    write_zip(tmp_path / "net.pth", {prefix + name: values for name, values in state_dict().items()})
    converted = convert(tmp_path / "net.pth", tmp_path / "net", topology=written(tmp_path, TOPOLOGY))
    assert converted.notes == ()
    image = np.random.default_rng(1).random((1, 3, 8, 8), np.float32)
    with Net(converted.netfile) as net:
        got = net.compute(image)
    w = {name: values.astype(np.float64) for name, values in state_dict().items()}
    windows = np.lib.stride_tricks.sliding_window_view(image[0], (3, 3), axis=(1, 2))
    conv = np.einsum("chwrs,ocrs->ohw", windows, w["conv.weight"]) + w["conv.bias"][:, None, None]
    factor = w["norm.weight"] / np.sqrt(w["norm.running_var"] + 1e-5)
    norm = (conv - w["norm.running_mean"][:, None, None]) * factor[:, None, None] + w["norm.bias"][:, None, None]
    wanted = w["fc.weight"] @ np.maximum(norm, 0).ravel() + w["fc.bias"]
    np.testing.assert_allclose(got, wanted[None], rtol=1e-5)


def test_without_a_topology_the_error_says_what_is_missing(tmp_path: Path) -> None:
    write_zip(tmp_path / "net.pth", state_dict())
    with pytest.raises(ImportFailure, match=r"weights without topology\n.*--topology.*cnnrt\.from_torch"):
        IMPORTER.read([tmp_path / "net.pth"])


def test_a_tensor_may_be_a_transposed_part_of_its_storage(tmp_path: Path) -> None:
    stored = np.arange(12, dtype=np.float32)
    data = pickled({"a.weight": stored.reshape(4, 3)})
    size, strides = b"(J\4\0\0\0J\3\0\0\0t", b"(J\3\0\0\0J\1\0\0\0t"
    assert size + strides in data
    changed = data.replace(size + strides, b"(J\3\0\0\0J\2\0\0\0t(J\1\0\0\0J\3\0\0\0t").replace(
        b"QJ\0\0\0\0", b"QJ\4\0\0\0"
    )
    with zipfile.ZipFile(tmp_path / "net.pth", "w") as archive:
        archive.writestr("archive/data.pkl", changed)
        archive.writestr("archive/data/0", stored.tobytes())
    (tensor,) = IMPORTER.read_weights([tmp_path / "net.pth"]).tensors
    np.testing.assert_array_equal(tensor.read(), [[4, 7], [5, 8], [6, 9]])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"(J\4\0\0\0J\3\0\0\0t", b"(J\4\0\0\0J\4\0\0\0t"),  # one row too many
        (b"(J\4\0\0\0J\3\0\0\0t(J\3\0\0\0J\1\0\0\0t", b"(J\0\0\0\x7fJ\3\0\0\0t(J\0\0\0\0J\1\0\0\0t"),  # repeated
        (b"QJ\0\0\0\0", b"QJ\1\0\0\0"),  # an offset that shifts it over the end
        (b"QJ\0\0\0\0", b"QJ\xff\xff\xff\xff"),
    ],
)
def test_a_tensor_beyond_its_storage_is_refused(tmp_path: Path, old: bytes, new: bytes) -> None:
    data = pickled({"a.weight": np.zeros((4, 3), np.float32)})
    assert old in data
    with zipfile.ZipFile(tmp_path / "net.pth", "w") as archive:
        archive.writestr("archive/data.pkl", data.replace(old, new))
        archive.writestr("archive/data/0", bytes(48))
    assert "a tensor" in str(failure(tmp_path / "net.pth"))


def test_the_weights_of_a_checkpoint_of_training_are_found(tmp_path: Path) -> None:
    inner = pickled({"conv.weight": np.ones((2, 2), np.float32)})[2:-1]
    text = b"X\n\0\0\0state_dict"
    outer = b"\x80\x02}(X\5\0\0\0epochK\7" + text + inner + b"X\t\0\0\0optimizer}u."
    with zipfile.ZipFile(tmp_path / "net.ckpt", "w") as archive:
        archive.writestr("archive/data.pkl", outer)
        archive.writestr("archive/data/0", np.ones(4, np.float32).tobytes())
    weights = IMPORTER.read_weights([tmp_path / "net.ckpt"])
    assert [tensor.name for tensor in weights.tensors] == ["conv.weight"]
    assert weights.notes == ('the weights are those under "state_dict" of the checkpoint',)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('code of a model ran')",)


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_code_in_a_pickle_is_named_and_never_run(tmp_path: Path, form: str) -> None:
    path = tmp_path / "net.pt"
    payload = pickle.dumps({"a": Evil()}, protocol=2)
    if form == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", payload)
    else:
        write_legacy(path, {})
        path.write_bytes(path.read_bytes().replace(pickled({}), payload))
    said = str(failure(path))
    assert "__builtin__.exec" in said
    assert "torch.save(model.state_dict(), 'weights.pth'): code of a file is never run" in said


@pytest.mark.parametrize(
    ("members", "said"),
    [
        (["net/data.pkl", "net/code/__torch__.py"], "is a TorchScript program"),
        (["net/models/model.json", "net/data/weights/weight_0"], "is a program of torch.export"),
        (["version", "serialized_exported_program.json"], "convert it with --trust"),
        (["word/document.xml"], "is an archive, but not one of torch.save"),
    ],
)
def test_other_archives_are_told_apart(tmp_path: Path, members: list[str], said: str) -> None:
    with zipfile.ZipFile(tmp_path / "net.pt2", "w") as archive:
        for member in members:
            archive.writestr(member, b"{}")
    assert said in str(failure(tmp_path / "net.pt2"))


def test_trust_makes_no_program_of_what_is_none(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "net.pt2", "w") as archive:
        archive.writestr("net/code/__torch__.py", b"{}")
    with pytest.raises(ImportFailure, match="is a TorchScript program"):
        convert(tmp_path / "net.pt2", tmp_path / "net", trust=True)


def test_storages_that_are_missing_or_cut_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "net.pth", "w") as archive:
        archive.writestr("archive/data.pkl", pickled({"a.b": np.zeros(4, np.float32)}))
    assert 'lacks "archive/data/0"' in str(failure(tmp_path / "net.pth"))
    write_legacy(tmp_path / "old.pt", {"a.b": np.zeros(4, np.float32)})
    (tmp_path / "old.pt").write_bytes((tmp_path / "old.pt").read_bytes()[:-1])
    assert "ends within its storages" in str(failure(tmp_path / "old.pt"))


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64"])
def test_what_torch_itself_saves(tmp_path: Path, new: bool, dtype: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: it is too large for the test extra")
    whole = torch.arange(24).reshape(2, 3, 4).to(getattr(torch, dtype)) / 8
    saved = {"a.weight": whole, "b.weight": whole.permute(2, 0, 1)[1:], "c.bias": torch.nn.Parameter(whole[0, 0])}
    torch.save({"state_dict": saved, "epoch": 3}, tmp_path / "net.pth", _use_new_zipfile_serialization=new)
    tensors = IMPORTER.read_weights([tmp_path / "net.pth"]).tensors
    assert [tensor.name for tensor in tensors] == list(saved)
    for tensor in tensors:
        np.testing.assert_array_equal(tensor.read(), saved[tensor.name].detach().float().numpy())


def test_torch_itself_reads_what_these_tests_write(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: it is too large for the test extra")
    for number, write in enumerate((write_zip, write_legacy, write_tar)):
        write(tmp_path / f"{number}.pth", state_dict())
        read = torch.load(tmp_path / f"{number}.pth", weights_only=number < 2)
        assert list(read) == list(state_dict())
        for name, values in state_dict().items():
            np.testing.assert_array_equal(read[name].numpy(), values)
