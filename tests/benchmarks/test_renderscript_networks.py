"""The benchmark networks on the renderscript backend: every layer by a kernel, with one thread and with two."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cnnrt_backend_renderscript.backend import RenderScriptBackend

PROBLEM = RenderScriptBackend().devices()[0].problem
pytestmark = pytest.mark.skipif(bool(PROBLEM), reason=PROBLEM)

COMPARED = """
import json, pathlib, sys
import numpy as np
from benchmarks.networks import NETWORKS
from cnnrt import Net

found = {}
for name in sys.argv[2:]:
    builder = NETWORKS[name]().softmax()
    path = builder.write(pathlib.Path(sys.argv[1], name))
    x = np.random.default_rng(0).standard_normal((2, *builder.item), np.float32)
    with Net(path, execution_mode="sequential") as net:
        expected = net.compute(x)
    found[name] = {}
    for threads in (1, 2):
        with Net(path, execution_mode="renderscript", threads=threads, strict=True) as net:
            found[name][threads] = float(abs(net.compute(x) - expected).max())
            assert net.plan.backends == ("renderscript",)
print(json.dumps(found))
"""
"""Strict: a layer that would run by its reference is an error. Those with 61 million weights have no other layers."""


def test_networks_agree_with_the_sequential_backend(repository: Path, tmp_path: Path) -> None:
    names = ["lenet", "cifar10", "squeezenet", "mobilenet", "resnet18"]
    environment = {**os.environ, "PYTHONPATH": str(repository), "CNNRT_PLUGINS_BLOCK": ""}
    command = [sys.executable, "-c", COMPARED, str(tmp_path), *names]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert list(found) == names
    assert max(error for errors in found.values() for error in errors.values()) < 1e-4


def test_the_shapes_are_compared(repository: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "CNNRT_PLUGINS_BLOCK": ""}
    options = ("--network", "lenet", "--rounds", "1", "--json", str(tmp_path / "shapes.json"))
    command = [sys.executable, "-m", "benchmarks.renderscript_shapes", *options]
    done = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "shapes.json").read_text())["results"]
    assert list(results["conv2"]) == ["NumPy im2col + BLAS", "tile", "tile of float4", "F8F4", "F4F4"]
    assert list(results["network"]) == ["tile", "tile of float4", "F8F4", "F4F4"]
    assert all(min(times) > 0 for half in ("conv2", "network") for times in results[half].values())
