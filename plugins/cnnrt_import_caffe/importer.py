"""Caffe's files as an importer of cnnrt sees them: which are Caffe's, and which is which."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import attrs

from cnnrt.errors import ImportFailure, Problem
from cnnrt.importer import ImportedModel, Importer

if TYPE_CHECKING:
    from cnnrt.layer import Array

_NET, _MODEL, _MEAN = ".prototxt", ".caffemodel", ".binaryproto"


class CaffeImporter(Importer):
    """Reads a prototxt and a caffemodel, or a caffemodel alone, which carries its net."""

    name: ClassVar[str] = "caffe"
    description: ClassVar[str] = "Caffe: .prototxt and .caffemodel (current, V1 and V0 layers), .binaryproto means"
    suite: ClassVar[str] = "cnnrt_import_caffe.conformance:CaffeSuite"

    def recognises(self, files: Sequence[Path]) -> bool:
        """Tell whether all files are named as Caffe's are and a net or a model is among them."""
        kinds = {_kind(file) for file in files}
        return kinds <= {_NET, _MODEL, _MEAN} and bool(kinds & {_NET, _MODEL})

    def read(self, files: Sequence[Path]) -> ImportedModel:
        """Return the model of one prototxt and one caffemodel, or of one caffemodel alone.

        The weights stay in the file until they are looked up, float32. Raises ImportFailure with every
        unsupported layer, each with its line, and everything else that stands in the way.
        """
        from cnnrt_import_caffe.caffemodel import read_caffemodel
        from cnnrt_import_caffe.convert import convert
        from cnnrt_import_caffe.net import net_of_caffemodel, net_of_prototxt
        from cnnrt_import_caffe.prototxt import read_prototxt

        prototxt, caffemodel = _net_and_model(files)
        prototxt_read = read_prototxt(prototxt) if prototxt else None
        saved = net_of_caffemodel(read_caffemodel(caffemodel)) if caffemodel else None
        stored = None
        if saved is not None:
            # As in Caffe, the first layer of a name is the one whose weights count.
            stored = {layer.name: layer.blobs for layer in reversed((*saved.layers, *saved.left_out))}
        model_name = caffemodel.name if caffemodel else ""
        if prototxt_read is None:
            assert saved is not None
            return convert(saved, stored, model_name, str(caffemodel))
        net = net_of_prototxt(prototxt_read)
        model = convert(net, stored, model_name, str(prototxt), prototxt_read.source)
        return attrs.evolve(model, notes=(*prototxt_read.notes, *model.notes))

    def read_mean(self, file: Path) -> Array | None:
        """Return the mean image in a file that holds one blob of Caffe; None for files that are something else.

        Raises ImportFailure for a .binaryproto that is damaged.
        """
        from cnnrt_import_caffe.caffemodel import read_mean_image

        return read_mean_image(file)


def _kind(file: Path) -> str:
    """Return the kind of file by its name.

    `deploy.prototxt.txt`, as browsers save it, is a prototxt. `x.caffemodel.h5` cannot be read, but counts as a
    caffemodel, so that its reader says what to do.
    """
    suffixes = [suffix.lower() for suffix in file.suffixes]
    if suffixes[-2:] in ([_NET, ".txt"], [_MODEL, ".h5"]):
        return suffixes[-2]
    return suffixes[-1] if suffixes else ""


def _net_and_model(files: Sequence[Path]) -> tuple[Path | None, Path | None]:
    nets = [file for file in files if _kind(file) == _NET]
    models = [file for file in files if _kind(file) == _MODEL]
    others = [file for file in files if _kind(file) not in (_NET, _MODEL)]
    problems = [
        Problem(f"{len(found)} {what} files: {', '.join(file.name for file in found)}", expected="one net at a time")
        for what, found in (("prototxt", nets), ("caffemodel", models))
        if len(found) > 1
    ]
    for file in others:
        is_mean = _kind(file) == _MEAN
        hint = f"give the mean image with --mean {file.name}" if is_mean else "give a .prototxt and a .caffemodel"
        problems.append(Problem(f"{file.name} is neither a net nor a model", hint=hint))
    if not nets and not models and not problems:
        problems.append(Problem("no file", expected="a .prototxt and a .caffemodel"))
    if problems:
        raise ImportFailure(problems, file=str(files[0]) if files else "caffe")
    return (nets[0] if nets else None), (models[0] if models else None)
