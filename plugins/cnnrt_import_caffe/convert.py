"""A Caffe net and its weights as an ImportedModel, or everything that stands in the way."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from cnnrt.errors import ImportFailure
from cnnrt.importer import ImportedModel
from cnnrt_import_caffe.blobs import Blob
from cnnrt_import_caffe.findings import Findings
from cnnrt_import_caffe.inputs import input_block
from cnnrt_import_caffe.net import CaffeNet
from cnnrt_import_caffe.rules import Converted
from cnnrt_import_caffe.supported import SUPPORTED
from cnnrt_import_caffe.unknown_keys import note_unknown_keys
from cnnrt_import_caffe.weights import match_weights
from cnnrt_import_caffe.wiring import Step, Wiring, wire
from netfile_spec import LayerBlock, NetFile
from netfile_spec.problems import quoted


def convert(
    net: CaffeNet, stored: Mapping[str, tuple[Blob, ...]] | None, model_name: str, file: str, text: str = ""
) -> ImportedModel:
    """Return the model; raises ImportFailure with every problem, placed in `file`, whose text is `text`.

    `stored` holds the blobs by layer name as found in the caffemodel `model_name`; None: there is no caffemodel.
    """
    findings = Findings(file, text)
    wiring = wire(net, findings)
    converted = [(step, _convert_step(step, findings)) for step in wiring.steps]
    known = [(step, layer) for step, layer in converted if layer is not None]
    _name_unsupported([step for step, layer in converted if layer is None], findings)
    if not wiring.steps:
        findings.problem("the net has no layers that compute anything in phase TEST")

    needed = [(step, layer.weights) for step, layer in known]
    weights = {}
    if stored is not None:
        weights = match_weights(needed, stored, model_name, findings)
        _note_extra(net, stored, model_name, findings)
    elif any(specs for _, specs in needed):
        findings.problem(
            "the weights are missing: a prototxt holds only the layers",
            hint="give the .caffemodel of this net as well: cnnrt convert NET.prototxt NET.caffemodel -o DIR",
        )

    inputs = [input_block(source, _channels(source.blob, known, stored), findings) for source in wiring.sources]
    if findings.problems:
        raise ImportFailure(findings.in_file_order(), file=file, source=text)
    netfile = NetFile(layers=_blocks(known, wiring), inputs=inputs, netfile_version=1, name=net.name or None)
    return ImportedModel(netfile, weights, findings.notes)


def _convert_step(step: Step, findings: Findings) -> Converted | None:
    rule = SUPPORTED.get(step.type)
    layer = step.layer
    if rule is None:
        return None
    least, most = rule.bottoms
    if not (least <= len(step.bottoms) and (most is None or len(step.bottoms) <= most)):
        wanted = str(least) if most == least else f"at least {least}"
        findings.of_layer(layer, f"{step.type} of {len(step.bottoms)} bottoms", "bottom", expected=wanted)
    if rule.most_tops is not None and len(layer.tops) > rule.most_tops and step.type == layer.type:
        message = f"{step.type} with {len(layer.tops)} tops"
        findings.of_layer(layer, message, "top", nth=rule.most_tops, expected=f"at most {rule.most_tops}")
    note_unknown_keys(layer, rule.block, findings)
    return rule.convert(layer, findings)


def _name_unsupported(steps: list[Step], findings: Findings) -> None:
    for step in steps:
        shown = step.type if step.type.isidentifier() and len(step.type) < 60 else quoted(step.type)
        message = f"type {shown} is not supported" if step.type else "its type is unknown"
        # Once is enough for the list of what is supported: a net may have fifty layers of a missing type.
        expected = f"one of {', '.join(sorted(SUPPORTED))}" if step is steps[-1] else ""
        findings.of_layer(step.layer, message, "type", expected=expected, hint=_advice(step.type))


def _advice(kind: str) -> str:
    plain = kind[:60].lower().replace("_", "")
    names = {name.lower(): name for name in SUPPORTED}
    near = difflib.get_close_matches(plain, names, n=1, cutoff=0.8)
    return f"did you mean {names[near[0]]}?" if near else ""


def _blocks(known: list[tuple[Step, Converted]], wiring: Wiring) -> list[LayerBlock]:
    """Return the layer blocks; a bottom is stated only where it is not simply the previous layer."""
    blocks = []
    previous = wiring.sources[0].blob if wiring.sources else None
    for step, layer in known:
        bottoms = None if step.bottoms == (previous,) else step.bottoms
        tops = step.tops if len(step.tops) > 1 else wiring.aliases.get(step.name)
        blocks.append(LayerBlock(layer.type, step.name, bottoms, tops, keys=layer.keys))
        previous = step.tops[0]
    return blocks


def _channels(
    blob: str, known: list[tuple[Step, Converted]], stored: Mapping[str, tuple[Blob, ...]] | None
) -> int | None:
    """Return how many channels the first convolution that reads an input takes, from its weights."""
    for step, layer in known:
        blobs = (stored or {}).get(step.layer.name)
        if layer.type == "Convolution" and step.bottoms == (blob,) and blobs and len(blobs[0].shape) == 4:
            return blobs[0].shape[1] * int(step.layer.param.convolution_param.group)
    return None


def _note_extra(net: CaffeNet, stored: Mapping[str, tuple[Blob, ...]], model_name: str, findings: Findings) -> None:
    used = {layer.name for layer in net.layers}
    extra = [quoted(name) for name, blobs in stored.items() if blobs and name not in used]
    if extra:
        shown = ", ".join(extra[:20]) + (f" and {len(extra) - 20} more" if len(extra) > 20 else "")
        findings.note(f"{model_name} also holds weights that the net does not use: {shown}")
