"""What a scorer of a matching head does with long captions, and with answered questions."""

import pytest
from tests.unit.scorers.match_head_cases import CASES

from cacr._messages import shortly
from cacr.data.pairs import Answered


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def test_a_caption_longer_than_the_model_reads_is_cut(case, pictures):
    scorer = case()
    long = " ".join(["dog"] * 600)
    room = scorer.max_text_length - 2
    assert scorer.match([long], pictures[:1]) == scorer.match([" ".join(["dog"] * room)], pictures[:1])


def test_an_answered_question_is_a_caption(case, pictures):
    answered = Answered("does this figure show a red circle ?", "yes")
    scorer = case()
    assert scorer.match([answered], pictures[:1]) == scorer.match([str(answered)], pictures[:1])


def test_how_many_captions_are_cut_is_said_once(case, pictures, caplog):
    scorer = case()
    room, short = scorer.max_text_length - 2, "a dog runs"
    fits, first, second = (" ".join(["dog"] * (room + extra)) for extra in (0, 1, 600))
    scorer.grid([short, fits, first, second], pictures)
    scorer.match([second], pictures[:1])
    cut = f"2 of 4 captions are longer and cut (first: {shortly(first)})"
    said = f"{scorer.name} reads {scorer.max_text_length} tokens: {cut}"
    assert [record.getMessage() for record in caplog.records] == [said]


def test_captions_that_fit_are_no_reason_for_a_warning(case, pictures, caplog):
    scorer = case()
    scorer.grid(["a dog runs", " ".join(["dog"] * (scorer.max_text_length - 2))], pictures)
    assert not caplog.records
