"""Pickles of classes that are not installed: a class of any module and name, as the file would name it."""

from __future__ import annotations

import io
import pickle
from typing import Any, ClassVar


class Pretended:
    """An object whose pickle names another class; attributes become its state."""

    def __init__(self, class_: type, state: dict[str, Any]) -> None:
        self.class_, self.state = class_, state

    def __reduce__(self) -> Any:
        return self.class_, (), self.state


def pretended(module: str, name: str, /, **state: Any) -> Pretended:
    """Return an object that is pickled as one of class `module.name` with this state."""
    return Pretended(function(module, name), state)


def function(module: str, name: str) -> Any:
    """Return something that is pickled as the global `module.name`."""
    made = type(name, (), {})
    made.__module__, made.__qualname__ = module, name
    return made


def dumped(value: Any, protocol: int = 2) -> bytes:
    """Return the pickle of a value that holds what the functions above return."""
    stream = io.BytesIO()
    _Pickler(stream, protocol).dump(value)
    return stream.getvalue()


class _Pickler(pickle._Pickler):  # type: ignore[misc]  # the one in Python, which asks before it looks a global up
    def save_global(self, obj: Any, name: str | None = None) -> None:
        module, text = obj.__module__, name or obj.__qualname__
        if module.startswith(("theano", "lasagne", "shop")):
            self.write(pickle.GLOBAL + f"{module}\n{text}\n".encode())
            self.memoize(obj)
        else:
            super().save_global(obj, name)

    dispatch: ClassVar[Any] = {**pickle._Pickler.dispatch, type: save_global}  # type: ignore[attr-defined]
