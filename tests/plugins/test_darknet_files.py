"""Darknet's files: which are its own, what the header says, and what happens where cfg and weights do not fit."""

from pathlib import Path

import numpy as np
import pytest

from cnnrt.errors import ImportFailure
from cnnrt_import_darknet.importer import DarknetImporter
from darknet_suite.model_files import NET, failure, read, values, write

IMPORTER = DarknetImporter()
CONV = "[convolutional]\nfilters=2\nsize=1\nactivation=linear\n"
CONNECTED = "[connected]\noutput=2\nactivation=linear\n"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["net.cfg", "net.weights"], True),
        (["NET.WEIGHTS", "net.CFG"], True),
        (["net.weights"], True),
        (["net.cfg"], True),
        (["net.cfg", "net.onnx"], False),
        (["layers.cfg"], False),
    ],
)
def test_files_are_told_by_their_names_and_first_section(tmp_path: Path, names: list[str], expected: bool) -> None:
    for name in names:
        (tmp_path / name).write_text("[conv1]\ntype=conv\n" if name == "layers.cfg" else "# mine\n\n[ net ]\n")
    assert IMPORTER.recognises([tmp_path / name for name in names]) is expected


def test_one_of_each_is_expected(tmp_path: Path) -> None:
    cfg, weights = write(tmp_path, NET + CONV, [values(8)])
    for files in ([cfg], [weights], [cfg, weights, weights]):
        with pytest.raises(ImportFailure, match=r"one \.cfg and the \.weights"):
            IMPORTER.read(files)


@pytest.mark.parametrize("version", [(0, 1, 0), (0, 2, 5), (1, 0, 0)])
def test_the_header_is_longer_from_version_0_2_on(tmp_path: Path, version: tuple[int, int, int]) -> None:
    model = read(tmp_path, CONV, [values(2, seed=1), values(2, 3, 1, 1)], version=version)
    np.testing.assert_array_equal(model.parameters["conv_0"]["bias"], values(2, seed=1))
    np.testing.assert_array_equal(model.parameters["conv_0"]["weight"], values(2, 3, 1, 1))


def test_versions_beyond_1000_hold_matrices_the_other_way_round(tmp_path: Path) -> None:
    stored = [values(2, seed=1), values(144, 2)]
    model = read(tmp_path, CONNECTED, stored, version=(0, 1001, 0))
    np.testing.assert_array_equal(model.parameters["connected_0"]["weight"], stored[1].T)


def test_weights_that_end_early_name_the_layer(tmp_path: Path) -> None:
    (problem,) = failure(tmp_path, CONV + CONV, [values(8), values(5)]).problems
    assert problem.message == "layer 1 [convolutional]: net.weights ends before its weights do"
    assert problem.position is not None
    assert problem.position.line == 9


def test_weights_that_are_left_over_are_of_another_cfg(tmp_path: Path) -> None:
    (problem,) = failure(tmp_path, CONV, [values(11)]).problems
    assert "holds 3 more values than the layers have weights" in problem.message


def test_huge_sizes_allocate_nothing(tmp_path: Path) -> None:
    sections = "[convolutional]\nfilters=2000000000\nsize=2000000000\npad=1\n"
    assert "ends before its weights do" in str(failure(tmp_path, sections))


def test_blanks_comments_and_repeated_options_are_read_as_darknet_reads_them(tmp_path: Path) -> None:
    sections = (
        "# a comment\n[ convolutional ]\r\n  filters = 2 # two\n; another\nfilters=9\nsize=1\nactivation=linear\n"
    )
    model = read(tmp_path, sections, [values(8)])
    assert model.parameters["conv_0"]["weight"].shape == (2, 3, 1, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("filters\n", '"filters" is neither a section nor an option'),
        ("[convolutional]\nfilters=two\n", 'filters="two"'),
        ("[convolutional]\nstride=0\n", 'stride="0"'),
    ],
)
def test_what_is_wrong_in_a_cfg_has_its_line(tmp_path: Path, text: str, message: str) -> None:
    problem = failure(tmp_path, text).problems[0]
    assert message in problem.message
    assert problem.position is not None


def test_a_cfg_of_another_program_says_so(tmp_path: Path) -> None:
    paths = write(tmp_path, "[conv1]\ntype=conv\n")
    with pytest.raises(ImportFailure, match=r"the first section is not \[net\]"):
        IMPORTER.read(paths)
