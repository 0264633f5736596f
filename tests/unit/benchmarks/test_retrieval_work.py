"""Retrieval's work in parts, its records, its folders, and its chance; the recalls that training watches."""

from math import comb

import numpy as np
import pytest
import torch

from cacr.benchmarks import Options
from cacr.benchmarks.benchmark import clusters_of
from cacr.benchmarks.examples import hash_of_text
from cacr.benchmarks.outcomes import (
    CHANCE,
    first_caption,
    first_caption_chance,
    group_match,
    score,
    two_by_two,
)
from cacr.benchmarks.retrieval import (
    PICTURES,
    RETRIEVAL,
    SCENES,
    SCENES_RETRIEVAL,
    RetrievalWork,
    chance,
    groups,
    right,
)
from cacr.data.ranks import ranks
from cacr.data.scenes import SEEDS, SceneCaptions
from cacr.regions import Regions, write_features
from cacr.training.validation import KS, recalls


class Grid:
    """A scorer that knows the whole table of matches by name."""

    name = "grid"

    def __init__(self, table, captions, images):
        self.table, self.captions, self.images = table, list(captions), list(images)
        self.asked = []

    def grid(self, captions, pictures):
        self.asked.append(len(pictures))
        rows = [self.captions.index(caption) for caption in captions]
        columns = [self.images.index(picture) for picture in pictures]
        return self.table[rows][:, columns]


class Pairs:
    """Three captions of two pictures each, and one of the last."""

    def __init__(self, images=20):
        self.image_ids = [f"p{i}.jpg" for i in range(images)]
        self.image_of_caption = [i for i in range(images) for _ in range(2)]
        self.captions = [f"caption {c}" for c in range(2 * images)]

    def picture(self, image):
        return self.image_ids[image]


@pytest.fixture
def work():
    return RetrievalWork(Pairs(), "version 1")


def test_parts_hold_sixteen_pictures_each_and_the_last_the_rest(work):
    table = torch.rand(40, 20)
    scorer = Grid(table, work.pairs.captions, work.pairs.image_ids)
    assert (PICTURES, work.parts, work.notes) == (16, 2, ())
    answers = [work.ask(scorer, part) for part in range(2)]
    assert scorer.asked == [16, 4]
    assert [len(one) for one in answers] == [4 * 40 * 16, 4 * 40 * 4]
    found = np.frombuffer(b"".join(answers), dtype="<f4").reshape(20, 40)
    assert np.array_equal(found, table.T.numpy())
    assert RetrievalWork(Pairs(16), "").parts == 1 and RetrievalWork(Pairs(17), "").parts == 2


def test_an_answer_is_whole_with_a_match_for_every_caption_and_picture(work):
    for part, pictures in ((0, 16), (1, 4)):
        assert work.whole(part, bytes(4 * 40 * pictures))
        assert not work.whole(part, bytes(4 * 40 * pictures - 4))
        assert not work.whole(part, bytes(4 * 40 * pictures + 4))


def test_records_say_who_was_asked_about_what_and_the_rank(work):
    table = torch.rand(40, 20)
    scorer = Grid(table, work.pairs.captions, work.pairs.image_ids)
    records = work.records([work.ask(scorer, part) for part in range(2)])
    found = ranks(table, work.pairs.image_of_caption)
    assert len(records) == 60
    assert records[3] == {
        "example": "caption 3", "cluster": "p1.jpg", "pool": 20, "own": 1, "direction": "caption to image",
        "rank": found["caption to image"][3].item(),
    }  # fmt: skip
    assert records[41] == {
        "example": "p1.jpg", "cluster": "p1.jpg", "pool": 40, "own": 2, "direction": "image to caption",
        "rank": found["image to caption"][1].item(),
    }  # fmt: skip
    assert clusters_of(records) is not None


def test_the_embedded_scenes_are_of_the_test_album_if_none_is_named():
    usual, other = SCENES_RETRIEVAL.open(Options()), SCENES_RETRIEVAL.open(Options(seed=7, n=3))
    assert usual.version == f"scenes-1, album {SEEDS['test']}" and other.version == "scenes-1, album 7"
    assert list(usual.pairs.captions) == list(SceneCaptions(SEEDS["test"], SCENES).captions)
    assert list(other.pairs.captions) == list(SceneCaptions(7, 3).captions)


def test_a_folder_is_needed_and_no_number_of_examples_is_taken(tmp_path):
    with pytest.raises(ValueError, match="the benchmark retrieval needs a folder of captioned pictures"):
        RETRIEVAL.open(Options())
    with pytest.raises(ValueError, match="--n is not for retrieval"):
        RETRIEVAL.open(Options(data=tmp_path, n=1))


@pytest.mark.parametrize("inner", ["", "retrieval"])
def test_a_folder_of_captioned_pictures_is_opened_with_the_hash_of_its_captions(tmp_path, inner):
    from PIL import Image

    folder = tmp_path / inner
    folder.mkdir(exist_ok=True)
    for name in ("a.png", "b.png"):
        Image.new("RGB", (4, 4)).save(folder / name)
    lines = '{"image": "a.png", "caption": "a dog"}\n{"image": "b.png", "caption": "a cat"}\n'
    (folder / "captions.jsonl").write_text(lines)
    first = RETRIEVAL.open(Options(data=tmp_path))
    assert list(first.pairs.captions) == ["a dog", "a cat"]
    assert first.version == hash_of_text("a.png\ta dog\nb.png\ta cat")
    assert RETRIEVAL.open(Options(data=tmp_path)).version == first.version
    (folder / "captions.jsonl").write_text(lines.replace("a cat", "a cow"))
    assert RETRIEVAL.open(Options(data=tmp_path)).version != first.version
    (folder / "captions.jsonl").write_text(
        lines.replace("b.png", "a.png") + '{"image": "b.png", "caption": "x"}\n'
    )
    assert RETRIEVAL.open(Options(data=tmp_path)).version != first.version


def test_both_benchmarks_have_the_same_rules():
    for benchmark, name in ((RETRIEVAL, "retrieval"), (SCENES_RETRIEVAL, "scenes-retrieval")):
        assert benchmark.name == name and benchmark.needs == {"direction", "rank", "pool"}
        assert (benchmark.right, benchmark.chance, benchmark.groups) == (right, chance, groups)


def test_captions_of_missing_pictures_are_left_out_where_asked(tmp_path):
    from PIL import Image

    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    lines = '{"image": "a.png", "caption": "a dog"}\n{"image": "b.png", "caption": "a cat"}\n'
    (tmp_path / "captions.jsonl").write_text(lines)
    with pytest.raises(FileNotFoundError, match="b.png"):
        RETRIEVAL.open(Options(data=tmp_path))
    assert list(RETRIEVAL.open(Options(data=tmp_path, missing="skip")).pairs.captions) == ["a dog"]


def test_pictures_and_regions_may_lie_elsewhere(tmp_path):
    from PIL import Image

    (tmp_path / "elsewhere").mkdir()
    Image.new("RGB", (4, 4), (9, 0, 0)).save(tmp_path / "elsewhere" / "a.png")
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "captions.jsonl").write_text('{"image": "a.png", "caption": "a dog"}\n')
    work = RETRIEVAL.open(Options(data=tmp_path / "words", images=(tmp_path / "elsewhere",)))
    assert work.pairs.picture(0).image.getpixel((0, 0)) == (9, 0, 0)
    one = Regions(torch.ones(1, 3), torch.tensor([[0.0, 0.0, 1.0, 1.0]]))
    write_features(tmp_path / "regions.safetensors", {"a.png": one})
    work = RETRIEVAL.open(Options(data=tmp_path / "words", features=tmp_path / "regions.safetensors"))
    assert work.pairs.picture(0).regions.features.tolist() == [[1.0, 1.0, 1.0]]


def test_recall_is_the_rank_within_k_and_only_k_below_the_wrong_answers():
    records = [{"rank": r, "pool": 12, "own": 2} for r in (1, 2, 5, 6, 10, 11)]
    found = right(records)
    assert {k: v.tolist() for k, v in found.items()} == {
        "R@1": [True] + [False] * 5,
        "R@5": [True] * 3 + [False] * 3,
        "R@10": [True] * 5 + [False],
    }
    assert set(right([*records, {"rank": 1, "pool": 11, "own": 2}])) == {"R@1", "R@5"}
    assert set(right([{"rank": 1, "pool": 11}])) == {"R@1", "R@5", "R@10"}


def test_chance_counts_the_orders_and_is_1_where_k_covers_the_pool():
    assert chance({"pool": 20, "own": 3}) == {f"R@{k}": 1 - comb(17, k) / comb(20, k) for k in (1, 5, 10)}
    assert chance({"pool": 5}) == {"R@1": pytest.approx(1 / 5), "R@5": 1, "R@10": 1}
    assert groups({"direction": "there"}) == ["there", "both directions"]


# Outcomes


def test_first_caption_asks_for_a_lead_over_every_other_caption():
    records = [
        {"match": [[2.0], [1.0], [1.9]]},
        {"match": [[2.0], [1.0], [2.0]]},
        {"match": [[2.0], [3.0], [1.0]]},
    ]
    assert first_caption(records)["accuracy"].tolist() == [True, False, False]
    assert first_caption([{"match": [[1.0, 9.0], [0.0, 9.0]]}])["accuracy"].tolist() == [True]
    assert first_caption_chance(records[0]) == {"accuracy": 1 / 3}


def test_two_by_two_has_four_metrics_in_double_precision():
    records = [{"match": [[1.0 + 1e-12, 1.0], [0.0, 2.0]]}, {"match": [[0.0, 1.0], [1.0, 3.0]]}]
    found = two_by_two(records)
    assert {k: v.tolist() for k, v in found.items()} == {
        "text": [True, False], "image": [True, False], "group": [True, False], "group match": [True, True],
    }  # fmt: skip
    assert set(found) == set(CHANCE)


@pytest.mark.parametrize("which", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_each_of_the_four_matches_can_make_a_score_wrong(which):
    match = torch.tensor([[[2.0, 0.0], [0.0, 2.0]]])
    match[0][which] = -1.0 if which[0] == which[1] else 3.0
    found = score(match)
    assert [found[name].item() for name in ("text", "image", "group")] == [False, False, False]


def test_group_match_takes_any_number_of_pairs_and_ties_are_wrong():
    assert group_match(torch.eye(3)[None]).tolist() == [True]
    assert group_match(torch.zeros(2, 3, 3)).tolist() == [False, False]
    cyclic = torch.tensor([[[1.0, 1.5, 0.0], [0.0, 1.0, 1.5], [1.5, 0.0, 1.0]]])
    assert group_match(cyclic).tolist() == [False]
    for shape in ((2, 2), (1, 2, 3), (1, 1, 1)):
        with pytest.raises(ValueError, match="expected .example, caption="):
            group_match(torch.zeros(shape))
    with pytest.raises(ValueError, match="caption=2, image=2"):
        score(torch.zeros(1, 3, 3))


# Ranks and recalls


def by_sorting(match, owners):
    """Both directions' ranks with loops."""
    captions = [
        1 + sum(match[c][i] >= match[c][own] for i in range(len(match[0])) if i != own)
        for c, own in enumerate(owners)
    ]
    images = []
    for i in range(len(match[0])):
        best = max(match[c][i] for c, own in enumerate(owners) if own == i)
        images.append(1 + sum(match[c][i] >= best for c, own in enumerate(owners) if own != i))
    return captions, images


@pytest.mark.parametrize("owners", [[0, 1, 2, 3], [3, 3, 1, 0, 2, 1, 0, 2, 2]])
def test_ranks_agree_with_loops(owners):
    match = torch.randint(0, 6, (len(owners), 4), generator=torch.Generator().manual_seed(1)).float()
    captions, images = by_sorting(match.tolist(), owners)
    found = ranks(match, owners)
    assert found["caption to image"].tolist() == captions
    assert found["image to caption"].tolist() == images


def test_nan_in_the_true_pair_ranks_it_last():
    match = torch.eye(3)
    match[1, 1] = torch.nan
    found = ranks(match, range(3))
    assert found["caption to image"].tolist() == [1, 3, 1] and found["image to caption"].tolist() == [1, 3, 1]


@pytest.mark.parametrize(
    ("shape", "owners"), [((3, 3), [0, 1]), ((2, 2), [0, 2]), ((2,), [0, 1]), ((2, 2, 2), [0, 1])]
)
def test_tables_of_another_size_are_refused(shape, owners):
    with pytest.raises(
        ValueError, match=rf"for {len(owners)} captions of pictures 0 to {max(owners)}; expected"
    ):
        ranks(torch.zeros(shape), owners)


def test_recalls_are_shares_of_ranks_and_their_error_is_over_pictures():
    g = torch.Generator().manual_seed(0)
    owners = [0, 0, 1, 2, 2, 2, *range(3, 14)]
    match = torch.rand(len(owners), 14, generator=g)
    found, by_direction = recalls(match, owners), ranks(match, owners)
    shares = {
        f"R@{k} {direction}": sum(r <= k for r in rank.tolist()) / len(rank)
        for direction, rank in by_direction.items()
        for k in KS
    }
    assert KS == (1, 5, 10)
    assert {k: found[k] for k in shares} == pytest.approx(shares)
    assert found["recall"] == pytest.approx(sum(shares.values()) / 6) and found["pictures"] == 14
    hits = {d: [sum(r <= k for k in KS) / 3 for r in rank.tolist()] for d, rank in by_direction.items()}
    each = []
    for image in range(14):
        own = [hits["caption to image"][c] for c, o in enumerate(owners) if o == image]
        each.append((sum(own) / len(own) + hits["image to caption"][image]) / 2)
    assert found["recall_error"] == pytest.approx(np.std(each, ddof=1) / 14**0.5)
    assert recalls(torch.zeros(2, 1), [0, 0])["recall_error"] == 0.0
    assert set(found) == {*shares, "recall", "recall_error", "pictures"}
