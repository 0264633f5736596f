"""A scorer is opened by name; what is no model is named; controls and fingerprints are what they claim to be."""

import json

import pytest
import torch

from cacr.data.fingerprint import fingerprint
from cacr.scorers import open_scorer
from cacr.scorers import open_scorer as open_any


def test_a_constant_scorer_knows_nothing(captions, pictures):
    assert not open_any("constant").match(captions[:3], pictures).any()


def test_a_random_scorer_repeats_itself_and_depends_on_its_seed(captions, pictures):
    one, again, other = (
        open_any(name).match(captions[:3], pictures) for name in ("random", "random:0", "random:1")
    )
    assert torch.equal(one, again) and not torch.equal(one, other)
    swapped = open_any("random").match(captions[:3], pictures[::-1])
    assert one[1] == swapped[1] and one[0] != swapped[0]


def test_random_scores_are_uniform():
    from cacr.data import Picture

    match = open_any("random").match([f"caption {i}" for i in range(4000)], [Picture("x")] * 4000)
    assert match.mean().item() == pytest.approx(0.5, abs=0.02)
    assert match.var().item() == pytest.approx(1 / 12, abs=0.005)
    assert len(match.unique()) > 3_990


def test_the_fingerprint_tells_variants_of_a_model_apart():
    scorer = open_scorer("scenes-start")
    plain = fingerprint(scorer)
    assert len(set(plain)) == 4 and plain == fingerprint(open_scorer("scenes-start"))
    for layer in scorer.model.uniter.encoder.layer:
        layer.intermediate.intermediate_act_fn = torch.nn.ReLU()
    assert fingerprint(scorer) != plain


def test_a_record_holds_the_resolved_config():
    about = open_scorer("scenes-start").describe()
    assert about["config"]["hidden_act"] == "gelu" and about["config"]["num_hidden_layers"] == 3
    assert about["dtype"] == "float32"
    json.dumps(about)


@pytest.mark.parametrize(
    "content, said",
    [
        ("{", "is not JSON"),
        ("[]", "names no model_type"),
        ('{"a": 1}', "an original checkpoint"),
        ('{"model_type": "unitr"}', "Did you mean 'uniter'"),
    ],
)
def test_a_folder_that_is_no_model_is_named(tmp_path, content, said):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=said):
        open_any(str(tmp_path))


def test_what_does_not_exist_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no model folder nowhere"):
        open_any("nowhere")
    with pytest.raises(FileNotFoundError, match="no config.json"):
        open_any(str(tmp_path))
    with pytest.raises(
        FileNotFoundError, match="no model folder nobody/nothing; .* hf download nobody/nothing"
    ):
        open_any("nobody/nothing")


def test_a_score_that_the_model_lacks_is_named():
    with pytest.raises(ValueError, match="unknown score .* 'itc'. Known: match"):
        open_scorer("scenes-start", score="itc")


def test_other_weights_are_told_apart_however_small_the_difference():
    from cacr.scorers.placing import hash_weights

    scorer = open_scorer("scenes-start")
    before = scorer.describe()["weights"]
    assert before == open_scorer("scenes-start").describe()["weights"] == hash_weights(scorer.model)
    with torch.no_grad():
        next(iter(scorer.model.parameters())).view(-1)[7] += 1e-7
    assert scorer.describe()["weights"] != before


def test_a_list_of_captions_that_was_changed_is_read_again(captions, pictures):
    from cacr.data.scenes import SceneCaptions

    scorer, scenes = open_scorer("scenes-start"), SceneCaptions(2, 3)
    asked, seen = list(scenes.captions), [scenes.picture(0)]
    first = scorer.grid(asked, seen)
    asked[0] = asked[2]
    assert scorer.grid(asked, seen)[0] == first[2] != first[0]


def test_a_grid_scores_what_is_equal_once():
    from cacr.data.scenes import SceneCaptions

    scorer, scenes = open_scorer("scenes-start"), SceneCaptions(2, 3)
    rows = []
    scorer.progress = rows.append
    one, two = scenes.picture(0), scenes.picture(1)
    match = scorer.grid([scenes.captions[0]] * 3 + [scenes.captions[1]], [one, two, one])
    assert sum(rows) == 4 and match.shape == (4, 3)
    assert torch.equal(match[0], match[2]) and torch.equal(match[:, 0], match[:, 2])
    assert scorer.grid([], [one]).shape == (0, 1)


def test_a_match_that_is_no_number_names_its_pair():
    from cacr.data.scenes import SceneCaptions

    scorer, scenes = open_scorer("scenes-start"), SceneCaptions(2, 3)
    with torch.no_grad():
        scorer.model.rank_output.bias.fill_(float("nan"))
    with pytest.raises(ValueError, match="gives no number for 3 of 3 pairs, first for the caption"):
        scorer.match(scenes.captions, [scenes.picture(0)] * 3)


def test_a_question_with_its_answer_is_not_an_equal_sentence():
    from cacr.data import Answered, Picture
    from cacr.scorers import UniqueScorer

    class Listening(UniqueScorer):
        name = "listening"

        def score_pairs(self, captions, pictures, rows, columns):
            self.heard = captions
            return torch.zeros(len(rows))

        def describe(self):
            return {}

    scorer, picture = Listening(), Picture("x")
    scorer.match(["a dog ? Yes", Answered("a dog ?", "Yes"), Answered("a dog ?", "Yes")], [picture] * 3)
    assert len(scorer.heard) == 2


@pytest.mark.parametrize("device", ["foo", "cuda:99"])
def test_a_device_that_is_not_there_is_named(device):
    with pytest.raises(ValueError, match=f"no device '{device}' here"):
        open_scorer("scenes-start", device=device)


@pytest.mark.parametrize("memory", [0, -1, float("nan"), float("inf")])
def test_memory_of_nothing_or_without_end_is_refused(memory):
    with pytest.raises(ValueError, match="memory is .* GiB; expected more than 0"):
        open_scorer("scenes-start", memory=memory)


def test_a_model_of_questions_is_refused_by_name(tmp_path):
    (tmp_path / "config.json").write_text(
        '{"model_type": "blip", "architectures": ["BlipForQuestionAnswering"]}'
    )
    with pytest.raises(
        ValueError, match="is a BlipForQuestionAnswering, which answers questions by a part of its own"
    ):
        open_any(str(tmp_path))
