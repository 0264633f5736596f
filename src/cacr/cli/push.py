"""``cacr push``."""

from __future__ import annotations

from pathlib import Path

from cacr.cli.show import finish


def push(
    path: Path,
    repo: str,
    /,
    *,
    dataset: bool = False,
    license: str | None = None,
    language: str | None = None,
    made: str | None = None,
    code: bool = True,
    private: bool = False,
    update: bool = False,
) -> int:
    """Put a trained model on the hub with its card: recipe, scores with intervals, limits, citation. Or features.

    Args:
        path: RUN/model as made by `cacr train`. Evaluations that `cacr eval` left in it are in the card, and go along
            with their records, which hold the command that was typed. With --dataset: a features file, a folder of
            them, or a folder that `cacr eval` made.
        repo: NAME or OWNER/NAME.
        dataset: Features or records in place of a model.
        license: As the hub names it: mit, apache-2.0, cc-by-4.0, other. Of a dataset it must be said.
        language: Of the captions that a model was trained with, two letters; en if not given.
        made: With --dataset: by which detector, of which pictures, for the card.
        code: Put the model's classes beside it, so that transformers opens it without this package.
        private: Only its owner sees it.
        update: Upload into a repository that exists.
    """
    from cacr.publishing import publish, publish_data

    if not dataset:
        if made is not None:
            raise ValueError("--made is for features and records: add --dataset, or leave it out")
        address = publish(
            path, repo, private=private, update=update, license=license, language=language or "en", code=code
        )
        unsaid = {"Its card names no licence": f"cacr push {path} {repo} --update --license NAME"}
        finish(f"The model is at {address}", {}, {} if license else unsaid, address=address)
        return 0
    if license is None:
        raise ValueError(
            "a data set needs a licence: --license NAME as the hub names it, such as cc-by-4.0, or other"
        )
    if language is not None:
        raise ValueError("--language is for models; leave it out")
    address = publish_data(path, repo, license=license, made=made or "", private=private, update=update)
    name = f"hf://datasets/{'/'.join(address.rstrip('/').split('/')[-2:])}"
    finish(f"It is at {address}. Read it as {name}", {}, {}, address=address, name=name)
    return 0
