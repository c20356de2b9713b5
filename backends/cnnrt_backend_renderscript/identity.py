"""Dropout in inference: the same values; see `kernels/elementwise.rs`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnnrt_backend_renderscript.activations import Activation
from cnnrt_backend_renderscript.eltwise import NEUTRAL


class CopyDropout(Activation):
    """Copies, where the pass that drops identities could not."""

    layer = "Dropout"
    function = "rectify"

    def amounts(self, layer: Any) -> Mapping[str, float]:
        """Return what changes nothing."""
        return NEUTRAL
