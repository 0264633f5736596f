"""Every caption of the reference photographs, with 36 boxes each, makes figures that can be read."""

import re

import numpy as np
import pytest
import torch
from PIL import Image
from tests.unit.explore.pairs import assert_readable
from transformers import BertTokenizer

from cacr.data.pairs import Picture
from cacr.explore import regions_figure, token_figure
from cacr.explore.words import word_attention
from cacr.models.uniter import UniterConfig, UniterForImageTextRetrieval, UniterProcessor
from cacr.regions import open_features
from cacr.scorers import RegionScorer
from cacr.scorers.looking import look

SIGNS = ("[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]")


@pytest.fixture(scope="module")
def read_photographs():
    """Of a folder: each picture, small, with its regions and its captions."""

    def read(folder):
        stored = open_features(folder)
        for name in sorted(stored):
            with np.load(folder / f"{name}.npz", allow_pickle=False) as arrays:
                captions = [str(caption).strip() for caption in arrays["text"]]
            image = Image.open(folder / name).convert("RGB").resize((160, 120))
            yield Picture(name, lambda name=name: stored[name], lambda image=image: image), captions

    return read


def random_uniter(captions, folder):
    """A UNITER that was never trained; of words that are longer than eight letters the rest is a piece by itself."""
    words = sorted(set(re.findall(r"\w+|[^\w\s]", " ".join(captions).lower())))
    pieces = [word[:8] for word in words] + [f"##{word[8:]}" for word in words if len(word) > 8]
    entries = list(dict.fromkeys([*SIGNS, *pieces]))
    (folder / "vocab.txt").write_text("\n".join(entries))
    torch.manual_seed(0)
    config = UniterConfig(
        vocab_size=len(entries),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=64,
        region_dim=2048,
        initializer_range=0.5,  # attention that differs from word to word
        pad_token_id=0,
        cls_token_id=1,
        sep_token_id=2,
        mask_token_id=3,
    )
    processor = UniterProcessor(BertTokenizer(vocab=str(folder / "vocab.txt")))
    return RegionScorer(UniterForImageTextRetrieval(config).eval(), processor, "random UNITER")


@pytest.mark.parametrize("each", [1, pytest.param(5, marks=pytest.mark.slow)])
def test_the_figures_of_the_captions_of_photographs_can_be_read(
    each, read_photographs, reference_data, tmp_path
):
    photographs = [(picture, some[:each]) for picture, some in read_photographs(reference_data / "real")]
    scorer = random_uniter([one for _, captions in photographs for one in captions], tmp_path)
    drawn = pieces = 0
    for picture, captions in photographs:
        for caption in captions:
            attended = look(scorer, caption, picture)
            assert attended.regions == 36
            pair = word_attention(attended)
            tokens, regions = token_figure(attended), regions_figure(attended)
            tokens.set_dpi(60)
            regions.set_dpi(60)
            assert_readable(tokens)
            assert_readable(regions)
            assert [panel.get_label() for panel in tokens.axes] == pair.words
            assert len(regions.axes[0].texts) == len(pair.values.argmax(1).unique()) > 1
            pieces += len(attended.tokens) - len(pair.words)
            drawn += 1
    assert drawn == 8 * each
    assert pieces > 2 * each
