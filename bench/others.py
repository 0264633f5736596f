"""Rows of what stands by itself: the training step with mining, retrieval, drawing scenes."""

from collections.abc import Iterator
from typing import Any

from bench.measuring import Row, Setting, rounds, row

TINY = {
    "region_dim": 8,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "initializer_range": 0.2,  # with BERT's 0.02 a narrow model has gradients near its rounding
}


def step(setting: Setting) -> Iterator[Row | str]:
    """A training step with mined hard negatives against a straightforward loop.

    Throughput of `cacr train` / of the loop, in processor time. Both take the same step of the same UNITER-base: an
    image-anchored and a text-anchored group, the 31 hardest of 63 candidates, the attention loss of both true pairs,
    clipping and AdamW. The loop pads captions to 60 tokens, repeats the side that a group shares, and runs eager
    attention. Equal negatives and gradients are checked first. More in `bench/step.py`.
    """
    if setting.device != "cpu":
        yield _on_cpu("the training step", setting.device)
        return
    from bench import step as stepping

    asked: dict[str, Any] = {"rounds": 1, "sizes": TINY, "candidates": 3, "negatives": 2}
    found = stepping.main(setting.pictures, **(asked if setting.quick else {}))
    memory = found["gibibytes"]
    yield Row(
        "throughput",
        "time of the loop's step / of ours",
        found["minimum"],
        found["median"],
        len(found["seconds"]["ours"]),
        f"captions of {found['tokens']:.1f} tokens, 36 regions",
        setting.device,
        floor=2.0,
        note=f"gradients differ by {found['gradients']:.0e} of their norm; peak memory {memory['loop']:.2f} / "
        f"{memory['ours']:.2f} GiB",
    )


def retrieval(setting: Setting) -> Iterator[Row | str]:
    """Retrieval with a cross-encoder against a straightforward loop.

    Time of the loop / of ours, in processor time. A random UNITER-base scores captions with all pictures. The loop
    takes one caption against all pictures at a time, as the released evaluations do, padded to 60 tokens; "unpadded" is
    the same loop with captions of their own length. Equal scores are checked first. More in `bench/retrieval.py`.
    """
    if setting.device != "cpu":
        yield _on_cpu("retrieval", setting.device)
        return
    from bench import retrieval as retrieving

    asked: dict[str, Any] = {"rounds": 1, "count": 2, "sizes": TINY}
    found = retrieving.main(setting.pictures, **(asked if setting.quick else {}))
    for name, words in (("loop", "the loop"), ("unpadded", "the loop, unpadded")):
        yield Row(
            name,
            f"time of {words} / of ours",
            found[name],
            found[name],
            1 if setting.quick else retrieving.ROUNDS,
            f"{found['captions']:.0f} captions a round with all pictures",
            setting.device,
            note="both numbers are the median of rounds",
        )


def scenes(setting: Setting) -> Iterator[Row | str]:
    """Drawing the embedded world.

    Resizing a 640 x 480 picture to 224 x 224, bicubic / drawing a scene with its regions and features.
    """
    if setting.device != "cpu":
        yield _on_cpu("drawing scenes", setting.device)
        return
    from PIL import Image

    from cacr.data.scenes import scene

    picture = Image.new("RGB", (640, 480), "red")
    jobs = {
        "resizing": lambda: [picture.resize((224, 224)) for _ in range(50)],
        "scene": lambda: [scene(0, i).regions for i in range(50)],
    }
    spent = rounds(jobs, setting.count(15))
    yield row(
        "scenes", "resizing a picture / drawing a scene", spent["resizing"], spent["scene"], size="50 each"
    )


def _on_cpu(what: str, device: str) -> str:
    return f"{what} is measured on the CPU alone, in processor time; run it with --device cpu, not {device}"
