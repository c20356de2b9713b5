"""SPEC.md and the package say the same."""

import re
from pathlib import Path

import netfile_spec
from netfile_spec import parse_netfile
from netfile_spec.language import FILE_KEYS, INPUT_KEYS, LAYER_KEYS, NETFILE_VERSION, REPEATABLE
from netfile_spec.limits import MAX_BLOCKS, MAX_FILE_BYTES, MAX_LIST_LENGTH, MAX_NUMBER_LENGTH, MAX_REQUIRED, MAX_TOKENS

FOLDER = Path(netfile_spec.__file__).parent
TEXT = (FOLDER / "SPEC.md").read_text(encoding="utf-8")


def keys_under(heading):
    section = TEXT.split(f"## {heading}")[1].split("\n## ")[0]
    return re.findall(r"^\| `(\w+)`", section, re.MULTILINE)


def test_every_key_of_the_language_is_defined():
    assert keys_under("Keys of the file") == list(FILE_KEYS)
    assert keys_under("`input` blocks") == list(INPUT_KEYS)
    assert keys_under("`layer` blocks") == list(LAYER_KEYS)
    assert all(f"`{key}`" in TEXT for key in REPEATABLE)


def test_the_example_is_a_netfile_of_the_current_version():
    examples = re.findall(r"```netfile\n(.*?)```", TEXT, re.DOTALL)
    assert len(examples) == 1
    netfile = parse_netfile(examples[0])
    assert netfile.netfile_version == NETFILE_VERSION
    assert [block.name for block in netfile.layers] == ["conv1", "relu1", "sum"]


def test_the_limits_are_those_that_are_enforced():
    limits = TEXT.split("## Limits")[1].split("\n## ")[0]
    assert f"{MAX_FILE_BYTES // 2**20} MiB" in limits
    assert f"{MAX_TOKENS:,} tokens" in limits
    assert f"{MAX_BLOCKS:,} blocks" in limits
    assert f"{MAX_LIST_LENGTH:,} values" in limits
    assert f"{MAX_REQUIRED} names in `requires`" in limits
    assert f"{MAX_NUMBER_LENGTH} characters in a number" in " ".join(limits.split())


def test_documents_that_are_linked_are_there():
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (FOLDER / target).is_file()
