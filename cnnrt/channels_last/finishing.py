"""The finished network as an ImportedModel.

What no output needs left out, every name once, weights read when asked for.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import attrs

from cnnrt.channels_last.axis_order import in_order, unfolded
from cnnrt.channels_last.joining import join
from cnnrt.channels_last.network import Network, known
from cnnrt.channels_last.values import AFFINE, IMAGE_ORDER, INPUT, Flow, Place, Step, shape_words
from cnnrt.importer import ImportedModel
from cnnrt.lazy_weights import LazyWeights
from netfile_spec import InputBlock, LayerBlock, NetFile
from netfile_spec.limits import MAX_BLOCKS
from netfile_spec.problems import quoted

_LONGEST_NAME = 200


@attrs.define(eq=False)
class _Names:
    """Hands out names, each once."""

    taken: set[str] = attrs.field(factory=set)
    next: dict[str, int] = attrs.field(factory=dict)

    def unique(self, wanted: str, otherwise: str) -> str:
        base = name = wanted[:_LONGEST_NAME] or otherwise
        while name in self.taken:
            number = self.next[base] = self.next.get(base, 1) + 1
            name = f"{base}_{number}"
        self.taken.add(name)
        return name

    def claim(self, name: str) -> bool:
        if not name or len(name) > _LONGEST_NAME or name in self.taken:
            return False
        self.taken.add(name)
        return True


def finished(
    net: Network, outputs: Mapping[str, Flow], *, name: str = "", inputs: Mapping[str, InputBlock] | None = None
) -> ImportedModel:
    """Return the model that gives `outputs`; `inputs` are blocks with the preprocessing that the source states.

    Images come out channels first, all else in the source's order. Raises ImportFailure where there are problems.
    """
    given = {output: _presented(net, output, value) for output, value in outputs.items()}
    if not given and not net.findings.problems:
        net.findings.problem("the model has no outputs")
    net.findings.raise_if_any()
    wanted = {output: flow.step for output, flow in given.items() if flow.step is not None}
    steps = join(_live(net.steps, list(wanted.values())), list(wanted.values()))
    for step in steps:
        if step.type == AFFINE:
            _as_layer(step)
    for step in net.steps:
        if step.type == INPUT and not step.open and step not in steps:
            net.findings.note(f"the input {quoted(step.name)} is left out: no output depends on it")
    layers = [step for step in steps if step.type != INPUT]
    if len(steps) > MAX_BLOCKS:
        net.findings.problem(f"{len(steps):,} layers", expected=f"at most {MAX_BLOCKS:,}")
    if not layers:
        net.findings.problem("the model computes nothing", expected="layers between its inputs and outputs")
    net.findings.raise_if_any()
    names = _Names()
    called = {id(step): names.unique(step.name, step.type.lower()) for step in steps if step.type == INPUT}
    called |= {id(step): names.unique(step.name, step.type.lower()) for step in layers}
    netfile = NetFile(
        layers=_blocks(net, layers, wanted, called, names, next(iter(called.values()))),
        inputs=[_input_block(net, s, called[id(s)], inputs or {}) for s in steps if s.type == INPUT],
        netfile_version=1,
        name=name or None,
    )
    return ImportedModel(netfile, _parameters(layers, called), net.findings.notes)


def _presented(net: Network, output: str, value: Flow) -> Flow:
    """Return an output as users should see it."""
    place = Place(output, f"the output {quoted(output)}")
    value = unfolded(net, place, value)
    if value.failed or value.item is None or value.order == IMAGE_ORDER:
        return value
    return in_order(net, place, value, tuple(range(value.rank)))


def _live(steps: list[Step], wanted: list[Step]) -> list[Step]:
    needed = {id(step) for step in wanted}
    live = []
    for step in reversed(steps):
        if id(step) in needed:
            live.append(step)
            needed.update(id(before) for before in step.inputs)
    return live[::-1]


def _as_layer(step: Step) -> None:
    """Turn an affine step into a Scale layer, which passes multiply into the weights before it."""
    step.type = "Scale"
    step.weights = {{"scale": "scale", "shift": "bias"}[name]: weight for name, weight in step.weights.items()}


def _input_block(net: Network, step: Step, name: str, stated: Mapping[str, InputBlock]) -> InputBlock:
    shape = known(step.item)
    if step.open:
        shown = "×".join("?" if n is None else str(n) for n in step.item or ())
        net.findings.note(f"the input {quoted(name)} is of unknown shape in the model; here it is {shown}")
    if shape is None:
        shown = shape_words((None, *(step.item or (None,))))
        net.findings.note(
            f"the shape of the input {quoted(name)} is not fully stated ({shown}): "
            "add shape: [channels, rows, columns] to its block in the NetFile"
        )
    return attrs.evolve(stated.get(step.name, InputBlock()), name=name, shape=shape)


def _blocks(
    net: Network,
    layers: list[Step],
    wanted: Mapping[str, Step],
    called: Mapping[int, str],
    names: _Names,
    first: str,
) -> list[LayerBlock]:
    """Return the layer blocks; a bottom is stated only where it is not simply the previous layer."""
    outputs: dict[int, list[str]] = {}
    for output, step in wanted.items():
        outputs.setdefault(id(step), []).append(output)
    read = {id(before) for step in layers for before in step.inputs}
    blocks = []
    previous = first
    for step in layers:
        name = called[id(step)]
        bottoms = [called[id(before)] for before in step.inputs]
        own = outputs.get(id(step), [])
        top = None if name in own else next((o for o in (*own, *step.names) if o != name and names.claim(o)), None)
        for output in own:
            if output not in (name, top):
                net.findings.note(f"the output {quoted(output)} is called {quoted(name)} here")
        if own and id(step) in read:
            net.findings.note(f"the output {quoted(own[0])} is also read by other layers; ask for it: outputs=[...]")
        stated = None if bottoms == [previous] else bottoms
        blocks.append(LayerBlock(step.type, name, stated, top, keys=step.keys))
        previous = name
    return blocks


def _parameters(layers: list[Step], called: Mapping[int, str]) -> dict[str, LazyWeights]:
    """Return the weights by layer; layers with the very same constants share them, and so their parameter file."""
    alike: dict[Hashable, LazyWeights] = {}
    parameters = {}
    for step in layers:
        if step.weights:
            key = tuple((name, weight.key) for name, weight in step.weights.items())
            weights = LazyWeights({name: weight.float32 for name, weight in step.weights.items()})
            parameters[called[id(step)]] = alike.setdefault(key, weights)
    return parameters
