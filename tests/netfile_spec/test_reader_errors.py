"""Everything wrong in a NetFile is found at once, told once, and told where and how to mend it."""

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netfile_spec import KeySpec, LayerSpec, NetFileError, Problem, Vocabulary, parse_netfile, read_netfile
from netfile_spec.limits import MAX_BLOCKS, MAX_FILE_BYTES, MAX_LIST_LENGTH, MAX_PROBLEMS, MAX_REQUIRED, MAX_TOKENS


def check_pooling(keys):
    if keys["kernel_size"] < 1:
        return [("kernel_size", "a kernel has at least 1 pixel"), (None, "see the page of Pooling")]
    return []


VOCABULARY = Vocabulary(
    [
        LayerSpec("Convolution", [KeySpec("pad", "integers"), KeySpec("bias", "boolean")], parameters="required"),
        LayerSpec(
            "Pooling",
            [
                KeySpec("pool", "string", required=True, choices={"ave": "mean", "max": "max"}),
                KeySpec("kernel_size", "integer", required=True),
            ],
            check=check_pooling,
        ),
        LayerSpec("ReLU", [KeySpec("negative_slope", "number")]),
    ]
)


def problems_of(text, vocabulary=VOCABULARY):
    """Return (line, column, message) of each problem; fails if there is none."""
    with pytest.raises(NetFileError) as caught:
        parse_netfile(text, vocabulary)
    return [
        (*((p.position.line, p.position.column) if p.position else (None, None)), p.message)
        for p in caught.value.problems
    ]


def test_a_problem_shows_place_line_caret_expectation_and_the_nearest_name():
    with pytest.raises(NetFileError) as caught:
        parse_netfile('\nlayer {\n\ttype: "Poolin"\n}', VOCABULARY, file="net.netfile")
    assert str(caught.value) == (
        'net.netfile:3:8: there is no layer of type "Poolin"\n'
        '    \ttype: "Poolin"\n'
        "    \t      ^\n"
        '    did you mean "Pooling"?'
    )


def test_all_problems_of_a_file_are_told_in_file_order():
    text = """allocated_ram: 0
alocated_ram: 5
layer {
  type: "Convolution"
  name: "c"
  pd: 1
  parameters_file: "c.msg
}
layer { type: "Pooling" name: "p" pool: "median" kernel_size: 2 }
layer { type: "Pooling" name: "q" pool: "max" kernel_size: 0 }
layer { type: "ReLU" negative_slope: steep }
"""
    assert problems_of(text) == [
        (1, 16, '"allocated_ram" is 0'),
        (2, 1, 'a NetFile has no key "alocated_ram"'),
        (6, 3, 'a layer of type Convolution has no key "pd"'),
        (7, 20, "a string that does not end on its line"),
        (9, 41, '"pool": "median" is not one of its values'),
        (10, 1, 'layer "q" of type Pooling: see the page of Pooling'),
        (10, 60, 'layer "q" of type Pooling: a kernel has at least 1 pixel'),
        (11, 38, '"negative_slope": "steep" is no number'),
    ]


@pytest.mark.parametrize(
    ("mistake", "where", "message"),
    [
        ('name "n"', (1, 1), 'no colon after the key "name"'),
        ("name:", (1, 1), 'the key "name" has no value'),
        ("name: C:/models", (1, 7), 'the value of "name" holds a colon'),
        ('name: "a" "b"', (1, 11), '"b" follows a value'),
        ("name: my net", (1, 10), '"net" follows a value'),
        ('labels: "a", "b"', (1, 12), '"," follows a value'),
        ("labels: [a b]", (1, 12), "no comma between two values of a list"),
        ("labels: [a, [b]]", (1, 13), "a list inside a list"),
        ("labels: [, a]", (1, 10), "a comma without a value before it"),
        ("labels: [a, b", (1, 9), "a list that is not closed"),
        ("labels: []", (1, 9), '"labels" is an empty list'),
        ("name: [a]", (1, 7), '"name" is a list'),
        ('"name": "n"', (1, 1), '"name" where a key was expected'),
        ("}", (1, 1), "a } that closes nothing"),
        ('input: "data"', (1, 1), '"input" is a block'),
        ("solver { rate: 1 { } }", (1, 1), 'there is no block "solver"'),
        ("{ a: 1 }", (1, 1), '"{" where a key was expected'),
        ('layer "x" { type: "ReLU" }', (1, 1), 'no { after "layer"'),
        ('layer: { type: "ReLU" }', (1, 6), "a colon before {"),
        ('layer { type: "ReLU"', (1, 1), 'a block "layer" that is not closed'),
        ('layer { type: "ReLU" param { x: 1 } }', (1, 22), 'a block "param" inside a block "layer"'),
        ('layer { name: "x" }', (1, 1), "a layer without a type"),
        ('layer { type: "ReLU" bottom: ["a", ""] }', (1, 36), '"bottom" holds an empty name'),
        ('layer { type: "ReLU" bottom: [] }', (1, 30), '"bottom" is an empty list'),
        ('layer { type: "ReLU" parameters_file: "x" }', (1, 39), "a layer of type ReLU has no parameters"),
        ('layer { type: "Convolution" name: "c" }', (1, 1), 'layer "c" of type Convolution lacks "parameters_file"'),
        ('layer { type: "Pooling" }', (1, 1), 'a layer of type Pooling lacks "pool", "kernel_size"'),
        ('name: "a" NAME: "b"', (1, 11), 'the key "name" is stated again'),
        ('layer { type: "ReLU" negative_slope: 1e999 }', (1, 38), '"negative_slope": "1e999" is out of range'),
        ("allocated_ram: many", (1, 16), '"allocated_ram": "many" is no number'),
        ("allocated_ram: -1", (1, 16), '"allocated_ram" is -1'),
        ('auto_tuning: "maybe"', (1, 14), '"auto_tuning": "maybe" is neither true nor false'),
        ('weight_storage: "half"', (1, 17), '"weight_storage": "half" is not one of its values'),
        ('execution_mode: ""', (1, 17), '"execution_mode" is empty'),
        ("pad: 1", (1, 1), 'a NetFile has no key "pad"'),
        ("name: n netfile_version: 1", (1, 26), '"netfile_version" comes too late'),
        ("netfile_version: 0", (1, 18), "there is no netfile_version 0"),
        ("netfile_version: -1", (1, 18), "there is no netfile_version -1"),
        ("input { shape: [3, 0, 2] }", (1, 16), '"shape" is no shape'),
        ("input { shape: 1.5 }", (1, 16), '"shape": "1.5" is no integer'),
        ("input { size: [1, 2, 3] }", (1, 15), '"size" is no size of an image'),
        ("input { mean: 1 mean_file: m }", (1, 28), '"mean" and "mean_file" are both stated'),
        ("input { batch: 0 }", (1, 16), '"batch" is no number of items'),
        ("input { scale: 0 }", (1, 16), '"scale" is 0'),
        ("input { channel_order: rgb shape: [1, 2, 2] }", (1, 24), '"rgb" has 3 channels, "shape" has 1'),
        ("input { channel_order: bgr mean: [1, 2] }", (1, 34), '"mean" has 2 numbers for 3 channels'),
        ("input { channel_order: cmyk }", (1, 24), '"channel_order": "cmyk" is not one of its values'),
        ("input { } input { name: data }", (1, 25), 'there is already an input "data"'),
        ("name: n \x01", (1, 9), "the character U+0001 cannot stand here"),
        ('name: "\x01"', (1, 8), "a string holds the character U+0001"),
    ],
)
def test_one_mistake_is_told_once_and_hides_nothing_after_it(mistake, where, message):
    found = problems_of(f'{mistake}\nlayer {{ type: "Lost" }}\n')
    assert found == [(*where, message), (2, 15, 'there is no layer of type "Lost"')]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (r'name: "a\qb"', r'"\q" is no escape'),
        (r'name: "\u12"', r'"\u" is no escape'),
        (r'name: "\ud83d"', r'"\ud83d" is no escape'),
        (r'name: "\UFFFFFFFF"', r'"\UFFFFFFFF" is no escape'),
        (r'name: "open\"', "a string that does not end on its line"),
        ("layer { type: ReLU name: r } layer { type: ReLU name: r }", 'there is already a layer "r"'),
    ],
)
def test_version_1_is_strict_where_old_files_are_forgiven(text, message):
    assert [found for _, _, found in problems_of(f"netfile_version: 1\n{text}")] == [message]
    assert parse_netfile(text.replace(" name: r }", " }"), VOCABULARY)


def test_a_second_layer_of_the_same_name_says_where_the_first_is():
    with pytest.raises(NetFileError, match="the first is named in line 2"):
        parse_netfile("netfile_version: 1\nlayer{type:A name:x}\nlayer{type:A name:x}")


def test_names_may_not_repeat_in_a_graph_even_in_an_old_file():
    assert problems_of("layer{type:relu name:x} layer{type:relu name:x bottom:x}") == [
        (1, 46, 'there is already a layer "x"')
    ]


def test_a_version_from_the_future_is_all_that_is_told():
    with pytest.raises(NetFileError) as caught:
        parse_netfile("netfile_version: 2\nfuture { [[1]] }")
    assert len(caught.value.problems) == 1
    assert "netfile_version 2 is newer than this program" in str(caught.value)
    assert "update" in str(caught.value)


def test_a_key_in_the_wrong_place_is_sent_home():
    hints = {
        "allocated_ram": 'layer { type: "ReLU" allocated_ram: 5 }',
        "shape": 'layer { type: "ReLU" shape: 5 }',
        "bottom": 'bottom: "x"',
    }
    for key, text in hints.items():
        with pytest.raises(NetFileError, match=f'has no key "{key}"') as caught:
            parse_netfile(text, VOCABULARY)
        assert "it is a key of" in caught.value.problems[0].hint


def test_a_block_with_a_mistake_in_it_is_not_blamed_for_what_that_hides():
    assert problems_of('layer { type: "Pooling"\n pool "max" kernel_size 3 }') == [
        (2, 2, 'no colon after the key "pool"'),
        (2, 13, '"kernel_size" follows a value'),
    ]


def test_a_misspelled_key_is_not_missing_as_well():
    assert problems_of("layer { type: Pooling pool: max kernel_sise: 3 }") == [
        (1, 33, 'a layer of type Pooling has no key "kernel_sise"')
    ]


def test_what_is_no_text_is_said_to_be_none(tmp_path):
    path = tmp_path / "net.netfile"
    for content, message in [
        (b"name: a\nname: \xff", ":2:7: the byte 0xFF is no UTF-8"),
        ("name: a".encode("utf-16"), "is UTF-16"),
        (b"ab\0cd", ":1:3: a NUL character"),
    ]:
        path.write_bytes(content)
        with pytest.raises(NetFileError, match=message) as caught:
            read_netfile(path)
        assert str(path) in str(caught.value)


def test_what_is_no_file_is_said_to_be_none(tmp_path):
    with pytest.raises(NetFileError, match="there is no such file"):
        read_netfile(tmp_path / "absent.netfile")
    with pytest.raises(NetFileError, match="is a folder"):
        read_netfile(tmp_path)
    (tmp_path / "net.netfile").touch()
    with pytest.raises(NetFileError, match=r"there is one in it: .*net\.netfile"):
        read_netfile(tmp_path)
    with pytest.raises(NetFileError, match="cannot be read"):
        read_netfile("nul\0inside")
    with pytest.raises(NetFileError, match="no regular file"):
        read_netfile("/dev/zero")


def test_size_lists_blocks_numbers_and_nesting_are_limited(tmp_path):
    path = tmp_path / "large.netfile"
    path.write_bytes(b" " * (MAX_FILE_BYTES + 1))
    with pytest.raises(NetFileError, match="is larger than"):
        read_netfile(path)
    for text, message in [
        (" " * (MAX_FILE_BYTES + 1), "more than 2097152 characters"),
        ("labels: [" + "1," * (MAX_LIST_LENGTH + 1), "a list of more than 65536 values"),
        ("input{}" * (MAX_BLOCKS + 1), "more than 8192 blocks"),
        ("a: 1 " * (MAX_TOKENS // 3 + 1), "more than 200000 words, strings and marks"),
        ("requires: x\n" * (MAX_REQUIRED + 1), '"requires" has more than 100 names'),
        ("layer { type: x n: " + "9" * 100_000 + "}", "is out of range"),
        ("x{" * 1000, "more than 100 braces within braces"),
        ("{" * 1000, "more than 100 braces within braces"),
    ]:
        with pytest.raises(NetFileError, match=message) as caught:
            parse_netfile(text)
        assert len(str(caught.value)) < 2000


def test_a_hopeless_file_is_given_up_after_the_first_problems():
    with pytest.raises(NetFileError) as caught:
        parse_netfile("nonsense: 1\n" * 10_000)
    assert len(caught.value.problems) == MAX_PROBLEMS + 1
    assert "there may be more" in caught.value.problems[-1].message


def test_a_long_line_is_shown_around_its_caret_and_without_terminal_codes():
    with pytest.raises(NetFileError) as caught:
        parse_netfile("#" + "x" * 50 + "\r" + " " * 500 + "pad: 1 # " + "\x1b[31m" + "y" * 500)
    shown = str(caught.value).split("\n")
    assert "\x1b" not in str(caught.value)
    assert shown[1].index("pad: 1") == shown[2].index("^")
    assert len(shown[1]) < 160


def test_names_of_any_length_make_no_message_of_any_length():
    name = "x" * 100_000
    with pytest.raises(NetFileError) as caught:
        parse_netfile(
            "".join(f'netfile_version: 1\nlayer {{ type: "{name}" name: "{name}" }}\n' for _ in range(3)), VOCABULARY
        )
    assert len(str(caught.value)) < 10_000
    assert len(NetFileError([Problem(name, None, name, name)] * 100).args[0]) < 400_000


def test_an_error_crosses_processes_whole():
    with pytest.raises(NetFileError) as caught:
        parse_netfile("pad: 1")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.problems, str(copy)) == (caught.value.problems, str(caught.value))


PIECES = ["layer", "input", "type", "name", "ReLU", "pad", "shape", "bottom", "netfile_version", '"a"', '"', "\\"]
PIECES += ["{", "}", "[", "]", ",", ":", "#", "1", "-2.5e3", "true", " ", "\n", "\r", "\t", "\x00", "\u2028", "é"]


@settings(deadline=None)
@given(st.text(max_size=40) | st.lists(st.sampled_from(PIECES), max_size=60).map(" ".join))
def test_any_text_at_all_is_a_netfile_or_a_netfile_error(text):
    try:
        parse_netfile(text, VOCABULARY)
        return
    except NetFileError as error:
        problems = error.problems
    assert problems
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for problem in problems:
        assert 1 <= problem.position.line <= len(lines)
        assert 1 <= problem.position.column <= len(lines[problem.position.line - 1]) + 1
