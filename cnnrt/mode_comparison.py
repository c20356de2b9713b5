"""The same network in two execution modes: every value that both compute, side by side, in the network's order."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from cnnrt.layer import Array
from cnnrt.net import Net
from cnnrt.plan import Plan, PlanRow
from cnnrt.verification import TOLERANCE, Comparison, Verification, compare


@attrs.frozen
class ModeComparison:
    """What was compared, and for each value what computed it in both modes: backend and kernel."""

    verification: Verification
    kernels: tuple[tuple[str, str], ...]


def compare_modes(one: Net, other: Net, arrays: Mapping[str, Array], tolerance: float = TOLERANCE) -> ModeComparison:
    """Compute inputs (by name, with a batch dimension) by both nets, and compare the values of `other` with `one`'s.

    Compared is what both plans compute: a value that a pass folds away is asked of neither, so that the kernels are
    those of a usual run.
    """
    shapes = {name: array.shape for name, array in arrays.items()}
    rows = [_by_value(net.plan_for(shapes), net) for net in (one, other)]
    wanted = [value for value in one.graph.values if value in rows[0] and value in rows[1]]
    expected, computed = (net.compute(dict(arrays), outputs=wanted) for net in (one, other))
    compared: list[Comparison] = []
    kernels: list[tuple[str, str]] = []
    for value in wanted:
        first, second = rows[0][value], rows[1][value]
        compared.append(compare(value, second.title, computed[value], expected[value], tolerance))
        kernels.append((f"{first.backend}/{first.kernel}", f"{second.backend}/{second.kernel}"))
    return ModeComparison(Verification(tuple(compared), ()), tuple(kernels))


def _by_value(plan: Plan, net: Net) -> dict[str, PlanRow]:
    """Return the rows by the values that they end in; views, and what passes inserted, give none of their own."""
    values = {node.name: node.outputs for node in net.graph.nodes}
    rows = [row for row in plan.rows if row.segment >= 0 and row.layer in values]
    return {value: row for row in rows for value in values[row.folded[-1] if row.folded else row.layer]}
