"""Passes: each rewrites the graph into one that gives the same wanted values with less work.

A pass takes the graph, the shapes of all its values and the wanted values, and returns a new graph with notes
for the receipt. Names of values survive, so their shapes inferred before the passes stay true after them; weights may
change, by what is folded into them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from cnnrt.graph import Graph
from cnnrt.passes.drop_identities import drop_identities
from cnnrt.passes.fold_affine import fold_affine
from cnnrt.passes.fold_elementwise import fold_elementwise
from cnnrt.passes.join_shuffles import join_shuffles
from cnnrt.passes.prune import prune
from cnnrt.shapes import Shapes

PASSES = (prune, drop_identities, join_shuffles, fold_affine, fold_elementwise)
"""In the order in which they run: folding sees through what was dropped, and a ReLU through what is in the weights."""


def run_passes(graph: Graph, shapes: Shapes, wanted: Collection[str]) -> tuple[Graph, Sequence[str]]:
    """Return the graph after all passes, and a sentence for each thing that they did."""
    notes: list[str] = []
    for rewrite in PASSES:
        graph, said = rewrite(graph, shapes, wanted)
        notes += said
    return graph, notes
