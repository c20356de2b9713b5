"""What every kernel has to hold, whoever brought it: shared by the suites of layers and of backends."""

from __future__ import annotations

import json
import math

import attrs
import pytest
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from cnnrt.backend import Backend, Device, Kernel
from cnnrt.errors import PlacementError
from cnnrt.kernel_trial import call_in_layouts
from cnnrt.layer_call import LayerCall
from cnnrt.layouts import physical_shape
from cnnrt.plugins import PluginHost
from cnnrt.testing.agreement import assert_agree
from cnnrt.testing.case import Case, with_residual, with_weights_in
from cnnrt.testing.kernel_run import packed_bytes, run_kernel
from cnnrt.testing.layer_facts import LayerFacts

KernelKey = tuple[str, str, str]
"""Lower-case layer type, backend, kernel name."""


def usable_device(backend: Backend) -> Device:
    """Return the first device that can be used; skips, with the reasons, where there is none."""
    devices = backend.devices()
    for device in devices:
        if not device.problem:
            return device
    reasons = "; ".join(f"{d.name}: {d.problem}" for d in devices) or "none is in sight"
    pytest.skip(f"backend {backend.name!r} has no usable device: {reasons}")


def installed_kernel(host: PluginHost, key: KernelKey) -> tuple[Kernel, Backend, Device]:
    """Return a kernel with its backend and the first usable device; skips, with the reason, where there is none."""
    kernel = host.kernels()[key]
    backend = host.backends().get(kernel.backend)
    if backend is None:
        pytest.skip(f"backend {kernel.backend!r} of kernel {kernel.name!r} is not installed")
    return kernel, backend, usable_device(backend)


def takes(kernel: Kernel, call: LayerCall, device: Device) -> bool:
    """Tell whether the kernel computes the call; asserts that a refusal gives a reason."""
    if not all(folded.type in kernel.folds for folded in call.folded):
        return False
    if not all(tensor.dtype in kernel.weight_types for tensor in call.weights.values()):
        return False
    answer = kernel.can_run(call, device)
    assert answer is True or (isinstance(answer, str) and answer), (
        f"{kernel.name}.can_run answered {answer!r}; expected True or a text that says why not"
    )
    return answer is True and _fits_layouts(kernel, call)


def cases_for(kernel: Kernel, cases: SearchStrategy[Case], host: PluginHost) -> SearchStrategy[Case]:
    """Return the cases as the kernel may meet them: every type in which it keeps weights, residuals if it adds them."""
    residual = _with_residuals(cases, kernel, host)
    return st.builds(with_weights_in, residual, st.sampled_from(kernel.weight_types))


def _with_residuals(cases: SearchStrategy[Case], kernel: Kernel, host: PluginHost) -> SearchStrategy[Case]:
    """Return the cases; for a kernel that folds sums, every other one adds a residual on the way out."""
    folded = [host.layers()[name.lower()] for name in kernel.folds if name.lower() in host.layers()]
    sums = [layer() for layer in folded if layer.inputs != (1, 1)]
    if not sums:
        return cases
    return st.builds(lambda case, added: with_residual(case, sums[0]) if added else case, cases, st.booleans())


def assert_kernel_agrees(
    kernel: Kernel, backend: Backend, device: Device, case: Case, suite: type[LayerFacts], *, threads: int | None = 1
) -> None:
    """Assert that a kernel computes a case as the layer's reference does, within the bound that its suite states."""
    given = _into_a_part(kernel, case) if case.seed % 4 < 2 else case
    results = run_kernel(kernel, backend, device, given, threads=threads)
    inputs, weights = case.in_float64()
    who = f"kernel {kernel.name!r} of backend {kernel.backend!r}"
    allowed = [kernel.error_bound(bound) for bound in suite.allowed_error(case)]
    assert_agree(results, case.call.reference(inputs, weights), allowed, who)


def assert_statements_hold(kernel: Kernel, case: Case, device: Device) -> None:
    """Assert that what a kernel says of itself (seconds, bytes, parameters) can be relied on."""
    call = call_in_layouts(kernel, case.call)
    estimate = kernel.estimate(call, device)
    assert isinstance(estimate, int | float), f"{kernel.name}.estimate gave {estimate!r}; expected seconds"
    assert math.isfinite(estimate), f"{kernel.name}.estimate gave {estimate!r}; expected a finite number of seconds"
    assert estimate >= 0, f"{kernel.name}.estimate gave {estimate!r} seconds"
    workspace = kernel.workspace(call)
    assert type(workspace) is int, f"{kernel.name}.workspace gave {workspace!r}; expected an int of bytes"
    assert workspace >= 0, f"{kernel.name}.workspace gave {workspace!r} bytes"
    parameters = dict(kernel.parameters(call))
    assert all(type(v) in (int, str) for v in parameters.values()), (
        f"{kernel.name}.parameters gave {parameters!r}; expected integers and texts by name"
    )
    assert json.loads(json.dumps(parameters)) == parameters, f"{kernel.name}.parameters gave names that are no text"
    held, stated = packed_bytes(kernel.pack(call, case.weights)), kernel.packed_bytes(call)
    assert held is None or held == stated, f"{kernel.name} packs {held} bytes of weights, but states {stated}"


def _into_a_part(kernel: Kernel, case: Case) -> Case:
    """Return the case with its output as a part of a larger array, if the kernel can write there."""
    if len(case.call.outputs) != 1 or not case.call.outputs[0].shape:
        return case
    run = physical_shape(call_in_layouts(kernel, case.call).outputs[0])[-1]
    part = attrs.evolve(case.call, outputs=(attrs.evolve(case.call.outputs[0], pitch=run + 3),))
    return attrs.evolve(case, call=part) if kernel.writes_part(call_in_layouts(kernel, part)) else case


def _fits_layouts(kernel: Kernel, call: LayerCall) -> bool:
    """Tell whether the kernel's layouts exist for tensors of these ranks."""
    placed = call_in_layouts(kernel, call)
    try:
        for tensor in (*placed.inputs, *placed.outputs):
            physical_shape(tensor)
    except PlacementError:
        return False
    return True
