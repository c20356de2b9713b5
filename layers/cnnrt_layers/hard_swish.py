"""HardSwish: a swish made of straight lines and a parabola."""

from __future__ import annotations

import attrs
import numpy as np

from cnnrt.layer import Array
from cnnrt_layers.elementwise import Elementwise


@attrs.frozen(kw_only=True)
class HardSwish(Elementwise):
    """Multiplies each value by a hard sigmoid of slope 1/6 of itself (Howard et al., MobileNet v3, ICCV 2019).

    Input and output of any shape.
    """

    type = "HardSwish"
    formula = "y = x * min(1, max(0, x / 6 + 1 / 2))"
    example = """
        layer {
          type: "HardSwish"
          name: "hard_swish1"
        }
    """

    def apply(self, x: Array) -> Array:
        """Return the product."""
        return x * np.clip(x / 6 + 0.5, 0, 1)
