"""Each layer's documentation page: generated from its class, committed, complete, with an example that works."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import CliRunner

from cnnrt.keys import choice, integer, key_of
from cnnrt.layer import Layer, WeightSpec
from cnnrt.layer_page import layer_page, layer_pages, main, page_name
from cnnrt.vocabulary import layer_class, vocabulary
from cnnrt_layers import cnnrt_layers
from netfile_spec import parse_netfile

DOCS = Path(__file__).parents[2] / "docs" / "layers"
EVERY_LAYER = pytest.mark.parametrize("layer", cnnrt_layers(), ids=lambda layer: layer.type)


def test_pages_are_up_to_date() -> None:
    committed = {path.name: path.read_text(encoding="utf-8") for path in DOCS.glob("*.md")}
    assert committed == layer_pages(), "regenerate them: python -m cnnrt.layer_page docs/layers"


@EVERY_LAYER
def test_page_has_formula_and_every_key_and_weight(layer: Any) -> None:
    page = layer_page(layer)
    assert page.splitlines()[2] == f"# {layer.type}"
    assert layer.formula.strip().splitlines()[0] in page
    names = [f.name for f in attrs.fields(layer) if key_of(f)] + [w.name for w in layer.weights]
    for name in names:
        assert f"| `{name}` |" in page


@EVERY_LAYER
def test_example_is_a_netfile_that_makes_the_layer(layer: type[Layer]) -> None:
    inputs = 'input { name: "branch1" shape: [3, 8, 8] } input { name: "branch2" shape: [3, 8, 8] }'
    (block,) = parse_netfile(inputs + layer.example, vocabulary()).layers
    assert layer_class(block.type) is layer
    assert isinstance(layer(**block.keys), layer)
    assert (block.parameters_file is not None) == bool(layer.weights)


def test_list_of_layers_links_every_page() -> None:
    index = layer_pages()["README.md"]
    for layer in cnnrt_layers():
        assert f"[{layer.type}]({page_name(layer)})" in index
        assert page_name(layer) in layer_pages()


def test_page_of_another_layer() -> None:
    @attrs.frozen(kw_only=True)
    class Swap(Layer):
        """Swaps things | around.

        More about it.
        """

        type = "Swap"
        inputs = (2, 3)
        weights = (WeightSpec("table", "(C)", "what goes | where", optional=True),)
        formula = "y = x"

        way: str = choice(choices={"left": "left", "l": "left", "right": "right"}, doc="where to")
        far: int = integer(2, minimum=1, doc="how far", unit="pixels")

        def output_shapes(self, inputs: Any, weights: Any) -> Any:
            return inputs

        def reference(self, inputs: Any, weights: Any) -> Any:
            return inputs

    page = layer_page(Swap)
    assert "Swaps things | around.\n\n```text\ny = x\n```\n\nMore about it.\n\nIt takes 2 to 3 inputs.\n" in page
    assert "| `table` | (C) | no | what goes \\| where |" in page
    assert '| `way` | string | required |  | `"left"` (also `"l"`), `"right"` | where to |' in page
    assert "| `far` | integer | `2` | pixels | at least 1 | how far |" in page
    assert "Example" not in page


def test_command_writes_the_pages(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, [str(tmp_path / "pages")])
    assert result.exit_code == 0, result.output
    assert {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "pages").iterdir()} == layer_pages()


def test_command_says_when_a_distribution_has_no_layers(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, [str(tmp_path), "--distribution", "nobody"])
    assert result.exit_code == 2
    assert "'nobody'" in result.output
    assert not list(tmp_path.iterdir())
