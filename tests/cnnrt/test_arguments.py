"""Arguments of another type than was asked for: an InputError that names the argument, whichever function it is of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli_suite.small_model import SHAPE, write_small_model
from cnnrt import Net, convert
from cnnrt.errors import InputError
from cnnrt.export import export
from cnnrt.verification import verify

ITEMS = np.zeros((2, *SHAPE), np.float32)
INPUT: dict[str, Any] = {"input": ITEMS}
WRONG: dict[str, tuple[str, Callable[[Net], Any]]] = {
    "a number of outputs": (
        "outputs: expected names of values, got 3",
        lambda net: net.compute(ITEMS, outputs=_any(3)),
    ),
    "outputs by number": (
        "outputs: expected names of values, got [3]",
        lambda net: net.compute(ITEMS, outputs=_any([3])),
    ),
    "no files": ("files: expected a path or several, got None", lambda net: convert(_any(None), "out")),
    "bytes as files": ("files: expected a path or several, got b'x'", lambda net: convert(_any(b"x"), "out")),
    "a number among files": ("files: expected a path, got 5", lambda net: convert(["a", _any(5)], "out")),
    "no folder": ("folder: expected a path, got None", lambda net: convert("x", _any(None))),
    "an odd layout": (
        "layout: expected one of cnnrt, cnndroid, got 'q'",
        lambda net: convert(net.graph.file, "out", layout=_any("q")),
    ),
    "options as a dict": ("options: expected cnnrt.", lambda net: convert("x", "out", options=_any({"mean": 3}))),
    "no exporter": ("to: expected the name of an exporter", lambda net: export("x", "y", to=_any(None))),
    "a number to export": ("netfile: expected a path, got 3", lambda net: export(_any(3), "y", to="cnndroid")),
    "no arrays": ("arrays: expected arrays by name, got NoneType", lambda net: verify(net, _any(None))),
    "a tolerance in words": (
        "tolerance: expected a number of at least 0, got 'some'",
        lambda net: verify(net, INPUT, tolerance=_any("some")),
    ),
    "words as a reference's input": (
        "the reference's input 'input' holds <U1, expected numbers",
        lambda net: verify(net, {"input": np.array(["x"]), "prob": ITEMS}),
    ),
    "a masked array": (
        "input 'data': a masked array; say what stands in the gaps",
        lambda net: net.compute(np.ma.masked_array(ITEMS, ITEMS == 0)),
    ),
}


def _any(value: Any) -> Any:
    """Hand in what the types forbid."""
    return value


@pytest.fixture
def net(tmp_path: Path) -> Net:
    return Net(write_small_model(tmp_path), execution_mode="sequential")


@pytest.mark.parametrize(("message", "call"), WRONG.values(), ids=WRONG)
def test_an_argument_of_another_type_is_named(net: Net, message: str, call: Callable[[Net], Any]) -> None:
    with pytest.raises(InputError) as caught:
        call(net)
    assert str(caught.value).startswith(message)


def test_numbers_of_numpy_are_numbers(tmp_path: Path) -> None:
    path = write_small_model(tmp_path)
    with Net(path, threads=np.int64(2), concurrency=np.int32(1), allocated_ram=np.float32(60)) as net:
        assert net.settings.threads == 2
        assert net.settings.allocated_ram == 60
    with pytest.raises(InputError, match="threads: expected an integer"):
        Net(path, threads=_any(np.True_))


def test_names_of_outputs_may_come_from_anywhere(net: Net) -> None:
    for outputs in ("prob", ["prob"], {"prob"}, (name for name in ["prob"])):
        values = net.compute(ITEMS, outputs=outputs)
        assert list(values) == ["prob"]


def test_items_that_cannot_be_copied_are_an_error(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(array: object) -> None:
        raise MemoryError

    monkeypatch.setattr("cnnrt.inputs.np.ascontiguousarray", refuse)
    with pytest.raises(InputError, match="does not lie in memory in order, and there is none for a copy of 512 bytes"):
        net.compute(ITEMS)
