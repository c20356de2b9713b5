"""Code images: linking, mapping and keeping machine code, and all that may be wrong with what was kept."""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

pytest.importorskip("llvmlite", reason="the threaded backend needs llvmlite")

from cnnrt_backend_threaded import code_cache, compiler, machine_code
from cnnrt_backend_threaded.code_cache import keep, map_cached, map_image
from cnnrt_backend_threaded.code_image import CodeImage, ImageFileError, from_file, to_file
from cnnrt_backend_threaded.code_key import canonical, code_key
from cnnrt_backend_threaded.compiler import compile_module
from cnnrt_backend_threaded.elf_object import ObjectFileError, read_object
from cnnrt_backend_threaded.emitter import Code
from cnnrt_backend_threaded.machine_code import CodeRequest, function_addresses
from cnnrt_backend_threaded.relocations import relocate
from cnnrt_backend_threaded.relu import Rectify
from cnnrt_backend_threaded.target import Target, forced_target, host_target, neon_target
from cnnrt_backend_threaded.target_memory import describe_processor, remember_target, remembered_target
from core_suite.small_networks import filters, write_network
from netfile_spec import layer

KEY = "0" * 64


def doubling(target: Target) -> str:
    """Return a kernel that doubles float32 values, and adds those of a table."""
    code = Code(target)
    table = code.table(np.arange(100, dtype=np.float32))
    with code.loop(code.first, code.last) as index:
        value = code.load_value(code.argument(0), index)
        sum_ = code.build.fadd(code.build.fadd(value, value), code.load_value(table, index))
        code.store_value(sum_, code.argument(1), index)
    code.finish()
    return code.text()


def run(address: int, *arrays: np.ndarray[Any, Any], first: int = 0, last: int = 1) -> None:
    places = np.array([a.ctypes.data for a in arrays], np.int64)
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_int64] * 3)(address)(places.ctypes.data, first, last, 0)


def assert_doubles(addresses: Any) -> None:
    x, y = np.arange(100, dtype=np.float32), np.zeros(100, np.float32)
    run(addresses["kernel"], x, y, last=100)
    assert np.array_equal(y, 3 * x)


@pytest.fixture(scope="module")
def image() -> CodeImage:
    return compile_module(doubling(host_target()), host_target(), ["kernel"])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CNNRT_CACHE", str(tmp_path))
    return tmp_path / "code"


# ---- linking


def test_an_image_runs_wherever_it_is_mapped(image: CodeImage) -> None:
    first, second = map_image(image), map_image(image)
    assert first["kernel"] != second["kernel"]
    assert_doubles(first)
    assert_doubles(second)


@pytest.mark.parametrize("target", [forced_target("avx2"), forced_target("sse"), neon_target()])
def test_code_for_other_processors_links(target: Target) -> None:
    image = compile_module(doubling(target), target, ["kernel"])
    assert np.arange(100, dtype="<f4").tobytes() in image.code


@pytest.mark.parametrize("triple", ["x86_64-pc-windows-msvc-elf", "arm64-apple-darwin-elf", "x86_64-apple-darwin-elf"])
def test_code_for_other_systems_is_linked_from_the_same_format(triple: str) -> None:
    like = neon_target() if triple.startswith("arm64") else forced_target("avx2")
    cpu = "apple-m1" if triple.startswith("arm64") else like.cpu
    target = attrs.evolve(like, triple=triple, cpu=cpu, features="")
    assert compile_module(doubling(target), target, ["kernel"]).code


def test_what_is_not_in_the_module_is_an_error_that_names_it() -> None:
    text = f'target triple = "{host_target().triple}"\ndeclare void @stranger()\n' + (
        "define void @kernel() { call void @stranger() \n ret void }"
    )
    with pytest.raises(ObjectFileError, match="'stranger' is not defined in the module"):
        compile_module(text, host_target(), ["kernel"])
    with pytest.raises(ObjectFileError, match="does not define other"):
        compile_module("define void @kernel() { ret void }", host_target(), ["other"])


def test_variables_have_no_place_in_an_image() -> None:
    text = "@count = internal global i64 1\ndefine i64 @kernel() { store volatile i64 2, ptr @count \n ret i64 0 }"
    with pytest.raises(ObjectFileError, match=r"section \.data.* can be written to"):
        compile_module(text, host_target(), ["kernel"])


@pytest.mark.parametrize("machine", ["x86-64", "AArch64"])
def test_a_relocation_that_is_not_known_is_an_error(machine: str) -> None:
    with pytest.raises(ObjectFileError, match=f"relocation 999 of {machine} is not known"):
        relocate(machine, 999, bytearray(8), 0, 0)


@pytest.mark.parametrize(
    ("kind", "before", "place", "target", "after"),
    [
        (283, 0x94000000, 8, 0, 0x97FFFFFE),  # bl -8
        (275, 0x90000000, 0x1000, 0x3008, 0xD0000000),  # adrp x0, two pages on
        (277, 0x91000000, 0, 0x3008, 0x91002000),  # add x0, x0, #8
        (299, 0x3DC00000, 0, 0x3020, 0x3DC00800),  # ldr q0, [x0, #32]
        (274, 0x10000000, 0, 0x7, 0x70000020),  # adr x0, 7 on
    ],
)
def test_arm_instructions_get_their_fields(kind: int, before: int, place: int, target: int, after: int) -> None:
    """Encodings by hand, from the Arm Architecture Reference Manual."""
    code = bytearray(place + 4)
    code[place:] = before.to_bytes(4, "little")
    relocate("AArch64", kind, code, place, target)
    assert int.from_bytes(code[place:], "little") == after


def test_a_distance_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(ObjectFileError, match="does not fit into 32 bits"):
        relocate("x86-64", 2, bytearray(8), 0, 1 << 31)
    with pytest.raises(ObjectFileError, match="does not fit into 26 bits"):
        relocate("AArch64", 283, bytearray(8), 0, 6)


@pytest.mark.parametrize("data", [b"", b"MZ" + bytes(100), b"\x7fELF\x01\x01\x01" + bytes(100)])
def test_another_kind_of_file_is_no_object_file(data: bytes) -> None:
    with pytest.raises(ObjectFileError, match="no 64-bit little-endian ELF"):
        read_object(data)


@pytest.mark.parametrize("target", [host_target(), forced_target("avx2"), forced_target("sse")])
@pytest.mark.parametrize("known", [True, False])
def test_copying_and_clearing_touch_what_they_should(target: Target, known: bool) -> None:
    """As far as the count goes, whether it is known or not, and without calling anything outside."""
    for count in (0, 1, 3, 4, 15, 16, 17, 63, 64, 65, 130, 257):
        code = Code(target)
        size = count if known else code.first
        code.copy(code.argument(1), code.argument(0), size)
        code.clear(code.argument(2), size)
        code.finish()
        address = map_image(compile_module(code.text(), target, ["kernel"]))["kernel"]
        source = np.arange(1, 301, dtype=np.float32)
        copied, cleared = np.full(300, -1, np.float32), np.full(300, -1, np.float32)
        run(address, source, copied, cleared, first=count)
        assert np.array_equal(copied, np.where(np.arange(300) < count, source, -1))
        assert np.array_equal(cleared, np.where(np.arange(300) < count, 0, -1))


# ---- mapping


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="this system does not list its mappings")
@pytest.mark.parametrize("kept", [True, False])
def test_code_can_never_be_written_to(folder: Path, image: CodeImage, kept: bool) -> None:
    keep(KEY, image)
    addresses = map_cached(KEY) if kept else map_image(image)
    assert addresses is not None
    lines = Path("/proc/self/maps").read_text().splitlines()
    found = [line for line in lines if _holds(line, addresses["kernel"])]
    assert [line.split()[1] for line in found] == ["r-xp"]


def _holds(line: str, address: int) -> bool:
    start, end = (int(n, 16) for n in line.split()[0].split("-"))
    return start <= address < end


def test_where_files_cannot_be_executed_the_code_is_copied(
    folder: Path, image: CodeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_cache, "map_file", lambda *a: None)
    keep(KEY, image)
    assert_doubles(map_cached(KEY))


# ---- keeping


def test_an_image_is_kept_and_found_again(folder: Path, image: CodeImage) -> None:
    assert map_cached(KEY) is None
    keep(KEY, image)
    assert_doubles(map_cached(KEY))
    assert [path.name for path in folder.iterdir()] == [f"{KEY}.image"]


def test_every_changed_byte_and_every_cut_is_noticed(image: CodeImage) -> None:
    data = to_file(image, KEY)
    assert from_file(data, KEY)[0] == image
    for place in [*range(0, 300, 7), len(data) // 2, len(data) - 1]:
        with pytest.raises(ImageFileError):
            from_file(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :], KEY)
        with pytest.raises(ImageFileError):
            from_file(data[:place], KEY)
    with pytest.raises(ImageFileError):
        from_file(data + b"\0", KEY)
    with pytest.raises(ImageFileError, match="another key"):
        from_file(data, "1" * 64)


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replace_by_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def replace_by_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes().replace(b"kernel", b"kernal")),
        lambda path: path.write_bytes(b"\xff" * 5000),
        lambda path: path.write_bytes(to_file(CodeImage(b"\xc3", {"kernel": 0}), "1" * 64)),
        pytest.param(replace_by_folder, id="a folder"),
        pytest.param(replace_by_link, id="a link"),
        pytest.param(replace_by_fifo, id="a fifo"),
    ],
)
def test_what_is_broken_is_compiled_anew(folder: Path, image: CodeImage, spoil: Any) -> None:
    keep(KEY, image)
    spoil(folder / f"{KEY}.image")
    assert map_cached(KEY) is None
    request = CodeRequest(host_target(), object(), KEY, ("kernel",), lambda: doubling(host_target()), "doubling")
    assert_doubles(function_addresses(request))
    if not (folder / f"{KEY}.image").is_dir():
        assert_doubles(map_cached(KEY))


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no owners of files on this system")
def test_an_entry_of_another_user_is_not_run(folder: Path, image: CodeImage, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(KEY, image)
    descriptor = os.open(folder / f"{KEY}.image", os.O_RDONLY)
    owner = os.fstat(descriptor).st_uid
    os.close(descriptor)
    monkeypatch.setattr(code_cache, "cache_folder", lambda name: folder)  # that the folder is ours is checked there
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    assert map_cached(KEY) is None


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_a_disk_that_takes_nothing_stops_nobody(
    folder: Path, image: CodeImage, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    keep(KEY, image)
    before = (folder / f"{KEY}.image").read_bytes()

    def refuse(*arguments: object, **named: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", refuse)
        keep(KEY, CodeImage(b"\xc3", {"kernel": 0}))
    assert [path.name for path in folder.iterdir()] == [f"{KEY}.image"]
    assert (folder / f"{KEY}.image").read_bytes() == before
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        keep("2" * 64, image)
    assert map_cached("2" * 64) is None


def test_without_a_folder_nothing_is_kept(monkeypatch: pytest.MonkeyPatch, image: CodeImage) -> None:
    monkeypatch.setenv("CNNRT_CACHE", "")
    keep(KEY, image)
    assert map_cached(KEY) is None


def test_what_was_not_used_for_longest_goes(folder: Path, image: CodeImage, monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(to_file(image, KEY))
    monkeypatch.setattr(code_cache, "BOUND", 4 * size)
    monkeypatch.setattr(code_cache, "LOOKING", 1)
    keys = [str(n) * 64 for n in range(5)]
    for age, key in enumerate(reversed(keys[:4])):
        keep(key, image)
        os.utime(folder / f"{key}.image", (0, 1_000_000 - 1000 * age))
    assert map_cached(keys[0]) is not None  # the oldest, but it was used just now
    abandoned = folder / ".gone.part"
    abandoned.write_bytes(b"")
    os.utime(abandoned, (0, 0))
    keep(keys[4], image)
    left = {key for key in keys if (folder / f"{key}.image").exists()}
    assert {keys[0], keys[4]} <= left
    assert len(left) == 3
    assert not abandoned.exists()


# ---- keys


@attrs.frozen
class Nameless:
    """A value whose text would hold an address."""

    value: object = attrs.field(factory=object)


def test_equal_values_have_one_text_and_others_another() -> None:
    values = [None, True, 1, 1.0, "1", b"1", Fraction(1, 3), (1,), (1, 1), {1: 2, 3: 4}, Rectify, neon_target()]
    texts = [canonical(value) for value in values]
    assert len(set(texts)) == len(values)
    assert canonical({3: 4, 1: 2}) == canonical({1: 2, 3: 4})
    assert not [text for text in texts if " at 0x" in text]


def test_what_varies_between_processes_is_in_no_key() -> None:
    with pytest.raises(TypeError, match="a object has no text"):
        canonical(Nameless())
    assert code_key(Nameless()) is None


def test_another_source_or_another_compiler_is_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    from cnnrt_backend_threaded import code_key as module

    before = code_key("it")
    with monkeypatch.context() as patch:
        patch.setattr(module, "compiler_version", lambda: "0.1")
        assert code_key("it") != before
        patch.setattr(module, "compiler_version", lambda: "")
        assert code_key("it") is None
    with monkeypatch.context() as patch:
        patch.setattr(module, "source_digest", lambda package: "changed")
        assert code_key("it") != before
    assert code_key("it") == before


class Stranger(Rectify):
    """A kernel whose sources are not this backend's."""

    name = "stranger"


def test_code_of_other_packages_is_known_by_its_text(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cnnrt.layer_call import LayerCall
    from cnnrt.tensor import TensorType
    from cnnrt_layers import ReLU

    call = LayerCall(ReLU(), (TensorType((77,)),), (TensorType((77,)),))
    assert Rectify().code(call, "it").disk_key is not None
    assert Stranger().code(call, "it").disk_key is None
    Stranger().address(call, "it")
    assert len(list(folder.glob("*.image"))) == 1
    monkeypatch.setattr(machine_code, "_functions", {})  # as if the process had just begun
    monkeypatch.setattr(compiler, "compile_module", None)
    assert Stranger().address(call, "it")


# ---- the processor


def test_what_llvm_said_of_the_processor_is_remembered(folder: Path) -> None:
    if not describe_processor():
        pytest.skip("this system does not describe its processor")
    assert remembered_target() is None
    remember_target(host_target())
    assert remembered_target() == host_target()
    (place,) = folder.glob("*.target")
    place.write_bytes(place.read_bytes().replace(b"512", b"128").replace(b"256", b"128")[:-1])
    assert remembered_target() is None


def test_a_processor_is_told_by_its_features_not_by_its_clock(tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    texts = []
    for number, clock, flags in ((0, 1000, "sse"), (1, 2000, "sse"), (0, 1000, "sse avx")):
        lines = [f"processor\t: {number}", "model name\t: It", f"cpu MHz\t\t: {clock}", f"flags\t\t: {flags}", ""]
        file.write_text("\n".join([*lines, "processor: 9"]))
        texts.append(describe_processor(file))
    assert texts[0] == texts[1] != texts[2]
    file.write_text("cpu\t: POWER9\n")
    assert describe_processor(file) == ""
    assert describe_processor(tmp_path / "missing") == ""


# ---- a second start

START = """
import sys
import numpy as np
from cnnrt import Net
net = Net(sys.argv[1], execution_mode="threaded", strict=True)
x = np.random.default_rng(0).standard_normal((2, 3, 12, 12)).astype(np.float32)
print(net.compute(x).tobytes().hex())
print(*sorted(m for m in sys.modules if m.partition(".")[0] == "llvmlite"))
"""


@pytest.fixture
def netfile(tmp_path: Path) -> Path:
    layers = [
        layer("Convolution", "conv", pad=1),
        layer("ReLU", "relu"),
        layer("Pooling", "pool", kernel_size=2, stride=2),
        layer("FullyConnected", "ip"),
        layer("Softmax", "prob"),
    ]
    (tmp_path / "net").mkdir()
    return write_network(tmp_path / "net", layers, {"conv": filters(0, 20, 3, 3, 3), "ip": filters(1, 10, 720)})


def start(netfile: Path, cache: Path, **environment: str) -> subprocess.Popen[str]:
    variables = {**os.environ, "CNNRT_CACHE": str(cache), "CNNRT_PLUGINS_BLOCK": "", **environment}
    command = [sys.executable, "-c", START, str(netfile)]
    return subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> list[str]:
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return output.split("\n")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere LLVM is asked what the processor is")
def test_a_second_start_imports_no_compiler_and_gives_the_same_bits(netfile: Path, tmp_path: Path) -> None:
    first = finish(start(netfile, tmp_path, PYTHONHASHSEED="1"))
    second = finish(start(netfile, tmp_path, PYTHONHASHSEED="2"))
    assert "llvmlite" in first[1]
    assert second == [first[0], "", ""]


def test_two_processes_that_start_at_once_do_not_disturb_one_another(netfile: Path, tmp_path: Path) -> None:
    both = [start(netfile, tmp_path) for _ in range(2)]
    results = [finish(process) for process in both]
    assert results[0][0] == results[1][0]
    assert not [path for path in (tmp_path / "code").iterdir() if path.name.startswith(".")]
