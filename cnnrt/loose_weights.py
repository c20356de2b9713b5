"""Weights without topology: tensors with names or in an order, as files hold them that do not say what they are of.

An importer hands them over as `LooseWeights`; `cnnrt.topology` matches them with the layers of a NetFile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs
from attrs import field

from cnnrt.layer import Array, Layer, Shape


@attrs.frozen(eq=False)
class LooseTensor:
    """One tensor: its name, its shape, and `read()`, which gives its values.

    A name says whose tensor it is if it has parts ("conv1.weight"); others ("arr_0", "[3]") are for messages only.
    """

    name: str
    shape: Shape
    read: Callable[[], Array] = field(repr=False)


@attrs.frozen(eq=False)
class StoredWeight:
    """How a framework stores one weight of a type of layer.

    - `weight`: the layer's name for it. `names`: the framework's, the last part of a tensor's name, in lower case.
    - `axes`: order of the stored axes that gives the layer's own, as for `numpy.transpose`; None: as they are.
    - `values(stored, layer)`: turns stored values into the layer's (an inverse deviation into a variance); float64.
    """

    weight: str
    names: tuple[str, ...] = ()
    axes: tuple[int, ...] | None = None
    values: Callable[[Array, Layer], Array] | None = None


Conventions = Mapping[str, Sequence[StoredWeight]]
"""For each type of layer its weights in the order in which the framework stores them; types that it lacks store
their weights as `Layer.weights` has them."""


@attrs.frozen(eq=False)
class LooseWeights:
    """Tensors as an importer hands them over, to be matched with the layers of a topology.

    - `tensors`: in the file's order, which counts where they have no names.
    - `conventions`: how the framework stores each type's weights.
    - `flip_kernels`: whether kernels are mirrored unless the user says otherwise; None: they never are, and asking
      for it is an error. `flip_reason`: a clause that says why that is the default.
    - `ignored(name)`: tensors that no layer needs (counters of training); they are left out.
    """

    tensors: Sequence[LooseTensor]
    conventions: Conventions = field(factory=dict)
    flip_kernels: bool | None = None
    flip_reason: str = ""
    ignored: Callable[[str], bool] = lambda name: False
    notes: tuple[str, ...] = ()
