"""Inputs that hold no numbers are found: before anything is computed, or meanwhile."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from cnnrt.errors import InputError
from cnnrt.finite_inputs import SHARE, FiniteInputs, check_finite

LARGE = (2, SHARE // 4)


def spoiled(shape: tuple[int, ...], value: float) -> np.ndarray:
    array = np.ones(shape, np.float32)
    array[1, 7] = value
    return array


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("threads", [1, 7])
def test_the_first_value_that_is_no_number_is_named(value: float, threads: int) -> None:
    expected = rf"input 'data': 1 of {2 * LARGE[1]} values are NaN or infinite, the first at \(1, 7\)"
    with pytest.raises(InputError, match=expected), FiniteInputs({"data": spoiled(LARGE, value)}, threads=threads):
        pass


def test_nothing_is_computed_of_bad_inputs_that_are_read_first() -> None:
    computed = []
    with pytest.raises(InputError), FiniteInputs({"data": spoiled((2, 9), np.nan)}, threads=2):
        computed.append("small ones are read at once")
    assert not computed


def test_large_inputs_are_read_by_another_thread_while_a_device_works() -> None:
    names: list[str] = []

    class Watched(np.ndarray):
        def sum(self, *args: object, **kwargs: object) -> object:
            names.append(threading.current_thread().name)
            return np.asarray(self).sum()

    with FiniteInputs({"data": np.ones(LARGE, np.float32).view(Watched)}, threads=2):
        pass
    assert names == ["cnnrt-finite"] * 2


def test_without_threads_to_spare_they_are_read_before() -> None:
    with pytest.raises(InputError, match=r"the first at \(1, 7\)"):
        check_finite({"data": spoiled(LARGE, np.nan)})


def test_what_went_wrong_with_bad_inputs_is_their_fault() -> None:
    with pytest.raises(InputError) as raised, FiniteInputs({"data": spoiled(LARGE, np.nan)}, threads=2):
        raise ArithmeticError("of NaN")
    assert isinstance(raised.value.__context__, ArithmeticError)


def test_sums_beyond_float32_are_no_fault() -> None:
    with FiniteInputs({"data": np.full((2, 9), 3e38, np.float32)}, threads=1):
        pass
