"""How a Net is to run: the NetFile's promises, and what the caller says instead."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any

import attrs

from cnnrt.arguments import is_count, is_number
from cnnrt.errors import InputError
from cnnrt.pinned import NO_PINS, Pin, pins_from
from cnnrt.residency import Rule
from cnnrt.weight_storage import DEFAULT, WeightStorage
from netfile_spec import NetFile

TUNING_BUDGET = 10.0
"""Seconds of measuring for each network."""
LARGEST_CEILING = 1 << 40
"""MiB from which on a ceiling means nothing."""


@attrs.frozen
class Settings:
    """Settled choices of a Net.

    `allocated_ram` in MiB (None: no ceiling), `threads` None: as many as useful, `tuning_budget` in seconds, `pinned`:
    layers whose kernels are settled by a saved plan, `residency`: which weights stay where not all do,
    `weight_storage`: the type that weights are kept in.
    """

    execution_mode: str = "parallel"
    allocated_ram: float | None = None
    auto_tuning: bool = False
    threads: int | None = None
    device: str | None = None
    strict: bool = False
    concurrency: int = 1
    tuning_budget: float = TUNING_BUDGET
    pinned: Mapping[str, Pin] = NO_PINS
    residency: Rule = "fastest"
    weight_storage: WeightStorage = DEFAULT


def settle(
    netfile: NetFile,
    execution_mode: str | None,
    allocated_ram: float | None,
    auto_tuning: bool | str | None,
    threads: int | None,
    device: str | None,
    strict: bool,
    concurrency: int,
    tuning_budget: float | None = None,
    plan: Any = None,
    residency: str = "fastest",
    weight_storage: str | None = None,
) -> Settings:
    """Return the caller's choices, else the NetFile's, else the defaults. Raises InputError for impossible ones."""
    _check_count("threads", threads)
    _check_count("concurrency", concurrency)
    if allocated_ram is not None and not (is_number(allocated_ram) and 0 < allocated_ram < inf):
        raise InputError(f"allocated_ram: expected MiB above 0, got {allocated_ram!r}")
    if not (
        auto_tuning is None
        or isinstance(auto_tuning, bool)
        or (isinstance(auto_tuning, str) and auto_tuning in ("on", "off"))
    ):
        raise InputError(f'auto_tuning: expected True, False, "on" or "off", got {auto_tuning!r}')
    if execution_mode is not None and not isinstance(execution_mode, str):
        raise InputError(f"execution_mode: expected a text, got {execution_mode!r}")
    if not isinstance(strict, bool):
        raise InputError(f"strict: expected True or False, got {strict!r}")
    if device is not None and not isinstance(device, str):
        raise InputError(f"device: expected a name, got {device!r}")
    if tuning_budget is not None and not (is_number(tuning_budget) and 0 <= tuning_budget < inf):
        raise InputError(f"tuning_budget: expected seconds, got {tuning_budget!r}")
    if residency not in ("fastest", "largest"):
        raise InputError(f'residency: expected "fastest" or "largest", got {residency!r}')
    storage = weight_storage or netfile.weight_storage or DEFAULT
    if storage not in ("float32", "float16"):
        raise InputError(f'weight_storage: expected "float32" or "float16", got {storage!r}')
    ceiling = netfile.allocated_ram if allocated_ram is None else float(allocated_ram)
    tuning = netfile.auto_tuning if auto_tuning is None else auto_tuning in (True, "on")
    return Settings(
        execution_mode=(execution_mode or netfile.execution_mode or "parallel").lower(),
        # A ceiling beyond any machine's memory is none; in bytes it may not even be a finite number.
        allocated_ram=None if ceiling is not None and ceiling > LARGEST_CEILING else ceiling,
        auto_tuning=bool(tuning),
        threads=None if threads is None else int(threads),
        device=device,
        strict=strict,
        concurrency=int(concurrency),
        tuning_budget=TUNING_BUDGET if tuning_budget is None else float(tuning_budget),
        pinned=NO_PINS if plan is None else pins_from(plan),
        residency="largest" if residency == "largest" else "fastest",
        weight_storage="float16" if storage == "float16" else "float32",
    )


def _check_count(name: str, value: Any) -> None:
    if value is not None and not (is_count(value) and value >= 1):
        raise InputError(f"{name}: expected an integer of at least 1, got {value!r}")
