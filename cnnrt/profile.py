"""Run time and parameter load time of each layer of one call, as CNNdroid wrote them to the phone's log."""

from __future__ import annotations

import attrs


@attrs.frozen
class LayerTime:
    """Seconds that one layer (with what is folded into it) took, and that reading its weights took before."""

    layer: str
    run_seconds: float
    load_seconds: float


@attrs.define
class Profile:
    """The times of one call, in the order in which the layers ran; `seconds` is the whole call."""

    layers: list[LayerTime] = attrs.field(factory=list)
    seconds: float = 0.0
    _places: dict[str, int] = attrs.field(factory=dict, init=False, repr=False, eq=False)

    def record(self, layer_name: str, run_seconds: float, load_seconds: float) -> None:
        """Add a layer's times (called by the backends); those of a batch in parts are added up."""
        place = self._places.setdefault(layer_name, len(self.layers))
        if place < len(self.layers):
            before = self.layers[place]
            run_seconds, load_seconds = before.run_seconds + run_seconds, before.load_seconds + load_seconds
            self.layers[place] = LayerTime(layer_name, run_seconds, load_seconds)
        else:
            self.layers.append(LayerTime(layer_name, run_seconds, load_seconds))

    def __str__(self) -> str:
        """Return a plain table in milliseconds."""
        width = max([len(t.layer) for t in self.layers] + [5])
        lines = [f"{'layer':{width}}  {'run ms':>10}  {'load ms':>10}"]
        lines += [f"{t.layer:{width}}  {t.run_seconds * 1e3:10.3f}  {t.load_seconds * 1e3:10.3f}" for t in self.layers]
        return "\n".join([*lines, f"{'whole call':{width}}  {self.seconds * 1e3:10.3f}"])
