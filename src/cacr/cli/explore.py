"""``cacr explore``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cacr._files import next_name
from cacr._messages import unknown
from cacr.attention import Attended
from cacr.cli.asked import SCENES, Asked, asked
from cacr.cli.named import named_models
from cacr.cli.show import bar, finish, tell

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def explore(
    model: str,
    /,
    *,
    pairs: str = SCENES,
    compare: str | None = None,
    out: Path | None = None,
    figures: Path | None = None,
    form: list[Literal["png", "pdf", "svg"]] | None = None,
    n: int = 20,
    example: list[str] | None = None,
    caption: str | None = None,
    data: Path | None = None,
    images: list[Path] | None = None,
    features: Path | None = None,
    detector: str | None = None,
    split: str | None = None,
    seed: int | None = None,
    layers: list[int] | None = None,
    heads: Literal["each", "mean"] | None = None,
    words: list[str] | None = None,
    device: str | None = None,
    title: str = "",
    budget_mb: float = 5.0,
) -> int:
    """See where words and regions attend: one page that opens without a server, and figures for a paper.

    Args:
        model: A model folder, a name on the hub, or scenes-start, or NAME=MODEL: any that `cacr eval` scores with
            attention between text and image; others are refused with the reason.
        pairs: A benchmark, captioned pictures (docs/data.md), or a picture's file.
        compare: A second model, seen on the same pairs: the one before fine-tuning, for instance.
        out: The page, a new .html file; runs/explore-001.html or the next free number, if not given.
        figures: Also a new folder of figures: tokens (the paper's Figures 4 and 5), regions, relations.
        form: Of the figures; png if not given.
        n: Pairs (or examples of a benchmark) at most, the first.
        example: Only these, by name: an example of the benchmark, a picture.
        caption: A sentence in place of the pictures' own.
        data: The benchmark's files.
        images: Folders of the pictures, if they do not lie beside the captions.
        features: Region features of the pictures, for models that read regions.
        detector: Find regions on the fly in place of features: a checkpoint as for `cacr features`.
        split: Only this part.
        seed: Album of the embedded world; the dev album if not given.
        layers: Only these, from 0 or from -1; all if not given.
        heads: Keep heads apart where the page has room, or their mean alone; the mean for models of patches, whose
            heads may not fit into memory, if not given.
        words: In figures of tokens only these, in this order, where a caption has them.
        device: cpu, cuda; a GPU if there is one and none is named.
        title: Of the page.
        budget_mb: Megabytes of the page, at most. Where it is too little for all heads or layers, fewer are kept, and
            the page says which.
    """
    from cacr.benchmarks import Options
    from cacr.cli.evaluate import open_detector_on
    from cacr.explore import save_figures
    from cacr.explore.page import Item, write_page
    from cacr.scorers import open_scorer
    from cacr.scorers.looking import look

    page = _page(out)
    for option, value in (("form", form), ("words", words)):
        if value and figures is None:
            raise ValueError(f"--{option} is of figures; name their folder as well: --figures FOLDER")
    if figures is not None and figures.exists() and any(figures.iterdir()):
        raise FileExistsError(f"{figures} exists and is not overwritten; give a new folder")
    given = Options(
        data, features, tuple(images or ()), open_detector_on(detector, device), split=split, seed=seed
    )
    if compare == model:
        raise ValueError(f"{model} compared with itself; give another model with --compare")
    named = named_models([model] if compare is None else [model, compare])
    if not budget_mb > 0:
        raise ValueError(f"--budget-mb is {budget_mb:g}; expected megabytes above 0, 5 for instance")
    scorers = {name: open_scorer(found, name=name, device=device) for name, found in named.items()}
    apart = {
        name: heads or ("each" if getattr(one, "looks_at", None) == "regions" else "mean")
        for name, one in scorers.items()
    }
    items, drawn = [], []
    with bar() as progress:
        found = asked(pairs, given, n, example or (), caption)
        task = progress.add_task("attention", total=len(found), note="")
        for one in found:
            views = {
                name: [
                    [look(scorer, c, p, layers or "all", apart[name]) for p in one.pictures]
                    for c in one.captions
                ]
                for name, scorer in scorers.items()
            }
            images_shown = [_shown(views, column) for column in range(len(one.pictures))]
            note = f"{one.name}: {one.note}" if one.note else one.name
            items.append(Item(one.captions[0], one.captions, images_shown, views, note))
            if figures is not None:
                drawn.append((one, views))
            progress.advance(task)
    made = _figures(drawn, words)  # a word that is not there is said before anything is written
    title = title or f"{' and '.join(named)} on {Path(pairs).name}"
    while True:
        try:
            written = write_page(items, page, title, budget_mb)
            break
        except FileExistsError:
            if out is not None:
                raise
            page = _page(out)  # another process has taken the number meanwhile
    if written.left_out:
        tell(written.left_out)
    said, wrote = (
        f"Wrote {written.path} ({written.bytes / 1e6:.1f} MB): open it in a browser",
        {"page": written.path},
    )
    if figures is not None:
        said += f"\nWrote {len(save_figures(made, figures, form or ['png']))} figures to {figures}"
        wrote["figures"] = figures
    both = " ".join(one if name == one else f"{name}={one}" for name, one in named.items())
    then = {"In numbers": f"cacr analyze {both} --out ANALYSIS"} if pairs == SCENES else {}
    finish(said, wrote, then, bytes=written.bytes, items=len(items), left_out=written.left_out)
    return 0


def _page(out: Path | None) -> Path:
    if out is None:
        return next_name("runs/explore-{:03d}.html")
    if out.suffix != ".html":
        raise ValueError(
            f"the page is named {out}; expected a name that ends in .html (figures go to --figures)"
        )
    if out.exists():
        raise FileExistsError(f"{out} exists and is not overwritten; give another name")
    return out


def _shown(views: dict[str, list[list[Attended]]], column: int) -> Any:
    """The picture of a column as the first model saw it."""
    return next(iter(views.values()))[0][column].image


def _figures(
    drawn: Sequence[tuple[Asked, dict[str, list[list[Attended]]]]], words: Sequence[str] | None
) -> dict[str, Figure]:
    """Figures of every true pair, by name; of the chosen words those that its caption has.

    Raises:
        ValueError: A word that no caption has.
    """
    from cacr.explore import pair_figures
    from cacr.explore.words import word_attention

    true = {}
    for index, (one, views) in enumerate(drawn):
        for name, grid in views.items():
            for column in range(len(one.pictures)):
                which = re.sub(r"\W+", "-", f"{index:02d}-{one.name}-{name}").strip("-")
                named = f"{which}-{column}" if len(one.pictures) > 1 else which
                true[named] = grid[min(column, len(grid) - 1)][column]
    has = {named: word_attention(view).words for named, view in true.items()}
    known = dict.fromkeys(word for some in has.values() for word in some)
    if strange := [word for word in words or () if word not in known]:
        raise ValueError(unknown("word", strange[0], known))
    found: dict[str, Figure] = {}
    for named, view in true.items():
        own = [word for word in words or () if word in has[named]]
        for kind, figure in pair_figures(view, own or None).items():
            if own or not words or kind != "tokens":
                found[f"{named}-{kind}"] = figure
    return found
