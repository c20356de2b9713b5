"""What stands for the globals of a pickle: none of them is imported, each is looked up in a table of ours.

A table maps (module, name), as the file spells them, to a `Global`, whose `make` gets the plain values that the file
hands over and returns a plain value or a `Record`. So the most that a pickle can do is choose among these functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs


class PickleFault(Exception):
    """A pickle that cannot be read; the text says why. The reader makes an ImportFailure of it."""


@attrs.define(eq=False)
class Record:
    """An object of the file: which global it is of, what that was called with, and the state that was put into it.

    `made_with` and `state` are plain values and other Records.
    """

    module: str
    name: str
    made_with: tuple[Any, ...] = ()
    state: Any = None

    def set_state(self, state: Any) -> None:
        """Take what the file puts into the object."""
        self.state = state

    @property
    def attributes(self) -> Mapping[str, Any]:
        """The state as attributes by name; empty where it is something else. Slots count as well."""
        found: dict[str, Any] = {}
        for part in self.state if isinstance(self.state, tuple) else (self.state,):
            if isinstance(part, dict):
                found.update((key, value) for key, value in part.items() if isinstance(key, str))
        return found


@attrs.frozen(eq=False)
class Global:
    """A global that a pickle may name; `make(*arguments)` stands for calling it. None: it cannot be called."""

    module: str
    name: str
    make: Callable[..., Any] | None = None


Globals = Callable[[str, str], "Callable[..., Any] | None"]
"""Answers (module, name) with what stands for calling that global, or None where the file may not name it."""


def opaque(module: str, name: str) -> Callable[..., Record]:
    """Return what stands for a global whose objects are only looked at: calling it gives a Record."""

    def make(*arguments: Any) -> Record:
        return Record(module, name, arguments)

    return make


def table(entries: Mapping[tuple[str, str], Callable[..., Any]]) -> Globals:
    """Return a table as a `Globals`: what it does not hold may not be named."""
    return lambda module, name: entries.get((module, name))
