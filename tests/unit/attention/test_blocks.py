"""AttentionBlocks keep their promises: what is checked at the boundary, and what is computed from a layer."""

import pytest
import torch
from tests.conftest import random_query_key
from torch.testing import assert_close

from cacr.attention import AttentionBlocks


def uniform(batch=2, text=3, region=4, **changes):
    parts = {
        "ll": torch.full((batch, text, text), 1 / text),
        "lv": torch.full((batch, text, region), 1 / region),
        "vl": torch.full((batch, region, text), 1 / text),
        "vv": torch.full((batch, region, region), 1 / region),
        "text_mask": torch.ones(batch, text, dtype=torch.bool),
        "region_mask": torch.ones(batch, region, dtype=torch.bool),
    }
    return AttentionBlocks(**(parts | changes))


def test_rows_of_every_block_sum_to_one(blocks):
    for name in ("ll", "lv", "vl", "vv"):
        sums = getattr(blocks, name).sum(-1)
        mask = blocks.text_mask if name[0] == "l" else blocks.region_mask
        assert_close(sums, mask.to(sums.dtype))


def test_each_head_averages_to_the_mean(blocks):
    each = AttentionBlocks.from_query_key(*random_query_key(), heads="each")
    assert_close(each.lv.mean(1), blocks.lv)


def test_padding_inside_the_sequence_does_not_matter(blocks):
    query, key, text, region = random_query_key()
    order = torch.randperm(query.shape[2], generator=torch.Generator().manual_seed(1))
    inverse_text = order[torch.isin(order, text[0].nonzero()[:, 0])]
    moved = AttentionBlocks.from_query_key(
        query[:1, :, order], key[:1, :, order], text[:1, order], region[:1, order]
    )
    back = inverse_text.argsort()
    assert_close(moved.ll[0][back][:, back], blocks.ll[0])


def test_eager_attentions_give_the_same_blocks_as_queries_and_keys(blocks):
    query, key, text, region = random_query_key()
    attention = (query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5).softmax(-1)
    again = AttentionBlocks.from_attentions(attention, text, region)
    for name in ("ll", "lv", "vl", "vv"):
        assert_close(getattr(again, name), getattr(blocks, name))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(dtype):
    query, key, text, region = random_query_key(dtype=dtype)
    ours = AttentionBlocks.from_query_key(query, key, text, region)
    exact = AttentionBlocks.from_query_key(query.double(), key.double(), text, region)
    assert ours.ll.dtype == torch.float32
    assert_close(ours.vv.double(), exact.vv, rtol=1e-5, atol=1e-6)


def test_autocast_cannot_change_the_blocks():
    inputs = random_query_key(dtype=torch.float32)
    plain = AttentionBlocks.from_query_key(*inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = AttentionBlocks.from_query_key(*inputs)
    assert torch.equal(plain.lv, inside.lv)


def test_gradients_reach_queries_and_keys():
    query, key, text, region = random_query_key()
    query.requires_grad_(), key.requires_grad_()
    AttentionBlocks.from_query_key(query, key, text, region).vl.square().sum().backward()
    assert query.grad.abs().sum() > 0
    assert key.grad.abs().sum() > 0


def test_an_example_without_text_is_named():
    mask = torch.ones(2, 3, dtype=torch.bool)
    mask[1] = False
    with pytest.raises(ValueError, match="no real token in example 1"):
        uniform(text_mask=mask)


def test_an_example_without_regions_is_named():
    query, key, text, region = random_query_key()
    region[0] = False
    with pytest.raises(ValueError, match="no real region in example 0"):
        AttentionBlocks.from_query_key(query, key, text, region)


def test_a_position_cannot_be_text_and_region():
    query, key, text, region = random_query_key()
    with pytest.raises(ValueError, match="as text and as region"):
        AttentionBlocks.from_query_key(query, key, text, region | text)


def test_a_block_of_another_shape_is_named():
    with pytest.raises(ValueError, match=r"lv has shape \(2, 3, 5\); expected .*region=4"):
        uniform(lv=torch.ones(2, 3, 5))


def test_a_block_of_whole_numbers_is_refused():
    with pytest.raises(TypeError, match=r"lv is torch\.int64; expected a floating-point tensor"):
        uniform(lv=torch.ones(2, 3, 4, dtype=torch.long))


def test_blocks_must_agree_on_heads():
    with pytest.raises(ValueError, match="differ in their head axes"):
        uniform(ll=torch.ones(2, 6, 3, 3))


def test_a_mask_that_is_not_boolean_is_refused():
    with pytest.raises(TypeError, match=r"text_mask is torch\.int64; expected a boolean"):
        uniform(text_mask=torch.ones(2, 3, dtype=torch.long))


def test_masks_over_the_sequence_must_fit():
    query, key, text, region = random_query_key()
    with pytest.raises(ValueError, match=r"region_mask has shape \(2, 12\); expected \(2, 13\)"):
        AttentionBlocks.from_query_key(query, key, text, region[:, :-1])


def test_queries_without_heads_are_refused():
    query, key, text, region = random_query_key()
    with pytest.raises(ValueError, match=r"expected \[batch, head, sequence, width\] for both"):
        AttentionBlocks.from_query_key(query[:, 0], key[:, 0], text, region)


def test_an_unknown_space_is_refused():
    with pytest.raises(ValueError, match="unknown space 'probability'. Did you mean 'probabilities'"):
        AttentionBlocks.from_query_key(*random_query_key(), space="probability")


def test_a_causal_model_has_no_attention_from_regions_to_words():
    assert uniform(vl=None).vl is None


def test_blocks_of_mixed_precision_are_refused():
    with pytest.raises(ValueError, match="expected one kind on one device"):
        uniform(lv=torch.full((2, 3, 4), 1 / 4, dtype=torch.float64))


def test_an_empty_batch_is_refused():
    query, key, text, region = random_query_key()
    with pytest.raises(ValueError, match="one example or more"):
        AttentionBlocks.from_query_key(query[:0], key[:0], text[:0], region[:0])
