"""Flickr30k retrieval: 1,000 pictures, 5 captions each: which belongs to which?

The test part of Karpathy's split, dataset_flickr30k.json (`cacr.data.karpathy`), and what it shares with COCO's: the
first five captions of a picture, as everyone takes them.

Paper: Young et al. 2014, TACL 2; the split: Karpathy & Fei-Fei 2015, arXiv:1412.2306.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cacr._messages import unknown
from cacr.benchmarks.benchmark import Benchmark, Options
from cacr.benchmarks.examples import data_folder, find_files
from cacr.benchmarks.retrieval import NEEDS, RetrievalWork, chance, groups, right, version_of
from cacr.data import CaptionedPictures, CaptionSet, Picture, open_captions
from cacr.data.pairs import captions_of_images

CAPTIONS = 5
"""Captions of a picture that are asked."""
SPLITS = ("test", "val")
FILE = "dataset_flickr30k.json"
OBTAIN = (
    f"{FILE} is in Karpathy's caption_datasets.zip (cs.stanford.edu/people/karpathy/deepimagesent). The pictures are "
    "sent to who signs the form of the University of Illinois (forms.illinois.edu/sec/229675): beside the file in "
    "flickr30k-images, flickr30k_images or images, or in a folder of your own: --images FOLDER."
)


@dataclass
class FirstCaptions:
    """Some pictures of a set, in its order, each with its first captions; a `CaptionSet`."""

    pairs: CaptionSet
    chosen: Sequence[int]
    """Indices of the pictures."""

    def __post_init__(self) -> None:
        own = captions_of_images(self.pairs)
        firsts = [own[image][:CAPTIONS] for image in self.chosen]
        self.image_ids: Sequence[str] = [self.pairs.image_ids[image] for image in self.chosen]
        self.captions: Sequence[str] = [self.pairs.captions[c] for captions in firsts for c in captions]
        self.image_of_caption: Sequence[int] = [i for i, captions in enumerate(firsts) for _ in captions]
        self._own = [{self.pairs.captions[c] for c in captions} for captions in firsts]

    def picture(self, image: int) -> Picture:
        """The picture at an index."""
        return self.pairs.picture(self.chosen[image])

    def describes(self, caption: int, image: int) -> bool:
        """Whether the caption was written for the picture; the same sentence elsewhere counts too."""
        return self.captions[caption] in self._own[image]

    def alike(self, image: int) -> Sequence[int]:
        """Nothing is known of likeness between photographs."""
        return ()


def open_karpathy(
    options: Options, name: str, file: str, obtain: str, folders: Sequence[str]
) -> tuple[FirstCaptions, list[str]]:
    """Pictures of a part of Karpathy's split with their first captions, and what to note of them.

    Args:
        options: ``split`` is "test" (if None) or "val"; ``n`` takes the first pictures.
        name: Of the benchmark.
        file: Name of the file of captions.
        obtain: How to get it, for messages.
        folders: Names of the folders beside it where pictures may lie.

    Raises:
        FileNotFoundError: No such file, or pictures or features are missing.
        ValueError: The file is not one of Karpathy's, or no such split.
    """
    split = SPLITS[0] if options.split is None else options.split
    if split not in SPLITS:
        raise ValueError(unknown(f"part of {name}", split, SPLITS))
    folder = data_folder(options, name, obtain)
    path = folder if folder.is_file() else find_files(folder, {name: file}, name, obtain, None)[name]
    beside = [path.parent / one for one in folders if (path.parent / one).is_dir() and not options.blind]
    pairs = open_captions(path, split, options.features, options.images or beside or None, options.missing)
    pairs.named.detect = options.detect
    chosen = range(len(pairs.image_ids))[: options.n]
    notes = [] if split == SPLITS[0] else [f"of the part {split}, not {SPLITS[0]}"]
    if len(chosen) < len(pairs.image_ids):
        notes.append(
            f"only the first {len(chosen)} of {len(pairs.image_ids)} pictures: fewer wrong answers, an easier question"
        )
    if options.missing == "skip":
        total = len(open_captions(path, split).image_ids)
        if len(pairs.image_ids) < total:
            lost = total - len(pairs.image_ids)
            notes.append(f"{lost} of {total} pictures left out: they are not there. An easier question")
    return FirstCaptions(pairs, chosen), notes + _counts(pairs)


def _counts(pairs: CaptionedPictures) -> list[str]:
    counts = [len(own) for own in captions_of_images(pairs)]
    more, fewer = sum(c > CAPTIONS for c in counts), sum(c < CAPTIONS for c in counts)
    notes = []
    if more:
        notes.append(f"{more} pictures have more than {CAPTIONS} captions; their first {CAPTIONS} are asked")
    if fewer:
        notes.append(f"{fewer} pictures have fewer than {CAPTIONS} captions")
    return notes


def open_flickr30k(options: Options) -> RetrievalWork:
    """The 1,000 pictures of test, or the 1,014 of val."""
    folders = ("flickr30k-images", "flickr30k_images", "images")
    pairs, notes = open_karpathy(options, "flickr30k", FILE, OBTAIN, folders)
    return RetrievalWork(pairs, version_of(pairs), notes)


CAUTIONS = (
    "many captions fit other pictures too and count as wrong there (for COCO: ECCV Caption, arXiv:2204.03359)",
    "a tie counts against the model; code that sorts gives it to whichever comes first",
    "the five captions of a picture, and the picture, are one cluster",
)
FLICKR30K = Benchmark(
    name="flickr30k",
    asks="Which of 1,000 pictures belongs to this caption, and which of 5,000 captions to this picture?",
    paper="TACL 2 (2014), 67-78; split and recall@k: arXiv:1412.2306",
    licence="captions and pictures for research and education only",
    size="1,000 pictures, 5,000 captions",
    ties="against the model",
    chance_is="k of 1,000 pictures for R@k of a caption; about 5 k of 5,000 captions for a picture",
    obtain=OBTAIN,
    open=open_flickr30k,
    right=right,
    chance=chance,
    groups=groups,
    needs=NEEDS,
    cautions=CAUTIONS,
)
