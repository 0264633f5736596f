"""Models that write give each pair the probability that their own forward pass gives it, however pairs are grouped."""

import logging
from contextlib import contextmanager

import pytest
import torch
from torch.testing import assert_close

from cacr.data.pairs import Answered, Picture
from cacr.scorers.generative import prefixes
from cacr.scorers.generative.likelihood import LikelihoodScorer
from cacr.scorers.generative.vqascore import VQAScorer
from cacr.tiny_models.chat_processors import WRITING

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)  # PaliGemmaProcessor
QUESTION = 'Does this figure show "{}"? Please answer yes or no.'
ASKED = {  # what stands before an answer, and before a caption, family by family
    "llava": ("USER: <image>\n{} ASSISTANT:", "USER: <image>\nDescribe the picture. ASSISTANT:"),
    "paligemma": ("<image>answer en {}", "<image>caption en"),
    "blip2_opt": ("Question: {} Answer:", "a photo of"),
    "blip2_t5": ("Question: {} Answer:", "a photo of"),
    "instruct_blip": ("{}", "A short image description:"),
    "florence2": ("{}", "<CAPTION>"),
    "git": ("{}", ""),
    "blip": ("{}", ""),
}
PICTURE = {
    "qwen2_vl": "<|vision_start|><|image_pad|><|vision_end|>",
    "qwen2_5_vl": "<|vision_start|><|image_pad|><|vision_end|>",
    "qwen3_vl": "<|vision_start|><|image_pad|><|vision_end|>",
    "internvl": "<IMG_CONTEXT>",
    "idefics3": "<image>",
    "smolvlm": "<image>",
    "gemma3": "<start_of_image>",
}
for family, picture in PICTURE.items():
    before = f"user : {picture} {{}} assistant :"
    ASKED[family] = (before, before.format("Describe the picture."))
ENCODERS = {"florence2": [2, 0], "blip2_t5": [0, 2]}
"""The decoder's first token, and the one that the tokenizer puts before an answer."""
KEEP = ["llava", "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "internvl", "idefics3", "smolvlm", "gemma3"]


@pytest.fixture(scope="module")
def written():
    """Model and processor of a family; in double precision for T5, whose attention is unscaled and rounds much."""
    made = {}

    def get(family):
        if family not in made:
            model = WRITING[family].model().model
            made[family] = (
                model.double() if family == "blip2_t5" else model,
                WRITING[family].processor(),
            )
        return made[family]

    return get


def alone(family, model, processor, prompt, answer, picture):
    """log P of each token of an answer, from one plain call of processor and model, special tokens left in place."""

    def read(text, **kwargs):
        return processor(text=[text], images=[picture.image], return_tensors="pt", **kwargs)

    words = processor.tokenizer(answer, add_special_tokens=False).input_ids
    floats = lambda inputs: {
        name: values.to(model.dtype) if values.is_floating_point() else values
        for name, values in inputs.items()
        if name != "labels"
    }
    if family in ENCODERS:
        row = torch.tensor([[*ENCODERS[family], *words]])
        logits = model(**floats(read(prompt)), decoder_input_ids=row).logits[0]
        return logits[1:-1].log_softmax(-1)[range(len(words)), words]
    inputs = read(prompt, suffix=answer) if family == "paligemma" else read(f"{prompt} {answer}")
    if family == "instruct_blip":
        inputs |= {name: values for name, values in read(prompt).items() if name.startswith("qformer")}
    if family == "blip":
        inputs["input_ids"][0, 0] = 5
    ids = inputs["input_ids"][0].tolist()
    start = max(i for i in range(len(ids)) if ids[i : i + len(words)] == words)
    logits = model(**floats(inputs)).logits[0, -len(ids) :]
    return logits[start - 1 :][: len(words)].log_softmax(-1)[range(len(words)), words]


@pytest.mark.parametrize("family", WRITING)
def test_vqascore_is_the_answer_s_probability_in_the_plain_forward_pass(
    family, written, captions, pictures, every_pair_equals
):
    model, processor = written(family)

    def plain(caption, picture):
        prompt = ASKED[family][0].format(QUESTION.format(caption))
        return alone(family, model, processor, prompt, "Yes", picture).sum()

    every_pair_equals(VQAScorer(model, processor), plain, captions, pictures)


@pytest.mark.parametrize("family", WRITING)
def test_likelihood_is_the_caption_s_mean_in_the_plain_forward_pass(
    family, written, captions, pictures, every_pair_equals
):
    model, processor = written(family)

    def plain(caption, picture):
        return alone(family, model, processor, ASKED[family][1], caption, picture).mean()

    every_pair_equals(LikelihoodScorer(model, processor), plain, captions, pictures)


@pytest.mark.parametrize("family", KEEP)
def test_what_captions_share_is_read_once_where_that_is_exact(family, written, captions, pictures):
    scorer, whole = (VQAScorer(*written(family), keep_prefix=keep) for keep in (True, False))
    assert_close(scorer.grid(captions, pictures), whole.grid(captions, pictures), rtol=0, atol=1e-5)
    assert scorer.prefix_kept and not whole.prefix_kept


@pytest.mark.parametrize("score", [VQAScorer, LikelihoodScorer])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_model_whose_prompt_sees_ahead_reads_every_pair_whole_and_says_so_once(
    score, dtype, captions, pictures, caplog
):
    model, processor = WRITING["paligemma"].model().model.to(dtype), WRITING["paligemma"].processor()
    scorer = score(model, processor)
    with caplog.at_level(logging.WARNING, "cacr"):
        scorer.grid(captions, pictures)
        scorer.grid(captions, pictures)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1 and "not causal" in said[0]
    assert not scorer.prefix_kept


def test_a_prefix_that_fails_at_the_second_size_of_picture_is_given_up(captions, pictures, monkeypatch):
    model, processor = WRITING["qwen2_vl"].model().model, WRITING["qwen2_vl"].processor()
    right = VQAScorer(model, processor, keep_prefix=False).grid(captions, pictures)
    # the second picture is oblong, and positions after it need no shift
    monkeypatch.setattr(
        prefixes.Prefix,
        "_positions",
        lambda self, count, length: {
            "position_ids": torch.arange(self.places, self.places + length).expand(3, count, length)
        },
    )
    scorer = VQAScorer(model, processor)
    oblong_first = scorer.grid(captions, [pictures[1], pictures[0], pictures[2]])
    assert_close(oblong_first[:, [1, 0, 2]], right, rtol=0, atol=1e-5)
    assert not scorer.prefix_kept


def test_a_prefix_is_not_kept_where_both_ways_disagree(written, captions, pictures, monkeypatch):
    model, processor = written("llava")
    monkeypatch.setitem(prefixes.TOLERANCE, torch.float32, -1.0)
    scorer = VQAScorer(model, processor)
    match = scorer.grid(captions, pictures)
    assert not scorer.prefix_kept
    assert_close(match, VQAScorer(model, processor, keep_prefix=False).grid(captions, pictures))


def test_a_picture_goes_through_the_vision_tower_once_for_all_captions(written, captions, pictures):
    model, processor = written("llava")
    scorer = VQAScorer(model, processor)
    scorer.match(captions[:2], pictures[:1] * 2)  # whether the tower gives a row a picture is asked once
    with pictures_through(model.model.vision_tower) as seen:
        scorer.grid(captions, pictures)
    first, others = seen[:-2], seen[-2:]
    assert others == [1, 1]
    assert first == [1, 2, 1]  # whole, with two endings, as a prefix


def test_scores_do_not_depend_on_the_requests_before(written, captions, pictures):
    model, processor = written("qwen2_vl")
    alone = VQAScorer(model, processor).grid(captions, pictures[2:])
    scorer = VQAScorer(model, processor)
    scorer.grid(captions, pictures[:2])
    assert torch.equal(scorer.grid(captions, pictures[2:]), alone)


@contextmanager
def pictures_through(tower):
    """How many pictures each pass through a tower's first layer takes."""
    seen: list[int] = []
    first = next(module for module in tower.modules() if isinstance(module, torch.nn.Conv2d))
    hook = first.register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
    try:
        yield seen
    finally:
        hook.remove()


TOWERS = {
    "paligemma": "model.vision_tower",
    "blip2_opt": "vision_model",
    "blip2_t5": "vision_model",
    "instruct_blip": "vision_model",
    "florence2": "model.vision_tower",
    "git": "git.image_encoder",
    "blip": "vision_model",
}


@pytest.mark.parametrize("family", TOWERS)
def test_nor_does_it_twice_in_a_batch_where_pairs_are_read_whole(family, written, captions, pictures):
    model, processor = written(family)
    scorer = LikelihoodScorer(model, processor, keep_prefix=False)
    scorer.match(captions[:2], pictures[:1] * 2)
    with pictures_through(model.get_submodule(TOWERS[family])) as seen:
        together = scorer.grid(captions, pictures)
    assert seen == [len(pictures)]
    one_by_one = torch.stack([scorer.match([caption] * 3, pictures) for caption in captions])
    assert_close(together, one_by_one, rtol=0, atol=1e-5)


def test_a_picture_is_read_and_prepared_once_for_all_captions(written, captions, pictures):
    model, _ = written("paligemma")
    processor = WRITING["paligemma"].processor()
    read, prepared = [], []
    inner, kind = processor.image_processor, type(processor.image_processor)

    class Counted(kind):
        def __call__(self, images, *args, **kwargs):
            prepared.append(images)
            return kind.__call__(self, images, *args, **kwargs)

    inner.__class__ = Counted
    counted = [Picture(p.image_id, None, lambda p=p: read.append(p) or p.image) for p in pictures]
    VQAScorer(model, processor).grid(captions, counted)
    assert (len(read), len(prepared)) == (3, 3)
    assert processor.image_processor is inner, "the processor that was given is left as it was"


@pytest.mark.parametrize("family", ["llava", "qwen2_vl", "paligemma", "blip2_t5", "git"])
def test_how_many_pairs_go_together_changes_nothing(family, written, captions, pictures):
    model, processor = written(family)
    together = LikelihoodScorer(model, processor).grid(captions, pictures)
    one_by_one = LikelihoodScorer(model, processor, memory=1e-6).grid(captions, pictures)
    assert_close(one_by_one, together, rtol=0, atol=1e-5)


@pytest.mark.parametrize("family", ["llava", "paligemma", "florence2"])
def test_a_question_is_asked_as_it_is_and_its_answer_is_scored(family, written, pictures, every_pair_equals):
    model, processor = written(family)
    answered = [
        Answered("Is the dog left of the cat?", "No"),
        Answered("Is the dog left of the cat?", "Yes"),
        Answered("the dog is on the ?", "large red mug"),
    ]

    def plain(caption, picture):
        prompt = ASKED[family][0].format(caption.question)
        return alone(family, model, processor, prompt, caption.answer, picture).sum()

    every_pair_equals(VQAScorer(model, processor), plain, answered, pictures)
    every_pair_equals(LikelihoodScorer(model, processor, pool="sum"), plain, answered, pictures)


@pytest.mark.parametrize("family", ["llava", "qwen2_vl", "paligemma", "florence2"])
def test_normalized_it_is_yes_against_no(family, written, captions, pictures, every_pair_equals):
    model, processor = written(family)
    scorer = VQAScorer(model, processor, normalize=True)

    def plain(caption, picture):
        prompt = ASKED[family][0].format(QUESTION.format(caption))
        yes, no = (alone(family, model, processor, prompt, answer, picture).sum() for answer in ("Yes", "No"))
        return yes - no

    every_pair_equals(scorer, plain, captions, pictures)
    assert scorer.threshold == 0.0 and VQAScorer(model, processor).threshold is None
    assert scorer.describe()["score"] == "log P('Yes') - log P('No')"


def test_normalized_the_answer_no_is_no_against_yes(written, pictures):
    scorer = VQAScorer(*written("llava"), normalize=True)
    asked = [Answered("Is the dog left of the cat?", answer) for answer in ("Yes", "no")]
    yes, no = scorer.match(asked, pictures[:1] * 2)
    assert_close(no, -yes, rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="normalize compares 'Yes' with 'No', and an answer is 'B'"):
        scorer.match([Answered("Which one?", "B")], pictures[:1])


def test_yes_and_no_come_from_one_forward_pass(written, captions, pictures):
    model, processor = written("llava")
    scorer = VQAScorer(model, processor, normalize=True, keep_prefix=False)
    rows = []
    hook = model.register_forward_pre_hook(
        lambda module, args, inputs: rows.append(len(inputs["input_ids"])), with_kwargs=True
    )
    scorer.grid(captions, pictures)
    hook.remove()
    assert sum(rows) == len(captions) * len(pictures)


def test_all_tokens_of_an_answer_count(written, captions, pictures):
    model, processor = written("llava")
    scorer = VQAScorer(model, processor, template='is "{caption}" right?', answer="yes the dog")
    prompt = ASKED["llava"][0].format(f'is "{captions[1]}" right?')
    with torch.no_grad():
        parts = alone("llava", model, processor, prompt, "yes the dog", pictures[0])
    assert len(parts) == 3
    assert_close(scorer.match(captions[1:2], pictures[:1])[0], parts.sum(), rtol=0, atol=1e-5)


def test_a_chat_template_that_begins_the_text_begins_it_once(written, captions, pictures):
    scorer = VQAScorer(*written("gemma3"))
    scorer.writer.show(pictures[0].image)
    passage = scorer.writer.write(*scorer.passages(captions[0])[0])
    assert passage.tokens.count(1) == 1 and passage.tokens[0] == 1
    assert 2 not in passage.tokens, "nor is the prompt ended before the answer"


def test_a_prompt_of_one_s_own_replaces_the_family_s(written, captions, pictures):
    model, processor = written("llava")
    scorer = VQAScorer(model, processor, prompt="image : <image> question : {question} answer :")
    prompt = f"image : <image> question : {QUESTION.format(captions[0])} answer :"
    with torch.no_grad():
        plain = alone("llava", model, processor, prompt, "Yes", pictures[0]).sum()
    assert_close(scorer.match(captions[:1], pictures[:1])[0], plain, rtol=0, atol=1e-5)


def test_progress_counts_every_pair_once(written, captions, pictures):
    for keep, memory in ((True, 0.25), (False, 0.25), (True, 1e-6)):
        scorer = VQAScorer(*written("llava"), normalize=True, keep_prefix=keep, memory=memory)
        done = []
        scorer.progress = done.append
        scorer.grid(captions, pictures)
        assert sum(done) == len(captions) * len(pictures)


def test_it_says_what_it_asked(written):
    about = VQAScorer(*written("llava")).describe()
    assert about["score"] == "log P('Yes')"
    assert about["prompt"] == ASKED["llava"][0].format(QUESTION.format("{caption}"))
    about = LikelihoodScorer(*written("florence2"), pool="sum").describe()
    assert (about["score"], about["before"]) == ("log P(caption)", "<CAPTION>")


def test_it_opens_a_saved_model_with_its_processor(written, captions, pictures, tmp_path):
    model, processor = written("llava")
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    opened = VQAScorer.from_pretrained(tmp_path, device="cpu", name="mine")
    assert opened.name == "mine"
    again = opened.grid(captions, pictures)
    assert_close(again, VQAScorer(model, processor).grid(captions, pictures), rtol=0, atol=1e-5)


def test_bad_input_is_named(written, captions, pictures):
    model, processor = written("llava")
    with pytest.raises(ValueError, match="no pixels for picture x"):
        VQAScorer(model, processor).match(["a dog"], [Picture("x")])
    with pytest.raises(ValueError, match="'' has no token to score"):
        LikelihoodScorer(model, processor).match([""], pictures[:1])
    with pytest.raises(ValueError, match="'<image>' stands for a picture; take it out"):
        VQAScorer(model, processor).match(["an <image>"], pictures[:1])
    with pytest.raises(ValueError, match="has no {caption}"):
        VQAScorer(model, processor, template="Is it?")
    with pytest.raises(ValueError, match="has no {question}"):
        VQAScorer(model, processor, prompt="<image>")
    with pytest.raises(ValueError, match="unknown pool 'max'"):
        LikelihoodScorer(model, processor, pool="max")
    with pytest.raises(ValueError, match="memory is 0 GiB"):
        VQAScorer(model, processor, memory=0)
    with pytest.raises(ValueError, match="has no image_processor|has no tokenizer"):
        VQAScorer(model, processor.tokenizer)


def test_a_family_without_a_wording_is_asked_for_one(written):
    model, _ = written("internvl")
    _, processor = written("llava")
    with pytest.raises(ValueError, match="knows no wording for 'internvl'.* give the whole text as prompt"):
        VQAScorer(model, processor)
