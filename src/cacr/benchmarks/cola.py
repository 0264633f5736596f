"""Cola, multi-object matching: two photographs, two captions with the attributes of two things exchanged.

Paper: Ray et al. 2023, arXiv:2305.03689.  Data: github.com/arijitray1993/COLA, MIT.  Photographs: Visual Genome.

[["https://…/vg_gqa_images/2390970.jpg", caption, "https://…/2388902.jpg", caption], …]     210 lists

The published accuracy (``scripts/eval.py``, ColaMultiObjAcc) is Winoground's image score: each caption prefers its own
photograph to the other, ties are wrong, chance is 1/4.
"""

from __future__ import annotations

from typing import Any

from cacr._json import read_json
from cacr._messages import shortly
from cacr.benchmarks.benchmark import Benchmark, Options
from cacr.benchmarks.examples import Example, ExamplesWork, data_folder, examples_work, find_files, sentence
from cacr.benchmarks.outcomes import two_by_two, two_by_two_chance
from cacr.benchmarks.picture_tables import images_beside
from cacr.benchmarks.shared_pictures import clusters_of_pictures

FILES = {"multi-object": "COLA_multiobjects_matching_benchmark.json"}
FOLDERS = ("images", "vg_gqa_images", "VG_100K", "VG_100K_2")
OBTAIN = (
    "data/COLA_multiobjects_matching_benchmark.json of github.com/arijitray1993/COLA, and its 218 photographs: "
    "download the addresses that are in it into a folder images beside it, or give those of Visual Genome (VG_100K and "
    "VG_100K_2) with --images."
)


def open_cola(options: Options) -> ExamplesWork:
    """The examples of the file. Those that share photographs, over others too, are one cluster.

    Raises:
        FileNotFoundError: The file or photographs are not there.
        ValueError: A broken entry, named by its number.
    """
    folder = data_folder(options, "cola", OBTAIN)
    inner = folder / "data"
    place = (
        inner if not folder.is_file() and any((inner / name).is_file() for name in FILES.values()) else folder
    )
    (file,) = find_files(place, FILES, "cola", OBTAIN, options.split).values()
    content = read_json(file)
    if not isinstance(content, list):
        raise ValueError(f"{file} is no list of examples; copy it again")
    read = [_entry(one, f"{file}, entry {number}") for number, one in enumerate(content, start=1)]
    clusters = clusters_of_pictures([pictures for _, pictures in read])
    examples = [
        Example(str(index), captions, pictures, cluster=clusters[index])
        for index, (captions, pictures) in enumerate(read)
    ]
    return examples_work(examples, options, [file], images_beside(file, FOLDERS, options))


def _entry(one: Any, where: str) -> tuple[list[str], list[str]]:
    if not isinstance(one, list) or len(one) != 4:
        raise ValueError(
            f"{where} is {shortly(one)}; expected [address, caption, address, caption]. Copy the file again"
        )
    said = [sentence(part, f"{where}, part {number}") for number, part in enumerate(one, start=1)]
    return said[1::2], [address.rpartition("/")[2] for address in said[0::2]]


COLA = Benchmark(
    name="cola",
    asks="Which caption goes with which photograph, when the attributes of two things are exchanged?",
    paper="arXiv:2305.03689",
    licence="MIT; photographs from Visual Genome under their own terms",
    size="210",
    ties="wrong",
    chance_is="text 1/4, image 1/4, group 1/6, group match 1/2",
    obtain=OBTAIN,
    open=open_cola,
    right=two_by_two,
    kind="two by two",
    chance=two_by_two_chance,
    cautions=(
        "The published accuracy is the metric image; text, group and group match are beside it as for Winoground.",
        "210 examples of 218 photographs, the most used in 15 examples: intervals are clustered, and wide.",
        "Captions are scene-graph attributes put together, not sentences as people write them.",
    ),
    versions={"6c4635b7f42e60f3": "COLA_multiobjects_matching_benchmark.json of the release, 210 examples"},
)
