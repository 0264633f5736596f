"""The rank of the true answer in retrieval, from 1. A tie counts against the model: a constant scorer finds nothing.

For a picture with several captions the best of its own counts (the protocol of Flickr30k and COCO, Karpathy & Fei-Fei
2015).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor


def ranks(
    match: Float[Tensor, "caption image"], image_of_caption: Sequence[int]
) -> dict[str, Int[Tensor, " query"]]:
    """The rank of the true answer to each query, from 1; ties and nan count against the model.

    Args:
        match: Scores of all captions with all pictures.
        image_of_caption: The true picture of each caption.

    Returns:
        "caption to image": one rank per caption; "image to caption": one per picture, of its best caption.

    Raises:
        ValueError: Sizes that do not fit, or a picture without a caption.

    Examples:
        >>> ranks(torch.tensor([[2.0, 1.0], [1.0, 1.0]]), [0, 1])
        {'caption to image': tensor([1, 2]), 'image to caption': tensor([1, 2])}
    """
    owner = torch.as_tensor(list(image_of_caption))
    if match.ndim != 2 or len(owner) != match.shape[0] or int(owner.max()) >= match.shape[1]:
        raise ValueError(
            f"match has shape {tuple(match.shape)} for {len(owner)} captions of pictures 0 to {int(owner.max())}; "
            "expected [caption, image]"
        )
    images = match.shape[1]
    own = owner[:, None] == torch.arange(images)
    bare = ~own.any(0)
    if bare.any():
        raise ValueError(f"picture {int(bare.nonzero()[0])} has no caption; leave it out")
    true = match.gather(1, owner[:, None])
    caption_ranks = 1 + (~(match < true) & ~own).sum(1)
    best = match.masked_fill(~own, -torch.inf).amax(0)
    image_ranks = 1 + (~(match < best) & ~own).sum(0)
    return {"caption to image": caption_ranks, "image to caption": image_ranks}
