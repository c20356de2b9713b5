"""Where values live: never two of them in one place while both are needed."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnrt import CnnrtError, Net
from cnnrt.backend import BufferSpec
from cnnrt.buffers import ALIGNMENT, Buffers, Home, plan_buffers
from cnnrt.executor import make_frame
from cnnrt.graph import Node
from cnnrt.layer_call import LayerCall
from cnnrt.layouts import Reorder, ReorderKernel
from cnnrt.placement import CORE, Placed
from cnnrt.tensor import TensorType
from core_suite.random_networks import IMAGE, RandomNetwork, networks
from core_suite.small_networks import images, write_text
from netfile_spec import write_model


class WithWorkspace(ReorderKernel):
    """A kernel that needs as many bytes of workspace as it is told."""

    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes

    def workspace(self, call: LayerCall) -> int:
        return self.nbytes


@attrs.frozen
class Problem:
    """Steps in order: (values read, value written, workspace in bytes or None for a view)."""

    sizes: dict[str, int]
    steps: tuple[tuple[tuple[str, ...], str, int | None], ...]
    inputs: tuple[str, ...]
    wanted: tuple[str, ...]


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    inputs = tuple(f"in{i}" for i in range(draw(st.integers(1, 2))))
    sizes = {name: draw(st.integers(1, 100)) for name in inputs}
    steps: list[tuple[tuple[str, ...], str, int | None]] = []
    for i in range(draw(st.integers(1, 12))):
        name = f"v{i}"
        known = list(sizes)
        if draw(st.integers(0, 4)) == 0:
            read: tuple[str, ...] = (draw(st.sampled_from(known)),)
            sizes[name] = sizes[read[0]]
            steps.append((read, name, None))
        else:
            read = tuple(draw(st.lists(st.sampled_from(known), min_size=1, max_size=3)))
            sizes[name] = draw(st.sampled_from((0, 1, 5, 16, 17, 33, 100)))
            steps.append((read, name, draw(st.sampled_from((0, 0, 1, 64, 200)))))
    wanted = draw(st.lists(st.sampled_from(list(sizes)), min_size=1, max_size=4, unique=True))
    return Problem(sizes, tuple(steps), inputs, tuple(wanted))


def planned(problem: Problem, homes: Sequence[Home | None] = ()) -> Buffers:
    types = {name: TensorType((size,)) for name, size in problem.sizes.items()}
    placed = []
    for i, (read, written, workspace) in enumerate(problem.steps):
        node = Node(f"step{i}", Reorder(source="NCHW", target="NCHW"), read, (written,))
        call = LayerCall(node.layer, tuple(types[v] for v in read), (types[written],))
        kernel = None if workspace is None else WithWorkspace(workspace)
        placed.append(Placed(node, call, CORE, kernel, ""))
    return plan_buffers(placed, types, problem.inputs, problem.wanted, homes)


def roots_of(problem: Problem) -> dict[str, str]:
    roots = {name: name for name in problem.sizes}
    for read, written, workspace in problem.steps:
        if workspace is None:
            roots[written] = roots[read[0]]
    return roots


def places(spec: BufferSpec) -> set[int]:
    return set() if spec.offset is None else set(range(spec.offset, spec.offset + spec.type.nbytes))


@given(problems())
@settings(max_examples=300)
def test_no_two_values_that_are_needed_at_one_time_overlap(problem: Problem) -> None:
    buffers, roots = planned(problem), roots_of(problem)
    # From first writing to last reading, of the bytes that a value and its views share.
    alive: dict[str, tuple[int, int]] = {}
    for step, (read, written, _) in enumerate(problem.steps):
        for value in (*read, written):
            root = roots[value]
            alive[root] = (alive.get(root, (step, step))[0], step)
    places_by_name = {name: places(buffers.specs[buffers.slots[name]]) for name in alive}
    for i in range(len(problem.steps)):
        places_by_name[f"workspace of step {i}"] = places(buffers.specs[buffers.workspaces[i]])
        alive[f"workspace of step {i}"] = (i, i)
    for (a, (first_a, last_a)), (b, (first_b, last_b)) in combinations(alive.items(), 2):
        if first_a <= last_b and first_b <= last_a:
            assert not places_by_name[a] & places_by_name[b], f"{a} and {b} share bytes"
    ends = [max(p) + 1 for p in places_by_name.values() if p]
    assert buffers.arena_bytes == max(ends, default=0)
    assert all(min(p) % ALIGNMENT == 0 for p in places_by_name.values() if p)


@given(problems())
@settings(max_examples=200)
def test_on_a_device_values_share_whole_buffers_at_different_times(problem: Problem) -> None:
    """So that a device can keep each in a buffer of its own: two begin alike, or do not meet at all."""
    home = Home(0, 4, "opencl:card")
    buffers = planned(problem, [home] * len(problem.steps))
    specs = [spec for spec in buffers.specs if spec.private and spec.root is None and spec.type.nbytes]
    for a, b in combinations(specs, 2):
        assert a.offset == b.offset or not places(a) & places(b)
    assert max((max(places(spec)) + 1 for spec in specs), default=0) <= buffers.homes.get(home, 0)
    assert all((spec.offset or 0) % 4 == 0 for spec in specs)
    # Never at one time.
    roots = roots_of(problem)
    alive: dict[str, tuple[int, int]] = {}
    for step, (read, written, _) in enumerate(problem.steps):
        for value in (*read, written):
            alive[roots[value]] = (alive.get(roots[value], (step, step))[0], step)
    inside = {n: t for n, t in alive.items() if buffers.specs[buffers.slots[n]].private}
    for (a_name, (first_a, last_a)), (b_name, (first_b, last_b)) in combinations(inside.items(), 2):
        if first_a <= last_b and first_b <= last_a:
            one, other = (places(buffers.specs[buffers.slots[n]]) for n in (a_name, b_name))
            assert not one & other, f"{a_name} and {b_name} share bytes"


@given(problems())
@settings(max_examples=200)
def test_views_share_their_roots_bytes_and_what_is_handed_back_is_outside_the_arena(problem: Problem) -> None:
    buffers, roots = planned(problem), roots_of(problem)
    specs = {name: buffers.specs[slot] for name, slot in buffers.slots.items()}
    outside = {*problem.inputs, *(roots[v] for v in problem.wanted)}
    renewed = {view.slot: view.root for view in buffers.views}
    for name, root in roots.items():
        assert (specs[name].offset is None) == (root in outside)
        assert specs[name].offset == specs[root].offset
        if name != root and root in outside:
            assert renewed[buffers.slots[name]] == buffers.slots[root]
    # Each wanted value is a result in its place; bytes that are handed back once, or came in, are copied.
    seen = set(problem.inputs)
    for value, (slot, copied) in zip(problem.wanted, buffers.results, strict=True):
        assert slot == buffers.slots[value]
        assert copied == (roots[value] in seen)
        seen.add(roots[value])


@given(networks())
@settings(max_examples=60)
def test_the_arena_is_no_larger_than_all_values_and_workspaces_together(network: RandomNetwork) -> None:
    with tempfile.TemporaryDirectory() as folder:
        net = Net(write_model(folder, network.netfile, network.parameters))
        shapes = {i.name: (2, *IMAGE) for i in net.graph.needed_inputs(network.wanted)} or None
        planned = net._prepared.planned(shapes or {net.graph.inputs[0].name: (2, *IMAGE)}, network.wanted)
    inside = [s for s in planned.buffers.specs if s.offset is not None]
    assert planned.buffers.arena_bytes <= sum(-(-s.type.nbytes // ALIGNMENT) * ALIGNMENT for s in inside)


def test_a_longer_chain_needs_no_more_room(tmp_path: Path) -> None:
    def arena(layers: int) -> int:
        blocks = "\n".join(f'layer {{ type: "LRN" name: "n{i}" }}' for i in range(layers))
        return Net(write_text(tmp_path / str(layers), blocks)).prepare((1, 8, 32, 32)).memory.arena

    assert 2 * 4 * 8 * 32 * 32 <= arena(4) == arena(40)


def test_frames_have_aligned_arrays_in_the_places_that_were_planned() -> None:
    specs = [
        BufferSpec(TensorType((3, 5)), 0),
        BufferSpec(TensorType((100,), "uint8"), 64),
        BufferSpec(TensorType((2,)), None),
    ]
    a, b, outside = make_frame(specs, 164)
    assert (a.shape, a.dtype.name, b.shape, b.dtype.name) == ((3, 5), "float32", (100,), "uint8")
    assert a.ctypes.data % ALIGNMENT == 0
    assert b.ctypes.data - a.ctypes.data == 64
    assert outside.size == 0


def values_of(net: Net, x: np.ndarray, names: Sequence[str]) -> list[np.ndarray]:
    return list(net.compute(x, outputs=names).values())


def test_wanted_inputs_and_views_of_them_are_copies(tmp_path: Path) -> None:
    net = Net(write_text(tmp_path, 'layer { type: "Flatten" name: "flat" } layer { type: "ReLU" name: "r" }'))
    x = images(2, 3, 2, 2)
    data, flat, relu = values_of(net, x, ["data", "flat", "r"])
    np.testing.assert_array_equal(data, x)
    np.testing.assert_array_equal(flat, x.reshape(2, 12))
    np.testing.assert_array_equal(relu, np.maximum(x.reshape(2, 12), 0))
    assert not any(np.shares_memory(a, b) for a, b in combinations((x, data, flat, relu), 2))
    data[...] = 7
    flat[...] = 8
    assert x.min() < 0


def test_one_value_wanted_under_several_shapes_comes_as_arrays_of_their_own(tmp_path: Path) -> None:
    text = 'layer { type: "LRN" name: "n" } layer { type: "Flatten" name: "f" } layer { type: "Flatten" name: "g" }'
    net = Net(write_text(tmp_path, text))
    x = images(2, 3, 2, 2)
    for names in (["n", "f", "g"], ["g", "n", "f"], ["f"], ["g", "f"]):
        values = dict(zip(names, values_of(net, x, names), strict=True))
        assert all(v.shape == ((2, 3, 2, 2) if n == "n" else (2, 12)) for n, v in values.items())
        assert all(v.flags.writeable for v in values.values())
        assert not any(np.shares_memory(a, b) for a, b in combinations(values.values(), 2))
        assert len({v.tobytes() for v in values.values()}) == 1


def test_thousands_of_values_that_live_at_the_same_time_are_placed_in_seconds(tmp_path: Path) -> None:
    names = [f"n{i}" for i in range(3000)]
    blocks = "\n".join(f'layer {{ type: "LRN" name: "{name}" bottom: "data" }}' for name in names)
    net = Net(write_text(tmp_path, f'{blocks}\nlayer {{ type: "Eltwise" name: "all" bottom: [{", ".join(names)}] }}'))
    started = time.process_time()
    plan = net.plan_for((1, 1, 4, 4))
    assert time.process_time() - started < 20
    assert plan.memory.arena >= 3000 * ALIGNMENT


def test_more_than_any_machine_has_is_an_error_and_not_a_place(tmp_path: Path) -> None:
    blocks = "\n".join(f'layer {{ type: "LRN" name: "n{i}" bottom: "data" }}' for i in range(4))
    with pytest.raises(CnnrtError, match=r"the machine has|more memory than any machine has"):
        Net(write_text(tmp_path, blocks)).plan_for((1, 1, 1 << 20, 1 << 20))
