"""Which layers run: Caffe's include and exclude rules, for phase TEST.

The rules are those of Caffe's NetStateRule: a rule is met if phase, level and stages all agree; a layer with
include rules runs if any of them is met, a layer with exclude rules if none is. A net's own `state` gives level
and stages; without one the level is 0 and no stage is set.
"""

from __future__ import annotations

from typing import Any

TEST = 1


def is_included(layer: Any, state: Any) -> bool:
    """Tell whether a layer (LayerParameter) runs in phase TEST of a net with this NetState."""
    if layer.include:
        return any(_is_met(rule, state) for rule in layer.include)
    return not any(_is_met(rule, state) for rule in layer.exclude)


def _is_met(rule: Any, state: Any) -> bool:
    stages = set(state.stage)
    return (
        (not rule.HasField("phase") or rule.phase == TEST)
        and (not rule.HasField("min_level") or state.level >= rule.min_level)
        and (not rule.HasField("max_level") or state.level <= rule.max_level)
        and stages.issuperset(rule.stage)
        and stages.isdisjoint(rule.not_stage)
    )
