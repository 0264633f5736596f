"""Upload a model folder, features or records, each in one commit. What is on the hub is changed on request only."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cacr._json import read_object
from cacr._messages import first_line
from cacr.models.families import families
from cacr.models.remote_code import write_remote_code
from cacr.publishing.card import MADE, model_card
from cacr.publishing.data_card import data_card

CARD = "README.md"
CONFIGURATIONS = ("config.json", "processor_config.json")
EMPTY = "This model card has been automatically generated."
"""In the form with nothing filled in that ``push_to_hub`` of transformers leaves behind."""
Files = dict[str, Path | bytes]
"""Name on the hub -> the file, or its content."""


def publish(
    model: Path,
    repo: str,
    *,
    private: bool = False,
    update: bool = False,
    license: str | None = None,
    language: str = "en",
    code: bool = True,
    api: Any = None,
) -> str:
    """Upload a model with its card, and with the code that opens it where this package is not installed; its address.

    Args:
        model: RUN/model.
        repo: NAME or OWNER/NAME.
        private: Whether only its owner sees a new repository.
        update: Add to a repository that exists. A card that somebody wrote is kept.
        license: As the hub names it, such as mit; not said in the card if None.
        language: Of the captions, as ISO 639.
        code: Whether its classes go along, for ``trust_remote_code=True`` (`cacr.models.remote_code`).
        api: A ``huggingface_hub.HfApi``; a new one if None, which reads the saved login.

    Raises:
        ConnectionError: The hub cannot be reached, or there is no login for it.
        FileExistsError: The repository exists and ``update`` is not set.
        FileNotFoundError: No model there.
        ValueError: The run's files or records are broken.
    """
    model_card(model, repo, license, language)  # what is wrong with it is said before the hub is asked
    beside = _code_of(model) if code else {}
    write = lambda name: model_card(model, name, license, language, code=bool(beside))
    files = _files_of(model) | beside
    return _upload(files, write, repo, "model", model, private, update, api)


def publish_data(
    path: Path,
    repo: str,
    *,
    license: str,
    made: str = "",
    private: bool = False,
    update: bool = False,
    api: Any = None,
) -> str:
    """Upload region features, or a folder that `cacr eval` made, as a data set with its card; its address.

    Args:
        path: The features file, a folder of them, or the folder of records.
        repo: NAME or OWNER/NAME.
        license: As the hub names it, such as cc-by-4.0; other where it has no name there.
        made: By which detector, of which pictures: for the card.
        private: Whether only its owner sees a new repository.
        update: Add to a repository that exists. A card that somebody wrote is kept.
        api: A ``huggingface_hub.HfApi``; a new one if None, which reads the saved login.

    Raises:
        ConnectionError, FileExistsError: As for `publish`.
        FileNotFoundError: Nothing is there.
        ValueError: It is neither features nor records, or it is broken.
    """
    write = lambda name: data_card(path, name, license, made)
    write(repo)
    return _upload(_files_of(path), write, repo, "dataset", path, private, update, api)


def _files_of(path: Path) -> Files:
    """What is uploaded of a file or folder: all that is not hidden."""
    if path.is_file():
        return {path.name: path}
    found = {file.relative_to(path): file for file in sorted(path.rglob("*")) if file.is_file()}
    return {
        name.as_posix(): file
        for name, file in found.items()
        if not any(part.startswith(".") for part in name.parts)
    }


def _code_of(model: Path) -> Files:
    """The classes of a model of ours as files, and the configurations that name them; the folder stays as it is."""
    if read_object(model / "config.json").get("model_type") not in families():
        return {}
    with TemporaryDirectory() as copy:
        beside = [model / name for name in CONFIGURATIONS if (model / name).is_file()]
        for file in [*beside, *model.glob("*.py")]:
            shutil.copyfile(file, Path(copy) / file.name)
        write_remote_code(copy)
        return {file.name: file.read_bytes() for file in Path(copy).iterdir()}


def _upload(
    files: Files,
    card: Callable[[str], str],
    repo: str,
    kind: str,
    path: Path,
    private: bool,
    update: bool,
    api: Any,
) -> str:
    from huggingface_hub import CommitOperationAdd, HfApi

    api = api or HfApi()
    try:
        repo = repo if "/" in repo else f"{api.whoami()['name']}/{repo}"
        exists = api.repo_exists(repo, repo_type=kind)
        if exists and not update:
            raise FileExistsError(
                f"{repo} exists on the hub and is not changed; add --update to upload into it, or give another name"
            )
        if exists and _written_by_hand(api, repo, kind):
            files.pop(CARD, None)
        else:
            files.setdefault(CARD, card(repo).encode())
        address = api.create_repo(repo, repo_type=kind, private=private, exist_ok=update)
        update = True  # of what is there from here on
        added = [CommitOperationAdd(name, content) for name, content in files.items()]
        api.create_commit(repo, added, repo_type=kind, commit_message="Upload with cacr")
    except FileExistsError:
        raise
    except Exception as error:  # of the hub, of the connection to it, of its client
        first = first_line(error).rstrip(".")
        options = (" --dataset" if kind == "dataset" else "") + (" --update" if update else "")
        raise ConnectionError(
            f"the hub did not take {repo}: {first}. Log in with `hf auth login`, and try again with `cacr push {path} "
            f"{repo}{options}`; all is safe in {path}"
        ) from error
    return str(address)


def _written_by_hand(api: Any, repo: str, kind: str) -> bool:
    if not api.file_exists(repo, CARD, repo_type=kind):
        return False
    card = Path(api.hf_hub_download(repo, CARD, repo_type=kind)).read_text(encoding="utf-8")
    return MADE not in card and EMPTY not in card
