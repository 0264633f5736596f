import shutil

import pytest
import torch
from torch.testing import assert_close

from cacr.data.pairs import Picture
from cacr.data.scenes import scene
from cacr.regions import Regions
from cacr.tiny_models.tokenizers import word_tokenizer


@pytest.fixture(scope="session")
def captions():
    """Four captions of different lengths, in the words of the tiny tokenizer."""
    return [
        "a red circle is left of a blue square .",
        "a dog runs",
        "the small green star is above the large yellow heart and a cat sits on the grass",
        "a blue square is left of a red circle .",
    ]


@pytest.fixture(scope="session")
def pictures():
    """Three pictures with pixels of different sizes and regions of 16 numbers, of different counts."""
    g = torch.Generator().manual_seed(7)
    found = []
    for i, (count, size) in enumerate(((4, (64, 64)), (3, (80, 48)), (2, (48, 72)))):
        corner = torch.rand(count, 2, generator=g) / 2
        boxes = torch.cat([corner, corner + 0.1 + torch.rand(count, 2, generator=g) / 3], 1)
        regions = Regions(
            torch.randn(count, 16, generator=g), boxes, object_names=["dog", "cat", "mug", "star"][:count]
        )
        image = scene(0, i).image.resize(size)
        found.append(Picture(f"{i}.png", lambda regions=regions: regions, lambda image=image: image))
    return found


@pytest.fixture(scope="session")
def every_pair_equals():
    """Check a scorer against ``alone(caption, picture)``, the plain forward pass of a pair: to 1e-5."""

    def check(scorer, alone, captions, pictures, atol=1e-5):
        pairs = [(c, i) for c in range(len(captions)) for i in range(len(pictures))]
        pairs = [
            pairs[k] for k in torch.randperm(len(pairs), generator=torch.Generator().manual_seed(0)).tolist()
        ]
        pairs.append(pairs[0])  # a repeated pair scores the same
        with torch.no_grad():
            plain = torch.stack(
                [torch.as_tensor(alone(captions[c], pictures[i])).float().reshape(()) for c, i in pairs]
            )
        assert len(plain.unique()) > len(captions), "the model tells pairs apart"
        together = scorer.match([captions[c] for c, _ in pairs], [pictures[i] for _, i in pairs])
        assert together.dtype == torch.float32 and together.device.type == "cpu"
        assert_close(together, plain, rtol=0, atol=atol)
        grid = scorer.grid(captions, pictures)
        assert_close(torch.stack([grid[c, i] for c, i in pairs]), plain, rtol=0, atol=atol)
        single = scorer.match([captions[pairs[1][0]]], [pictures[pairs[1][1]]])
        assert_close(single[0], plain[1], rtol=0, atol=atol)

    return check


@pytest.fixture(scope="module")
def clip_words():
    """The end of a text is the highest id, as in CLIP's vocabulary."""
    return word_tokenizer(begin=97, end=98)


@pytest.fixture
def open_clip_folder(data, tmp_path):
    """A folder that may be broken."""
    return shutil.copytree(data / "open_clip" / "gelu", tmp_path / "tiny")
