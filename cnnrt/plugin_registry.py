"""What plugins provide, by name, and where each came from: for answers, listings and messages."""

from __future__ import annotations

from typing import Any, TypeVar

import attrs

from cnnrt.errors import PluginError

T = TypeVar("T")


@attrs.define
class PluginRecord:
    """What is known of one plugin: for listings and error messages."""

    name: str
    kind: str
    module: str
    distribution: str
    version: str
    path: str = ""
    provides: list[str] = attrs.field(factory=list)
    problem: str = ""
    traceback: str = ""

    @property
    def origin(self) -> str:
        """Distribution and version, as messages name them."""
        return f"{self.distribution} {self.version}".strip()


class Registry(dict[Any, T]):
    """Things that plugins provide, by key. A key that two plugins claim is in `collisions` and not in here."""

    def __init__(self) -> None:
        super().__init__()
        self.origins: dict[Any, str] = {}
        self.collisions: dict[Any, str] = {}

    def add(self, key: Any, value: T, origin: str, what: str) -> None:
        """Add `value`, or turn `key` into a collision that names both origins."""
        if key in self.origins:
            self.pop(key, None)
            first = self.origins[key]
            self.collisions[key] = (
                f"{what} is provided by {first} and by {origin}; neither is used: uninstall one of the two"
            )
            return
        self.origins[key] = origin
        self[key] = value

    def find(self, key: Any) -> T | None:
        """Return what `key` stands for, None where nobody provides it; raises PluginError for a collision."""
        if key in self.collisions:
            raise PluginError(self.collisions[key])
        return self.get(key)
