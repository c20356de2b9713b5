"""What a forked child must make anew: locks that another thread of its parent held, and turns that nobody gives back.

A child has only the thread that forked. Whatever the others held at that moment is held for ever, so everything with a
lock puts itself down here.
"""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Renewed(Protocol):
    """Something with locks."""

    def after_fork(self) -> None:
        """Make the locks anew, in the child, before anybody uses them."""
        ...


_renewed: WeakSet[Renewed] = WeakSet()


def renew_after_fork(thing: Renewed) -> None:
    """Have `thing.after_fork` called in forked children for as long as it lives."""
    _renewed.add(thing)


def _in_child() -> None:
    for thing in list(_renewed):
        thing.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
