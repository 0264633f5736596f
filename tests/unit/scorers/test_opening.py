"""A scorer is opened by name; what is no model is named; controls and fingerprints are what they claim to be."""

import json

import pytest
import torch

from cacr.data.fingerprint import fingerprint
from cacr.demo.start import open_scorer
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
    with pytest.raises(FileNotFoundError, match="The hub did not give it"):
        open_any("nobody/nothing")


def test_a_score_that_the_model_lacks_is_named():
    with pytest.raises(ValueError, match="unknown score .* 'itc'. Known: match"):
        open_scorer("scenes-start", score="itc")
