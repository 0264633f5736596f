"""``cacr explore``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cacr.cli.show import console


def explore(
    model: str,
    /,
    *,
    out: Path,
    data: str = "scenes",
    features: Path | None = None,
    images: Path | None = None,
    image: int | str = 0,
    caption: str | None = None,
    layer: int = -1,
    cross: str = "lv",
    words: Annotated[list[str] | None, Parameter(consume_multiple=True)] = None,
) -> int:
    """Draw the attention between a caption and a picture: the paper's Figures 4 and 5.

    Args:
        model: A model folder, or scenes-start.
        out: A new folder for tokens.png and regions.png.
        data: scenes, or captioned pictures (docs/data.md).
        features: Region features of the pictures, if not inside the folder.
        images: Folder of the pictures, if not that of the captions.
        image: Name or index of the picture.
        caption: A sentence; the picture's first caption if not given.
        layer: Encoder layer, zero-based; -1 is the last.
        cross: lv: where words look; vl: which regions look at a word.
        words: Only these words, in this order.
    """
    from cacr._messages import unknown
    from cacr.data import CaptionSet, open_captions
    from cacr.data.pairs import captions_of_images
    from cacr.data.scenes import SEEDS, SceneCaptions
    from cacr.demo.figures import draw_pair
    from cacr.demo.start import open_region_scorer

    if out.exists() and any(out.iterdir()):
        raise FileExistsError(f"{out} exists and is not overwritten; give a new folder")
    scorer = open_region_scorer(model)
    index = int(image) if str(image).isdecimal() else -1
    pairs: CaptionSet = (
        SceneCaptions(SEEDS["dev"], max(1, index + 1))
        if data == "scenes"
        else open_captions(data, features=features, images=images)
    )
    if index < 0 and image in pairs.image_ids:
        index = list(pairs.image_ids).index(str(image))
    if not 0 <= index < len(pairs.image_ids):
        raise ValueError(
            unknown("picture", image, list(pairs.image_ids)[:20])
            + f" Or an index from 0 to {len(pairs.image_ids) - 1}."
        )
    sentence = caption or pairs.captions[captions_of_images(pairs)[index][0]]
    made = draw_pair(scorer, sentence, pairs.picture(index), out, layer=layer, cross=cross, words=words)
    for path in made:
        console.print(f"Wrote {path}")
    return 0
