"""Dropout where a pass could not remove it: a copy."""

from __future__ import annotations

from collections.abc import Sequence

from cnnrt.layer_call import LayerCall
from cnnrt_backend_threaded.emitter import Code, Value
from cnnrt_backend_threaded.flat_work import FlatKernel


class CopyDropout(FlatKernel):
    """Dropout in inference: the identity."""

    layer = "Dropout"
    name = "flat"

    def combine(self, call: LayerCall, code: Code, values: Sequence[Value]) -> Value:
        """Return the values."""
        return values[0]
