"""How a suite tries a check on many cases: hypothesis draws them, and shrinks the first that fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import SearchStrategy

T = TypeVar("T")

_SUPPRESSED = (HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large)
_PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)


def examine(
    cases: SearchStrategy[T],
    check: Callable[[T], None],
    examples: int,
    *,
    none: str = "no case could be drawn",
    may_skip: bool = False,
) -> None:
    """Run `check` on `examples` cases, under the profile of hypothesis that is loaded.

    Floating-point warnings are off, as where networks run. Where not one case passes the check's assumptions, the test
    fails with the reason `none`, or is skipped with it if it `may_skip`.
    """

    @settings(
        max_examples=examples,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=_SUPPRESSED,
        phases=_PHASES,
    )
    @given(case=cases)
    def examined(case: T) -> None:
        with np.errstate(all="ignore"):
            check(case)

    try:
        examined()
    except Unsatisfiable:
        if may_skip:
            pytest.skip(none)
        pytest.fail(none, pytrace=False)
