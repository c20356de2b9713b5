"""Weights without topology: matched with the layers of a NetFile by name or in order, every misfit named at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import attrs
import numpy as np
import pytest

from cli_suite.command import answer
from cnnrt import Net, convert
from cnnrt.errors import CnnrtError, ImportFailure, InputError, NetFileError
from cnnrt.importer import ImportedModel, Importer
from cnnrt.layer import Array
from cnnrt.loose_weights import LooseTensor, LooseWeights, StoredWeight
from cnnrt.plugins import PluginHost
from core_suite.plugins_in_memory import built_in, entry_point, host_of, plugin
from netfile_spec import read_netfile

TOPOLOGY = """
netfile_version: 1
labels: ["cat", "dog"]
input { name: data shape: [2, 6, 6] scale: 0.5 }
layer { type: Convolution name: conv1 pad: 1 }
layer { type: ReLU name: relu1 }
layer { type: Convolution name: conv2 }
layer { type: FullyConnected name: fc }
"""


def weights(**changed: tuple[int, ...]) -> dict[str, Array]:
    shapes = {
        "conv1.weight": (4, 2, 3, 3),
        "conv1.bias": (4,),
        "conv2.weight": (3, 4, 3, 3),
        "fc.weight": (2, 48),
        "fc.bias": (2,),
    }
    random = np.random.default_rng(0)
    for name, shape in changed.items():
        shapes[name.replace("_", ".")] = shape
    return {name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


@attrs.define(eq=False)
class Loose(Importer):
    """Hands over what a test says."""

    name: ClassVar[str] = "loose"
    description: ClassVar[str] = "weights of the tests"
    tensors: Mapping[str, Array] = attrs.field(factory=dict)
    options: Mapping[str, Any] = attrs.field(factory=dict)

    def recognises(self, files: Sequence[Path]) -> bool:
        return True

    def read(self, files: Sequence[Path]) -> ImportedModel:
        raise AssertionError("not asked for a whole model")

    def read_weights(self, files: Sequence[Path]) -> LooseWeights:
        tensors = [LooseTensor(name, a.shape, lambda a=a: a) for name, a in self.tensors.items()]  # type: ignore[misc]
        return LooseWeights(tensors, **self.options)


def host(tensors: Mapping[str, Array], **options: Any) -> PluginHost:
    importer = Loose(tensors, options)
    module = plugin(cnnrt_importers=lambda: [importer])
    return host_of(*built_in("layer", "backend"), entry_point("importer.loose", module))


def put(
    folder: Path, tensors: Mapping[str, Array], text: str = TOPOLOGY, *, flip: bool | None = None, **options: Any
) -> Any:
    folder.mkdir(exist_ok=True)
    (folder / "layers.netfile").write_text(text)
    (folder / "weights.bin").write_bytes(b"x")
    return convert(
        folder / "weights.bin",
        folder / "out",
        topology=folder / "layers.netfile",
        flip_kernels=flip,
        overwrite=True,
        plugins=host(tensors, **options),
    )


def computed(netfile: Path) -> Array:
    with Net(netfile) as net:
        result = net.compute(np.linspace(-1, 1, 72, dtype=np.float32).reshape(1, 2, 6, 6))
    assert isinstance(result, np.ndarray)
    return result


def numbered(tensors: Mapping[str, Array]) -> dict[str, Array]:
    return {f"[{i}]": tensor for i, tensor in enumerate(tensors.values())}


def prefixed(prefix: str) -> dict[str, Array]:
    return {prefix + name: tensor for name, tensor in weights().items()}


def problems(folder: Path, tensors: Mapping[str, Array], text: str = TOPOLOGY, **options: Any) -> list[str]:
    with pytest.raises(ImportFailure) as caught:
        put(folder, tensors, text, **options)
    assert not (folder / "out").exists()
    return [f"{p.message} {p.hint}" for p in caught.value.problems]


@pytest.mark.parametrize(
    "tensors",
    [numbered(weights()), prefixed("module."), prefixed("net.module."), dict(reversed(weights().items()))],
    ids=["in order", "behind a prefix", "behind two", "by name in any order"],
)
def test_tensors_find_their_layers(tmp_path: Path, tensors: dict[str, Array]) -> None:
    wanted = computed(put(tmp_path / "a", weights()).netfile)
    np.testing.assert_array_equal(computed(put(tmp_path / "b", tensors).netfile), wanted)


def test_names_of_other_layers_are_matched_in_order_and_a_note_says_so(tmp_path: Path) -> None:
    names = {"conv1": "features.0", "conv2": "features.3", "fc": "classifier"}
    tensors = {name.replace(stem := name.partition(".")[0], names[stem]): t for name, t in weights().items()}
    done = put(tmp_path / "b", tensors)
    np.testing.assert_array_equal(computed(done.netfile), computed(put(tmp_path / "a", weights()).netfile))
    assert "names of tensors and layers differ: they are matched in order" in done.notes


def test_what_the_topology_states_goes_along(tmp_path: Path) -> None:
    netfile = read_netfile(put(tmp_path, weights()).netfile)
    assert netfile.labels == ("cat", "dog")
    assert netfile.inputs[0].scale == 0.5
    assert [layer.parameters_file for layer in netfile.layers] == ["conv1.msg", None, "conv2.msg", "fc.msg"]


def test_files_that_the_topology_names_are_copied(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("cat\ndog\n")
    done = put(tmp_path, weights(), TOPOLOGY.replace('["cat", "dog"]', '"words.txt"'))
    assert (done.netfile.parent / "words.txt").read_text() == "cat\ndog\n"
    with pytest.raises(CnnrtError, match="leads upwards"):
        put(tmp_path, weights(), TOPOLOGY.replace('["cat", "dog"]', '"../words.txt"'))


def test_a_layer_that_states_a_parameters_file_keeps_it(tmp_path: Path) -> None:
    done = put(tmp_path, weights())
    for file in ("conv1.msg",):
        (tmp_path / file).write_bytes((done.netfile.parent / file).read_bytes())
    rest = {name: t for name, t in weights().items() if not name.startswith("conv1")}
    stated = TOPOLOGY.replace("conv1 pad", 'conv1 parameters_file: "conv1.msg" pad')
    np.testing.assert_array_equal(computed(put(tmp_path, rest, stated).netfile), computed(done.netfile))


@pytest.mark.parametrize(
    ("default", "asked", "flipped"),
    [(True, None, True), (True, False, False), (False, None, False), (False, True, True)],
)
def test_kernels_are_mirrored_by_default_or_as_asked_and_a_note_says_which(
    tmp_path: Path, default: bool, asked: bool | None, flipped: bool
) -> None:
    done = put(tmp_path / "a", weights(), flip=asked, flip_kernels=default, flip_reason="as the makers had it")
    mirrored = {n: w[:, :, ::-1, ::-1] if w.ndim == 4 and flipped else w for n, w in weights().items()}
    np.testing.assert_array_equal(computed(done.netfile), computed(put(tmp_path / "b", mirrored).netfile))
    (note,) = done.notes
    assert note.startswith("kernels are flipped" if flipped else "kernels are not flipped")
    assert ("the default here (as the makers had it); --" in note) == (asked is None)


def test_kernels_that_never_are_mirrored_are_not_asked_about(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="never mirrored"):
        put(tmp_path, weights(), flip=True)
    with pytest.raises(InputError, match="only for weights without topology"):
        convert(tmp_path / "weights.bin", tmp_path / "out", flip_kernels=True, plugins=host({}))


def test_an_importer_says_how_its_framework_stores_weights(tmp_path: Path) -> None:
    conventions = {
        "FullyConnected": (StoredWeight("weight", ("w",), (1, 0)), StoredWeight("bias", ("b",))),
        "Convolution": (
            StoredWeight("weight", ("w",), (3, 2, 0, 1), values=lambda w, layer: 2 * w),
            StoredWeight("bias", ("b",)),
        ),
    }
    tensors = {
        name.replace("weight", "W").replace("bias", "b"): (
            w.T if w.ndim == 2 else w.transpose(2, 3, 1, 0) / 2 if w.ndim == 4 else w
        )
        for name, w in weights().items()
    }
    done = put(tmp_path / "a", tensors, conventions=conventions)
    np.testing.assert_array_equal(computed(done.netfile), computed(put(tmp_path / "b", weights()).netfile))


def test_tensors_that_no_layer_needs_are_left_out_where_the_importer_says_so(tmp_path: Path) -> None:
    tensors = {**weights(), "conv1.num_batches_tracked": np.zeros((), np.float32)}
    assert "did you mean" in problems(tmp_path, {**weights(), "conv1.biass": np.zeros(4, np.float32)})[0]
    assert put(tmp_path, tensors, ignored=lambda name: name.endswith("num_batches_tracked"))


def test_all_layers_that_do_not_fit_are_named_with_their_tensors(tmp_path: Path) -> None:
    wrong = weights(conv1_weight=(4, 3, 3, 3), conv2_weight=(3, 5, 3, 3), fc_weight=(2, 7))
    found = problems(tmp_path, wrong)
    assert [p.partition("'")[2].partition("'")[0] for p in found] == ["conv1", "conv2", "fc"]
    for problem, tensor in zip(found, ("conv1.weight", "conv2.weight", "fc.weight"), strict=True):
        assert f'from "{tensor}"' in problem
    assert "weight 4×3×3×3" in found[0]


def test_without_a_stated_input_each_layer_is_judged_by_itself(tmp_path: Path) -> None:
    text = TOPOLOGY.replace("shape: [2, 6, 6]", "")
    assert put(tmp_path / "a", weights(), text)
    found = problems(tmp_path / "b", weights(conv1_bias=(5,), fc_weight=(2, 3, 4)), text)
    assert len(found) == 2
    assert "'conv1'" in found[0]
    assert "'fc'" in found[1]


def test_tensors_too_many_or_too_few_are_named(tmp_path: Path) -> None:
    more = {**numbered(weights()), "[5]": np.zeros((7, 2), np.float32), "[6]": np.zeros(7, np.float32)}
    assert 'no layer takes 2 of 7 tensors: "[5]" (7×2), "[6]" (7)' in problems(tmp_path, more)[0]
    fewer = dict(list(numbered(weights()).items())[:3])
    assert "'fc' (FullyConnected): no tensor is left for weight" in problems(tmp_path, fewer)[0]
    grouped = {name: t for name, t in weights().items() if "conv2" not in name}
    assert '2 groups of tensors ("conv1", "fc") for 3 layers' in problems(tmp_path, grouped)[0]
    lacking = {name: t for name, t in weights().items() if name != "fc.weight"}
    assert """'fc' (FullyConnected): "fc" lacks weight""" in problems(tmp_path, lacking)[0]


def test_a_bias_that_is_absent_is_seen_by_the_shape_of_what_comes_next(tmp_path: Path) -> None:
    tensors = {name: w for name, w in weights().items() if "bias" not in name}
    done = put(tmp_path, numbered(tensors))
    with Net(done.netfile) as net:
        assert all(node.weights is None or set(node.weights.shapes) == {"weight"} for node in net.graph.nodes)


def test_the_topologys_own_problems_come_first(tmp_path: Path) -> None:
    with pytest.raises(NetFileError, match="Convolutoin"):
        put(tmp_path, weights(), TOPOLOGY.replace("type: Convolution name: conv2", "type: Convolutoin name: conv2"))


def test_an_importer_whose_files_hold_their_topology_says_so(tmp_path: Path) -> None:
    (tmp_path / "x.prototxt").write_text("")
    (tmp_path / "layers.netfile").write_text(TOPOLOGY)
    with pytest.raises(ImportFailure, match="leave out the topology"):
        convert(tmp_path / "x.prototxt", tmp_path / "out", topology=tmp_path / "layers.netfile")


def test_the_command_line_takes_a_topology(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "layers.netfile").write_text(TOPOLOGY)
    (tmp_path / "weights.bin").write_bytes(b"x")
    importer = Loose(weights(), {"flip_kernels": True})
    monkeypatch.setattr("cnnrt.conversion.choose_importer", lambda files, name, host: importer)
    command = ["convert", tmp_path / "weights.bin", "--topology", tmp_path / "layers.netfile", "-o", tmp_path / "out"]
    assert "kernels are flipped, which is the default here; --no-flip-kernels" in answer(*command)
    assert "kernels are not flipped, as was asked for" in answer(*command, "--no-flip-kernels", "--overwrite")
