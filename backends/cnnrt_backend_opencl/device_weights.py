"""Packed weights on a device: copied there as soon as it is clear to which, and no longer kept by the host."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping, Sequence

import numpy as np

from cnnrt.backend import Packed
from cnnrt.errors import DeviceLostError
from cnnrt.layer import Array
from cnnrt_backend_opencl.driver import Handle
from cnnrt_backend_opencl.session import Session, only_session


class DeviceWeights:
    """Arrays that move to a device. Other sessions get them from the first, as long as that lives.

    Where one device is in use, they move at once, so that no more than one layer's weights are there twice while a
    network is loaded.
    """

    def __init__(self, packed: Packed) -> None:
        arrays: Sequence[Array] = tuple(packed.values()) if isinstance(packed, Mapping) else tuple(packed)
        self._arrays: tuple[Array, ...] | None = tuple(np.ascontiguousarray(a) for a in arrays)
        self._forms = [(a.shape, a.dtype) for a in self._arrays]
        self._buffers: dict[Session, tuple[Handle, ...]] = {}
        self._lock = threading.Lock()
        session = only_session()
        if session is not None:
            with contextlib.suppress(DeviceLostError):  # told where they are used
                self.on(session)

    def on(self, session: Session) -> tuple[Handle, ...]:
        """Return the buffers in a session; None stands for an array without values.

        Raises DeviceLostError where the session that had them was lost.
        """
        with self._lock:
            if session not in self._buffers:
                arrays = self._read_back() if self._arrays is None else self._arrays
                driver = session.driver
                self._buffers[session] = tuple(driver.filled(session.context, a) if a.size else None for a in arrays)
                self._arrays = None
            return self._buffers[session]

    def _read_back(self) -> tuple[Array, ...]:
        for session, buffers in self._buffers.items():
            if not session.lost:
                queue = session.queue()
                arrays = tuple(np.empty(shape, dtype) for shape, dtype in self._forms)
                for array, buffer in zip(arrays, buffers, strict=True):
                    if array.size:
                        session.driver.read(queue, array, buffer)
                return arrays
        raise DeviceLostError("the weights went with the device that held them")
