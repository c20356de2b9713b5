"""Names of layers, inputs and tops: what the model calls its nodes and values, each used once."""

from __future__ import annotations

import attrs

from cnnrt.findings import Findings
from netfile_spec.problems import quoted

_LONGEST = 200


@attrs.define(eq=False)
class Names:
    """Hands out names; `findings` get a note where the model's own could not be kept."""

    findings: Findings
    taken: set[str] = attrs.field(factory=set)
    _next: dict[str, int] = attrs.field(factory=dict)

    def unique(self, wanted: str, otherwise: str) -> str:
        """Return `wanted` (where it is empty, `otherwise`), with a number behind it where that is taken."""
        base = name = wanted[:_LONGEST] or otherwise
        while name in self.taken:
            number = self._next[base] = self._next.get(base, 1) + 1
            name = f"{base}_{number}"
        if wanted and name != wanted:
            self.findings.note(f"the name {quoted(wanted)} is taken or too long: here it is {quoted(name)}")
        self.taken.add(name)
        return name

    def claim(self, name: str) -> bool:
        """Take a name if it is free; tell whether it was."""
        if not name or len(name) > _LONGEST or name in self.taken:
            return False
        self.taken.add(name)
        return True
