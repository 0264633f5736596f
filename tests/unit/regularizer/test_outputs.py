"""Where the loss is put: outputs that declare its field, that have it already, that are no ModelOutput."""

from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close
from transformers.utils import ModelOutput

from cacr import attach
from cacr.attention import joint
from cacr.regularizer.outputs import declare_ahead, declaring, with_field
from cacr.tiny_models import TINY

LOSS = torch.tensor(2.0)


@dataclass
class Plain(ModelOutput):
    loss: Tensor | None = None


@dataclass
class Own(ModelOutput):
    loss: Tensor | None = None
    cacr_loss: Tensor | None = None


class Scores(nn.Module):
    """A model whose annotation names what only a type checker imports."""

    def forward(self, x) -> "SeenByATypeCheckerAlone":
        return Plain(x)


class Simple(nn.Module):
    """Words, then regions; its output is neither a ModelOutput nor a dictionary."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([nn.MultiheadAttention(8, 2, batch_first=True)])

    def forward(self, x):
        out = self.blocks[0](x, x, x, need_weights=False)[0]
        return SimpleNamespace(loss=out.square().mean(), states=out)


def first_three(run):
    words = (torch.arange(6) < 3).expand(2, 6)
    return words, ~words


def test_an_annotation_that_cannot_be_read_hides_no_output_class():
    declare_ahead(Scores())  # the classes of the model's own file are made all the same
    out = with_field(Scores()(LOSS), LOSS)
    assert out.cacr_loss == out.loss == 2 and type(out) is declaring(Plain) is not Plain


def test_an_output_class_that_has_the_field_is_kept():
    out = with_field(Own(loss=LOSS), 3 * LOSS)
    assert type(out) is Own and (out.loss, out.cacr_loss) == (2, 6)


def test_the_loss_is_added_to_that_of_an_output_of_any_kind():
    model, x = Simple().train(), torch.randn(2, 6, 8)
    own = model(x).loss
    reg = attach(model, layout=joint("mine", "blocks.{layer}", first_three), add_to_loss=True)
    out = model(x)
    assert reg.loss > 0
    assert_close(out.loss, own + reg.loss)


def test_watching_alone_says_that_there_is_no_loss():
    model = TINY["visual_bert"]().model.train()
    reg = attach(model, loss=None)
    first, *more = reg.describe()
    assert first == "loss: none, blocks only" and first in repr(reg)
    assert any("S_LL" in line for line in more)
    out = model(**TINY["visual_bert"]().inputs)
    assert not hasattr(out, "cacr_loss") and reg.blocks().ll.ndim == 3
    with pytest.raises(RuntimeError, match="attached without a loss: there are blocks"):
        _ = reg.loss
