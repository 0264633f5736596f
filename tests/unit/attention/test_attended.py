"""`Attended` refuses attention that nobody can look at."""

import pytest
import torch

from cacr.attention import Attended, AttentionBlocks


def blocks(vl=True):
    def even(rows, columns):
        return torch.full((1, rows, columns), 1 / columns)

    masks = (torch.ones(1, count, dtype=torch.bool) for count in (2, 3))
    return AttentionBlocks(even(2, 2), even(2, 3), even(3, 2) if vl else None, even(3, 3), *masks)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("part", ["ll", "lv", "vl", "vv"])
def test_attention_that_is_not_finite_is_refused_with_its_layer(part, value):
    broken = getattr(blocks(), part).clone()
    broken[0, 0, 0] = value
    layers = {0: blocks(), 4: AttentionBlocks.trusted(**vars(blocks()) | {part: broken})}
    with pytest.raises(ValueError, match=r"attention of layer 4 of tiny is not finite.*Open it in float32"):
        Attended("tiny", "a dog", ["a", "dog"], layers)


def test_a_model_without_attention_from_regions_to_words_is_taken():
    assert Attended("tiny", "a dog", ["a", "dog"], {0: blocks(vl=False)}).regions == 3
