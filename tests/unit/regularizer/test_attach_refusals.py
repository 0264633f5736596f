"""attach refuses what it cannot do, in a sentence that says what to do."""

import pytest
import torch
from tests.unit.regularizer.test_attach import hook_total
from torch import nn

from cacr import attach


def test_attaching_twice_is_refused(tiny):
    attach(tiny.model)
    with pytest.raises(ValueError, match="is attached already; call detach"):
        attach(tiny.model)


def test_a_model_that_never_joins_text_and_image_is_refused():
    from transformers import BertConfig, BertModel, BlipConfig, BlipModel

    bert = BertModel(
        BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    )
    with pytest.raises(
        ValueError, match=r"no layout is known for BertModel \(model type 'bert'\).*docs/attach.md"
    ):
        attach(bert)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    blip = BlipModel(BlipConfig(text_config=sizes, vision_config=sizes | {"image_size": 8, "patch_size": 4}))
    with pytest.raises(
        ValueError, match=r"BlipModel \(blip\) has no text-image attention.*ForImageTextRetrieval"
    ):
        attach(blip)
    with pytest.raises(ValueError, match="no layout is known for Linear .not a transformers model"):
        attach(nn.Linear(2, 2))
    with pytest.raises(TypeError, match="expected a torch module, got str"):
        attach("llava")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"layer": 7}, "layer is 7; the model has 3 layers"),
        ({"layer": "first"}, 'layer is \'first\'; expected "last", "all"'),
        ({"layer": []}, "expected .*or several"),
        ({"loss": "carc"}, "unknown loss 'carc'. Did you mean 'cacr'"),
        ({"direction": "visual"}, "unknown direction 'visual'"),
        ({"schedule": "expo"}, "unknown schedule 'expo'. Did you mean 'exp'"),
        ({"layout": "visualbert"}, "unknown layout 'visualbert'. Did you mean 'visual_bert'"),
        ({"total_steps": 0}, "total_steps is 0; expected 1 or more"),
        ({"space": "logits"}, "unknown space 'logits'"),
        ({"heads": "all"}, "unknown heads 'all'"),
        ({"select": "pairs"}, "select is 'pairs'; expected"),
    ],
)
def test_bad_options_are_named_at_once(tiny, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        attach(tiny.model, **options)
    assert not hook_total(tiny.model)


def test_a_model_called_without_what_tells_text_from_regions_is_told(llava):
    attach(llava.model)
    embedded = llava.model.get_input_embeddings()(llava.inputs["input_ids"]).detach()
    with pytest.raises(ValueError, match="was called without input_ids, which tells text from regions"):
        llava.model(inputs_embeds=embedded, attention_mask=llava.inputs["attention_mask"])
    llava.model._cacr_watch.detach()
    reg = attach(llava.model)
    llava.model(**llava.inputs)
    known = reg.blocks()
    reg.detach()
    image = llava.inputs["input_ids"] == llava.model.config.image_token_id
    text = llava.inputs["attention_mask"].bool() & (image.cumsum(1) == image.sum(1, keepdim=True)) & ~image
    attach(llava.model, text_mask=lambda inputs: text, region_mask=lambda inputs: image)
    llava.model(inputs_embeds=embedded, attention_mask=llava.inputs["attention_mask"])
    assert llava.model._cacr_watch.blocks().ll.shape == known.ll.shape


@pytest.mark.parametrize(
    ("select", "sentence"),
    [
        (torch.tensor([0, 1, 1]), "an example more than once: labels of 0 and 1"),
        ([5], "indices from 5 to 5; expected a boolean"),
        (torch.tensor([True]), r"torch.bool of shape \(1,\) for a batch of 2"),
        (torch.tensor([0.0, 1.0]), "select gave torch.float32"),
        (["first"], "select gave .'first'.; expected a boolean"),
    ],
)
def test_a_selection_that_does_not_fit_gets_a_sentence(tiny, select, sentence):
    attach(tiny.model, select=select)
    with pytest.raises(ValueError, match=sentence):
        tiny.model(**tiny.inputs)


@pytest.mark.parametrize("nothing", [[], lambda inputs: [], torch.zeros(2, dtype=torch.bool)])
def test_a_selection_of_nothing_adds_nothing(tiny, nothing):
    attach(tiny.model, select=nothing)
    assert tiny.model(**tiny.inputs).cacr_loss == 0


def test_the_weight_may_change_before_the_backward_pass(tiny):
    with torch.inference_mode():
        reg = attach(tiny.model)
    out = tiny.model(**tiny.inputs)
    reg.weight = 0.5
    out.cacr_loss.backward()


def test_what_is_no_loss_is_refused(tiny):
    with pytest.raises(TypeError, match="loss is 0.5; expected a name"):
        attach(tiny.model, "last", 0.5)
    with pytest.raises(ValueError, match="add_to_loss=True without a loss"):
        attach(tiny.model, loss=None, add_to_loss=True)


def test_a_full_mask_that_does_not_say_what_is_real_gets_a_sentence(llava):
    attach(llava.model)
    size = llava.inputs["input_ids"].shape[1]
    llava.inputs["attention_mask"] = torch.ones(2, 1, size, size, dtype=torch.bool).tril()
    with pytest.raises(ValueError, match="attention_mask has 4 axes; expected .batch, position."):
        llava.model(**llava.inputs)


def test_fields_that_others_put_into_the_output_stay(tiny):
    def add(module, args, out):
        out["extra"] = torch.ones(())
        return out

    tiny.model.register_forward_hook(add)
    attach(tiny.model)
    assert tiny.model(**tiny.inputs)["extra"] == 1


def test_a_detached_regularizer_has_no_loss(tiny):
    reg = attach(tiny.model)
    tiny.model(**tiny.inputs)
    reg.detach()
    with pytest.raises(RuntimeError, match="no forward pass was watched"):
        _ = reg.loss
