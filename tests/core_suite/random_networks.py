"""Random networks for property tests: graphs with branches, in-place layers, views and repeated reading."""

from __future__ import annotations

import attrs
from hypothesis import strategies as st

from core_suite.small_networks import Parameters, filters
from netfile_spec import InputBlock, LayerBlock, NetFile, layer

IMAGE = (3, 6, 6)
KINDS = ("conv", "relu", "relu", "relu", "pool", "dropout", "join", "concat", "flat", "fc")


@attrs.frozen
class RandomNetwork:
    """A NetFile, its weights, and values (by name) that a call asks for; images are `IMAGE`."""

    netfile: NetFile
    parameters: Parameters = attrs.field(repr=False)
    wanted: tuple[str, ...] = ()


@st.composite
def networks(draw: st.DrawFn, most_layers: int = 10) -> RandomNetwork:
    """Networks of up to `most_layers` layers after one or two inputs, with up to three wanted values."""
    inputs = [f"in{i}" for i in range(draw(st.integers(1, 2)))]
    image_values = list(inputs)  # of shape IMAGE, so that they can be joined at will
    flat_values: list[str] = []
    layers: list[LayerBlock] = []
    parameters: Parameters = {}
    for i in range(draw(st.integers(1, most_layers))):
        name = f"l{i}"
        kind = draw(
            st.sampled_from(("conv", "relu", "relu", "relu", "pool", "dropout", "join", "concat", "flat", "fc"))
        )
        # Recent values are read more often, so that chains to fold and drop come about.
        recent = image_values[-2:] if draw(st.integers(0, 3)) else image_values
        bottom: str = draw(st.sampled_from(recent))
        if kind == "conv":
            layers.append(layer("Convolution", name, bottom=bottom, pad=1))
            parameters[name] = filters(i, 3, 3, 3, 3, bias=draw(st.booleans()))
        elif kind == "relu":
            slope = draw(st.sampled_from((0.0, 0.5, 1.0)))
            if draw(st.booleans()) and flat_values:
                bottom = flat_values[-1]
            layers.append(layer("ReLU", name, bottom=bottom, negative_slope=slope))
        elif kind == "pool":
            mode = draw(st.sampled_from(("max", "mean")))
            layers.append(layer("Pooling", name, bottom=bottom, pool=mode, kernel_size=3, pad=1))
        elif kind == "dropout":
            layers.append(layer("Dropout", name, bottom=bottom))
        elif kind == "join":
            others = draw(st.lists(st.sampled_from(image_values), min_size=1, max_size=2))
            layers.append(
                layer("Eltwise", name, bottom=[bottom, *others], operation=draw(st.sampled_from(("sum", "max"))))
            )
        elif kind == "concat":  # of one input, which is the identity, or of several, and back to as many channels
            others = draw(st.lists(st.sampled_from(image_values[-3:]), max_size=2))
            joined = f"{name}joined" if others else name
            layers.append(layer("Concat", joined, bottom=[bottom, *others]))
            if others:
                layers.append(layer("Convolution", name, bottom=joined))
                parameters[name] = filters(i, 3, 3 * (1 + len(others)), 1, 1)
        elif kind == "flat":
            layers.append(layer("Flatten", name, bottom=bottom))
        else:
            layers.append(layer("FullyConnected", name, bottom=bottom))
            parameters[name] = filters(i, 108, 108)
        flat = kind in ("flat", "fc") or (kind == "relu" and bottom in flat_values)
        (flat_values if flat else image_values).append(name)
    blocks = [InputBlock(name, IMAGE) for name in inputs]
    values = [*inputs, *(block.name for block in layers)]
    wanted = draw(st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True))
    return RandomNetwork(NetFile(layers, blocks, netfile_version=1), parameters, tuple(wanted))
