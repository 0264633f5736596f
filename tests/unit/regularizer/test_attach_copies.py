"""A model with attach is copied, saved, wrapped and detached like any other."""

import copy

import pytest
import torch
from tests.unit.regularizer.test_attach import hook_total
from torch.testing import assert_close

from cacr import attach
from cacr.tiny_models import TINY


def test_a_deep_copy_has_a_regularizer_of_its_own(tiny):
    reg = attach(tiny.model)
    first = tiny.model(**tiny.inputs)  # something is captured, which could not be copied
    twin = copy.deepcopy(tiny.model)
    assert twin._cacr_watch is not reg
    kept = reg.loss
    out = twin(**tiny.inputs)
    assert_close(out.cacr_loss, first.cacr_loss)
    assert reg.loss is kept
    twin._cacr_watch.detach()
    assert not hook_total(twin)
    assert hasattr(tiny.model(**tiny.inputs), "cacr_loss")


@pytest.mark.parametrize("name", ["visual_bert", "llava"])
def test_saved_files_are_the_same(name, tmp_path):
    tiny = TINY[name]()
    tiny.model.save_pretrained(tmp_path / "before")
    attach(tiny.model)
    tiny.model.save_pretrained(tmp_path / "after")
    files = sorted(path.name for path in (tmp_path / "before").iterdir())
    assert files == sorted(path.name for path in (tmp_path / "after").iterdir())
    assert all((tmp_path / "before" / n).read_bytes() == (tmp_path / "after" / n).read_bytes() for n in files)


def test_the_field_survives_being_taken_apart(tiny):
    """DistributedDataParallel flattens outputs with pytree and builds them anew."""
    from torch.utils._pytree import tree_flatten, tree_unflatten

    attach(tiny.model)
    out = tiny.model(**tiny.inputs)
    again = tree_unflatten(*tree_flatten(out))
    assert torch.equal(again.cacr_loss, out.cacr_loss) and again.keys() == out.keys()
    assert isinstance(again, type(TINY["visual_bert"]().model.eval()(**tiny.inputs)))


def test_tuples_are_returned_as_they_are_and_the_loss_is_at_hand(tiny):
    reg = attach(tiny.model)
    out = tiny.model(**tiny.inputs, return_dict=False)
    assert isinstance(out, tuple)
    assert reg.loss > 0


def test_inputs_may_be_given_by_position(tiny):
    names = ["input_ids", "attention_mask"]
    reg = attach(tiny.model)
    tiny.model(*(tiny.inputs[n] for n in names), **{k: v for k, v in tiny.inputs.items() if k not in names})
    assert torch.equal(reg.blocks().text_mask.sum(1), tiny.inputs["attention_mask"].sum(1))


def test_as_a_context_it_detaches_even_after_an_error(tiny):
    with pytest.raises(ZeroDivisionError), attach(tiny.model):
        raise ZeroDivisionError
    assert not hook_total(tiny.model) and not hasattr(tiny.model, "_cacr_watch")
