"""What stays in memory: never more than there is room for, and the best of all choices where these can be counted."""

from __future__ import annotations

import itertools

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnrt.mapped_file import HUGE_PAGE
from cnnrt.residency import Demand, Residency, choose_residency, least_room, room_of

KIB = 1 << 10
MIB = 1 << 20


@st.composite
def demands(draw: st.DrawFn, most: int = 8) -> list[Demand]:
    found = []
    for number in range(draw(st.integers(1, most))):
        slices = draw(st.sampled_from([1, 1, 3, 40]))
        slice_bytes = draw(st.integers(1, 2000)) * KIB // slices + 1
        packing = draw(st.sampled_from([0, 10 * KIB]))
        found.append(
            Demand(
                key=draw(st.integers(0, number)) if draw(st.booleans()) else number,
                layer=f"layer{number}",
                nbytes=slices * slice_bytes,
                slices=slices,
                slice_bytes=slice_bytes,
                times=draw(st.sampled_from([1, 1, 4])),
                packing=lambda count, packing=packing: packing,  # type: ignore[misc]
                looked_at=draw(st.booleans()),
            )
        )
    # Steps that share weights have the same ones.
    first = {d.key: d for d in reversed(found)}
    return [first[d.key] for d in found]


def taken(residency: Residency, wanted: list[Demand], calls: int) -> int:
    """Add up again, by the rule itself, what a choice takes."""
    shared = {d.key: d.nbytes for d in wanted}
    streamed = [d for d in wanted if d.key not in residency.resident]
    stays = sum(nbytes for key, nbytes in shared.items() if key in residency.resident)
    assert all(d.piece(residency.piece) <= residency.piece for d in streamed)
    read = [d for d in streamed if not d.looked_at]
    pieces = sum(d.pieces(residency.piece) for d in read)
    ring = min(2 if residency.ahead else 1, pieces) * max((d.piece(residency.piece) for d in read), default=0)
    assert residency.ring == ring
    ends = [(d.piece(residency.piece) + 2 * HUGE_PAGE, room_of(d.nbytes)) for d in streamed if d.looked_at]
    assert residency.window == max(map(min, ends), default=0)
    assert residency.resident_bytes == stays
    return stays + calls * (ring + residency.window + max((d.staging(residency.piece) for d in streamed), default=0))


@given(demands(), st.integers(0, 5000), st.integers(1, 3), st.sampled_from(["fastest", "largest"]))
def test_a_choice_takes_no_more_than_there_is_and_there_is_one_from_the_least_on(
    wanted: list[Demand], kib: int, calls: int, rule: str
) -> None:
    room = kib * KIB
    residency = choose_residency(wanted, room, calls, "largest" if rule == "largest" else "fastest")
    least = least_room(wanted, calls)
    assert (taken(residency, wanted, calls) <= room) == (room >= least)
    at_least = choose_residency(wanted, least, calls)
    assert taken(at_least, wanted, calls) <= least


@given(demands(most=6), st.integers(0, 5000))
def test_no_other_choice_with_the_same_pieces_is_read_in_less_time(wanted: list[Demand], kib: int) -> None:
    room = kib * KIB
    chosen = choose_residency(wanted, room)
    if room < least_room(wanted):
        return
    shared = {d.key: d for d in wanted}
    if not chosen.piece:
        assert chosen.resident == set(shared)
        return
    # Sizes are rounded up to a share of the room, so another choice may just miss: a little less than the room.
    room = room * 99 // 100
    for count in range(len(shared)):
        for stay in itertools.combinations(shared, count):
            streamed = [d for d in wanted if d.key not in stay]
            if any(d.least > chosen.piece for d in streamed):
                continue
            ring = (2 if chosen.ahead else 1) * max(d.piece(chosen.piece) for d in streamed)
            beside = max(d.staging(chosen.piece) for d in streamed)
            if sum(shared[key].nbytes for key in stay) + ring + beside <= room:
                read = sum(d.times * d.nbytes for d in streamed)
                assert sum(d.times * d.nbytes for d in wanted if d.key not in chosen.resident) <= read * 1.2 + MIB


def test_what_is_looked_at_passes_in_larger_pieces_than_what_is_read() -> None:
    read = Demand("fc6", "fc6", 144 * MIB, slices=256, slice_bytes=144 * MIB // 256)
    looked_at = attrs.evolve(read, looked_at=True)
    one, other = (choose_residency([demand], 40 * MIB) for demand in (read, looked_at))
    assert one.ring == 2 * one.piece < 10 * MIB
    assert not one.window
    assert other.window > 4 * one.piece
    assert not other.ring
    assert other.seconds < one.seconds / 2


def test_without_a_limit_everything_stays() -> None:
    wanted = [Demand("a", "a", 5 * MIB), Demand("b", "b", 3 * MIB)]
    assert choose_residency(wanted, None) == Residency(frozenset("ab"), 8 * MIB)
    assert choose_residency(wanted, 8 * MIB).ring == 0


def test_what_is_read_several_times_in_a_call_stays_rather() -> None:
    often, once = (Demand(name, name, 4 * MIB, 4, MIB, times) for name, times in (("often", 8), ("once", 1)))
    room = 4 * MIB + 2 * room_of(MIB)
    assert choose_residency([once, often], room).resident == {"often"}


def test_slices_let_a_layer_of_any_size_pass() -> None:
    large = Demand("fc6", "fc6", 144 * MIB, slices=128, slice_bytes=144 * MIB // 128)
    residency = choose_residency([large], 8 * MIB)
    assert not residency.resident
    assert residency.ring <= 8 * MIB
    assert residency.ahead
    assert least_room([large]) == room_of(144 * MIB // 128)


@pytest.mark.parametrize("slices", [1, 2, 7, 100])
def test_pieces_are_of_equal_size_and_all_slices_are_read(slices: int) -> None:
    demand = Demand("d", "d", slices * KIB, slices, KIB)
    for limit in range(0, 200 * KIB, 5 * KIB):
        at_once = demand.slices_in(limit)
        count = demand.pieces(limit)
        assert (count - 1) * at_once < slices <= count * at_once
        assert slices == 1 or at_once == 1 or demand.piece(limit) <= limit
