"""``cacr convert``."""

from __future__ import annotations

from pathlib import Path

from cacr.cli.show import finish, tell

NAMED = 6
"""Left-out tensors that are named; the others are counted."""


def convert(
    checkpoint: Path,
    out: Path,
    /,
    *,
    config: Path | None = None,
    head: str | None = None,
    tokenizer: Path | None = None,
) -> int:
    """Turn an original UNITER, IAIS, CACR, OSCAR, OSCAR+ or ROSITA checkpoint into a transformers folder.

    Args:
        checkpoint: The file (.pt, .bin, .pkl, .safetensors), or the folder with config.json and weights.
        out: A new folder.
        config: The original json; sizes are read off the weights if not given.
        head: retrieval, pretraining or base; what the checkpoint holds if not given.
        tokenizer: A folder with a BERT tokenizer, or a vocab.txt, to save beside the model; by default the vocab.txt
            of the checkpoint's folder.
    """
    from cacr._files import write_whole
    from cacr.models.checkpoints import conversion
    from cacr.models.families import families
    from cacr.models.tokenizers import open_tokenizer

    if out.exists():
        raise FileExistsError(f"{out} exists and is not overwritten; give a new folder")
    done = conversion(checkpoint, config, head)
    model, family = done.model, families()[done.kind]
    sizes = model.config
    if tokenizer is None and checkpoint.is_dir() and (checkpoint / "vocab.txt").is_file():
        tokenizer = checkpoint / "vocab.txt"
    words = None if tokenizer is None else open_tokenizer(tokenizer, family.lower_case, sizes.vocab_size)

    def save(folder: Path) -> None:
        model.save_pretrained(folder)
        if words is not None:
            processor = family.processor(words)
            processor.max_text_length = min(processor.max_text_length, sizes.max_position_embeddings)
            processor.save_pretrained(folder)

    write_whole(out, save)
    tell(
        f"Found {family.called}, head {done.head}: {sizes.num_hidden_layers} layers of {sizes.num_attention_heads} "
        f"heads, {sizes.hidden_size} wide, {sizes.vocab_size:,} words, regions of {sizes.region_dim:,} + "
        f"{sizes.region_position_dim} numbers."
    )
    for sentence in done.made:
        tell(sentence)
    if done.left_out:
        more = f" and {len(done.left_out) - NAMED} more" if len(done.left_out) > NAMED else ""
        tell(f"Left out: {', '.join(done.left_out[:NAMED])}{more}.")
    parameters = sum(p.numel() for p in model.parameters())
    said, then = f"The model is in {out}: {parameters:,} parameters.", {}
    if words is None:
        released = "bert-base-uncased" if family.lower_case else "bert-base-cased"
        said += (
            f"\nTo train or measure it, it needs its tokenizer ({released} for the released models): convert it again "
            "with --tokenizer FOLDER."
        )
    elif done.head == "retrieval":
        then["Measure it"] = f"cacr eval {out} retrieval --data CAPTIONS --features FEATURES"
    else:
        then["Fine-tune it"] = (
            f"cacr train photographs --model {out} --data CAPTIONS --features FEATURES --out RUN"
        )
    finish(
        said,
        {"model": out},
        then,
        kind=done.kind,
        head=done.head,
        parameters=parameters,
        made=list(done.made),
        left_out=list(done.left_out),
    )
    return 0
