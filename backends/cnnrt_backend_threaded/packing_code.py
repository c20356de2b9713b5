"""The code that turns rows of weights, one for each output, into a panel: for each input the weights of all outputs.

A row holds `channels` × `positions` values, the positions of a channel side by side (positions of the kernel, or pixels
of the image before a fully connected layer); in the panel the channels of a position lie side by side. Squares of as
many rows and values as a vector has lanes are transposed in registers.

    arguments: rows, panel, count of rows, channels, positions, width of the panel (whole vectors)

The function takes `first` to `last` as vectors of the panel. Outputs beyond the count are set to 0.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import attrs

from cnnrt_backend_threaded.code_key import code_key
from cnnrt_backend_threaded.emitter import Code, Index
from cnnrt_backend_threaded.lane_moves import transposed
from cnnrt_backend_threaded.machine_code import CodeRequest, function_addresses
from cnnrt_backend_threaded.target import Target, host_target


@functools.cache
def packing_function(lanes: int) -> Any:
    """Return the function for vectors of so many lanes as it is called from Python, without the interpreter's lock."""
    kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
    return kind(function_addresses(packing_request(lanes))["kernel"])


def packing_request(lanes: int) -> CodeRequest:
    """Return the code that packs by vectors of so many lanes; it serves all layers."""
    target = attrs.evolve(host_target(), vector_bits=32 * lanes)
    disk_key = code_key("packing", target)
    return CodeRequest(target, "packing", disk_key, ("kernel",), lambda: write_packing(target), "packing")


def write_packing(target: Target) -> str:
    """Return the module for a target, in LLVM's assembly language."""
    code = Code(target)
    lanes = code.lanes
    rows, panel = code.argument(0), code.argument(1)
    count, channels, positions, width = (code.number(i) for i in range(2, 6))
    depth = code.mul(channels, positions)

    def place(value: Index, output: Index) -> Index:
        """Return where a row's value lies in the panel."""
        channel, position = code.divide(value, positions), code.remainder(value, positions)
        return code.add(code.mul(code.add(code.mul(position, channels), channel), width), output)

    with code.loop(code.first, code.last) as vector:
        first = code.mul(vector, lanes)
        # Rows beyond the last are read as that one, and their values dropped.
        starts = [code.mul(code.smaller(code.add(first, r), code.sub(count, 1)), depth) for r in range(lanes)]
        there = [code.less(code.add(first, r), count) for r in range(lanes)]
        keep = code.lanes_where(there)

        def square(at: Index) -> None:
            loaded = [code.load(rows, code.add(start, at)) for start in starts]
            for i, value in enumerate(transposed(code, loaded)):
                code.store(code.build.select(keep, value, code.zero()), panel, place(code.add(at, i), first))

        def squares() -> None:
            with code.loop(0, depth, lanes) as at:
                square(code.smaller(at, code.sub(depth, lanes)))  # the last overlaps the one before

        def values() -> None:
            with code.loop(0, depth) as at:
                for r, (start, real) in enumerate(zip(starts, there, strict=True)):
                    value = code.load_value(rows, code.add(start, at))
                    chosen = code.build.select(real, value, code.float_value(0))
                    code.store_value(chosen, panel, place(at, code.add(first, r)))

        code.choose(code.less(depth, lanes), values, squares)
    code.finish()
    return code.text()
