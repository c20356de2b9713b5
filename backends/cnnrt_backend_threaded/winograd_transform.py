"""Multiplying vectors by a small constant matrix in few instructions, for the transforms of Winograd's filtering.

Points come in pairs p and -p, so rows and columns do too: what two rows share is computed once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnnrt.layer import Array
from cnnrt_backend_threaded.emitter import Code, Value


def apply_matrix(code: Code, matrix: Array, values: Sequence[Value]) -> list[Value]:
    """Return the product of a constant matrix and a column of vectors."""
    matrix, values = _join_columns(code, matrix, values)
    results: list[Value] = [None] * len(matrix)
    for i, row in enumerate(matrix):
        if results[i] is not None:
            continue
        for j in range(i + 1, len(matrix)):
            even, odd = (row + matrix[j]) / 2, (row - matrix[j]) / 2
            if results[j] is None and even.any() and odd.any() and not (even * odd).any():
                a, b = _combination(code, even, values), _combination(code, odd, values)
                results[i], results[j] = code.build.fadd(a, b), code.build.fsub(a, b)
                break
        else:
            results[i] = _combination(code, row, values)
    return results


def apply_both_ways(code: Code, matrix: Array, block: Sequence[Sequence[Value]]) -> list[list[Value]]:
    """Return matrix × block × matrix transposed, for a square block of vectors (rows of columns)."""
    by_column = [apply_matrix(code, matrix, [row[j] for row in block]) for j in range(len(block))]
    return [apply_matrix(code, matrix, [column[i] for column in by_column]) for i in range(len(matrix))]


def _join_columns(code: Code, matrix: Array, values: Sequence[Value]) -> tuple[Array, list[Value]]:
    """Replace pairs of columns that differ in signs only by the sums and differences of their values."""
    columns: list[Array] = []
    joined: list[Value] = []
    left = list(range(matrix.shape[1]))
    while left:
        i = left.pop(0)
        column = matrix[:, i]
        partner = next((j for j in left if (np.abs(matrix[:, j]) == np.abs(column)).all()), None)
        if partner is None or np.count_nonzero(column) < 2:
            columns.append(column)
            joined.append(values[i])
            continue
        left.remove(partner)
        same = matrix[:, partner] == column
        columns += [np.where(same, column, 0), np.where(same, 0, column)]
        joined += [code.build.fadd(values[i], values[partner]), code.build.fsub(values[i], values[partner])]
    return np.stack(columns, axis=1), joined


def _combination(code: Code, factors: Array, values: Sequence[Value]) -> Value:
    """Return the sum of the values times the factors; a term with factor 1 first, which costs nothing."""
    terms = sorted(((f, v) for f, v in zip(factors.tolist(), values, strict=True) if f), key=lambda t: t[0] != 1)
    if not terms:
        return code.zero()
    factor, value = terms[0]
    total = value if factor == 1 else code.build.fmul(code.constant(factor), value)
    for factor, value in terms[1:]:
        if factor == 1:
            total = code.build.fadd(total, value)
        elif factor == -1:
            total = code.build.fsub(total, value)
        else:
            total = code.multiply_add(code.constant(factor), value, total)
    return total
