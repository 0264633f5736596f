"""The card of a data set: region features, or the records of an evaluation."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import DatasetCardData

from cacr.data.contents import contents_of
from cacr.publishing.card import CITATION, MADE
from cacr.publishing.scores import score_text, scores
from cacr.regions import open_features

SIZES = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
)
"""How the hub says how much there is."""


def data_card(path: Path, repo: str, license: str, made: str = "") -> str:
    """The card of a features file, of a folder of them, or of a folder that `cacr eval` made.

    Args:
        path: The file or folder.
        repo: OWNER/NAME, as it will be on the hub.
        license: As the hub names it; of features that of the pictures, which they show something of.
        made: By which detector, of which pictures: a sentence or two; of records, what was measured.

    Raises:
        FileNotFoundError: Nothing is there.
        ValueError: It is neither of these, or it is broken.
    """
    if not path.exists():
        raise FileNotFoundError(
            f"no file or folder {path}; expected region features, or a folder of `cacr eval`"
        )
    records = path.is_dir() and any(path.glob("*.jsonl"))
    text, count = _records(path, repo) if records else _features(path, repo)
    metadata = DatasetCardData(
        license=license,
        pretty_name=repo.split("/")[-1],
        size_categories=[
            next((name for most, name in SIZES if count < most), "n>1T" if count >= 10**12 else "other")
        ],
        tags=["cacr", "evaluation-records" if records else "region-features", "vision-language"],
    )
    parts = [
        f"---\n{metadata.to_yaml()}\n---",
        f"# {repo.split('/')[-1]}",
        made or ("" if records else "Detector and pictures were not said by who published this."),
        text,
        f"## Cite\n\n```bibtex\n{CITATION}\n```",
        f"{MADE} from the files themselves.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _features(path: Path, repo: str) -> tuple[str, int]:
    store = open_features(path)
    first = next(iter(store))
    regions = store[first]
    names = (
        "boxes",
        "object_ids",
        "object_confidence",
        "attribute_ids",
        "attribute_confidence",
        "object_names",
    )
    held = [name.replace("_", " ") for name in names if getattr(regions, name, None) is not None]
    place = f"hf://datasets/{repo}" + ("" if path.is_dir() else f"/{path.name}")
    contents = contents_of(path) or {}
    return (
        f"Region features of pictures, for models that read regions.\n\n"
        f"- {store.describe()}\n"
        f"- beside features and boxes: {', '.join(held) or 'nothing'}\n"
        f"- {contents['bytes']:,} bytes, hash {contents['hash']} (of {contents['of']})\n"
        f"- the first picture is `{first}`, with {len(regions.features)} regions\n\n"
        f'## Use\n\n```python\nfrom cacr.regions import open_features\n\nregions = open_features("{place}")\n'
        f'print(regions["{first}"].features.shape)\n```\n\n'
        f"or `cacr eval MODEL BENCHMARK --features {place}`. Nothing in it is code, and nothing is unpickled.\n\n"
        "Features are made of pictures and tell something of them: the pictures' terms hold for them too."
    ), len(store)


def _records(path: Path, repo: str) -> tuple[str, int]:
    measured = scores([path])
    if not measured:
        raise ValueError(
            f"{path} holds no records of a benchmark that is known here; expected a folder of `cacr eval`"
        )
    return (
        "Records of an evaluation: a line of JSON per example, and for each benchmark what was measured with what.\n\n"
        f"{score_text(measured)}\n\n## Use\n\n"
        f"`hf download {repo} --repo-type dataset --local-dir records`, then `cacr rescore records`."
    ), sum(one.n for one in measured)
