"""Write the page: template, style, scripts and data joined into one file that loads nothing.

The numbers are computed here; the page decodes and shows them. Text of users is JSON whose "<" is escaped, and reaches
the document as text alone. The policy of the page allows its own script and style by their hashes, pictures inside
the file, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from cacr._files import write_bytes_new, write_bytes_whole
from cacr.attention.attended import Attended
from cacr.explore.page.arrays import MOST_REGIONS, fields, shows_vision
from cacr.explore.page.fitting import Counts, Parts, Plan, plans
from cacr.explore.page.item import Item, layers_and_heads
from cacr.explore.page.pictures import SHARE, SMALLER, Pictures

SCRIPTS = ("data.js", "state.js", "picture.js", "words.js", "maps.js", "matches.js", "main.js")
MB = 1_000_000
SURELY = 1.5
"""A plan whose estimate is so many times what is left is not tried; others are, for the estimate is a rough one."""


@dataclass(frozen=True)
class Written:
    """A page on disk.

    Args:
        path: The file.
        bytes: Its size.
        layers: Model -> the layers it has.
        apart: Model -> those of them that also have each head, beside the mean over heads.
        left_out: What did not fit, in sentences; empty if nothing was left out.
    """

    path: Path
    bytes: int
    layers: Mapping[str, list[int]]
    apart: Mapping[str, list[int]]
    left_out: str


def write_page(
    items: Sequence[Item],
    out: Path,
    title: str = "Attention",
    budget_mb: float = 5.0,
    overwrite: bool = False,
) -> Written:
    """Write one HTML file in which the attention of one or two models can be explored.

    Args:
        items: What to show; the same one or two models in each.
        out: The file, for instance ``attention.html``.
        title: The page's title.
        budget_mb: Most megabytes (10^6 bytes) of the whole file. Pictures that take more than half of it are made
            smaller. What does not fit is left out: first the heads of some layers, evenly spaced, then of all
            (their mean stays), then layers.
        overwrite: Whether a file that is there may be replaced.

    Raises:
        FileExistsError: The file exists.
        ValueError: No items, items that do not fit together, or a budget too small for the last layer alone.
    """
    out = Path(out)
    if out.is_dir() or (out.exists() and not overwrite):
        raise FileExistsError(f"{out} exists and is not overwritten; give another name for the page")
    counts = layers_and_heads(items)
    budget, smaller, pictures = budget_mb * MB, "", Pictures()
    described = [_item(item, pictures) for item in items]
    if pictures.bytes > SHARE * budget:
        pictures = Pictures(*SMALLER)
        described = [_item(item, pictures) for item in items]
        smaller = f"Pictures are made smaller ({SMALLER[0]} pixels at most), to keep the file small. "
    parts = Parts(items, counts)
    for plan in plans(counts):
        left_out = (smaller + plan.left_out(counts)).strip()
        shell = _page(title, described, pictures, _models(items, counts, plan), left_out, [""] * len(items))
        room = budget - len(shell)
        if room <= 0 or parts.about(plan) > SURELY * room:
            continue
        blocks = parts.blocks(plan, room)
        if blocks is None:
            continue
        page = _page(title, described, pictures, _models(items, counts, plan), left_out, blocks)
        out.parent.mkdir(parents=True, exist_ok=True)
        (write_bytes_whole if overwrite else write_bytes_new)(out, page)
        return Written(out, len(page), plan.layers, plan.apart, left_out)
    raise ValueError(
        f"{len(items)} items do not fit into {budget_mb:g} MB even with the last layer alone (pictures and text: "
        f"{len(shell) / MB:.2f} MB); give fewer items, or a larger budget: --budget-mb, or budget_mb in Python"
    )


def _item(item: Item, pictures: Pictures) -> dict[str, Any]:
    views = [
        [
            [_view(attended, pictures, item.images[i]) for i, attended in enumerate(row)]
            for row in item.views[name]
        ]
        for name in item.views
    ]
    return {"title": item.title, "note": item.note, "captions": list(item.captions), "views": views}


def _view(attended: Attended, pictures: Pictures, image: Any) -> dict[str, Any]:
    picture = attended.image if attended.image is not None else image
    boxes = None if attended.boxes01 is None else attended.boxes01.detach().double().cpu()
    if attended.grid is not None:  # its outer corners say it all
        ends = [0.0, 0.0, 1.0, 1.0] if boxes is None else [*boxes[0, :2].tolist(), *boxes[-1, 2:].tolist()]
        places: Any = [round(x, 5) for x in ends]
    else:
        places = None if boxes is None else [[round(x, 4) for x in box] for box in boxes.tolist()]
    kind = "patches" if attended.grid else "queries" if boxes is None else "boxes"
    return {
        "tokens": list(attended.tokens),
        "spans": None if attended.spans is None else [list(span) for span in attended.spans],
        "regions": attended.regions,
        "kind": kind,
        "places": places,
        "grid": attended.grid,
        "names": None if attended.region_names is None else list(attended.region_names),
        "match": None if attended.match is None else float(attended.match),
        "picture": pictures.number(picture),
        "size": None if picture is None else list(picture.size),
        "fields": fields(attended),
        "vision": shows_vision(attended),
    }


def _models(items: Sequence[Item], counts: Counts, plan: Plan) -> list[dict[str, Any]]:
    """Name, whole name, layers, number of heads, and the layers whose heads are kept apart."""
    whole = {name: items[0].pairs(name)[0][1].model for name in counts}
    return [
        {
            "name": name,
            "title": whole[name],
            "layers": plan.layers[name],
            "heads": heads,
            "apart": plan.apart[name],
        }
        for name, (_, heads) in counts.items()
    ]


def _page(
    title: str,
    items: list[dict[str, Any]],
    pictures: Pictures,
    models: list[dict[str, Any]],
    left_out: str,
    blocks: list[str],
) -> bytes:
    here = files("cacr.explore.page")
    script = '"use strict";\n' + "\n".join((here / name).read_text("utf-8") for name in SCRIPTS)
    style = (here / "page.css").read_text("utf-8")
    meta = {
        "models": models,
        "left_out": left_out,
        "most_regions": MOST_REGIONS,
        "items": items,
    }
    first = [view["picture"] for rows in items[0]["views"] for row in rows for view in row]
    early = {number for number in first if number is not None}
    late = [number for number in range(len(pictures.sources)) if number not in early]
    policy = (
        f"default-src 'none'; img-src data:; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    filling = {
        "POLICY": policy,
        "TITLE": html.escape(title),
        "STYLE": style,
        "META": json.dumps(meta, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c"),
        "EARLY": "\n".join(_picture(pictures, number) for number in sorted(early)),
        "SCRIPT": script,
        "LATE": "\n".join(_picture(pictures, number) for number in late),
        "BLOCKS": "\n".join(_data(f"block-{index}", block) for index, block in enumerate(blocks)),
    }
    template = (here / "page.html").read_text("utf-8")
    page = re.sub(r"\[\[([A-Z]+)\]\]", lambda found: filling[found[1]], template)
    return (
        page.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
    )  # a lone surrogate is no text


def _picture(pictures: Pictures, number: int) -> str:
    return _data(f"picture-{number}", pictures.sources[number])


def _data(name: str, content: str) -> str:
    return f'<script type="application/octet-stream" id="{name}">{content}</script>'


def _hash(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode("ascii")
