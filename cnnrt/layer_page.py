"""The documentation page of a layer, rendered from its class, so that it never says anything else than the code.

python -m cnnrt.layer_page docs/layers                               # the layers that ship with cnnrt
python -m cnnrt.layer_page docs --distribution my-cnnrt-plugin       # those of another installed plugin
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import attrs
import click

from cnnrt.keys import Key, key_of
from cnnrt.layer import Layer
from cnnrt.plugins import plugin_host

NOTICE = "<!-- Generated from the layer's class by `python -m cnnrt.layer_page`. Edit the class instead. -->"
KINDS = {"integers": "integer or list of integers", "numbers": "number or list of numbers"}


def layer_page(layer: type[Layer]) -> str:
    """Return the page of a layer class as Markdown: what it computes, shapes, weights, keys, an example."""
    summary, description = _docstring(layer)
    parts = [
        NOTICE,
        f"# {layer.type}",
        summary,
        _code(layer.formula),
        description,
        _inputs(layer),
        "## Weights",
        _weights(layer),
        "## Keys",
        _keys(layer),
    ]
    if layer.example:
        parts += ["## Example", _code(layer.example)]
    return "\n\n".join(part for part in parts if part) + "\n"


def index_page(layers: Iterable[type[Layer]]) -> str:
    """Return the page that lists the layers with a line for each."""
    rows = [(f"[{layer.type}]({page_name(layer)})", _docstring(layer)[0]) for layer in layers]
    return "\n\n".join([NOTICE, "# Layers", _table(("layer", "what it does"), rows)]) + "\n"


def page_name(layer: type[Layer]) -> str:
    """Return the file name of a layer's page: that of the Python file which defines the layer."""
    return layer.__module__.rpartition(".")[2] + ".md"


def layer_pages(distribution: str = "cnnrt") -> Mapping[str, str]:
    """Return file names and texts of the pages of all layers that an installed distribution provides."""
    registry = plugin_host().layers()
    layers = [layer for key, layer in registry.items() if registry.origins[key].split()[0] == distribution]
    pages = {page_name(layer): layer_page(layer) for layer in layers}
    return {"README.md": index_page(layers), **pages} if layers else {}


def _docstring(layer: type[Layer]) -> tuple[str, str]:
    summary, _, description = inspect.cleandoc(layer.__doc__ or "").partition("\n\n")
    return " ".join(summary.split()), description


def _inputs(layer: type[Layer]) -> str:
    least, most = layer.inputs
    if most is None:
        amount = f"{least} or more inputs"
    elif least == most:
        amount = "one input" if most == 1 else f"{most} inputs"
    else:
        amount = f"{least} to {most} inputs"
    *others, last = layer.folds or ("",)
    named = " or ".join((*([", ".join(others)] if others else ()), last))
    folds = f" A {named} behind it can be computed along with it." if layer.folds else ""
    return f"It takes {amount}.{folds}"


def _weights(layer: type[Layer]) -> str:
    if not layer.weights:
        return "None."
    intro = "The `parameters_file` holds, in this order:"
    rows = [(f"`{w.name}`", w.shape, "no" if w.optional else "yes", w.doc) for w in layer.weights]
    return intro + "\n\n" + _table(("name", "shape", "required", "meaning"), rows)


def _keys(layer: type[Layer]) -> str:
    rows = [
        (f"`{field.name}`", KINDS.get(key.kind, key.kind), _default(field), key.unit, _allowed(key), key.doc)
        for field in attrs.fields(cast(Any, layer))
        if (key := key_of(field)) is not None
    ]
    if not rows:
        return "None of its own."
    return _table(("key", "type", "default", "unit", "allowed", "meaning"), rows)


def _default(field: attrs.Attribute[Any]) -> str:
    match field.default:
        case attrs.NOTHING:
            return "required"
        case None | ():
            return "none"
        case bool(value):
            return f"`{str(value).lower()}`"
        case str(value):
            return f'`"{value}"`'
        case tuple(values):
            return f"`{list(values)}`"
        case value:
            return f"`{value}`"


def _allowed(key: Key) -> str:
    if not key.choices:
        return key.bounds
    words = []
    for name in dict.fromkeys(key.choices.values()):
        others = [f'`"{spelling}"`' for spelling, meant in key.choices.items() if meant == name != spelling]
        words.append(f'`"{name}"`' + (f" (also {', '.join(others)})" if others else ""))
    return ", ".join(words)


def _code(text: str) -> str:
    return f"```text\n{inspect.cleandoc(text)}\n```" if text else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


@click.command(help="Write the documentation pages of installed layers into FOLDER.")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--distribution", default="cnnrt", show_default=True, help="Whose layers.")
def main(folder: Path, distribution: str) -> None:
    """Write one page for each layer, and the list of them."""
    pages = layer_pages(distribution)
    if not pages:
        raise click.UsageError(f"no installed plugin of a distribution named {distribution!r} provides layers")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages.items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
