"""ONNX's own tests of backends, run through `cnnrt.onnx_backend`: which are meant, which are not and why."""

from __future__ import annotations

import re
import unittest
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs
import onnx
from onnx.backend.test import BackendTest
from onnx.backend.test.loader import load_model_tests

from cnnrt.onnx_backend import CnnrtBackend
from cnnrt_import_onnx.supported import CONSTANT_ONLY, SUPPORTED

KINDS = ("node", "pytorch-converted", "pytorch-operator", "simple")

EXCLUDED = {
    r"FLOAT8|FLOAT4|INT4|INT2": "types of 8, 4 and 2 bits are those of quantised networks",
    r"(pool|convtranspose)_3d|(Conv|Pool)3d": "convolution and pooling are of images and rows, not of volumes",
    r"^test_training_dropout(_default)?(_mask)?$|^test_batchnorm_.*_training_mode$": "training is not inference",
    r"_empty_set|zero_size|allowzero_reordered": "values without any elements do not flow through a network",
    r"^test_(clip_default_int8_(min|max|inbounds)|maxpool_2d_uint8|(edge|reflect|wrap)_pad)$": (
        "integers are computed on as constants only, and these would be the layers' values"
    ),
    r"_string|^test_(identity|if)_(seq|opt)": "text, sequences and optional values are no tensors of numbers",
    r"maxpool_with_argmax_2d_precomputed_strides": "places of maxima that are counted column by column",
    r"tf_crop_and_resize|antialias|half_pixel_symmetric": "no layer resizes in these ways",
    r"downsample_scales_(linear|cubic)_align_corners": "aligned corners with a fraction of a pixel left over",
    r"^test_not_\dd$": "their operator set is 1; operator sets are read from 6 on",
    r"flexattention_causal_mask": "a mask that is computed while the network runs",
    r"^test_operator_add(constant|_broadcast|_size1_(singleton|right)_broadcast)$": (
        "their inputs hold NaN, which compute refuses"
    ),
}
"""Patterns of names of tests whose operators are read and that are not expected to pass, with the reasons."""


@attrs.frozen
class Outcome:
    """What became of one test: "" where it passed, else the last line of what went wrong."""

    name: str
    failure: str


class Sequential(CnnrtBackend):
    """The backend by the sequential kernels: nothing is compiled for shapes that occur once."""

    @classmethod
    def prepare(cls, model: Any, device: str = "CPU", **kwargs: Any) -> Any:
        return super().prepare(model, device, execution_mode="sequential", **kwargs)


def operators() -> Mapping[str, frozenset[str]]:
    """Return the operators of each test; those of other domains as domain:operator."""
    found = {}
    for kind in KINDS:
        for case in load_model_tests(kind=kind):
            model = case.model or onnx.load(Path(case.model_dir or "") / "model.onnx")
            found[case.name] = frozenset(
                f"{node.domain}:{node.op_type}" if node.domain else node.op_type for node in model.graph.node
            )
    return found


def read(names: Mapping[str, frozenset[str]]) -> list[str]:
    """Return the tests all of whose operators are read."""
    known = {*SUPPORTED, *CONSTANT_ONLY}
    return [name for name, ops in names.items() if ops <= known]


def exclusion(name: str) -> str | None:
    """Return the first pattern that excludes a test."""
    return next((pattern for pattern in EXCLUDED if re.search(pattern, name)), None)


@attrs.define
class Suite:
    """All tests, and how to run some of them."""

    operators: Mapping[str, frozenset[str]] = attrs.field(factory=operators)
    classes: list[Any] = attrs.field(factory=lambda: list(BackendTest(Sequential).test_cases.values()))

    def run(self, names: Iterable[str]) -> list[Outcome]:
        """Run tests by name."""
        return [Outcome(name, self._failure(f"{name}_cpu")) for name in names]

    def _failure(self, method: str) -> str:
        owner = next(c for c in self.classes if hasattr(c, method))
        result = unittest.TestResult()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # casts of the tests' own
            owner(method).run(result)
        for _, text in (*result.errors, *result.failures, *result.skipped):
            return text.strip().splitlines()[-1] if text.strip() else "it failed"
        return "" if result.testsRun == 1 else "it did not run"
