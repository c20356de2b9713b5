"""Under a ceiling compilers, verifications and measurements stay in another process, on every backend that has any."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cnnrt.memory_trial import Growth, Trial, measure_growth, possible
from core_suite.small_networks import filters, write_network
from netfile_spec import InputBlock, layer

pytest.importorskip("llvmlite", reason="the backend that compiles most needs llvmlite")

MIB = 1 << 20
SPARE = 8 * MIB


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """All backends, and a cache that nothing was left in."""
    monkeypatch.delenv("CNNRT_PLUGINS_BLOCK", raising=False)
    monkeypatch.setenv("CNNRT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A network for each of whose layers there is something to compile."""
    layers = [
        layer("Convolution", "conv", pad=1),
        layer("ReLU", "relu"),
        layer("Pooling", "pool", kernel_size=2, stride=2),
        layer("FullyConnected", "scores"),
        layer("Softmax", "prob"),
    ]
    parameters = {"conv": filters(1, 16, 3, 3, 3), "scores": filters(2, 20, 16 * 14 * 14)}
    return write_network(tmp_path / "network", layers, parameters, inputs=[InputBlock("data", (3, 28, 28))])


def grown(network: Path, **options: Any) -> Growth:
    return measure_growth(Trial(network, {"data": (2, 3, 28, 28)}, {"execution_mode": "threaded", **options}))


@pytest.mark.skipif(not possible(), reason="this system does not tell a process's peak from a moment on")
@pytest.mark.usefixtures("environment")
def test_the_first_start_takes_no_more_than_is_planned(network: Path) -> None:
    growth = grown(network, allocated_ram=32, auto_tuning="on", tuning_budget=0.3)
    assert growth.planned["peak"] < 2 * MIB
    assert growth.peak < growth.planned["peak"] + SPARE, "no compiler came in, which takes more than that"


COMPUTE = """
import json, sys
from pathlib import Path
import numpy as np
from cnnrt import Net
path, program, *rest = sys.argv[1:]
options = json.loads(rest[0]) if rest else {}
x = np.sin(np.arange(2 * 3 * 28 * 28, dtype=np.float32)).reshape(2, 3, 28, 28)
if program:
    sys.executable = program
with Net(path, execution_mode="threaded", **options) as net:
    y = net.compute(x)
    told = net.plan.to_dict()
print(json.dumps({"y": y.tolist(), "plan": told, "llvm": "llvmlite.binding" in sys.modules}, default=str))
"""


def computed(network: Path, program: str = "", **options: Any) -> dict[str, Any]:
    command = [sys.executable, "-c", COMPUTE, str(network), program, json.dumps(options)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=os.environ)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.usefixtures("environment")
def test_what_another_process_made_computes_the_same(network: Path, tmp_path: Path) -> None:
    under = computed(network, allocated_ram=32)
    assert not under["llvm"]
    facts = tmp_path / "cache" / "tuning" / "facts.sqlite"
    written = facts.stat().st_mtime_ns
    pinned = computed(network, allocated_ram=32, plan=under["plan"])
    assert pinned["y"] == under["y"] == computed(network)["y"]
    assert facts.stat().st_mtime_ns == written, "all was known after the first start"


@pytest.mark.usefixtures("environment")
def test_where_no_other_process_can_be_started_all_is_done_here(network: Path) -> None:
    alone = computed(network, "/opt/app/bin/viewer", allocated_ram=32)
    assert alone["llvm"]
    assert alone["y"] == computed(network, allocated_ram=32)["y"]


@pytest.mark.usefixtures("environment")
def test_without_a_cache_all_is_done_here(network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNNRT_CACHE", "")
    assert computed(network, allocated_ram=32)["llvm"]
