"""The driver and the loops around kernels: what a launch means, as AOSP's driver for processors has it."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from cnnrt.errors import CnnrtError
from cnnrt.layer import Array
from cnnrt_backend_renderscript.backend import RenderScriptBackend
from cnnrt_backend_renderscript.compiler import Compiler, find_compiler
from cnnrt_backend_renderscript.exports import Global, ScriptError, read_exports
from cnnrt_backend_renderscript.host_driver import AllocationData, LaunchData, host_driver
from cnnrt_backend_renderscript.host_segment import lay_out
from cnnrt_backend_renderscript.library import Instance, script_libraries
from cnnrt_backend_renderscript.program import ProgramStep
from cnnrt_backend_renderscript.script import Script

PROBLEM = RenderScriptBackend().devices()[0].problem
needs_compiler = pytest.mark.skipif(bool(PROBLEM), reason=PROBLEM)

TEXT = """
#pragma version(1)
#pragma rs java_package_name(cnnrt)

float amount; int32_t offset = 3;   // two globals in a line
rs_allocation table;
bool negate;
static float hidden;

float __attribute__((kernel)) add(float v) { return v + amount; }
float2 __attribute__((kernel)) pair(float v, float w, uint32_t x) { float2 r = {v * x, w}; return r; }
float __attribute__((kernel)) named(float x) { return x; }
int __attribute__((kernel)) place(uint32_t x, uint32_t y, uint32_t z) { return x + 100 * y + 10000 * z + offset; }
void __attribute__((kernel)) store(uint32_t x) { rsSetElementAt_float(table, negate ? -amount : amount, x); }
void __attribute__((kernel)) beyond(uint32_t x) { rsSetElementAt_float(table, 1, x + 2); }
void root(const float *in, float *out, uint32_t x) { *out = *in * 2 + x; }
"""
SCRIPT = Script("launched", text=TEXT)


def compiler() -> Compiler:
    found = find_compiler()
    assert isinstance(found, Compiler)
    return found


def instance(*, checked: bool = False) -> Instance:
    return Instance(SCRIPT, script_libraries([SCRIPT], compiler(), checked=checked)[SCRIPT])


def launch(
    script: Instance,
    kernel: str,
    inputs: Sequence[Array] = (),
    output: Array | None = None,
    *,
    table: Array | None = None,
    start: tuple[int, int, int] = (0, 0, 0),
    end: tuple[int, int, int] = (0, 0, 0),
    threads: int = 2,
    **scalars: float,
) -> None:
    """Launch over arrays of up to three dimensions, the last one x."""
    arrays = [a for a in (*inputs, output, table) if a is not None]
    buffers = (AllocationData * max(1, len(arrays)))()
    for data, array in zip(buffers, arrays, strict=False):
        dims = [*reversed(array.shape), 0, 0][:3]
        data.data, (data.dim_x, data.dim_y, data.dim_z) = array.ctypes.data, dims
        data.cell_bytes = array.itemsize
    launches = (LaunchData * 1)()
    numbers = iter(range(len(arrays)))
    step = ProgramStep(
        step=0,
        script=SCRIPT,
        kernel=kernel,
        scalars=scalars,
        inputs=tuple(next(numbers) for _ in inputs),
        output=next(numbers) if output is not None else None,
        allocations={"table": next(numbers)} if table is not None else {},
        items=0,
    )
    held = lay_out(launches[0], step, script, buffers)
    launches[0].start[:], launches[0].end[:] = start, end
    host_driver(compiler()).run(launches, 0, 1, threads)
    del held


def floats(*shape: int) -> Array:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def test_exports_are_read_from_the_script() -> None:
    found = read_exports(TEXT, "launched.rs")
    kinds = {"amount": "float", "offset": "int", "table": "rs_allocation", "negate": "bool"}
    assert found.globals == tuple(Global(name, kind) for name, kind in kinds.items())
    signatures = {k.name: (k.inputs, k.output, k.parameters) for k in found.kernels}
    assert signatures["add"] == (("float",), "float", ("in",))
    assert signatures["pair"] == (("float", "float"), "float2", ("in", "in", "x"))
    assert signatures["named"] == (("float",), "float", ("in",)), "a coordinate is an integer"
    assert signatures["root"] == (("float",), "float", ("in", "out", "x"))
    assert signatures["store"] == ((), None, ("x",))


def test_what_cannot_be_launched_or_set_is_an_error_with_its_line() -> None:
    text = "float fine;\n\nfloat *pointer;\nfloat __attribute__((kernel)) odd(rs_matrix4x4 m) { return 0; }\n"
    with pytest.raises(ScriptError) as caught:
        read_exports(text, "odd.rs")
    first, second = str(caught.value).splitlines()
    assert first.startswith("odd.rs:3: a global that cannot be set")
    assert second.startswith("odd.rs:4: kernel odd: parameter 'rs_matrix4x4 m'")


@needs_compiler
@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("count", [1, 7, 4096, 100_003])
def test_every_cell_is_computed_once_whatever_the_threads(threads: int, count: int) -> None:
    script, x, y = instance(), floats(count), floats(count)
    launch(script, "add", [x], y, amount=1.5, threads=threads)
    assert np.array_equal(y, x + np.float32(1.5))
    launch(script, "add", [y], y, amount=1.0, threads=threads)
    assert np.array_equal(y, x + np.float32(2.5)), "in place"


@needs_compiler
def test_rows_and_planes_are_gone_through_with_their_coordinates() -> None:
    out = np.zeros((3, 5, 7), np.int32)
    launch(instance(), "place", output=out, offset=2)
    z, y, x = np.indices(out.shape)
    assert np.array_equal(out, x + 100 * y + 10000 * z + 2)


@needs_compiler
def test_both_forms_of_kernels_and_several_inputs() -> None:
    script, x, y = instance(), floats(10), floats(10)
    launch(script, "root", [x], y)
    assert np.array_equal(y, 3 * x)
    pairs = np.zeros(10, "f4, f4")
    launch(script, "pair", [x, y], pairs)
    assert np.array_equal(pairs["f0"], x * x)
    assert np.array_equal(pairs["f1"], y)


@needs_compiler
def test_ranges_are_clamped_to_the_dimensions() -> None:
    script, x, y = instance(), floats(10), np.zeros(10, np.float32)
    launch(script, "add", [x], y, amount=1.0, start=(4, 0, 0), end=(1000, 0, 0))
    assert np.array_equal(y, np.where(np.arange(10) >= 4, x + 1, 0))


@needs_compiler
def test_without_allocations_the_range_is_the_dimension() -> None:
    table = np.zeros(6, np.float32)
    launch(instance(), "store", table=table, amount=2.0, negate=True, end=(4, 0, 0))
    assert table.tolist() == [-2, -2, -2, -2, 0, 0]


@needs_compiler
@pytest.mark.parametrize(
    ("kernel", "sizes", "ends", "complaint"),
    [
        ("store", (), ((0, 0, 0), (0, 0, 0)), "neither an input, nor an output, nor a range"),
        ("add", (10, 11), ((0, 0, 0), (0, 0, 0)), "not the same dimensions"),
        ("add", (10, 10), ((10, 0, 0), (0, 0, 0)), "nothing is left of its range"),
    ],
)
def test_launches_that_mean_nothing_are_errors(kernel: str, sizes: tuple[int, ...], ends, complaint: str) -> None:
    start, end = ends
    arrays = [floats(n) for n in sizes]
    with pytest.raises(CnnrtError, match=complaint):
        launch(instance(), kernel, arrays[:1], arrays[1] if sizes else None, start=start, end=end)


@needs_compiler
def test_instances_of_a_script_share_no_globals() -> None:
    one, other = instance(), instance()
    first, second = np.zeros(3, np.float32), np.zeros(3, np.float32)
    launch(one, "store", table=first, amount=1.0, end=(3, 0, 0))
    launch(other, "store", table=second, amount=2.0, end=(3, 0, 0))
    assert (first.tolist(), second.tolist()) == ([1, 1, 1], [2, 2, 2])
    launch(one, "store", table=second, end=(1, 0, 0))  # with the amount that it was given before
    assert second.tolist() == [1, 2, 2]
    assert not {a for a, _ in one.globals.values()} & {a for a, _ in other.globals.values()}


@needs_compiler
def test_a_checked_script_notes_what_is_beyond_its_allocation_and_leaves_it_alone() -> None:
    script, memory = instance(checked=True), np.zeros(8, np.float32)
    launch(script, "beyond", table=memory[:4], end=(4, 0, 0))
    assert memory.tolist() == [0, 0, 1, 1, 0, 0, 0, 0]
    assert "2 accesses beyond an allocation, the first at (" in script.fault()
    assert script.fault() == ""


@needs_compiler
def test_a_global_or_kernel_that_is_not_there_is_an_error() -> None:
    with pytest.raises(CnnrtError, match="has no global 'nothing'"):
        launch(instance(), "store", nothing=1.0, end=(1, 0, 0))
    with pytest.raises(CnnrtError, match="has no kernel 'nothing'"):
        launch(instance(), "nothing", end=(1, 0, 0))


@needs_compiler
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_starts_threads_of_its_own() -> None:
    program = """if True:
        import os, numpy, sys
        sys.path.insert(0, sys.argv[1])
        from backends.test_renderscript_launches import floats, instance, launch
        script, x, y = instance(), floats(100_000), floats(100_000)
        launch(script, "add", [x], y, amount=1.0)
        child = os.fork()
        if not child:
            launch(script, "add", [x], y, amount=2.0)
            os._exit(0 if numpy.array_equal(y, x + 2) else 1)
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    tests = str(Path(__file__).resolve().parents[1])
    done = subprocess.run([sys.executable, "-c", program, tests], timeout=60, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_structures_are_as_large_as_in_c() -> None:
    """So that a field that is added on one side is noticed."""
    assert ctypes.sizeof(AllocationData) == ctypes.sizeof(ctypes.c_void_p) + 16
