"""What a NetFile says is what the reader gives: CNNdroid's files, the additions, and the freedoms of the text."""

from pathlib import Path

import pytest

from netfile_spec import (
    CnnrtWarning,
    InputBlock,
    KeySpec,
    LayerSpec,
    NetFile,
    Position,
    Vocabulary,
    layer,
    parse_netfile,
    read_netfile,
)

CNNDROID_FILES = Path(__file__).parents[3] / "shared" / "cnndroid" / "netfiles"

CNNDROID_LAYERS = Vocabulary(
    [
        LayerSpec(
            "Convolution",
            [KeySpec("pad", "integers"), KeySpec("stride", "integers"), KeySpec("group", "integer")],
            parameters="required",
        ),
        LayerSpec(
            "Pooling",
            [
                KeySpec("pool", "string", required=True, choices={"ave": "mean", "mean": "mean", "max": "max"}),
                KeySpec("kernel_size", "integers", required=True),
                KeySpec("pad", "integers"),
                KeySpec("stride", "integers"),
            ],
        ),
        LayerSpec(
            "LRN",
            [
                KeySpec("local_size", "integer"),
                KeySpec("alpha", "number"),
                KeySpec("beta", "number"),
                KeySpec("norm_region", "string", choices={"across_channels": "across_channels"}),
            ],
        ),
        LayerSpec("FullyConnected", parameters="required"),
        LayerSpec("ReLU"),
        LayerSpec("Softmax"),
        LayerSpec("Accuracy", [KeySpec("topk", "integer", required=True)], parameters="required"),
    ]
)


@pytest.mark.skipif(not CNNDROID_FILES.is_dir(), reason="CNNdroid's files are not in ../shared")
@pytest.mark.parametrize(
    ("file", "layers", "ram"),
    [("AlexNet", 21, 350), ("CaffeNet", 21, 350), ("Cifar10", 12, 50), ("LeNet", 8, 20), ("NIN", 29, 50)],
)
def test_cnndroids_own_files_are_read_unchanged(file, layers, ram):
    netfile = read_netfile(CNNDROID_FILES / f"{file}_def.txt", CNNDROID_LAYERS)
    assert len(netfile.layers) == layers
    assert (netfile.allocated_ram, netfile.execution_mode, netfile.auto_tuning) == (ram, "parallel", True)
    assert netfile.root_directory.startswith("/sdcard/Data_")
    assert netfile.netfile_version is None
    pools = {block.keys["pool"] for block in netfile.layers if block.type == "Pooling"}
    assert pools <= {"max", "mean"}
    assert all(block.parameters_file for block in netfile.layers if block.type in ("Convolution", "FullyConnected"))


OLD_STYLE = (
    '\ufeffRoot_Directory:\t"/sdcard/Data/"\r\nALLOCATED_RAM: 20\r\n\r\nexecution_mode: "Parallel"\r\n'
    'auto_tuning: "ON"\r\nlayer\r\n{\r\n\tTYPE: "convolution"\r\n\tname: "Conv1"\r\n'
    '\tparameters_file: "Model_Conv1.msg"\r\n\tPad: 2\r\n}\r\n'
    'LAYER { type: "POOLING" name: "p" pool: "AVE" kernel_size: 3 }'
)


def test_keys_types_choices_and_modes_have_no_case_but_names_and_paths_do():
    assert parse_netfile(OLD_STYLE, CNNDROID_LAYERS) == NetFile(
        [
            layer("Convolution", "Conv1", parameters_file="Model_Conv1.msg", pad=2),
            layer("Pooling", "p", pool="mean", kernel_size=3),
        ],
        root_directory="/sdcard/Data/",
        allocated_ram=20,
        execution_mode="parallel",
        auto_tuning=True,
    )


def test_absent_keys_are_none_and_not_some_default():
    assert parse_netfile("") == NetFile()
    assert parse_netfile("# nothing but a comment").allocated_ram is None


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_any_line_end_will_do_and_positions_count_them_alike(line_end):
    text = line_end.join(['name: "n"', "", 'layer { type: "ReLU"', '  name: "r" }'])
    netfile = parse_netfile(text)
    assert netfile.layers[0].position == Position(3, 1)
    assert netfile.layers[0].key_positions == {"type": Position(3, 15), "name": Position(4, 9)}
    assert netfile.positions == {"name": Position(1, 7)}


def test_the_additions_of_version_1():
    text = """
    # comments may come first
    netfile_version: 1
    name: "net" labels: ["cat", "dog",] requires: "cnnrt-extra" requires: ["a", "b"]
    input { name: "left" shape: [3, 227, 227] channel_order: "BGR" mean: [104, 117, 123.5] scale: 2e-2 size: 256 }
    input { name: "right" shape: [4] batch: 2 mean_file: "mean.msg" }
    layer { type: "Concat" name: "both" bottom: "left" bottom: "right" top: ["x", "y"] axis: 1 }
    layer { type: "ReLU" name: "relu" bottom: ["x"] negative_slope: .5 in_place: true mode: "1" }
    """
    assert parse_netfile(text) == NetFile(
        [
            layer("Concat", "both", bottom=["left", "right"], top=["x", "y"], axis=1),
            layer("ReLU", "relu", bottom="x", negative_slope=0.5, in_place=True, mode="1"),
        ],
        [
            InputBlock("left", [3, 227, 227], "bgr", (104, 117, 123.5), scale=0.02, size=(256, 256)),
            InputBlock("right", [4], mean_file="mean.msg", batch=2),
        ],
        netfile_version=1,
        name="net",
        labels=["cat", "dog"],
        requires=["cnnrt-extra", "a", "b"],
    )


def test_one_label_is_the_name_of_a_file_and_a_list_is_the_labels():
    assert parse_netfile('labels: "labels.txt"').labels == "labels.txt"
    assert parse_netfile('labels: ["labels.txt"]').labels == ("labels.txt",)
    assert parse_netfile("labels: [0, 1]").labels == ("0", "1")


def test_each_bottom_has_its_position():
    block = parse_netfile('layer { type: "Sum"\n bottom: "a"\n bottom: ["b",\n "c"] }').layers[0]
    assert block.bottoms == ("a", "b", "c")
    assert block.bottom_positions == (Position(2, 10), Position(3, 11), Position(4, 2))


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("7", 7), ("-7", -7), ("+7", 7), ("007", 7), ("1.", 1.0), (".5", 0.5), ("1e-4", 1e-4), ("-2.5E+3", -2500.0),
        ("true", True), ("FALSE", False), ("on", "on"), ("conv4-1024", "conv4-1024"), ("1.2.3", "1.2.3"), ('"7"', "7"),
        ('"true"', "true"), ("[]", ()), ("[1]", (1,)), ("[1, 2.5, x, \"y\",]", (1, 2.5, "x", "y")), ("nan", "nan"),
    ],
)  # fmt: skip
def test_without_a_vocabulary_values_are_kept_as_they_are_written(written, value):
    found = parse_netfile(f"layer {{ type: X key: {written} }}").layers[0].keys["key"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("kind", "written", "value"),
    [
        ("integer", "3", 3),
        ("integer", '"3"', 3),
        ("number", "3", 3.0),
        ("number", '" 1e-4 "', 1e-4),
        ("boolean", "on", True),
        ("boolean", '"Off"', False),
        ("boolean", "TRUE", True),
        ("string", "true", "true"),
        ("string", "3", "3"),
        ("integers", "3", 3),
        ("integers", "[3, 4]", (3, 4)),
        ("numbers", "[3]", (3.0,)),
        ("strings", "[a, 1]", ("a", "1")),
    ],
)
def test_with_a_vocabulary_values_are_of_their_keys_kind(kind, written, value):
    vocabulary = Vocabulary([LayerSpec("X", [KeySpec("key", kind)])])
    found = parse_netfile(f"layer {{ type: x KEY: {written} }}", vocabulary).layers[0].keys["key"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("written", "old", "new"),
    [
        (r'"a\"b"', 'a"b', 'a"b'),
        (r'"a\\b"', "a\\b", "a\\b"),
        (r'"C:\new\table"', r"C:\new\table", "C:\new\table"),
        (r'"\u00e9\U0001F600"', r"\u00e9\U0001F600", "\u00e9\U0001f600"),
        ('"# no comment: {}"', "# no comment: {}", "# no comment: {}"),
        ('"tab\there"', "tab\there", "tab\there"),
        ('"größe 画像"', "größe 画像", "größe 画像"),
    ],
)
def test_a_backslash_is_a_character_in_old_files_and_an_escape_since_version_1(written, old, new):
    assert parse_netfile(f"name: {written}").name == old
    assert parse_netfile(f"netfile_version: 1 name: {written}").name == new


def test_a_path_of_an_old_file_may_end_in_a_backslash():
    netfile = parse_netfile('root_directory: "D:\\models\\"\nname: "n"')
    assert (netfile.root_directory, netfile.name) == ("D:\\models\\", "n")


def test_layers_of_old_files_need_no_name_and_no_name_of_their_own():
    text = "layer{type:relu} layer{type:relu name:relu3} layer{type:relu} layer{type:relu name:relu3}"
    with pytest.warns(CnnrtWarning, match='"relu3" \\(layer 4\\) is called "relu3_4"'):
        names = [block.name for block in parse_netfile(text).layers]
    assert names == ["relu1", "relu3", "relu3_", "relu3_4"]


def test_a_file_remembers_what_it_was_read_from(tmp_path):
    path = tmp_path / "net.netfile"
    path.write_bytes(b'\xef\xbb\xbfname: "n"\r\n')
    netfile = read_netfile(path)
    assert (netfile.file, netfile.source) == (str(path), 'name: "n"\n')
    assert netfile == parse_netfile("name: n")
