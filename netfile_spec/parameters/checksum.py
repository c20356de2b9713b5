"""CRC-32 of parts that are read in any order, joined to that of the whole.

The checksum of a concatenation follows from those of its halves and the second half's length: appending n zero bytes
multiplies a CRC, read as a polynomial over GF(2), by x^(8n) modulo the CRC's polynomial (Adler, zlib's crc32_combine).
"""

from __future__ import annotations

import functools

_POLYNOMIAL = 0xEDB88320  # x^32 + x^26 + ... + 1, the highest power in the lowest bit
_ONE = 0x80000000


def joined(first: int, second: int, second_bytes: int) -> int:
    """Return the CRC-32 of two strings one after the other, from theirs and the length of the second in bytes."""
    return _product(_power(8 * second_bytes), first) ^ second


def _product(a: int, b: int) -> int:
    result = 0
    bit = _ONE
    while bit:
        if a & bit:
            result ^= b
        b = b >> 1 ^ _POLYNOMIAL if b & 1 else b >> 1
        bit >>= 1
    return result


@functools.lru_cache(256)  # parts are of few lengths
def _power(exponent: int) -> int:
    """Return x to a power."""
    result, square = _ONE, _ONE >> 1
    while exponent:
        if exponent & 1:
            result = _product(square, result)
        square = _product(square, square)
        exponent >>= 1
    return result
