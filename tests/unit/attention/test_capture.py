"""Capturing queries and keys changes nothing of the model and loses nothing of the gradient."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from cacr.attention import AttentionBlocks, QueryKeyCapture
from cacr.models.uniter import UniterConfig, UniterForImageTextRetrieval


@pytest.fixture
def model():
    return UniterForImageTextRetrieval(
        UniterConfig(vocab_size=30, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
                     max_position_embeddings=8, region_dim=6, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
                     cls_token_id=1, sep_token_id=2, mask_token_id=3)
    )  # fmt: skip


@pytest.fixture
def batch():
    g = torch.Generator().manual_seed(0)
    return {
        "input_ids": torch.randint(4, 30, (2, 5), generator=g),
        "region_features": torch.randn(2, 4, 6, generator=g),
        "region_positions": torch.rand(2, 4, 7, generator=g),
    }


def attention(model):
    return model.uniter.encoder.layer[-1].attention.self


def masks():
    text, region = torch.zeros(2, 9, dtype=torch.bool), torch.zeros(2, 9, dtype=torch.bool)
    text[:, 1:4] = True
    region[:, 5:] = True
    return text, region


def test_the_model_gives_the_same_with_and_without(model, batch):
    plain = model(**batch).rank_scores
    with QueryKeyCapture(attention(model)):
        captured = model(**batch).rank_scores
    assert torch.equal(plain, captured)
    assert not attention(model).query._forward_hooks


@pytest.mark.parametrize("kernel", ["sdpa", "eager"])
def test_the_blocks_are_those_of_eager_attention(model, batch, kernel):
    model.eval().set_attn_implementation("eager")
    eager = model(**batch, output_attentions=True).attentions[-1]
    model.set_attn_implementation(kernel)
    with QueryKeyCapture(attention(model)) as capture:
        model(**batch)
    ours = AttentionBlocks.from_query_key(capture.query, capture.key, *masks())
    theirs = AttentionBlocks.from_attentions(eager, *masks())
    for name in ("ll", "lv", "vl", "vv"):
        assert_close(getattr(ours, name), getattr(theirs, name), rtol=1e-5, atol=1e-6)


def test_the_gradient_reaches_the_layers_below(model, batch):
    with QueryKeyCapture(attention(model)) as capture:
        model(**batch)
    (capture.query.sum() + capture.key.square().sum()).backward()
    assert model.uniter.encoder.layer[0].output.dense.weight.grad.abs().sum() > 0
    assert model.uniter.region_embeddings.feature_linear.weight.grad.abs().sum() > 0


def test_a_wrapper_put_on_the_query_is_not_missed(model, batch):
    """LoRA replaces `query` by a module that adds to it."""

    class Shifted(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            return self.inner(x) + 1

    capture = QueryKeyCapture(attention(model))
    with capture:
        model(**batch)
    before = capture.query
    attention(model).query = Shifted(attention(model).query)
    with capture:
        model(**batch)
    assert_close(capture.query, before + 1)


def test_a_module_that_did_not_run_is_said(model):
    with QueryKeyCapture(attention(model)) as capture:
        pass
    with pytest.raises(RuntimeError, match="no query was captured"):
        _ = capture.query


def test_a_module_without_queries_is_refused():
    with pytest.raises(TypeError, match="Linear has no query and no key"):
        QueryKeyCapture(nn.Linear(2, 2))


def test_what_an_earlier_run_left_is_forgotten(model, batch):
    capture = QueryKeyCapture(attention(model))
    with capture:
        model(**batch)
    with capture:
        pass
    with pytest.raises(RuntimeError, match="no query was captured"):
        _ = capture.query
