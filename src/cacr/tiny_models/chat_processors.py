"""Tiny models that write, each with a processor of its real class: the words of `word_tokenizer`, pictures of 32 x 32.

The processors prepare pictures with PIL alone. Those of Qwen-VL and InternVL want a video processor, which needs
torchvision; here they go without one. SmolVLM has Idefics3's, from which its own differs by videos.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import transformers as T

from cacr.tiny_models import _batches as b
from cacr.tiny_models import decoders, query_formers, single_stream
from cacr.tiny_models import decoders_placeholder as placeholders
from cacr.tiny_models._prompts import IMAGE_END, IMAGE_START, VIDEO_TOKEN
from cacr.tiny_models._tiny import TinyModel
from cacr.tiny_models.tokenizers import word_tokenizer

SQUARE = {"height": b.IMAGE_SIZE, "width": b.IMAGE_SIZE}
QUERIES = query_formers.QUERIES
MERGED = placeholders.MERGED


class Writing(NamedTuple):
    """Builders of a tiny model and of its processor."""

    model: Callable[[], TinyModel]
    processor: Callable[[], Any]


def chat(picture: str, before: str = "") -> str:
    """A chat template: "user : PICTURE question assistant :"."""
    return (
        before
        + "{% for message in messages %}user : {% for part in message['content'] %}{% if part['type'] == 'image' %}"
        + picture
        + "{% else %} {{ part['text'] }}{% endif %}{% endfor %} {% endfor %}"
        + "{% if add_generation_prompt %}assistant :{% endif %}"
    )


def named_tokenizer(named: dict[str, str], others: dict[str, int], **kwargs: Any) -> Any:
    """`word_tokenizer` whose special tokens have names by which a processor finds them."""
    tokenizer: Any = word_tokenizer(others=others, **kwargs)
    tokenizer._set_model_specific_special_tokens(dict(named))
    return tokenizer


def without_video(processor: type[Any]) -> type[Any]:
    """The class, taking None for its video processor."""

    def check(self: Any, name: str, argument: Any) -> Any:
        return (
            type(None)
            if argument is None
            else processor.check_argument_for_proper_class(self, name, argument)
        )

    return type(processor.__name__, (processor,), {"check_argument_for_proper_class": check})


def llava() -> Any:
    """For `decoders_placeholder.llava`; without a chat template, as the first checkpoints came."""
    pictures = T.CLIPImageProcessorPil(size={"shortest_edge": b.IMAGE_SIZE}, crop_size=SQUARE)
    return T.LlavaProcessor(
        pictures,
        word_tokenizer(others={"<image>": b.IMAGE_TOKEN}),
        patch_size=b.PATCH_SIZE,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )


def _qwen(processor: type[Any]) -> Any:
    others = {
        "<|image_pad|>": b.IMAGE_TOKEN,
        "<|video_pad|>": VIDEO_TOKEN,
        "<|vision_start|>": IMAGE_START,
        "<|vision_end|>": IMAGE_END,
    }
    named = {"image_token": "<|image_pad|>", "video_token": "<|video_pad|>"}
    pictures = T.Qwen2VLImageProcessorPil(
        patch_size=b.PATCH_SIZE, merge_size=2, size={"shortest_edge": 256, "longest_edge": 1024}
    )
    template = chat("<|vision_start|><|image_pad|><|vision_end|>")
    tokenizer = named_tokenizer(named, others, around=False)
    return without_video(processor)(pictures, tokenizer, None, chat_template=template)


def qwen2_vl() -> Any:
    """For `decoders_placeholder.qwen2_vl`; pictures of any size."""
    return _qwen(T.Qwen2VLProcessor)


def qwen2_5_vl() -> Any:
    """For `decoders_placeholder.qwen2_5_vl`."""
    return _qwen(T.Qwen2_5_VLProcessor)


def qwen3_vl() -> Any:
    """For `decoders_placeholder.qwen3_vl`."""
    return _qwen(T.Qwen3VLProcessor)


def internvl() -> Any:
    """For `decoders_placeholder.internvl`; a picture is cut into one or two tiles."""
    others = {
        "<IMG_CONTEXT>": b.IMAGE_TOKEN,
        "<img>": IMAGE_START,
        "</img>": IMAGE_END,
        "<video>": VIDEO_TOKEN,
    }
    named = {
        "context_image_token": "<IMG_CONTEXT>",
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "video_token": "<video>",
    }
    return without_video(T.InternVLProcessor)(
        T.GotOcr2ImageProcessorPil(size=SQUARE, crop_to_patches=True, min_patches=1, max_patches=2),
        named_tokenizer(named, others, around=False),
        None,
        image_seq_length=MERGED,
        chat_template=chat("<IMG_CONTEXT>"),
    )


def idefics3() -> Any:
    """For `decoders_placeholder.idefics3` and `smolvlm`; a picture is cut into tiles, and seen whole after them."""
    tiles = {"<row_1_col_1>": 93, "<row_1_col_2>": 92, "<row_2_col_1>": 91, "<row_2_col_2>": 90}
    others = {"<image>": b.IMAGE_TOKEN, "<fake_token_around_image>": 96, "<global-img>": 95}
    pictures = T.Idefics3ImageProcessorPil(
        size={"longest_edge": 2 * b.IMAGE_SIZE}, max_image_size={"longest_edge": b.IMAGE_SIZE}
    )
    tokenizer = word_tokenizer(others={**others, "<end_of_utterance>": 94, **tiles}, around=False)
    return T.Idefics3Processor(pictures, tokenizer, image_seq_len=MERGED, chat_template=chat("<image>"))


def paligemma() -> Any:
    """For `decoders.paligemma`; it puts the answer after the prompt as a suffix."""
    pictures: Any = T.SiglipImageProcessorPil(size=SQUARE)
    pictures.image_seq_length = b.PATCHES
    return T.PaliGemmaProcessor(pictures, word_tokenizer(others={"<image>": b.IMAGE_TOKEN}, around=False))


def gemma3() -> Any:
    """For `decoders.gemma3`; its chat template writes the beginning of the text itself."""
    others = {
        "<image_soft_token>": b.IMAGE_TOKEN,
        "<start_of_image>": IMAGE_START,
        "<end_of_image>": IMAGE_END,
    }
    named = {
        "image_token": "<image_soft_token>",
        "boi_token": "<start_of_image>",
        "eoi_token": "<end_of_image>",
    }
    return T.Gemma3Processor(
        T.Gemma3ImageProcessorPil(size=SQUARE, image_seq_length=b.PATCHES),
        named_tokenizer(named, others),
        chat_template=chat("<start_of_image>", before="[CLS]"),
        image_seq_length=b.PATCHES,
    )


def florence2() -> Any:
    """For `single_stream.florence2`."""
    pictures: Any = T.CLIPImageProcessorPil(size=SQUARE, do_center_crop=False)
    pictures.image_seq_length = 17
    others = {"<image>": b.IMAGE_TOKEN}
    return T.Florence2Processor(
        pictures, named_tokenizer({"image_token": "<image>"}, others, pad=1, begin=0, end=2)
    )


def blip2() -> Any:
    """For `query_formers.blip2_opt` and `blip2_t5`; a placeholder for each query before the text."""
    tokenizer = word_tokenizer(pad=1, begin=2, end=5, others={"<image>": b.IMAGE_TOKEN})
    return T.Blip2Processor(T.BlipImageProcessorPil(size=SQUARE), tokenizer, num_query_tokens=QUERIES)


def instruct_blip() -> Any:
    """For `query_formers.instruct_blip`; the text goes to the Q-Former, too."""
    tokenizer = word_tokenizer(others={"<image>": b.IMAGE_TOKEN})
    pictures = T.BlipImageProcessorPil(size=SQUARE)
    return T.InstructBlipProcessor(pictures, tokenizer, word_tokenizer(), num_query_tokens=QUERIES)


def git() -> Any:
    """For `single_stream.git`."""
    pictures = T.CLIPImageProcessorPil(size={"shortest_edge": b.IMAGE_SIZE}, crop_size=SQUARE)
    return T.GitProcessor(pictures, word_tokenizer())


def blip() -> Any:
    """For `blip_captioner`."""
    return T.BlipProcessor(T.BlipImageProcessorPil(size=SQUARE), word_tokenizer())


@b.seeded
def blip_captioner() -> TinyModel:
    """BLIP's captioner: a decoder that looks across at the picture; captions begin with a token of their own."""
    text: dict[str, Any] = {
        "vocab_size": b.VOCABULARY,
        "encoder_hidden_size": 32,
        "max_position_embeddings": 40,
    }
    marks = {"bos_token_id": 5, "sep_token_id": 2, "pad_token_id": 0}
    config = T.BlipConfig(
        vision_config={**b.PICTURE, **b.LAYERS},
        text_config={**text, **marks, **b.LAYERS, **b.NO_DROPOUT},
    )
    return b.tiny(T.BlipForConditionalGeneration(config), **b.words(), pixel_values=b.pixels())


WRITING = {
    "llava": Writing(placeholders.llava, llava),
    "qwen2_vl": Writing(placeholders.qwen2_vl, qwen2_vl),
    "qwen2_5_vl": Writing(placeholders.qwen2_5_vl, qwen2_5_vl),
    "qwen3_vl": Writing(placeholders.qwen3_vl, qwen3_vl),
    "internvl": Writing(placeholders.internvl, internvl),
    "idefics3": Writing(placeholders.idefics3, idefics3),
    "smolvlm": Writing(placeholders.smolvlm, idefics3),
    "gemma3": Writing(decoders.gemma3, gemma3),
    "paligemma": Writing(decoders.paligemma, paligemma),
    "blip2_opt": Writing(query_formers.blip2_opt, blip2),
    "blip2_t5": Writing(query_formers.blip2_t5, blip2),
    "instruct_blip": Writing(query_formers.instruct_blip, instruct_blip),
    "florence2": Writing(single_stream.florence2, florence2),
    "git": Writing(single_stream.git, git),
    "blip": Writing(blip_captioner, blip),
}
"""By name: a tiny model and its processor."""
