"""A flaw of the releases, on request: plain UNITER reads the regions of image-anchored groups from wrong places.

The release puts a group's captions and its picture one after the other and lets each pair gather its own positions. In
image-anchored groups it takes the length of the group's *last* caption for where the regions begin, in place of the
longest. Where the last is shorter, the first region slots hold embeddings of text, and as many last regions are lost.
With captions of 14.5 +- 5 tokens that is 43 % of the region slots.

Source: github.com/ChenRocks/UNITER, data/itm.py (itm_rank_hn_collate and get_gather_index), also in IAIS and CACR.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def release_indices(inputs: dict[str, Any]) -> Tensor:
    """Where each region slot reads, as an index into [text | regions] of the batch: [group, region].

    Args:
        inputs: A batch of `GroupCollator`. The first half of the groups is image-anchored; the others are right.
    """
    captions = inputs["captions"]
    lengths = inputs["text"]["attention_mask"].sum(1)[captions]  # [group, pair]
    width = inputs["text"]["input_ids"].shape[1]
    regions = inputs["regions"]["region_mask"].shape[1]
    slots = torch.arange(regions, device=captions.device)
    half = len(captions) // 2
    longest = lengths[:half].amax(1, keepdim=True)
    read = lengths[:half, -1:] + slots  # in [the group's longest text | regions]
    wrong = torch.where(read < longest, read, read - longest + width)
    right = (slots + width).expand(len(captions) - half, -1)
    return torch.cat([wrong, right])
