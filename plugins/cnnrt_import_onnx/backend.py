"""cnnrt as a backend of ONNX: what `onnx.backend.base` demands, for whatever runs models through that interface.

A model becomes a Net. ONNX's models may take weights, shapes and indices as inputs, a Net has them as constants: such
inputs are bound when the model is run, and the Net stays for as long as they stay the same.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper
from onnx.backend.base import Backend, BackendRep, namedtupledict

from cnnrt import Net
from cnnrt.errors import ImportFailure, InputError
from cnnrt_import_onnx.bound_inputs import bound_inputs
from cnnrt_import_onnx.convert import Converted, convert
from cnnrt_import_onnx.model_file import check_model
from cnnrt_import_onnx.supported import NEWEST_OPSET
from cnnrt_import_onnx.tensors import Tensor
from netfile_spec import InputBlock, write_model

_MODEL_NAME = "model.onnx"


class CnnrtRep(BackendRep):
    """A model that was prepared: `run` computes its outputs from its inputs."""

    def __init__(self, model: ModelProto, folder: Path, **settings: Any) -> None:
        self._model, self._folder, self._settings = model, folder, settings
        constants = {tensor.name for tensor in model.graph.initializer}
        self._inputs = [value for value in model.graph.input if value.name not in constants]
        self._bound = bound_inputs(model)
        self._bound_to: dict[str, NDArray[Any]] | None = None
        self._network: _Network | None = None
        if not self._bound:
            self._network = _Network(model, folder, settings)

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Return the outputs in the model's order and types, as arrays that belong to the caller.

        `inputs`: arrays in the order of the model's inputs (those that are no initializers), or by name. Floating-point
        types are computed in float32. Raises ImportFailure where the model with these constants cannot be converted.
        """
        arrays = self._by_name(inputs)
        bound = {name: arrays.pop(name) for name in self._bound}
        if self._network is None or not _same(bound, self._bound_to):
            model = ModelProto()
            model.CopyFrom(self._model)
            model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in bound.items())
            self._network = _Network(model, self._folder, self._settings)
            self._bound_to = bound
        return self._network.run(arrays)

    def _by_name(self, inputs: Any) -> dict[str, NDArray[Any]]:
        names = [value.name for value in self._inputs]
        if not isinstance(inputs, Mapping):
            given = inputs if isinstance(inputs, list | tuple) else [inputs]
            if len(given) != len(names):
                raise InputError(f"{len(given)} inputs; the model has {len(names)}: {', '.join(names)}")
            inputs = dict(zip(names, given, strict=True))
        missing = [name for name in names if name not in inputs]
        if missing:
            raise InputError(f"the input {missing[0]!r} is missing; the model needs {', '.join(names)}")
        return {name: np.asarray(inputs[name]) for name in names}


class CnnrtBackend(Backend):
    """The backend's class: `prepare`, `run_model`, `run_node`, `supports_device`, `is_compatible`.

    Keyword arguments go to `cnnrt.Net`: execution_mode, threads, allocated_ram and others.
    """

    @classmethod
    def is_compatible(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> bool:
        """Tell whether a model can be run; where inputs have to be constants, only their values will tell for sure."""
        try:
            return cls.supports_device(device) and cls.prepare(model, device, **kwargs) is not None
        except ImportFailure:
            return False

    @classmethod
    def prepare(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> CnnrtRep:
        """Return the model, ready to run. `folder` is where its external data lies, by default the current one.

        Raises ImportFailure with everything that cannot be converted, all at once.
        """
        if not cls.supports_device(device):
            raise InputError(f"device {device!r}: expected 'CPU'; execution_mode chooses the processor")
        folder = Path(kwargs.pop("folder", "."))
        for name in ("rtol", "atol"):  # the test suite of ONNX hands its own settings on
            kwargs.pop(name, None)
        check_model(model, _MODEL_NAME)
        return CnnrtRep(model, folder, **kwargs)

    @classmethod
    def run_model(cls, model: ModelProto, inputs: Any, device: str = "CPU", **kwargs: Any) -> tuple[Any, ...]:
        """Return the outputs of a model for these inputs."""
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def run_node(
        cls, node: NodeProto, inputs: Any, device: str = "CPU", outputs_info: Any = None, **kwargs: Any
    ) -> tuple[Any, ...]:
        """Return the outputs of one node. `outputs_info`: dtype and shape of each; `opset_version`: the newest."""
        opset = kwargs.pop("opset_version", min(onnx.defs.onnx_opset_version(), NEWEST_OPSET))
        names = [name for name in node.input if name]
        arrays = [np.asarray(a) for a in (inputs if isinstance(inputs, list | tuple) else [inputs])]
        given = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            for name, array in zip(names, arrays, strict=True)
        ]
        results = [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(np.dtype(outputs_info[i][0])) if outputs_info else 0, None
            )
            for i, name in enumerate(node.output)
            if name
        ]
        graph = helper.make_graph([node], "node", given, results)
        opsets = [helper.make_opsetid("", opset)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=helper.find_min_ir_version_for(opsets))
        if not outputs_info:
            model = onnx.shape_inference.infer_shapes(model)
        outputs = cls.run_model(model, arrays, device, **kwargs)
        return namedtupledict("Outputs", [o for o in node.output if o])(*outputs)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Tell whether a device of ONNX's naming is there: CPU. Which processor computes is for execution_mode."""
        return device.partition(":")[0] == "CPU"


class _Network:
    """A model as a Net, in a folder of its own that goes with it."""

    def __init__(self, model: ModelProto, folder: Path, settings: Mapping[str, Any]) -> None:
        self._types = {value.name: value.type.tensor_type.elem_type for value in model.graph.output}
        self._converted: Converted = convert(model, folder / _MODEL_NAME)
        self._net: Net | None = None
        if self._converted.model.netfile.layers:
            place = Path(tempfile.mkdtemp(prefix="cnnrt-onnx-"))
            weakref.finalize(self, shutil.rmtree, place, ignore_errors=True)
            path = write_model(place, self._converted.model.netfile, self._converted.model.parameters)
            self._net = Net(path, **settings)

    def run(self, arrays: Mapping[str, NDArray[Any]]) -> tuple[Any, ...]:
        """Return the outputs in the model's order."""
        given = {block.name: _as_batch(arrays[name], block) for name, block in self._converted.inputs.items()}
        wanted = [value for value in self._converted.outputs.values() if isinstance(value, str)]
        computed = dict(given)
        if self._net is not None and (asked := [name for name in dict.fromkeys(wanted) if name not in given]):
            computed |= self._net.compute(given, outputs=asked)
        return tuple(
            self._typed(name, value.array() if isinstance(value, Tensor) else computed[value])
            for name, value in self._converted.outputs.items()
        )

    def _typed(self, name: str, array: NDArray[Any]) -> NDArray[Any]:
        kind = self._types.get(name)
        return np.array(array, helper.tensor_dtype_to_np_dtype(kind) if kind else None)


def _as_batch(array: NDArray[Any], block: InputBlock) -> NDArray[Any]:
    """Return an input as the network takes it: float32, of one batch only where it takes no other."""
    values = np.ascontiguousarray(array, np.float32)
    return values.reshape(block.batch, *(block.shape or ())) if block.batch is not None else values


def _same(one: Mapping[str, NDArray[Any]], other: Mapping[str, NDArray[Any]] | None) -> bool:
    return other is not None and all(
        one[name].dtype == other[name].dtype and np.array_equal(one[name], other[name]) for name in one
    )
