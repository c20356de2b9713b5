"""What a suite knows of its layer: the calls to test it on, and how exact a kernel of it has to be."""

from __future__ import annotations

from typing import ClassVar

from hypothesis.strategies import SearchStrategy

from cnnrt.layer import Array, Layer
from cnnrt.testing.agreement import rounding_bound
from cnnrt.testing.case import Case
from cnnrt.testing.made_up_cases import made_up_cases


class LayerFacts:
    """The part of a `LayerSuite` that states facts; a backend's suite asks for them too.

    - `layer`: the class under test.
    - `cases`: a strategy of calls; override it where the class alone does not tell which calls make sense.
    - `allowed_error`: how far a float32 kernel may be from the exact result; override it for a sharper bound.
    """

    layer: ClassVar[type[Layer]]

    @classmethod
    def cases(cls) -> SearchStrategy[Case]:
        """Return calls of the layer with their data, made by `cnnrt.testing.make_case`; empty batches among them."""
        return made_up_cases(cls.layer)

    @classmethod
    def allowed_error(cls, case: Case) -> tuple[Array, ...]:
        """Return, for each value of each output after what is folded in, the largest difference from the exact one."""
        return rounding_bound(case)
