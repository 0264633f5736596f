"""A scorer of a matching head is loaded with all that its score reads, or refused."""

import pytest
import torch
from tests.unit.scorers.match_head_cases import CASES
from torch.testing import assert_close


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def test_a_checkpoint_without_the_head_is_refused(case, tmp_path):
    scorer = case()
    kept = {name: w for name, w in scorer.model.state_dict().items() if not name.startswith(case.head)}
    scorer.model.save_pretrained(tmp_path, state_dict=kept)
    scorer.processor.save_pretrained(tmp_path)
    before = torch.get_rng_state()
    with pytest.raises(ValueError, match=rf"without {case.head}.*Take a checkpoint that has them, such as"):
        case.scorer.from_pretrained(tmp_path, score=case.score)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_saved_folder_scores_the_same(case, tmp_path, captions, pictures):
    scorer = case()
    scorer.model.save_pretrained(tmp_path)
    scorer.processor.save_pretrained(tmp_path)
    again = case.scorer.from_pretrained(tmp_path, device="cpu", name="mine", score=case.score)
    assert again.name == "mine" and again.score == case.score
    assert_close(again.grid(captions, pictures), scorer.grid(captions, pictures), rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_it_runs_in_half_precision(case, dtype, tmp_path, captions, pictures):
    scorer = case()
    scorer.model.save_pretrained(tmp_path)
    scorer.processor.save_pretrained(tmp_path)
    half = case.scorer.from_pretrained(tmp_path, device="cpu", dtype=dtype, score=case.score)
    exact = scorer.grid(captions, pictures)
    assert_close(half.grid(captions, pictures), exact, rtol=0.05, atol=0.3)


@pytest.mark.parametrize(
    "name", [name for name, case in CASES.items() if case.scorer.heads[case.score].spare]
)
def test_a_checkpoint_may_lack_weights_that_the_score_does_not_read(name, tmp_path, captions, pictures):
    case = CASES[name]
    scorer = case()
    state, spare = scorer.model.state_dict(), scorer.head.spare
    kept = {name: weights for name, weights in state.items() if not name.startswith(spare)}
    assert len(kept) < len(state)
    scorer.model.save_pretrained(tmp_path, state_dict=kept)
    scorer.processor.save_pretrained(tmp_path)
    again = case.scorer.from_pretrained(tmp_path, device="cpu", score=case.score)
    assert_close(again.grid(captions, pictures), scorer.grid(captions, pictures), rtol=0, atol=1e-6)
