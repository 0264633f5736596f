"""metrics.jsonl holds each step once, also where a kill cut its last line."""

from types import SimpleNamespace

import pytest

from cacr.training.metrics import Metrics


@pytest.mark.parametrize(
    "cut", ['{"step": 3, "lo', "", "[]", "3", '{"loss": 1}', '{"step": null}', '{"step": 1' + "0" * 400 + "}"]
)
def test_lines_that_will_be_made_again_go_and_so_does_one_that_was_cut(tmp_path, cut):
    path, told = tmp_path / "metrics.jsonl", []
    kept = '{"step": 1, "loss": 2.5}\n{"step": 2, "loss": 1.5}\n'
    path.write_text(kept + '{"step": 3, "loss": 1.0}\n' + cut)
    state = SimpleNamespace(is_world_process_zero=True, global_step=2)
    Metrics(path, lambda *what: told.append(what)).on_train_begin(None, state, None)
    assert path.read_text() == kept and told == [(2, {})]
