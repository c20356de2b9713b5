"""A cfg and its weights as an ImportedModel, or everything that stands in the way."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path

from cnnrt.errors import ImportFailure
from cnnrt.importer import ImportedModel
from cnnrt_import_darknet import head_rules, join_rules, layer_rules
from cnnrt_import_darknet.cfg import Section, read_cfg
from cnnrt_import_darknet.network import INPUT, Network, Value, failed
from cnnrt_import_darknet.weights_file import open_weights
from netfile_spec import InputBlock, NetFile
from netfile_spec.limits import MAX_BLOCKS
from netfile_spec.problems import quoted

_RULES: Mapping[str, Callable[[Network, Section], Value]] = {
    "convolutional": layer_rules.convolutional,
    "connected": layer_rules.connected,
    "maxpool": layer_rules.maxpool,
    "local_avgpool": layer_rules.local_avgpool,
    "avgpool": layer_rules.avgpool,
    "shortcut": join_rules.shortcut,
    "route": join_rules.route,
    "scale_channels": join_rules.scale_channels,
    "sam": join_rules.sam,
    "upsample": join_rules.upsample,
    "reorg": join_rules.reorg,
    "yolo": head_rules.yolo,
    "region": head_rules.head,
    "detection": head_rules.head,
    "Gaussian_yolo": head_rules.head,
    "softmax": head_rules.softmax,
    "activation": head_rules.activation,
    "logistic": head_rules.logistic,
    "dropout": head_rules.nothing,
    "cost": head_rules.nothing,
}
_ADVICE = {
    "crop": "it cuts and flips pictures in training: take it out, and let [net] state the size behind it",
    "lrn": "Darknet's own sums leave out one channel of each neighbourhood: no layer does the same",
    "batchnorm": "versions of Darknet store its weights differently; batch_normalize=1 in the layer before is read",
}
_LARGEST = 2**31 - 1
_RECURRENT = ("rnn", "lstm", "gru", "crnn", "conv_lstm", "history")
# Options of training, and hints to the program, which change no answer.
_HARMLESS = frozenset(
    {
        "stopbackward",
        "learning_rate",
        "train_only_bn",
        "assisted_excitation",
        "sway",
        "rotate",
        "stretch",
        "dont_update",
    }
)


def convert(cfg: Path, weights_path: Path) -> ImportedModel:
    """Return the model; raises ImportFailure with every problem of both files."""
    sections, findings = read_cfg(cfg)
    shape = _input_shape(sections[0])
    image = Value(INPUT, shape)
    network = Network(open_weights(weights_path), image, image)
    for section in sections[1:]:
        rule = _RULES.get(section.type)
        value = rule(network, section) if rule else _unsupported(section, network.value)
        if max(value.shape) > _LARGEST:
            section.problem("its output is larger than any image", expected=f"sizes of at most {_LARGEST:,}")
            value = failed(section, (1, 1, 1))
        ended = network.weights.exhausted and not findings.problems
        if ended:
            section.problem(
                f"{weights_path.name} ends before its weights do", hint="is it the file of another cfg, or incomplete?"
            )
        network.outputs.append(value)
        network.value = value
        if rule:
            _note_unknown_options(section)
    if not network.blocks and not findings.problems:
        findings.problem("the cfg holds no layers")
    if len(network.blocks) >= MAX_BLOCKS:
        findings.problem(f"{len(network.blocks):,} layers", expected=f"fewer than {MAX_BLOCKS:,}")
    if network.weights.values_left and not findings.problems:
        findings.problem(
            f"{weights_path.name} holds {network.weights.values_left:,} more values than the layers have weights",
            hint="is it the file of another cfg?",
        )
    if findings.problems:
        in_order = sorted(
            findings.problems, key=lambda p: (p.position.line, p.position.column) if p.position else (0, 0)
        )
        raise ImportFailure(in_order, file=str(cfg), source=findings.source)
    block = _input_block(shape)
    findings.note("Darknet fits pictures into the input with grey borders; here they are resized to its size")
    netfile = NetFile(layers=network.finished_blocks(), inputs=[block], netfile_version=1, name=cfg.stem)
    return ImportedModel(netfile, network.parameters, findings.notes)


def _input_shape(net: Section) -> tuple[int, ...]:
    channels, rows, columns = (net.integer(key, 0) for key in ("channels", "height", "width"))
    if channels and rows and columns:
        return channels, rows, columns
    inputs = net.integer("inputs", rows * columns * channels)
    if inputs:
        return (inputs,)
    net.problem("states no size of the input", expected="channels, height and width, each at least 1")
    return 1, 1, 1


def _input_block(shape: tuple[int, ...]) -> InputBlock:
    """Return the input: Darknet's pictures have values 0..1 and channels red, green, blue."""
    order = {3: "rgb", 1: "gray"}.get(shape[0]) if len(shape) == 3 else None
    return InputBlock(INPUT, shape, channel_order=order, scale=1 / 255 if order else None)


def _unsupported(section: Section, value: Value) -> Value:
    near = difflib.get_close_matches(section.type[:60], _RULES, n=1, cutoff=0.8)
    hint = _ADVICE.get(section.type, "") or (f"did you mean [{near[0]}]?" if near else "")
    if section.type in _RECURRENT:
        hint = "recurrent layers are not supported"
    section.findings.problem(
        f"layer {section.number}: the section {quoted(section.type)} is not supported", section.position, hint=hint
    )
    return failed(section, value.shape)


def _note_unknown_options(section: Section) -> None:
    unknown = [key for key in section.options if key not in section.asked and key not in _HARMLESS]
    if unknown:
        listed = ", ".join(quoted(key) for key in unknown[:5])
        section.findings.note(f"{section.title}: what {listed} says is not known here and was not read")
