"""Lists of arrays as Theano's and Lasagne's users saved them, with a topology."""

from __future__ import annotations

import collections
import gzip
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnrt import Net, convert
from cnnrt.errors import ImportFailure
from cnnrt.layer import Array
from cnnrt.plugins import plugin_host
from cnnrt_import_theano.conformance import TOPOLOGY, TheanoSuite
from cnnrt_import_theano.importer import TheanoImporter
from theano_suite.pickled_classes import dumped, pretended


class TestConformance(TheanoSuite):
    """The suite that every importer has to pass."""


def weights(dtype: str = "float32") -> list[Array]:
    random = np.random.default_rng(1)
    return [random.standard_normal(shape).astype(dtype) for shape in ((3, 2, 3, 3), (3,), (48, 5), (5,))]


def expected(*, flipped: bool = True) -> Array:
    """Compute the network by hand: a valid convolution, ReLU, dense, softmax."""
    kernels, bias, matrix, offset = (w.astype(np.float64) for w in weights())
    kernels = kernels[:, :, ::-1, ::-1] if flipped else kernels
    image = images()[0].astype(np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(image, (3, 3), axis=(1, 2))
    hidden = np.maximum(np.einsum("chwij,ocij->ohw", windows, kernels) + bias[:, None, None], 0)
    scores = hidden.reshape(-1) @ matrix + offset
    exponentials = np.exp(scores - scores.max())
    return np.asarray(exponentials / exponentials.sum())


def images() -> Array:
    return np.linspace(-1, 1, 72, dtype=np.float32).reshape(1, 2, 6, 6)


def computed(file: Path, *, topology: str = TOPOLOGY, flip: bool | None = None) -> Array:
    layers = file.parent / "layers.netfile"
    layers.write_text(topology)
    converted = convert(file, file.parent / "net", topology=layers, flip_kernels=flip, overwrite=True)
    assert converted.importer == "theano"
    with Net(converted.netfile) as net:
        result = net.compute(images())
    assert isinstance(result, np.ndarray)
    return result[0]


def shared(value: Any, module: str = "theano.tensor.sharedvar", name: str = "TensorSharedVariable") -> Any:
    container = pretended("theano.gof.link", "Container", storage=[value], readonly=False)
    return pretended(module, name, container=container, name="W")


def on_card(value: Array) -> Any:
    """An array of a graphics card, as Theano's old back end pickles it."""

    class CudaNdarray:
        def __reduce__(self) -> Any:
            unpickler = type("CudaNdarray_unpickler", (), {})
            unpickler.__module__ = "theano.sandbox.cuda.type"
            unpickler.__qualname__ = "CudaNdarray_unpickler"
            return unpickler, (value,)

    return CudaNdarray()


def objects(values: list[Any]) -> Array:
    made = np.empty(len(values), object)
    made[:] = values
    return made


def _npz(path: Path) -> None:
    np.savez(path, *weights())


def _npz_of_objects(path: Path) -> None:
    np.savez(path, params=objects(weights()))


def _npy(path: Path) -> None:
    np.save(path, objects(weights()), allow_pickle=True)


def _written(make: Callable[[], bytes]) -> Callable[[Path], None]:
    return lambda path: (path.write_bytes(make()), None)[1]


FORMS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "npz": ("w.npz", _npz),
    "npz of objects": ("w.npz", _npz_of_objects),
    "npy of objects": ("w.npy", _npy),
    **{
        f"pickle, protocol {p}": ("w.pkl", _written(lambda p=p: pickle.dumps(weights(), p)))  # type: ignore[misc]
        for p in range(6)
    },
    "float64": ("w.pkl", _written(lambda: pickle.dumps(weights("float64"), 2))),
    "compressed": ("w.pkl.gz", _written(lambda: gzip.compress(pickle.dumps(weights(), 2)))),
    "shared variables": ("w.save", _written(lambda: dumped([shared(w) for w in weights()]))),
    "shared variables, protocol 0": ("w.pkl", _written(lambda: dumped([shared(w) for w in weights()], 0))),
    "arrays of a card": ("w.pkl", _written(lambda: dumped([on_card(w) for w in weights()]))),
    "shared variables on a card": (
        "w.pkl",
        _written(
            lambda: dumped(
                [shared(on_card(w), "theano.sandbox.cuda.var", "CudaNdarraySharedVariable") for w in weights()]
            )
        ),
    ),
    "lists in a dictionary": ("w.pkl", _written(lambda: pickle.dumps({"params": weights(), "epoch": 3}, 2))),
    "names of layers": (
        "w.pkl",
        _written(
            lambda: pickle.dumps(
                collections.OrderedDict(zip(("fc.b", "fc.W", "conv.b", "conv.W"), reversed(weights()), strict=True)), 2
            )
        ),
    ),
    "pairs": (
        "w.p",
        _written(lambda: pickle.dumps([tuple(weights()[:2]), tuple(weights()[2:])], 2)),
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_weights_are_read_in_every_form_that_they_were_saved_in(tmp_path: Path, form: str) -> None:
    name, write = FORMS[form]
    write(tmp_path / name)
    assert (tmp_path / name).exists()
    np.testing.assert_allclose(computed(tmp_path / name), expected(), atol=1e-6)


def test_kernels_are_mirrored_unless_told_otherwise(tmp_path: Path) -> None:
    _npz(tmp_path / "w.npz")
    np.testing.assert_allclose(computed(tmp_path / "w.npz", flip=False), expected(flipped=False), atol=1e-6)
    assert np.abs(expected(flipped=False) - expected()).max() > 1e-3


def test_lasagnes_batch_normalisation_keeps_an_inverse_deviation(tmp_path: Path) -> None:
    beta, gamma, mean, inverse = (np.linspace(a, a + 1, 2, dtype=np.float32) for a in (0.1, 0.5, -1, 2))
    np.savez(tmp_path / "w.npz", beta, gamma, mean, inverse)
    topology = "netfile_version: 1\ninput { name: data shape: [2, 6, 6] }\nlayer { type: BatchNorm name: n }\n"
    by_channel = (2, 1, 1)
    wanted = (images()[0] - mean.reshape(by_channel)) * (gamma * inverse).reshape(by_channel) + beta.reshape(by_channel)
    np.testing.assert_allclose(computed(tmp_path / "w.npz", topology=topology), wanted, rtol=2e-5, atol=1e-5)


def test_what_is_no_array_is_left_out_with_a_note(tmp_path: Path) -> None:
    (tmp_path / "w.pkl").write_bytes(pickle.dumps({"params": weights(), "epoch": 3, "name": "net"}, 2))
    assert TheanoImporter().read_weights([tmp_path / "w.pkl"]).notes == ("left out, since it is no array: epoch, name",)


def test_without_a_topology_the_error_says_what_to_do(tmp_path: Path) -> None:
    _npz(tmp_path / "w.npz")
    with pytest.raises(ImportFailure, match=r"holds weights without topology\n.*--topology layers\.netfile"):
        convert(tmp_path / "w.npz", tmp_path / "net")


REFUSED: dict[str, tuple[bytes, str]] = {
    "no array": (pickle.dumps([1, "numpy"], 2), "holds no array of numbers"),
    "text": (pickle.dumps([np.array(["a"])], 2), "holds no array of numbers"),
    "a list in itself": (b"cnumpy\nndarray\n0(lp0\ng0\na.", "more than 32 deep"),
    "lists that hold the last one twice": (
        b"cnumpy\nndarray\n0]q\x00" + b"(h\x00h\x00lq\x00" * 30 + b".",
        "holds more than 200,000 values",
    ),
    "a class of others": (pickle.dumps([np.ones(1), Path("x")], 2), "pathlib"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_list_of_weights_is_refused(tmp_path: Path, case: str) -> None:
    data, message = REFUSED[case]
    (tmp_path / "w.pkl").write_bytes(data)
    with pytest.raises(ImportFailure, match=message):
        TheanoImporter().read_weights([tmp_path / "w.pkl"])


@pytest.mark.parametrize(
    ("name", "content", "answer"),
    [
        ("w.npz", b"PK\x03\x04", False),
        ("w.npy", b"\x93NUMPY", True),
        ("w.pkl", pickle.dumps(np.ones(1), 2), True),
        ("w.pkl", pickle.dumps([1, 2], 2), False),
        ("w.pkl", pickle.dumps({"model_state": np.ones(1)}, 2), False),
        ("w.bin", pickle.dumps(np.ones(1), 2), False),
    ],
)
def test_files_are_recognised_by_name_and_content(tmp_path: Path, name: str, content: bytes, answer: bool) -> None:
    (tmp_path / name).write_bytes(content)
    assert TheanoImporter().recognises([tmp_path / name]) is answer
    assert not TheanoImporter().recognises([tmp_path / name] * 2)


def test_it_comes_in_by_the_plugin_door() -> None:
    assert isinstance(plugin_host().importers()["theano"], TheanoImporter)


BAT_DETECTOR = """
netfile_version: 1
input { name: data shape: [1, 130, 18] }
layer { type: Convolution name: conv1 }
layer { type: ReLU name: relu1 }
layer { type: Pooling name: pool1 pool: max kernel_size: 2 stride: 2 ceil_mode: false }
layer { type: Convolution name: conv2 }
layer { type: ReLU name: relu2 }
layer { type: Pooling name: pool2 pool: max kernel_size: 2 stride: 2 ceil_mode: false }
layer { type: FullyConnected name: fc1 }
layer { type: ReLU name: fc1_relu }
layer { type: FullyConnected name: fc2 }
layer { type: Softmax name: prob }
"""


def test_a_published_detector_agrees_with_its_reference(tmp_path: Path, shared_folder: Path) -> None:
    """Saved by Python 2 as an array of objects; its layers were Lasagne's dnn ones, whose kernels are not mirrored."""
    folder = shared_folder / "models" / "theano-batdetect"
    reference = np.load(folder / "reference.npz")
    (tmp_path / "layers.netfile").write_text(BAT_DETECTOR)

    def outputs(flip: bool | None) -> dict[str, Array]:
        net = tmp_path / f"net-{flip}"
        done = convert(folder / "detector.npy", net, topology=tmp_path / "layers.netfile", flip_kernels=flip)
        with Net(done.netfile) as opened:
            return opened.compute(reference["input"], outputs=["pool1", "pool2", "fc1_relu", "prob"])

    found = outputs(False)
    for name, wanted in (("pool1", "pool1"), ("pool2", "pool2"), ("fc1_relu", "fc1"), ("prob", "prob")):
        assert np.abs(found[name] - reference[wanted]).max() <= 1e-5 * np.abs(reference[wanted]).max(), name
    assert ((found["prob"][:, 1] > 0.5) == (reference["prob"][:, 1] > 0.5)).all()
    assert np.abs(outputs(None)["prob"] - reference["prob"]).max() > 0.01
