"""A BERT tokenizer from a local folder or vocab.txt, to be saved beside a converted model."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, BertTokenizer

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
"""BERT's, in the order of a new vocabulary."""
NEEDED = ("cls_token_id", "sep_token_id", "pad_token_id", "mask_token_id")
TRIAL = "a \U00012000"
"""A word, and a sign of cuneiform, which hardly any vocabulary has: what is unknown must be encoded too."""


def opened(kind: Any, folder: str | os.PathLike[str], **options: Any) -> Any:
    """A tokenizer or processor of a folder, tried with a short text: some broken files show only then.

    The text does not go through transformers, which would set lengths that are saved with the tokenizer.

    Args:
        kind: A class of transformers, or an Auto class; code of the folder's own is not run.
        folder: A folder, or a name on the hub.
        options: As for ``from_pretrained``.

    Raises:
        ValueError: The tokenizers package panics, which no ``except Exception`` sees; other errors are transformers'.
    """
    return _tried(lambda: kind.from_pretrained(folder, trust_remote_code=False, **options))


def _tried(make: Callable[[], Any]) -> Any:
    try:
        found = make()
        backend = getattr(getattr(found, "tokenizer", found), "backend_tokenizer", None)
        if backend is not None:
            backend.encode(TRIAL)
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise ValueError(f"the tokenizers package panics: {error}") from error
    return found


def open_tokenizer(path: Path, lower_case: bool, vocabulary: int) -> Any:
    """A fast tokenizer that fits a model.

    Args:
        path: A folder with tokenizer.json or vocab.txt, or a vocab.txt.
        lower_case: Whether text is lowered, where only a vocab.txt is given.
        vocabulary: Words that the model has embeddings for; a padded vocabulary has more than the tokenizer.

    Raises:
        FileNotFoundError: There is no tokenizer.
        ValueError: It cannot be read, lacks special tokens, or has more words than the model.
    """
    path = Path(path)
    words = path if path.is_file() else path / "vocab.txt"
    try:
        if path.is_dir() and (path / "tokenizer.json").is_file():
            tokenizer = opened(AutoTokenizer, path, local_files_only=True)
        elif words.is_file():
            held = set(words.read_text(encoding="utf-8").split("\n"))
            absent = [word for word in SPECIAL if word not in held]
            if absent:  # transformers would put them at its end
                raise ValueError(f"{words} lacks {', '.join(absent)}")
            tokenizer = _tried(lambda: BertTokenizer(vocab=str(words), do_lower_case=lower_case))
        else:
            raise FileNotFoundError(
                f"no tokenizer at {path}; expected a folder with tokenizer.json or vocab.txt, or a vocab.txt"
            )
    except FileNotFoundError:
        raise
    except Exception as error:  # the tokenizers package raises plain Exception
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path} cannot be read as a tokenizer: {first}") from error
    lacking = [name.removesuffix("_id") for name in NEEDED if getattr(tokenizer, name, None) is None]
    if lacking or not tokenizer.is_fast:
        raise ValueError(
            f"the tokenizer at {path} has no {', '.join(lacking) or 'fast form'}; expected one of BERT's"
        )
    largest = max(tokenizer.get_vocab().values())
    if largest >= vocabulary:
        raise ValueError(
            f"the tokenizer at {path} has ids up to {largest}; the model has embeddings for {vocabulary} words. Take "
            f"the one it was trained with ({'bert-base-uncased' if lower_case else 'bert-base-cased'} in the releases)"
        )
    return tokenizer
