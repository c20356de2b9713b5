"""QuickGelu by cnnrt's conformance kit, and what is particular to it: limits, the kernel's bound, a NetFile."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cnnrt_quick_gelu import QuickGelu
from cnnrt_quick_gelu.sequential_kernel import CHUNK, QuickGeluChunks

from cnnrt import Net
from cnnrt.backend import Device
from cnnrt.layer import Array
from cnnrt.testing import LayerSuite, make_case

CPU = Device("sequential", "cpu")
NETFILE = """
netfile_version: 1
requires: "cnnrt-quick-gelu"
execution_mode: "sequential"
layer { type: "QuickGelu" name: "s" beta: 2.0 }
"""


class TestQuickGelu(LayerSuite):
    """Shape rule, reference, kernel, NetFile, documentation."""

    layer = QuickGelu


def reference(values: Array, **keys: float) -> Array:
    """Return the layer's reference of float64 values."""
    return QuickGelu(**keys).reference([np.asarray(values, np.float64)], {})[0]


def test_a_beta_of_zero_halves_and_a_steep_one_is_relu() -> None:
    """The two ends between which it lies."""
    x = np.linspace(-3, 3, 13)
    np.testing.assert_array_equal(reference(x, beta=0), x / 2)
    np.testing.assert_allclose(reference(x, beta=1e6), np.maximum(x, 0))


def test_values_far_out_are_exact() -> None:
    """Where the exponential overflows, the result is 0 and no warning is given."""
    np.testing.assert_array_equal(reference(np.array([-1e6, 0, 1e6])), [0, 0, 1e6])


@pytest.mark.parametrize("beta", [0.1, 1.0, -2.5, 30.0])
@pytest.mark.parametrize("count", [1, 1000, CHUNK, CHUNK + 1])
def test_the_kernel_keeps_the_bound_that_it_documents(beta: float, count: int) -> None:
    """Below the smallest normal float32, results may be flushed to zero."""
    kernel = QuickGeluChunks()
    case = make_case(QuickGelu(beta=beta), [(count,)], scale=2)
    (x,), y = case.inputs, np.full(count, np.nan, np.float32)
    with np.errstate(all="ignore"):
        kernel.bind(case.call)([x], [y], {}, np.zeros(kernel.workspace(case.call), np.uint8))
    exact = reference(x, beta=beta)
    allowed = (8 + 2 * np.abs(beta * x.astype(np.float64))) * 2.0**-24 * np.abs(exact) + 2.0**-126
    assert (np.abs(y - exact) <= allowed).all()


def test_the_workspace_does_not_grow_with_the_input() -> None:
    """One chunk, whatever the shape; less for less."""
    kernel = QuickGeluChunks()
    assert kernel.workspace(make_case(QuickGelu(), [(10,)]).call) == 40
    assert kernel.workspace(make_case(QuickGelu(), [(4, 3, 100, 100)]).call) == 4 * CHUNK


def test_a_beta_beyond_float32_is_left_to_the_reference() -> None:
    """The kernel says why."""
    answer = QuickGeluChunks().can_run(make_case(QuickGelu(beta=1e300), [(2,)]).call, CPU)
    assert answer == "beta 1e+300 does not fit into float32"


def test_a_netfile_runs_it_by_the_kernel(tmp_path: Path) -> None:
    """The package is installed and named by `requires`."""
    (tmp_path / "net.netfile").write_text(NETFILE)
    x = np.linspace(-4, 4, 24, dtype=np.float32).reshape(2, 3, 2, 2)
    with Net(tmp_path / "net.netfile", strict=True) as net:
        y = net.compute(x)
        (row,) = net.plan.rows
    np.testing.assert_allclose(y, x / (1 + np.exp(-2 * x.astype(np.float64))), rtol=1e-5)
    assert (row.backend, row.kernel) == ("sequential", "chunks")
