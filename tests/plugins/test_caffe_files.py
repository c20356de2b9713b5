"""Files: which are Caffe's, and what happens to those that are damaged, hostile or something else."""

import time
import warnings
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caffe_suite.model_files import INPUT, convolution, convolution_weights, layer, write_caffemodel
from cnnrt.errors import CnnrtError, ImportFailure
from cnnrt_import_caffe.importer import CaffeImporter
from cnnrt_import_caffe.text_tree import scan

IMPORTER = CaffeImporter()
NET = INPUT + convolution("c", "data")


def files(folder: Path, text: str | bytes = NET) -> list[Path]:
    """Write a net and its weights; the text may be damaged."""
    prototxt = folder / "net.prototxt"
    prototxt.write_bytes(text.encode() if isinstance(text, str) else text)
    return [prototxt, write_caffemodel(folder / "net.caffemodel", {"c": convolution_weights()}, net=NET)]


def problem_of(paths: list[Path]) -> str:
    with pytest.raises(ImportFailure) as caught:
        IMPORTER.read(paths)
    return str(caught.value)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["deploy.prototxt", "net.caffemodel"], True),
        (["net.caffemodel", "DEPLOY.PROTOTXT"], True),
        (["net.caffemodel"], True),
        (["net.prototxt"], True),
        (["deploy.prototxt.txt", "net.caffemodel"], True),
        (["net.caffemodel.h5"], True),
        (["net.prototxt", "net.caffemodel", "mean.binaryproto"], True),
        (["mean.binaryproto"], False),
        (["net.onnx"], False),
        (["net.netfile"], False),
        (["net.prototxt", "net.onnx"], False),
        (["caffemodel"], False),
        ([], False),
    ],
)
def test_caffe_files_are_recognised_by_name(names: list[str], expected: bool) -> None:
    assert IMPORTER.recognises([Path(name) for name in names]) is expected


def test_one_net_and_one_model_are_read(tmp_path: Path) -> None:
    prototxt, model = files(tmp_path)
    mean = tmp_path / "mean.binaryproto"
    assert "2 prototxt files" in problem_of([prototxt, prototxt, model])
    assert "give the mean image with --mean mean.binaryproto" in problem_of([prototxt, model, mean])
    assert "no file" in problem_of([])


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    prototxt, model = files(tmp_path)
    assert "none.prototxt: cannot be read: No such file" in problem_of([tmp_path / "none.prototxt", model])
    assert "none.caffemodel: cannot be read: No such file" in problem_of([prototxt, tmp_path / "none.caffemodel"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "not a net: it has no layer blocks"),
        ('net: "train_val.prototxt"\nbase_lr: 0.01\n', "this is a solver"),
        (NET + 'layers { name: "x" type: RELU }\n', "both `layer` and `layers`"),
        ("layer { name: 3 }\n", "net.prototxt:1:15: "),
        ('layer {\n  name: "x"\n', "net.prototxt:"),
        ('layer { type: "Pooling" pooling_param { pool: MEAN } }', "net.prototxt:1:47: "),
        ("layer { " * 10_000, "nested more than 32 deep"),
        ("layer { num: " + "9" * 10_000 + " }", "net.prototxt"),
        ("input_dim: " + "9" * 10_000, "net.prototxt"),
        (b"layer {\0}", "a binary file"),
        (b"#" * (5 << 20), "more than 2 MiB"),
    ],
)
def test_a_prototxt_that_cannot_be_read(tmp_path: Path, text: str | bytes, expected: str) -> None:
    assert expected in problem_of(files(tmp_path, text))


def test_comments_in_another_encoding_do_no_harm(tmp_path: Path) -> None:
    model = IMPORTER.read(files(tmp_path, "# 卷积\n".encode("gbk") + NET.encode()))
    assert model.notes[0] == "net.prototxt is not UTF-8; it was read byte by byte (Latin-1)"


def test_a_byte_order_mark_and_crlf_do_no_harm(tmp_path: Path) -> None:
    model = IMPORTER.read(files(tmp_path, b"\xef\xbb\xbf" + NET.replace("\n", "\r\n").encode()))
    assert [b.name for b in model.netfile.layers] == ["c"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "the file is empty"),
        (b"\x89HDF\r\n\x1a\n" + bytes(64), "this is an HDF5 file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"<!DOCTYPE html>", "a web page"),
        (b"PK\x03\x04" + bytes(64), "a zip archive"),
        (b"\x0a\x04name", "it holds no layers"),
        (b"garbage" * 10, "not a readable caffemodel: at byte"),
        (b"\xa2\x06\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "but only 0 follow"),
        (b"\xa2\x06" + b"\xff" * 11, "a number of more than 10 bytes"),
        (b"\xa2\x06\x06\x3a\x04\x3a\x02\x0a\x01", "not a readable caffemodel"),
        # A blob that promises 2^62 values and holds none.
        (b"\xa2\x06\x0f\x3a\x0d\x3a\x0b\x0a\x09\x80\x80\x80\x80\x80\x80\x80\x80\x40", "with 0 values"),
        (b"\xa2\x06\x04\x3a\x02\x2a\x00\x03", "not a readable caffemodel"),
        (b"\xa2\x06\x07\x3a\x05\x2a\x03\x00\x00\x00", "3 bytes of values of 4 bytes each"),
    ],
)
def test_a_caffemodel_that_cannot_be_read(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(content)
    message = problem_of([path])
    assert expected in message
    assert message.startswith(str(path))


def test_a_truncated_caffemodel_is_never_taken_for_a_whole_one(tmp_path: Path) -> None:
    prototxt, model = files(tmp_path)
    whole = model.read_bytes()
    for length in range(len(whole)):
        model.write_bytes(whole[:length])
        with pytest.raises(CnnrtError, match=r"net\.(caffemodel|prototxt)"):
            IMPORTER.read([prototxt, model])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_damaged_caffemodels_raise_cnnrt_errors_or_are_read(tmp_path: Path, data: st.DataObject) -> None:
    prototxt, model = files(tmp_path)
    content = bytearray(model.read_bytes())
    structure = st.integers(0, 120) | st.integers(0, len(content) - 1)
    for index in data.draw(st.lists(structure, min_size=1, max_size=4)):
        content[index] = data.draw(st.integers(0, 255))
    model.write_bytes(content)
    for given_files in ([prototxt, model], [model]):
        try:
            imported = IMPORTER.read(given_files)
        except CnnrtError:
            continue
        for weights in imported.parameters.values():
            assert all(array.nbytes <= len(content) for array in weights.values())


PIECES = st.sampled_from(
    [
        *"{}<>[]:,'#\n \"\\é5",
        "layer",
        "layers",
        "type",
        "name",
        '"x"',
        "RELU",
        "convolution_param",
        "kernel_size",
        "-1e-5",
    ]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(PIECES, max_size=40).map("".join))
def test_any_text_is_read_or_refused_with_a_cnnrt_error(tmp_path: Path, text: str) -> None:
    prototxt, model = files(tmp_path, text)
    with pytest.raises(CnnrtError, match=r"net\.prototxt"):
        IMPORTER.read([prototxt, model])


def test_a_large_hostile_prototxt_is_refused_in_seconds(tmp_path: Path) -> None:
    text = INPUT + "".join(layer(f"l{i}", "Nonsense", "nowhere") for i in range(5_000))
    start = time.perf_counter()
    message = problem_of(files(tmp_path, text))
    assert time.perf_counter() - start < 20
    assert "the first 100 problems are listed" in message
    assert message.count("\n") < 1_000


def test_lines_too_long_to_be_quoted_are_not_quoted(tmp_path: Path) -> None:
    text = INPUT + layer("x", "Nonsense", "data").replace("\n", " " * 100_000)
    assert len(problem_of(files(tmp_path, text))) < 2_000


def test_one_long_line_is_read_like_many_short_ones(tmp_path: Path) -> None:
    text = INPUT + "".join(layer(f"l{i}", "ReLU", "data") for i in range(8_000))
    start = time.perf_counter()
    imported = [IMPORTER.read(files(tmp_path, t)[:1]) for t in (text, text.replace("\n", " "))]
    assert time.perf_counter() - start < 30
    assert imported[0] == imported[1]
    assert len(imported[0].netfile.layers) == 8_000


def test_positions_count_lines_and_columns_from_one() -> None:
    text = '# comment {\nlayer {\n\ttype: "a" # }\n  param: { name: \'q"{\' }\n}\nlayer < type: "b" dim: [1, 2] >\n'
    tree = scan(text)
    first, second = tree.top.all("layer")
    kind, name = first.find("type"), first.find("param", "name")
    assert kind is not None
    assert name is not None
    assert (kind.value, tree.position(kind.value_offset).line, tree.position(kind.value_offset).column) == ('"a"', 3, 8)
    assert (name.value, tree.position(name.offset).column) == ("'q\"{'", 12)
    assert [entry.value for entry in second.all("dim")] == ["1", "2"]
    assert tree.depth == 3


def test_lists_of_blocks_are_blocks() -> None:
    tree = scan('layer: [ { name: "a" }, { name: "b" } ] layer { name: "c" }')
    names = [entry.find("name") for entry in tree.top.all("layer")]
    assert [name and name.value for name in names] == ['"a"', '"b"', '"c"']


def test_escapes_that_python_does_not_know_warn_nobody(tmp_path: Path) -> None:
    prototxt, model = files(tmp_path, f'name: "\\ net" {NET}')
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        IMPORTER.read([prototxt, model])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("layer{}" * 8193, "more than 8,192 layers"),
        ("layers{}" * 8193, "more than 8,192 layers"),
        ('layer{type:"ReLU"}' + "a:1 " * 50_000, "more than 150,000 words and marks"),
        ('layer{type:"ReLU" name:"' + "a" * 65_536 + '"}', "one of more than 65,536 characters"),
    ],
)
def test_a_prototxt_of_more_than_any_net_has_is_refused_before_it_is_parsed(
    tmp_path: Path, text: str, expected: str
) -> None:
    assert expected in problem_of(files(tmp_path, text))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\xa2\x06\0" * 8193, "more than 8,192 layers"),
        (b"\x12\0" * 8193, "more than 8,192 layers"),
        (b"\xa2\x06\x04" + b"\x08\0\x08\0" + b"\x08\0" * 500_000, "more than 500,000 fields in one file"),
        (
            b"\xa2\x06\x82\x80\x80\x05\x0a\xfd\xff\xff\x04" + b"a" * ((10 << 20) - 3),
            "more than 8 MiB beside the weights",
        ),
    ],
)
def test_a_caffemodel_of_more_than_any_net_has_is_refused_before_it_is_parsed(
    tmp_path: Path, content: bytes, expected: str
) -> None:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(content)
    assert expected in problem_of([path])
