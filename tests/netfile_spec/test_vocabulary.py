"""A vocabulary is looked up without case, and its mistakes are told to whoever wrote it."""

import pytest

from netfile_spec import KeySpec, LayerSpec, Vocabulary


def test_types_are_found_in_any_case_and_told_in_their_own():
    relu = LayerSpec("ReLU", [KeySpec("Negative_Slope", "number")])
    vocabulary = Vocabulary([relu])
    assert vocabulary.lookup("RELU") is relu
    assert vocabulary.lookup("relu6") is None
    assert vocabulary.types == ("ReLU",)
    assert relu.keys[0].name == "negative_slope"


@pytest.mark.parametrize(
    "make",
    [
        lambda: KeySpec("pad", "int"),
        lambda: LayerSpec("A", parameters="maybe"),
        lambda: LayerSpec("A", [KeySpec("pad", "integer"), KeySpec("PAD", "integer")]),
        lambda: LayerSpec("A", [KeySpec("bottom", "string")]),
        lambda: Vocabulary([LayerSpec("ReLU"), LayerSpec("relu")]),
    ],
)
def test_a_vocabulary_that_contradicts_itself_is_refused(make):
    with pytest.raises(ValueError, match=r"."):
        make()
