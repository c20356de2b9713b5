"""`from_torch`: a module of PyTorch, or a program of torch.export, as a Net; `read_program`: one from its file.

The way goes through ONNX: PyTorch's own exporter knows its operators, and cnnrt's importer of ONNX is tested most.
The tracing exporter is used, since it needs no package beside torch, and takes programs of torch.export as modules.
"""

from __future__ import annotations

import importlib
import shutil
import tempfile
import warnings
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnrt.errors import CnnrtError, ImportFailure, InputError, Problem
from cnnrt.plugins import plugin_host

if TYPE_CHECKING:
    from cnnrt.importer import ImportedModel
    from cnnrt.net import Net
    from cnnrt.stated_preprocessing import PreprocessingOptions

_OPSET = 17
_FILE = "module.onnx"


def from_torch(
    module: Any,
    example: Any = None,
    folder: str | Path | None = None,
    *,
    options: PreprocessingOptions | None = None,
    overwrite: bool = False,
) -> Net:
    """Return a Net of a `torch.nn.Module`, or of a program that torch.export made.

    - `example`: what the module is called with, a tensor or array or several in a tuple, batch included; a program
      of torch.export carries its own.
    - `folder`: where the NetFile and its parameter files are written, as `convert` does; by default a temporary
      folder that goes with the Net.
    - `options`, `overwrite`: as for `convert`.

    The module runs once, in evaluation mode: it is code, not a file. `torch.export.load` reads files that may hold
    pickles: load only programs that you trust. Raises CnnrtError where torch or onnx is not installed (extra `torch`),
    ImportFailure with everything that cannot be converted.
    """
    torch = _torch()
    module, inputs = _module_and_inputs(torch, module, example)
    home = Path(tempfile.mkdtemp(prefix="cnnrt-torch-"))
    try:
        _export(torch, module, inputs, home / _FILE)
        return _converted(home, folder, options, overwrite)
    except BaseException:
        shutil.rmtree(home, ignore_errors=True)
        raise


def read_program(path: Path) -> ImportedModel:
    """Return the model of a file that `torch.export.save` wrote. PyTorch loads it, and may run code that is in it.

    Raises CnnrtError where torch or onnx is not installed (extra `torch`), ImportFailure with everything that cannot be
    converted.
    """
    torch = _torch()
    try:
        program = torch.export.load(str(path))
    except Exception as error:  # it runs what the file holds
        message = f"PyTorch could not load the program: {type(error).__name__}: {str(error)[:500]}"
        raise ImportFailure([Problem(message)], file=str(path)) from error
    home = Path(tempfile.mkdtemp(prefix="cnnrt-torch-"))
    try:
        _export(torch, *_module_and_inputs(torch, program, None), home / _FILE)
        model = plugin_host().importers()["onnx"].read([home / _FILE])
    except ImportFailure as failure:
        shutil.rmtree(home, ignore_errors=True)
        raise ImportFailure(failure.problems, file=str(path)) from failure
    except BaseException:
        shutil.rmtree(home, ignore_errors=True)
        raise
    # Weights are read from what was exported when they are asked for.
    weakref.finalize(model, shutil.rmtree, home, ignore_errors=True)
    return model


def _torch() -> Any:
    try:
        importlib.import_module("onnx")  # what the exporter writes is read with it
        return importlib.import_module("torch")
    except ImportError as error:
        raise CnnrtError(f'the package {error.name} is not installed: pip install "cnnrt[torch]"') from None


def _module_and_inputs(torch: Any, module: Any, example: Any) -> tuple[Any, tuple[Any, ...]]:
    if isinstance(module, torch.export.ExportedProgram):
        if example is None:
            if not module.example_inputs or module.example_inputs[1]:
                raise InputError("the program carries no example of its inputs, or some by keyword: state example")
            example = module.example_inputs[0]
        module = module.module()
    if not isinstance(module, torch.nn.Module):
        hint = "; a state dict has no layers: convert it with --topology" if isinstance(module, dict) else ""
        raise InputError(
            f"expected a torch.nn.Module or a program of torch.export, got a {type(module).__name__}{hint}"
        )
    if example is None:
        raise InputError("state example: what the module is called with, such as torch.zeros(1, 3, 224, 224)")
    items: Sequence[Any] = example if isinstance(example, tuple | list) else (example,)
    return module, tuple(_tensor(torch, item) for item in items)


def _tensor(torch: Any, item: Any) -> Any:
    if isinstance(item, torch.Tensor):
        return item
    if isinstance(item, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(item, np.float32))
    raise InputError(f"expected tensors or arrays as example, got a {type(item).__name__}")


def _export(torch: Any, module: Any, inputs: tuple[Any, ...], path: Path) -> None:
    modes = torch.onnx.TrainingMode
    mode, open_batch = modes.EVAL, True
    if isinstance(module, torch.fx.GraphModule):
        # Its sizes are settled, that of the batch included; the importer of ONNX finds out where it may differ.
        mode, open_batch, module = modes.PRESERVE, False, _from_outside(torch, module)
    names = ["input"] if len(inputs) == 1 else [f"input{number}" for number in range(len(inputs))]
    try:
        # It deprecates itself in favour of one that needs a further package, and speaks of constants that it folds.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module,
                inputs,
                str(path),
                dynamo=False,
                training=mode,
                opset_version=_OPSET,
                input_names=names,
                dynamic_axes={name: {0: "batch"} for name in names} if open_batch else None,
            )
    except Exception as error:  # whatever the module raises, or the exporter on its behalf
        message = f"PyTorch could not export the module: {type(error).__name__}: {str(error)[:500]}"
        raise ImportFailure([Problem(message)], file=type(module).__name__) from error


def _from_outside(torch: Any, module: Any) -> Any:
    """Return a module that calls this one, which torch.export made: it is in a mode that cannot be changed, and the
    exporter mistakes its attribute `graph` for that of another class.
    """

    class Outside(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.inner = module

        def forward(self, *inputs: Any) -> Any:
            return self.inner(*inputs)

    return Outside()


def _converted(home: Path, folder: str | Path | None, options: PreprocessingOptions | None, overwrite: bool) -> Net:
    from cnnrt.conversion import convert
    from cnnrt.net import Net

    target = home / "net" if folder is None else Path(folder)
    source = home / _FILE
    net = Net(convert(source, target, options=options, importer="onnx", overwrite=overwrite).netfile)
    source.unlink()
    if folder is None:
        weakref.finalize(net, shutil.rmtree, home, ignore_errors=True)
    else:
        shutil.rmtree(home, ignore_errors=True)
    return net
