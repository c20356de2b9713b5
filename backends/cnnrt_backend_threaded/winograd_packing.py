"""Transforming a panel of filters for Winograd's filtering: G w G' in float64, rounded once.

    arguments: filters [input, tap, output], panel [position, input, output], inputs, outputs (whole vectors)

The function takes `first` to `last` as inputs.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import attrs
import numpy as np

from cnnrt.layer import Array
from cnnrt_backend_threaded.aligned import aligned_floats, aligned_words
from cnnrt_backend_threaded.code_key import code_key
from cnnrt_backend_threaded.emitter import Code, Value
from cnnrt_backend_threaded.machine_code import CodeRequest, function_addresses
from cnnrt_backend_threaded.target import Target, host_target
from cnnrt_backend_threaded.weight_packing import common_lanes, pack_panel
from cnnrt_layers.winograd_matrices import Filtering, matrices


def transform_panel(filtering: Filtering, filters: Array, panel: Array) -> None:
    """Write the transforms of filters [output, input, row, column] (float32) to a panel [position, input, output].

    Outputs that the panel has beyond the filters become 0.
    """
    outputs, inputs = panel.shape[2], panel.shape[1]
    taps = filtering.taps**2
    by_tap = aligned_floats((1, inputs * taps, outputs))
    pack_panel(np.ascontiguousarray(filters, np.float32).reshape(len(filters), inputs * taps), by_tap)
    arguments = aligned_words(4)
    arguments[:] = (by_tap.ctypes.data, panel.ctypes.data, inputs, outputs)
    _function(filtering, common_lanes(outputs))(arguments.ctypes.data, 0, inputs, 0)


def transform_request(filtering: Filtering, lanes: int) -> CodeRequest:
    """Return the code that transforms by vectors of so many lanes; it serves all layers."""
    target = attrs.evolve(host_target(), vector_bits=32 * lanes)
    key = ("filters", filtering)
    disk_key = code_key(*key, target)
    return CodeRequest(target, key, disk_key, ("kernel",), lambda: write_transform(filtering, target), "filters")


@functools.cache
def _function(filtering: Filtering, lanes: int) -> Any:
    """Return the function for vectors of so many lanes as it is called from Python."""
    kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
    return kind(function_addresses(transform_request(filtering, lanes))["kernel"])


def write_transform(filtering: Filtering, target: Target) -> str:
    """Return the module for a target, in LLVM's assembly language."""
    code = Code(target)
    taps, matrix = filtering.taps, matrices(filtering).weight
    filters, panel = code.argument(0), code.argument(1)
    inputs, outputs = code.number(2), code.number(3)
    size = code.mul(inputs, outputs)
    with code.loop(code.first, code.last) as number, code.loop(0, outputs, code.lanes) as output:

        def tap(row: int, column: int) -> Value:
            place = code.add(code.mul(number, taps * taps), row * taps + column)
            return code.doubled(code.load(filters, code.add(code.mul(place, outputs), output)))

        block = [[tap(row, column) for column in range(taps)] for row in range(taps)]
        for i, factors in enumerate(matrix):
            line = [_combination(code, factors, [block[row][column] for row in range(taps)]) for column in range(taps)]
            for j, others in enumerate(matrix):
                position = code.mul(size, i * len(matrix) + j)
                place = code.add(position, code.add(code.mul(number, outputs), output))
                code.store(code.halved(_combination(code, others, line)), panel, place)
    code.finish()
    return code.text()


def _combination(code: Code, factors: Array, values: list[Value]) -> Value:
    """Return the sum of float64 vectors times constants."""
    total = None
    for factor, value in zip(factors.tolist(), values, strict=True):
        if factor:
            term = code.build.fmul(value, code.double_constant(factor))
            total = term if total is None else code.build.fadd(total, term)
    return code.double_constant(0) if total is None else total
