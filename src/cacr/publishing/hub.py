"""Upload a model folder. What is on the hub already is changed on request only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cacr.publishing.card import MADE, model_card

CARD = "README.md"
LEFT_OUT = [".*"]


def publish(model: Path, repo: str, *, private: bool = False, update: bool = False, api: Any = None) -> str:
    """Upload a model with its card; its address.

    Args:
        model: RUN/model.
        repo: NAME or OWNER/NAME.
        private: Whether only its owner sees a new repository.
        update: Add to a repository that exists. A card that somebody wrote is kept.
        api: A ``huggingface_hub.HfApi``; a new one if None, which reads the saved login.

    Raises:
        ConnectionError: The hub cannot be reached, or there is no login for it.
        FileExistsError: The repository exists and ``update`` is not set.
        FileNotFoundError: No model there.
    """
    from huggingface_hub import HfApi

    card = (model / CARD).read_text(encoding="utf-8") if (model / CARD).is_file() else model_card(model, repo)
    api = api or HfApi()
    try:
        repo = repo if "/" in repo else f"{api.whoami()['name']}/{repo}"
        if api.repo_exists(repo) and not update:
            raise FileExistsError(
                f"{repo} exists on the hub and is not changed; add --update to upload into it, or give another name"
            )
        address = api.create_repo(repo, private=private, exist_ok=update)
        api.upload_folder(repo_id=repo, folder_path=model, ignore_patterns=[*LEFT_OUT, CARD])
        if not (update and _written_by_hand(api, repo)):
            api.upload_file(path_or_fileobj=card.encode(), path_in_repo=CARD, repo_id=repo)
    except FileExistsError:
        raise
    except Exception as error:  # of the hub, of the connection to it, of its client
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConnectionError(
            f"the hub did not take {repo}: {first}. Log in with `hf auth login`, and try again with `cacr push {model} "
            f"{repo}`; the model itself is safe in {model}"
        ) from error
    return str(address)


def _written_by_hand(api: Any, repo: str) -> bool:
    if not api.file_exists(repo, CARD):
        return False
    return MADE not in Path(api.hf_hub_download(repo, CARD)).read_text(encoding="utf-8")
