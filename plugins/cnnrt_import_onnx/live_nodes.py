"""The nodes on which the outputs depend: others are not looked at, whether they are supported or not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from cnnrt_import_onnx.model_text import text_of


def live_nodes(nodes: Sequence[Any], outputs: Sequence[str]) -> tuple[list[Any], set[str]]:
    """Return the nodes on which an output depends, and the names of all values that they and the outputs read."""
    needed = {name for name in outputs if name}
    live = []
    for proto in reversed(nodes):
        if any(text_of(name) in needed for name in proto.output):
            live.append(proto)
            needed.update(name for name in names_read(proto) if name)
    live.reverse()
    return live, needed


def names_read(proto: Any) -> Iterator[str]:
    """Yield the names that a node reads, those inside its branches included."""
    yield from map(text_of, proto.input)
    for attribute in proto.attribute:
        if attribute.HasField("g"):
            for inner in attribute.g.node:
                yield from names_read(inner)
            yield from (text_of(o.name) for o in attribute.g.output)
