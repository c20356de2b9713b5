"""`cnnrt tune` and `cnnrt tuning`, and the packs that they write and read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli_suite.command import answer, complaint, json_answer, run_cnnrt
from cnnrt.errors import InputError
from cnnrt.tuning.packs import MOST_MEASUREMENTS, import_pack, read_pack
from cnnrt.tuning.store import Store, default_store
from core_suite.plugins_in_memory import host_with_backends
from core_suite.small_networks import write_chain
from core_suite.toy_backend import ToyBackend, ToyKernel
from core_suite.tunable_kernels import SleepyKernel


@pytest.fixture(autouse=True)
def a_backend_with_rivals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Toys that compete for the convolution, and a store of this test's own."""
    monkeypatch.setenv("CNNRT_CACHE", str(tmp_path / "cache"))
    kernels = [
        SleepyKernel("Convolution", name="promising", seconds=1e-3, lasts=6e-3),
        SleepyKernel("Convolution", name="modest", seconds=2e-3, lasts=2e-4),
        *(ToyKernel(kind) for kind in ("Pooling", "FullyConnected", "Softmax")),
    ]
    host = host_with_backends([ToyBackend()], kernels)
    for place in ("cnnrt.net.plugin_host", "cnnrt.plugins.plugin_host"):
        monkeypatch.setattr(place, lambda: host)


@pytest.fixture
def netfile(tmp_path: Path) -> Path:
    return write_chain(tmp_path / "net")


def test_tune_shows_winner_default_and_gain_of_each_layer(netfile: Path) -> None:
    result = run_cnnrt("tune", netfile)
    assert result.exit_code == 0
    row = next(line.split() for line in result.stdout.splitlines() if line.startswith("conv "))
    assert row[1::2] == ["toy/modest", "toy/promising", row[5]]
    assert float(row[5].rstrip("×")) > 1.5
    assert "prob    no other kernel comes near the default" in result.stdout
    assert "auto_tuning is off" in result.stderr


def test_tune_as_json(netfile: Path) -> None:
    found = json_answer("tune", netfile, "--input", "4,3,8,8", "--budget", "5")
    conv = next(row for row in found["layers"] if row["layer"] == "conv")
    assert found["inputs"] == {"data": [4, 3, 8, 8]}
    assert conv["measured"]["timed"][conv["measured"]["winner"]]["kernel"] == "toy/modest"
    assert conv["measured"]["batch"] == 4


def test_no_time_leaves_layers_unmeasured_and_is_no_error(netfile: Path) -> None:
    result = run_cnnrt("tune", netfile, "--budget", "0")
    assert result.exit_code == 0
    assert "conv    not measured: the time or the memory allowed was used up" in result.stdout
    assert "where time ran out, run it again, or give it more (--budget)" in result.stderr


def test_a_network_without_shapes_says_what_to_add(tmp_path: Path) -> None:
    path = write_chain(tmp_path / "bare", stated_shape=False)
    assert "states no input shape; add --input 1,3,227,227" in complaint("tune", path)


def test_list_export_clear_import(netfile: Path, tmp_path: Path) -> None:
    answer("tune", netfile)
    assert "Convolution + ReLU  1×3×8×8  toy:toy0  toy/modest" in answer("tuning", "list")
    pack = tmp_path / "pack.json"
    assert answer("tuning", "export", pack) == f"exported 1 measurement: {pack}\n"
    assert answer("tuning", "clear").startswith("cleared 1 fact")
    assert json_answer("tuning", "list")["measurements"] == []
    assert json_answer("tuning", "import", pack) == {"imported": 1, "file": str(pack)}
    (measurement,) = json_answer("tuning", "list")["measurements"]
    assert measurement["value"]["batch"] == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cache", "net", "pack.json"], "nothing is left beside it"


def test_quarantined_kernels_are_listed_and_shown_with_their_device(netfile: Path) -> None:
    device = ToyBackend().devices()[0]
    key = {"kernel": "Convolution/toy/liar", "source": "0", "device": device.identity}
    default_store().put("quarantine", key, {"layer": "conv", "problem": "at (0,) it gives 1, expected 2"})
    assert "Convolution/toy/liar: at (0,) it gives 1, expected 2" in answer("tuning", "list")
    assert "quarantined: Convolution/toy/liar  at (0,) it gives 1, expected 2" in answer("devices", "--verbose")


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    pack = tmp_path / "missing" / "pack.json"
    assert complaint("tuning", "export", pack) == f"error: {pack}: cannot be written: No such file or directory\n"
    assert "expected a regular file" in complaint("tuning", "import", tmp_path)


PACK: list[str] = []
"""The text of a pack, once one was written."""


def exported(netfile: Path, folder: Path) -> Any:
    if not PACK:
        answer("tune", netfile)
        answer("tuning", "export", folder / "pack.json")
        PACK.append((folder / "pack.json").read_text())
    return json.loads(PACK[0])


HOSTILE = {
    "another format": lambda p: p.update(format="another"),
    "a newer version": lambda p: p.update(version=2),
    "no list": lambda p: p.update(measurements={"a": 1}),
    "too many": lambda p: p.update(measurements=p["measurements"] * (MOST_MEASUREMENTS + 1)),
    "no key": lambda p: p["measurements"][0].pop("key"),
    "no value": lambda p: p["measurements"][0].pop("value"),
    "a number": lambda p: p["measurements"].append(5),
    "a key with more": lambda p: p["measurements"][0]["key"].update(path="../../evil"),
    "a call that is none": lambda p: p["measurements"][0]["key"].update(call=[]),
    "a folded layer that is none": lambda p: p["measurements"][0]["key"]["call"].update(folded=7),
    "a huge key": lambda p: p["measurements"][0]["key"]["call"].update(layer="x" * 100_000),
    "seconds that are text": lambda p: p["measurements"][0]["value"]["timed"][0].update(seconds="1"),
    "seconds that are infinite": lambda p: p["measurements"][0]["value"]["timed"][0].update(seconds=1e999),
    "seconds beyond any float": lambda p: p["measurements"][0]["value"]["timed"][0].update(seconds=10**400),
    "a shape of shapes": lambda p: p["measurements"][0]["key"]["call"].update(inputs=[["float32", [1, 2]]]),
    "weights without names": lambda p: p["measurements"][0]["key"]["call"].update(weights=[]),
    "a competitor without a device": lambda p: p["measurements"][0]["key"]["space"][0].pop("device"),
    "threads in words": lambda p: p["measurements"][0]["key"].update(threads="many"),
    "a winner beyond the end": lambda p: p["measurements"][0]["value"].update(winner=10**30),
}


@pytest.mark.parametrize("spoil", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_pack_is_refused_as_a_whole(netfile: Path, tmp_path: Path, spoil: Any) -> None:
    pack = exported(netfile, tmp_path)
    pack["measurements"].insert(0, json.loads(json.dumps(pack["measurements"][0])))
    spoil(pack)
    path = tmp_path / "hostile.json"
    path.write_text(json.dumps(pack))
    store = Store(None)
    with pytest.raises(InputError, match="hostile"):
        import_pack(store, path)
    assert store.facts("measurement") == []


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe", b"[" * 200_000, b'{"version": ' + b"9" * 10_000 + b"}", b"NaN", b"null", b" " * (17 << 20)],
)
def test_something_else_than_a_pack_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "hostile.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match="hostile"):
        read_pack(path)


def test_a_pack_cannot_choose_what_is_not_in_the_search_space(netfile: Path, tmp_path: Path) -> None:
    pack = exported(netfile, tmp_path)
    record = pack["measurements"][0]["value"]
    record["timed"][record["winner"]].update(kernel="toy/evil", tuning={"tile": 10**9})
    (tmp_path / "evil.json").write_text(json.dumps(pack))
    answer("tuning", "import", tmp_path / "evil.json")
    from cnnrt import Net

    net = Net(netfile, auto_tuning="on")
    assert next(row.kernel for row in net.plan.rows if row.layer == "conv") == "promising"


@pytest.mark.parametrize(
    "command", [("bench", "--runs", "1"), ("run",), ("compare", "--modes", "toy,toy")], ids=lambda command: command[0]
)
def test_whatever_prepares_a_network_tunes_it_within_the_budget(tmp_path: Path, command: tuple[str, ...]) -> None:
    """Where auto_tuning is on, and then as `cnnrt tune` would."""
    netfile = write_chain(tmp_path / "tuned", auto_tuning=True)
    name, *more = command
    if name == "run":
        np.save(tmp_path / "x.npy", np.ones((1, 3, 8, 8), np.float32))
        more = [str(tmp_path / "x.npy")]
    answer(name, netfile, *more, "--budget", "0")
    assert default_store().facts("measurement") == []
    answer(name, netfile, *more, "--budget", "5")
    (fact,) = default_store().facts("measurement")
    assert fact.value["timed"][fact.value["winner"]]["kernel"] == "toy/modest"
