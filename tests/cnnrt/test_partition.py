"""Partition: the least time of computing and moving values, against trying everything."""

from __future__ import annotations

import itertools
import math
import time

from hypothesis import given, settings
from hypothesis import strategies as st

from cnnrt.partition import Task, Work, least

SECONDS = st.integers(0, 60).map(lambda tenths: tenths / 10)


@st.composite
def tasks(draw: st.DrawFn) -> Task:
    """Up to six layers of any graph, for up to three memories of which some cannot compute some of them."""
    memories = draw(st.integers(1, 3))
    values = ["left", "right"]
    works = []
    parts = draw(st.integers(0, 3))
    for number in range(draw(st.integers(1, 6))):
        reads = draw(st.lists(st.sampled_from(values[-4:]), min_size=1, max_size=3))
        gives = tuple(f"{number}{letter}" for letter in "ab"[: draw(st.integers(1, 2))])
        own = (draw(SECONDS), *(draw(SECONDS | st.just(math.inf)) for _ in range(memories - 1)))
        works.append(Work(own, tuple(reads), gives, 2 if number < parts else 1))
        values += gives
    passages = {value: (0.0, *(draw(SECONDS) for _ in range(memories - 1))) for value in values}
    crossing = {v for work in works[:parts] for v in work.gives}  # what parts of a batch give is joined by the process
    kept = draw(st.sets(st.sampled_from(values))) | crossing.intersection(v for w in works[parts:] for v in w.reads)
    return Task(tuple(works), passages, kept)


@given(tasks())
@settings(max_examples=300)
def test_nothing_takes_less_time(task: Task) -> None:
    everything = itertools.product(task.memories, repeat=len(task.works))
    assert math.isclose(task.seconds(least(task)), min(map(task.seconds, everything)), abs_tol=1e-9)


@given(tasks())
@settings(max_examples=30)
def test_the_same_every_time(task: Task) -> None:
    assert least(task) == least(task)


def test_of_equals_the_first_memory() -> None:
    works = [Work((1.0, 1.0), ("in",), ("a",)), Work((1.0, 1.0), ("a",), ("b",))]
    assert least(Task(tuple(works), dict.fromkeys(("in", "a", "b"), (0.0, 0.0)), {"b"})) == [0, 0]


def test_a_value_passes_once_for_each_run_that_reads_it_and_once_out() -> None:
    works = (
        Work((9.0, 1.0), ("in",), ("a",)),
        Work((9.0, 1.0), ("in", "a"), ("b",)),
        Work((1.0, math.inf), ("a", "b"), ("c",)),
        Work((1.0, math.inf), ("a", "c"), ("d",)),
        Work((9.0, 1.0), ("a", "a", "d"), ("e",)),
    )
    task = Task(works, dict.fromkeys(("in", *"abcde"), (0.0, 0.1)), {"e"})
    where = least(task)
    assert where == [1, 1, 0, 0, 1]
    #                       in, a out        b out            a and d in, e out
    assert task.moving(where) == [0.2, 0.1, 0.0, 0.0, math.fsum([0.1] * 3)]
    assert task.mostly_in(0) == [0] * 5
    assert task.mostly_in(1) == where


def test_two_thousand_layers_take_a_moment() -> None:
    works = [Work((2.0, 1.0 + number % 3), (f"{number}",), (f"{number + 1}",)) for number in range(2000)]
    task = Task(tuple(works), {f"{number}": (0.0, 0.4) for number in range(2001)}, {"2000"})
    started = time.process_time()
    where = least(task)
    assert time.process_time() - started < 2, "40 ms are usual"
    assert 0 < sum(where) < 2000
