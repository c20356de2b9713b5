"""Pickles are data here: what Python and NumPy write is read, and whatever else a pickle may try does not happen."""

from __future__ import annotations

import collections
import contextlib
import pickle
import resource
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnrt.errors import ImportFailure
from cnnrt.pickles import NUMPY_GLOBALS, PickledArray, PickleFault, Record, opaque, read_pickle

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def read(data: bytes, **options: Any) -> Any:
    return read_pickle(data, file="x.pkl", **options).value


def refusal(data: bytes, **options: Any) -> str:
    with pytest.raises(ImportFailure) as caught:
        read(data, **options)
    return str(caught.value)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.sets(st.integers())
        | st.frozensets(st.text())
    ),
    max_leaves=20,
)


@settings(max_examples=100)
@given(VALUES, st.sampled_from(PROTOCOLS))
def test_plain_values_come_back_as_python_itself_reads_them(value: Any, protocol: int) -> None:
    assert read(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", "<f2", "|u1", "<i8", "|b1"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_come_back(protocol: int, dtype: str, order: Any) -> None:
    array = np.asarray(np.arange(24).reshape(2, 3, 4).astype(dtype), order=order)
    found = read(pickle.dumps([array], protocol))[0]
    assert isinstance(found, PickledArray)
    assert found.shape == (2, 3, 4)
    np.testing.assert_array_equal(found.array(), array)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_arrays_of_objects_numbers_and_ordered_dictionaries_come_back(protocol: int) -> None:
    objects = np.empty(2, object)
    objects[0], objects[1] = np.ones(3, np.float32), "text"
    value = collections.OrderedDict([("b", np.float32(0.5)), ("a", objects)])
    found = read(pickle.dumps(value, protocol))
    assert list(found) == ["b", "a"]
    assert found["b"] == 0.5
    items = found["a"].items
    assert items[1] == "text"
    np.testing.assert_array_equal(items[0].array(), np.ones(3))
    assert not found["a"].is_numeric


def test_what_python_2_wrote_is_read() -> None:
    """Its text is bytes: an array's values and names alike, in all three protocols of its time."""
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\np0\n(cnumpy\nndarray\np1\n(I0\ntp2\nS'b'\np3\ntp4\nRp5\n"
        b"(I1\n(I2\ntp6\ncnumpy\ndtype\np7\n(S'f4'\np8\nI0\nI1\ntp9\nRp10\n"
        b"(I3\nS'<'\np11\nNNNI-1\nI-1\nI0\ntp12\nbI00\nS'\\x00\\x00\\x80?\\x00\\x00\\x00@'\np13\ntp14\nb."
    )
    np.testing.assert_array_equal(read(array).array(), [1, 2])
    assert read(b"(dp0\nS'a\\'b\\n'\np1\nL12345678901234567890L\nsS'c'\nI01\ns.") == {
        "a'b\n": 12345678901234567890,
        "c": True,
    }
    assert read(b"\x80\x02U\x03\xe9tat.".replace(b"tat", b"ta")) == "\xe9ta"


def test_a_pickle_says_where_it_ends() -> None:
    data = pickle.dumps(1) + pickle.dumps(2)
    first = read_pickle(data, file="x")
    assert first.value == 1
    assert read_pickle(data, file="x", start=first.end).value == 2


def test_objects_of_allowed_classes_are_records_of_what_the_file_says() -> None:
    class Box:
        def __init__(self) -> None:
            self.width = 3

    Box.__module__, Box.__qualname__ = "shop", "Box"
    data = b"\x80\x02cshop\nBox\n)\x81}X\x05\x00\x00\x00widthK\x03sb."
    found = read(data, known=lambda module, name: opaque(module, name) if module == "shop" else None)
    assert isinstance(found, Record)
    assert (found.module, found.name, found.attributes) == ("shop", "Box", {"width": 3})


def test_persistent_ids_are_answered_by_the_caller() -> None:
    data = b"\x80\x02(K\x01X\x01\x00\x00\x00at\x51."
    assert read(data, persistent=lambda key: [key]) == [(1, "a")]
    assert "outside of the pickle" in refusal(data)


# What attackers write. Each would run something with Python's own unpickler.


class Calls:
    """Pickles as a call of `function` with `arguments`."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> Any:
        return self.function, self.arguments


def raw(module: str, name: str, argument: str) -> bytes:
    return f"c{module}\n{name}\n(S'{argument}'\ntR.".encode()


HOSTILE = {
    "os.system": (raw("os", "system", "touch {hit}"), "posix.system|os.system"),
    "posix.system": (raw("posix", "system", "touch {hit}"), "posix.system"),
    "nt.system": (raw("nt", "system", "touch {hit}"), "nt.system"),
    "eval": (raw("__builtin__", "eval", 'open("{hit}", "w")'), "__builtin__.eval"),
    "exec": (raw("builtins", "exec", 'open("{hit}", "w")'), "builtins.exec"),
    "open": (b"cbuiltins\nopen\n(S'{hit}'\nS'w'\ntR.", "builtins.open"),
    "subprocess": (raw("subprocess", "check_call", "touch"), "subprocess.check_call"),
    "getattr": (
        b"cbuiltins\ngetattr\n(cbuiltins\n__import__\n(S'os'\ntRS'system'\ntR(S'touch {hit}'\ntR.",
        "builtins.getattr",
    ),
    "a dotted name": (b"\x80\x04\x8c\x05numpy\x8c\x10ndarray.__init__\x93.", "numpy.ndarray.__init__"),
    "numpy's own doors": (raw("numpy.testing._private.utils", "runstring", "x"), "runstring"),
    "numpy.load": (raw("numpy", "load", "{hit}"), "numpy.load"),
    "inst": (b"(S'touch {hit}'\nios\nsystem\n.", "os.system"),
    "obj": (b"(cos\nsystem\nS'touch {hit}'\no.", "os.system"),
    "newobj": (b"\x80\x02cos\nsystem\nU\x05touch\x85\x81.", "os.system"),
    "newobj with keywords": (b"\x80\x04cos\nsystem\n)}\x92.", "os.system"),
    "copyreg": (b"ccopy_reg\nadd_extension\n(S'os'\nS'system'\nI1\ntR.", "copy_reg.add_extension"),
    "copyreg of a class": (b"ccopy_reg\n_reconstructor\n(cos\nsystem\nc__builtin__\nobject\nNtR.", "os.system"),
    "an extension code": (b"\x80\x02\x82\x01.", "0x82"),
    "the state of a module": (b"cos\nenviron\n}S'PATH'\nS''\nsb.", "os.environ"),
    "a call of text": (b"S'os.system'\n(S'touch'\ntR.", "calls something that is no global"),
    "a call of an array": (b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n)R)R.", "calls something"),
    "setstate on text": (b"S'a'\n}b.", "a state for something that has none"),
    "dict subclass": (b"ccollections\nOrderedDict\n)R(S'__class__'\nS'x'\nS'y'\nu.", "a key without a value"),
}


@pytest.mark.parametrize("attack", HOSTILE)
def test_nothing_that_a_pickle_names_is_ever_run(tmp_path: Path, attack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data, said = HOSTILE[attack]
    hit = tmp_path / "hit"
    message = refusal(data.replace(b"{hit}", str(hit).encode()))
    assert any(part in message for part in said.split("|")), message
    assert list(tmp_path.iterdir()) == []


def test_python_would_have_run_it(tmp_path: Path) -> None:
    """The attacks above are attacks: one of them, read by Python itself, hits."""
    hit = tmp_path / "hit"
    pickle.loads(HOSTILE["open"][0].replace(b"{hit}", str(hit).encode())).close()
    assert hit.exists()


def test_objects_with_a_reduce_of_their_own_are_refused_by_name() -> None:
    data = pickle.dumps([Calls(print, "a"), Calls(getattr, 1, "real"), Calls(pickle.loads, b"N.")], 4)
    message = refusal(data)
    for name in ("builtins.print", "builtins.getattr", "_pickle.loads"):
        assert f'"{name}"' in message
    assert "code of a file is never run" in message


def test_records_of_unknown_globals_do_not_reach_the_caller() -> None:
    calls: list[str] = []

    def known(module: str, name: str) -> Any:
        calls.append(name)
        return NUMPY_GLOBALS(module, name)

    refusal(b"(lcos\nsystem\n(S'x'\ntRa.", known=known)
    assert calls == ["system"]


# What takes time or memory.


BOMBS: dict[str, bytes] = {
    "everything remembered": b"]" + b"\x94" * 5_000_000 + b".",
    "empty sets": b"\x80\x04" + b"\x8f" * 5_000_000 + b".",
    "marks": b"(" * 5_000_000,
    "numbers": b"K\x01" * 5_000_000 + b".",
    "lists that hold the last one twice": b"]q\x00" + b"(h\x00h\x00lq\x00" * 300_000 + b".",
    "nested tuples": b"(" * 400_000 + b"t" * 400_000 + b".",
    "a number of 2 GB": b"\x8b" + struct.pack("<I", 2**31 - 1) + b"\xff" * 1000 + b".",
    "text of 2 GB": b"T\xff\xff\xff\x7fabc.",
    "bytes of 2^63": b"\x8e" + struct.pack("<Q", 2**63) + b".",
    "half a million digits": b"L" + b"9" * 500_000 + b"L\n.",
    "a line without end": b"I" + b"9" * 2_000_000,
    "a key that takes for ever to hash": b")q\x00" + b"h\x00h\x00\x86q\x00" * 60 + b"}h\x00K\x01s.",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_or_read_in_little_memory_and_time(bomb: str) -> None:
    started = time.process_time()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with contextlib.suppress(ImportFailure):
        read(BOMBS[bomb])
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10 < 400  # MiB; KiB are counted on Linux
    assert time.process_time() - started < 20


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ((1, (1 << 40,), "f4", False, b"abcd"), "in 4 bytes"),
        ((1, (-1,), "f4", False, b""), "a shape that is none"),
        ((1, (2,), "f4", False, b"abcd"), "2 values of type f4 in 4 bytes"),
        ((1, [2], "f4", False, b"abcd"), "a shape that is none"),
        ((1, (1,) * 64, "f4", False, b"abcd"), "a shape that is none"),
        ((1, (2,), "O", False, [1]), "2 values with a list of 1"),
        ((1, (1,), "f4", False, None), "without values"),
        ((1, (1,)), "a state that is none"),
    ],
)
def test_an_array_that_promises_more_than_it_holds_is_refused(state: Any, message: str) -> None:
    from cnnrt.pickles.arrays import pickled_type

    array = PickledArray()
    if len(state) == 5:
        state = (*state[:2], pickled_type(state[2]), *state[3:])
    with pytest.raises(PickleFault, match=message):
        array.set_state(state)


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(ImportFailure):
        read(data)


def test_a_pickle_that_was_cut_or_changed_is_read_or_refused() -> None:
    whole = pickle.dumps({"a": [np.arange(6, dtype=np.float32).reshape(2, 3), "t", (1, 2.5)]}, 2)
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(2000):
        changed = bytearray(whole[: random.integers(len(whole) + 1)] if random.random() < 0.3 else whole)
        for place in random.integers(len(changed) or 1, size=2) if changed else ():
            changed[place] = random.integers(256)
        try:
            read(bytes(changed))
        except ImportFailure:
            refused += 1
    assert refused > 500
