"""Every family that can be looked at, as a tiny scorer, and a size of picture that its processor leaves as it is.

Sizes are not square wherever a model takes such pictures: rows and columns must not be exchanged.
"""

from collections.abc import Callable
from dataclasses import dataclass

import transformers as T
from tests.unit.scorers.match_head_cases import CASES

from cacr.models.oscar import OscarProcessor
from cacr.models.rosita import RositaProcessor
from cacr.models.uniter import UniterProcessor
from cacr.scorers import RegionScorer
from cacr.scorers.generative import LikelihoodScorer, VQAScorer
from cacr.tiny_models import decoders, single_stream
from cacr.tiny_models import decoders_placeholder as placeholders
from cacr.tiny_models._batches import IMAGE_SIZE, IMAGE_TOKEN, VOCABULARY, seeded, tiny
from cacr.tiny_models._prompts import CLIP, DECODER, IMAGE_END, IMAGE_START, ROW_END, SIGLIP, VIDEO_TOKEN
from cacr.tiny_models.chat_processors import WRITING, Writing, chat, without_video
from cacr.tiny_models.tokenizers import word_tokenizer

SIDE, TILE = IMAGE_SIZE, 24
SQUARE = {"height": SIDE, "width": SIDE}
IMAGE = {"<image>": IMAGE_TOKEN}


def pinpoints(side=SIDE):
    """One tile, two beside each other, and two one above the other."""
    return [[side, side], [side, 2 * side], [2 * side, side]]


@seeded
def llava_full():
    """LLaVA that keeps the [CLS] of its vision tower."""
    config = placeholders.llava().model.config
    config.vision_feature_select_strategy = "full"
    return tiny(T.LlavaForConditionalGeneration(config))


def llava_full_processor():
    processor = WRITING["llava"].processor()
    processor.vision_feature_select_strategy = "full"
    return processor


@seeded
def llava_next():
    config = T.LlavaNextConfig(
        vision_config=CLIP,
        text_config={"model_type": "llama", **DECODER, "max_position_embeddings": 256},
        image_token_index=IMAGE_TOKEN,
        image_grid_pinpoints=pinpoints(),
        vision_feature_layer=-1,
    )
    return tiny(T.LlavaNextForConditionalGeneration(config))


def llava_next_processor():
    pictures = T.LlavaNextImageProcessorPil(
        size={"shortest_edge": SIDE}, crop_size=SQUARE, image_grid_pinpoints=pinpoints()
    )
    return T.LlavaNextProcessor(
        pictures,
        word_tokenizer(others=IMAGE),
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )


def llava_onevision(ratio, side=SIDE):
    @seeded
    def build():
        config = T.LlavaOnevisionConfig(
            vision_config={**SIGLIP, "image_size": side},
            text_config={"model_type": "qwen2", **DECODER, "max_position_embeddings": 256},
            image_token_index=IMAGE_TOKEN,
            video_token_index=VIDEO_TOKEN,
            image_grid_pinpoints=pinpoints(side),
            vision_aspect_ratio=ratio,
        )
        return tiny(T.LlavaOnevisionForConditionalGeneration(config))

    return build


def llava_onevision_processor(ratio, side=SIDE):
    def build():
        size = {"height": side, "width": side}
        pictures = T.LlavaOnevisionImageProcessorPil(size=size, image_grid_pinpoints=pinpoints(side))
        tokenizer = word_tokenizer(others={**IMAGE, "<video>": VIDEO_TOKEN})
        return without_video(T.LlavaOnevisionProcessor)(
            pictures,
            tokenizer,
            None,
            num_image_tokens=16,
            vision_feature_select_strategy="full",
            vision_aspect_ratio=ratio,
            chat_template=chat("<image>"),
        )

    return build


class PixtralWriter:
    """What PixtralProcessor writes: a break after every row of a picture. The real one needs torchvision."""

    chat_template, image_token = chat("[IMG]"), "[IMG]"

    def __init__(self):
        others = {"[IMG]": IMAGE_TOKEN, "[IMG_BREAK]": ROW_END, "[IMG_END]": IMAGE_END}
        self.tokenizer = word_tokenizer(others=others)
        self.image_processor = T.PixtralImageProcessorPil(
            size={"longest_edge": 48}, patch_size={"height": 16, "width": 16}
        )

    def apply_chat_template(self, messages, **kwargs):
        return f"user : [IMG] {messages[0]['content'][1]['text']} assistant :"

    def __call__(self, text, images, return_tensors, **kwargs):
        seen = self.image_processor(images, return_tensors="pt")
        rows, columns = (side // 16 for side in seen["image_sizes"][0].tolist())
        row = "[IMG]" * columns
        whole = "[IMG_BREAK]".join([row] * rows) + "[IMG_END]"
        return {**self.tokenizer(text[0].replace("[IMG]", whole), return_tensors="pt", **kwargs), **seen}


def aya_processor():
    others = {**IMAGE, "<|START_OF_IMG|>": IMAGE_START, "<|END_OF_IMG|>": IMAGE_END, "<|IMG_PATCH|>": 93}
    tokenizer = word_tokenizer(others={**others, "TILE": 92, "TILE_GLOBAL": 91, "_": 90})
    pictures = T.GotOcr2ImageProcessorPil(size=SQUARE, crop_to_patches=True, min_patches=1, max_patches=2)
    return T.AyaVisionProcessor(
        pictures, tokenizer, patch_size=8, img_size=SIDE, downsample_factor=2, chat_template=chat("<image>")
    )


@seeded
def aya():
    config = placeholders.aya_vision().model.config
    config.image_token_id = 93
    return tiny(T.AyaVisionForConditionalGeneration(config))


def idefics2_processor():
    tokenizer = word_tokenizer(others={**IMAGE, "<fake_token_around_image>": 96, "<end_of_utterance>": 94})
    pictures = T.Idefics2ImageProcessorPil(
        size={"longest_edge": SIDE, "shortest_edge": SIDE}, do_image_splitting=False
    )
    return T.Idefics2Processor(
        pictures, tokenizer, image_seq_len=placeholders.MERGED, chat_template=chat("<image>")
    )


def chameleon_processor():
    size = {"height": 16, "width": 16}
    pictures = T.ChameleonImageProcessorPil(size={"shortest_edge": 16}, crop_size=size)
    others = {**IMAGE, "<racm3:break>": IMAGE_START, "<eoss>": IMAGE_END}
    processor = T.ChameleonProcessor(pictures, word_tokenizer(others=others), image_seq_length=16)
    processor.chat_template = chat("<image>")
    return processor


def mllama_processor():
    pictures = T.MllamaImageProcessorPil(size={"height": TILE, "width": TILE}, max_image_tiles=2)
    tokenizer = word_tokenizer(others={"<|image|>": VOCABULARY, "<|python_tag|>": 97})
    return T.MllamaProcessor(pictures, tokenizer, chat_template=chat("<|image|>"))


MORE = {
    "llava_full": Writing(llava_full, llava_full_processor),
    "llava_next": Writing(llava_next, llava_next_processor),
    "llava_onevision": Writing(llava_onevision("anyres_max_9"), llava_onevision_processor("anyres_max_9")),
    "llava_onevision_fewer": Writing(
        llava_onevision("anyres_max_1"), llava_onevision_processor("anyres_max_1")
    ),
    "llava_onevision_rest": Writing(
        llava_onevision("anyres_max_9", 36), llava_onevision_processor("anyres_max_9", 36)
    ),
    "mistral3": Writing(placeholders.mistral3, PixtralWriter),
    "aya_vision": Writing(aya, aya_processor),
    "idefics2": Writing(placeholders.idefics2, idefics2_processor),
    "chameleon": Writing(decoders.chameleon, chameleon_processor),
    "mllama": Writing(decoders.mllama, mllama_processor),
}
ALL_WRITING = {**WRITING, **MORE}
ENCODERS = ("florence2", "blip2_t5")
"""Families whose likelihood puts the caption into a decoder."""
REGION_PROCESSORS = {"uniter": UniterProcessor, "oscar": OscarProcessor, "rosita": RositaProcessor}
SIZES = {
    "vilt": (48, 24),
    "qwen2_vl": (32, 32),
    "qwen2_5_vl": (48, 16),
    "qwen3_vl": (48, 16),
    "internvl": (64, 32),
    "idefics3": (64, 32),
    "smolvlm": (64, 64),
    "llava_next": (64, 16),
    "llava_onevision": (32, 64),
    "llava_onevision_fewer": (64, 32),
    "llava_onevision_rest": (72, 36),
    "mistral3": (48, 32),
    "aya_vision": (32, 64),
    "chameleon": (16, 16),
    "mllama": (2 * TILE, TILE),
}


@dataclass(frozen=True)
class Looked:
    """A tiny scorer, and the size of picture to try it with."""

    build: Callable
    size: tuple[int, int] = (SIDE, SIDE)


def _writes(family, score):
    return lambda: score(ALL_WRITING[family].model().model, ALL_WRITING[family].processor())


def _regions(family):
    return lambda: RegionScorer(
        getattr(single_stream, family)().model, REGION_PROCESSORS[family](word_tokenizer())
    )


SCORERS = {
    **{family: Looked(_regions(family)) for family in REGION_PROCESSORS},
    **{
        name: Looked(case, SIZES.get(name, (SIDE, SIDE)))
        for name, case in CASES.items()
        if case.score == "itm"
    },
    **{
        f"{family}-{label}": Looked(_writes(family, score), SIZES.get(family, (SIDE, SIDE)))
        for family in ALL_WRITING
        for label, score in (("vqascore", VQAScorer), ("likelihood", LikelihoodScorer))
        if label == "vqascore" or family not in ENCODERS
    },
}
"""By name: every scorer that can be looked at."""
NO_PLACE = ("blip2", "blip2_opt", "blip2_t5", "blip2-placeholders", "instruct_blip", "idefics2")
"""Families whose image side is made of queries."""
