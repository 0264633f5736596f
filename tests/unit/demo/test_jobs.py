"""The demo's folders and runs are those that its report and documentation name."""

from cacr.demo import DemoConfig
from cacr.demo.run import jobs_of


def test_the_demo_keeps_its_folders_arms_and_recipe(tmp_path):
    jobs = jobs_of(DemoConfig(out=tmp_path, seeds=2, steps=30).resolved())
    assert [job.folder.relative_to(tmp_path / "arms").as_posix() for job in jobs] == ["start"] + [
        f"{arm}-seed-{seed}" for seed in (0, 1) for arm in ("none", "IAIS", "CACR", "CACR-rows", "flat")
    ]
    assert [job.name for job in jobs[:3]] == ["start", "none, seed 0", "IAIS, seed 0"]
    last = jobs[-1].recipe
    assert (last.loss, last.seed, last.steps, last.warmup, last.out) == (
        "flat",
        1,
        30,
        3,
        jobs[-1].folder / "run",
    )
    assert jobs[0].recipe is None and jobs[0].pretrain is None
    assert {(job.album, job.measured) for job in jobs} == {
        (None, (("scenes", 800), ("scenes-retrieval", 100)))
    }
