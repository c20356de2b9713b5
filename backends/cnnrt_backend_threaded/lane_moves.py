"""Values that change places between vectors: squares transposed, vectors interleaved and taken apart."""

from __future__ import annotations

from collections.abc import Sequence

from cnnrt_backend_threaded.emitter import Code, Value


def transposed(code: Code, rows: Sequence[Value]) -> list[Value]:
    """Return the columns of a square of vectors: bit after bit, a row's number and a lane's are exchanged."""
    rows = list(rows)
    lanes = code.lanes
    step = 1
    while step < lanes:
        for i in range(lanes):
            if not i & step:
                a, b = rows[i], rows[i + step]
                low = [lane if not lane & step else lanes + lane - step for lane in range(lanes)]
                high = [lane + step if not lane & step else lanes + lane for lane in range(lanes)]
                rows[i], rows[i + step] = code.shuffle(a, low, b), code.shuffle(a, high, b)
        step *= 2
    return rows


def interleaved(code: Code, vectors: Sequence[Value]) -> list[Value]:
    """Return as many vectors with the first values of all, then the second ones, ..."""
    count = len(vectors)
    places = [divmod(number, count) for number in range(count * code.lanes)]
    return _chosen(code, vectors, [(vector, lane) for lane, vector in places])


def taken_apart(code: Code, vectors: Sequence[Value]) -> list[Value]:
    """Return as many vectors, the first with the first of every so many values: the opposite of `interleaved`."""
    count = len(vectors)
    places = [lane * count + vector for vector in range(count) for lane in range(code.lanes)]
    return _chosen(code, vectors, [divmod(place, code.lanes) for place in places])


def backwards(code: Code, vector: Value, count: int) -> Value:
    """Return a vector whose first `count` values are in the opposite order."""
    return code.shuffle(vector, [count - 1 - lane if lane < count else lane for lane in range(code.lanes)])


def _chosen(code: Code, vectors: Sequence[Value], places: Sequence[tuple[int, int]]) -> list[Value]:
    """Return vectors made of the values at (vector, lane), vector by vector."""
    lanes = code.lanes
    results = []
    for start in range(0, len(places), lanes):
        wanted = places[start : start + lanes]
        needed = sorted({vector for vector, _ in wanted})
        result = code.shuffle(vectors[needed[0]], [lane for _, lane in wanted])
        for number in needed[1:]:
            own = [lanes + lane if vector == number else place for place, (vector, lane) in enumerate(wanted)]
            result = code.shuffle(result, own, vectors[number])
        results.append(result)
    return results
