"""`Target`: a processor as LLVM knows it."""

from __future__ import annotations

import attrs


@attrs.frozen
class Target:
    """A processor as LLVM knows it.

    `vector_bits` and `registers` are those of the vector registers that code should use; `cpu` and `features` are
    LLVM's names.
    """

    triple: str
    cpu: str
    features: str
    vector_bits: int
    registers: int

    @property
    def lanes(self) -> int:
        """The float32 values of one vector."""
        return self.vector_bits // 32
