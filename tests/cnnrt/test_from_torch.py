"""`cnnrt.from_torch`: modules and programs of PyTorch, where it is installed, and what is said where it is not."""

import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cnnrt
from cnnrt.errors import CnnrtError, ImportFailure, InputError
from pytorch_suite.modules import KINDS, make_module


def test_a_missing_package_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(CnnrtError, match=r'torch is not installed: pip install "cnnrt\[torch\]"'):
        cnnrt.from_torch(object(), None)


@pytest.fixture
def torch() -> Any:
    pytest.importorskip("onnx", reason="onnx is not installed: the way goes through it")
    return pytest.importorskip("torch", reason="PyTorch is not installed: it is too large for the test extra")


@pytest.fixture
def module(torch: Any) -> Any:
    torch.manual_seed(0)
    nn = torch.nn
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [
        nn.Conv2d(8, 8, 3, groups=8),
        nn.LeakyReLU(0.1),
        nn.Dropout(),
        nn.Flatten(),
        nn.Linear(32, 5),
        nn.Softmax(1),
    ]
    return nn.Sequential(*layers)


def outputs(torch: Any, module: Any, images: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return np.asarray(module.eval()(torch.from_numpy(images)))


IMAGES = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32)


def test_a_module_in_training_becomes_a_net_and_stays_in_training(torch: Any, module: Any) -> None:
    with cnnrt.from_torch(module.train(), IMAGES[:1]) as net:
        assert module.training
        np.testing.assert_allclose(net.compute(IMAGES), outputs(torch, module, IMAGES), rtol=1e-4, atol=1e-6)


def test_a_program_of_torch_export_brings_its_example(torch: Any, module: Any) -> None:
    program = torch.export.export(module.eval(), (torch.from_numpy(IMAGES),))
    with cnnrt.from_torch(program) as net:
        np.testing.assert_allclose(net.compute(IMAGES), outputs(torch, module, IMAGES), rtol=1e-4, atol=1e-6)


def test_a_file_of_a_program_is_converted_where_it_is_trusted(torch: Any, module: Any, tmp_path: Path) -> None:
    program = torch.export.export(module.eval(), (torch.from_numpy(IMAGES),))
    path = tmp_path / "net.pt2"
    torch.export.save(program, path)
    with pytest.raises(ImportFailure, match="--trust"):
        cnnrt.convert(path, tmp_path / "net")
    with cnnrt.Net(cnnrt.convert(path, tmp_path / "net", trust=True).netfile) as net:
        np.testing.assert_allclose(net.compute(IMAGES), outputs(torch, module, IMAGES), rtol=1e-4, atol=1e-6)


def test_a_program_that_pytorch_cannot_load_is_an_import_failure(torch: Any, tmp_path: Path) -> None:
    path = tmp_path / "net.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/models/model.json", b"{}")
    with pytest.raises(ImportFailure, match="PyTorch could not load the program") as caught:
        cnnrt.convert(path, tmp_path / "net", trust=True)
    assert str(path) in str(caught.value)
    assert not (tmp_path / "net").exists()


def test_a_program_without_torch_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with zipfile.ZipFile(tmp_path / "net.pt2", "w") as archive:
        archive.writestr("net/models/model.json", b"{}")
    with pytest.raises(CnnrtError, match=r'torch is not installed: pip install "cnnrt\[torch\]"'):
        cnnrt.convert(tmp_path / "net.pt2", tmp_path / "net", trust=True)


def test_a_folder_keeps_the_model(torch: Any, module: Any, tmp_path: Path) -> None:
    cnnrt.from_torch(module, IMAGES, tmp_path / "net").close()
    with cnnrt.Net(tmp_path / "net" / "net.netfile") as net:
        np.testing.assert_allclose(net.compute(IMAGES), outputs(torch, module, IMAGES), rtol=1e-4, atol=1e-6)


def test_what_is_no_module_is_refused(torch: Any, module: Any) -> None:
    with pytest.raises(InputError, match="a state dict has no layers"):
        cnnrt.from_torch(module.state_dict(), IMAGES)
    with pytest.raises(InputError, match="state example"):
        cnnrt.from_torch(module)


def test_what_pytorch_cannot_export_is_an_import_failure(torch: Any, module: Any) -> None:
    with pytest.raises(ImportFailure, match="PyTorch could not export the module"):
        cnnrt.from_torch(module, IMAGES[:, :1])


@pytest.mark.parametrize("way", ["module", "program"])
@pytest.mark.parametrize("kind", KINDS)
def test_modules_in_the_manner_of_well_known_networks(torch: Any, kind: str, way: str) -> None:
    made = make_module(torch, kind)
    images = np.random.default_rng(1).standard_normal((2, 3, 32, 32)).astype(np.float32)
    wanted = outputs(torch, made, images)
    if way == "program":
        net = cnnrt.from_torch(torch.export.export(made, (torch.from_numpy(images),)))
    else:
        net = cnnrt.from_torch(made, images[:1])
    with net:
        np.testing.assert_allclose(net.compute(images), wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max())
