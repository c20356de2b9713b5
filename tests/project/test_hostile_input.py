"""Promises about files from strangers that no single reader keeps alone; docs/security.md lists all of them."""

from __future__ import annotations

import ast
import os
import re
from pathlib import Path

import numpy as np
import pytest

from cnnrt import Net
from cnnrt.cli.array_files import write_array
from cnnrt.errors import CnnrtError, NetFileError
from cnnrt.loading import load_netfile
from netfile_spec import NetFile, layer, write_model, write_parameters

READING = (
    "netfile_spec",
    "cnnrt",
    "layers/cnnrt_layers",
    "plugins/cnnrt_import_caffe",
    "plugins/cnnrt_import_cuda_convnet",
    "plugins/cnnrt_import_keras",
    "plugins/cnnrt_import_tensorflow",
    "plugins/cnnrt_import_tflite",
    "plugins/cnnrt_import_theano",
    "plugins/cnnrt_import_torch7",
    "plugins/cnnrt_import_veles",
)
"""What files of strangers pass through."""

RUNS_CODE = {"eval", "exec", "__import__", "compile"}
LOADS_CODE = {"pickle", "marshal", "shelve", "dill", "joblib", "yaml", "xml"}
ALLOWED_SETATTR = {"plugins/cnnrt_import_caffe/legacy.py"}  # its names are those of its own table


def parsed(repository: Path) -> dict[str, ast.Module]:
    files = [p for folder in READING for p in sorted((repository / folder).rglob("*.py"))]
    kept = [p for p in files if "testing" not in p.parts]  # the kit for authors of plugins reads no models
    return {p.relative_to(repository).as_posix(): ast.parse(p.read_text(encoding="utf-8")) for p in kept}


def test_no_reader_evaluates_or_unpickles_anything(repository: Path) -> None:
    trees = parsed(repository)
    assert len(trees) > 80
    for file, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in RUNS_CODE, f"{file}:{node.lineno}"
                assert node.func.id != "setattr" or file in ALLOWED_SETATTR, f"{file}:{node.lineno}"
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
                assert not LOADS_CODE.intersection(n.partition(".")[0] for n in names), f"{file}:{node.lineno}"


def test_numpy_is_never_allowed_to_unpickle(repository: Path) -> None:
    calls = 0
    for file, tree in parsed(repository).items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("np.load", "np.lib.format.read_array"):
                stated = {k.arg: ast.unparse(k.value) for k in node.keywords}
                assert stated.get("allow_pickle") == "False", f"{file}:{node.lineno}"
                calls += 1
    assert calls


@pytest.mark.parametrize("key", ["__class__", "__init__", "__dict__", "position", "key_positions", "keys", "self"])
@pytest.mark.parametrize(
    "block", ["{}: 1\nlayer {{ type: ReLU }}", "layer {{ type: ReLU {}: 1 }}", "input {{ {}: 1 }}"]
)
def test_a_key_is_one_of_the_vocabulary_and_never_an_attribute(tmp_path: Path, key: str, block: str) -> None:
    path = tmp_path / "net.netfile"
    path.write_text("netfile_version: 1\n" + block.format(key))
    with pytest.raises(NetFileError, match=f'has no key "{key}"'):
        load_netfile(path)


def weights() -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    return {"weight": np.ones((2, 3, 1, 1), np.float32)}


def test_writing_a_model_leaves_alone_what_links_lead_to(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    folder = tmp_path / "model"
    folder.mkdir()
    os.link(tmp_path / "precious", folder / "c.msg")
    (folder / "net.netfile").symlink_to(tmp_path / "precious")
    write_model(folder, NetFile([layer("Convolution", "c")], netfile_version=1), {"c": weights()})
    assert (tmp_path / "precious").read_text() == "precious"
    assert Net(folder / "net.netfile").compute(np.ones((3, 2, 2), np.float32)).shape == (2, 2, 2)


def test_writing_an_output_leaves_alone_what_links_lead_to(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "link.npy").symlink_to(tmp_path / "precious")
    os.link(tmp_path / "precious", tmp_path / "hard.npy")
    for name in ("link.npy", "hard.npy"):
        write_array(tmp_path / name, np.ones(3))
        np.testing.assert_array_equal(np.load(tmp_path / name), np.ones(3))
    assert (tmp_path / "precious").read_text() == "precious"


@pytest.mark.parametrize(
    "name", ["../../evil", "/etc/evil", "..", "a/b", "nul", "-rf", "C:\\evil", "x" * 500, "\x1b[31m"]
)
def test_the_name_of_a_layer_never_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "deep" / "model"
    write_model(folder, NetFile([layer("Convolution", name)], netfile_version=1), {name: weights()})
    assert sorted(p.name for p in (tmp_path / "deep").iterdir()) == ["model"]
    files = sorted(p.name for p in folder.iterdir())
    assert len(files) == 2
    assert all(re.fullmatch(r"[A-Za-z0-9_.][A-Za-z0-9_.-]*", file) for file in files)


def test_names_that_differ_by_case_alone_get_files_that_differ_by_more(tmp_path: Path) -> None:
    layers = [layer("Convolution", "c"), layer("Convolution", "C", bottom="data")]
    write_model(tmp_path, NetFile(layers, netfile_version=1), {"c": weights(), "C": weights()})
    files = [p.name.casefold() for p in tmp_path.iterdir()]
    assert len(set(files)) == len(files) == 3


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("file", ["weights.msg", "net.netfile"])
def test_a_pipe_in_a_models_folder_is_not_waited_for(tmp_path: Path, file: str) -> None:
    write_parameters(tmp_path / "weights.msg", weights())
    (tmp_path / "net.netfile").write_text('layer { type: Convolution name: c parameters_file: "weights.msg" }')
    (tmp_path / file).unlink()
    os.mkfifo(tmp_path / file)
    with pytest.raises(CnnrtError, match="regular file"):
        Net(tmp_path / "net.netfile")


def test_every_test_named_in_the_security_page_exists(repository: Path) -> None:
    named = set(re.findall(r"`(test_\w+)`", (repository / "docs" / "security.md").read_text(encoding="utf-8")))
    defined = set()
    for file in (repository / "tests").rglob("test_*.py"):
        defined.update(re.findall(r"^ *def (test_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE))
    assert len(named) > 40
    assert sorted(named - defined) == []
