"""One thread for BLAS while references and kernels in NumPy compute, whatever the rest of the process uses.

The number of threads of a BLAS library belongs to the process. So the guard is shared and counted: the first
thread in sets the limit, the last one out restores what was there before. Threads that use NumPy outside
of it meanwhile see the limit too; there is no way around that.
"""

from __future__ import annotations

import os
import sys
import threading
from types import TracebackType
from typing import Protocol


class _Limiter(Protocol):
    def restore_original_limits(self) -> None: ...


class _Libraries(Protocol):
    def limit(self, *, limits: int, user_api: str) -> _Limiter: ...


class BlasGuard:
    """A context manager: inside, BLAS libraries run on one thread. Enter it from any thread, as often as you like.

    Finding the libraries takes threadpoolctl 0.3 ms, setting their limit a few microseconds, so what was found is
    kept. A library can only be added by an import: they are looked for again when the number of imported modules has
    changed since. One that is loaded while somebody is inside is limited from the next time on.
    """

    def __init__(self) -> None:
        self._found: _Libraries | None = None
        self._modules_seen = -1
        self._limiter: _Limiter | None = None
        self._lock = threading.Lock()
        self._inside: dict[int, int] = {}

    def __enter__(self) -> None:
        me = threading.get_ident()
        with self._lock:
            if not self._inside:
                self._limiter = self._libraries().limit(limits=1, user_api="blas")
            self._inside[me] = self._inside.get(me, 0) + 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        me = threading.get_ident()
        with self._lock:
            self._inside[me] -= 1
            if not self._inside[me]:
                del self._inside[me]
            self._restore_when_empty()

    def _libraries(self) -> _Libraries:
        if self._found is None or self._modules_seen != len(sys.modules):
            self._found = _find_libraries()
            self._modules_seen = len(sys.modules)
        return self._found

    def _restore_when_empty(self) -> None:
        if not self._inside and self._limiter is not None:
            limiter, self._limiter = self._limiter, None
            limiter.restore_original_limits()

    def after_fork(self) -> None:
        """Forget, in a forked child, the threads that exist only in its parent; one of them may have held the lock."""
        self._lock = threading.Lock()
        me = threading.get_ident()
        self._inside = {me: self._inside[me]} if me in self._inside else {}
        self._restore_when_empty()


def _find_libraries() -> _Libraries:
    from threadpoolctl import ThreadpoolController

    found: _Libraries = ThreadpoolController()
    return found


one_blas_thread = BlasGuard()
"""The guard of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=one_blas_thread.after_fork)
