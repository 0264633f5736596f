"""A name of the hub becomes a path: a copy of one commit, in the cache that all programs of Hugging Face share.

OWNER/NAME, OWNER/NAME@REVISION             a model
hf://datasets/OWNER/NAME@REVISION/PATH      a data set, or a file or folder in it; without ``datasets/`` of a model

What exists here under such a name is meant, not the hub. The path of a copy names repository and commit, so that
`origin` tells from it what was read. Programs and pickles are not copied; see `MODEL` and `DATA`.

Source of the form: huggingface_hub.HfFileSystem.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cacr._messages import first_line

MODEL = [
    *("*.json", "*.txt", "*.jinja", "*.model"),
    *("model.safetensors", "model-*.safetensors", "adapter_model.safetensors"),
]
"""Files of a model that are copied, at the top of its repository."""
PICKLED = ["pytorch_model.bin", "pytorch_model-*.bin"]
"""What transformers reads as tensors alone, where a model of its own has no safetensors."""
DATA = [
    f"*.{ending}"
    for ending in (
        *("json", "jsonl", "csv", "tsv", "txt", "token", "xml", "parquet", "arrow", "zip"),
        *("safetensors", "npz", "mdb", "lineidx"),
        *("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "JPG", "JPEG", "PNG"),
    )
]
"""Files of data that are copied."""
_NAME = r"(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>refs/(?:pr/\d+|convert/[\w.-]+)|[^/@]+))?"
_BARE = re.compile(_NAME)
_ADDRESS = re.compile(
    rf"hf:/+(?P<data>datasets/|models/)?(?!datasets/|models/|spaces/|buckets/|kernels/){_NAME}(?:/(?P<path>.*))?"
)
_PAGE = re.compile(r"https?:/+(?:www\.)?(?:huggingface\.co|hf\.co)/(.+)")
_VIEW = re.compile(r"/(?:tree|blob|resolve)/(refs/(?:pr/\d+|convert/[\w.-]+)|[^/]+)")
_COPY = re.compile(
    r"(?P<kind>models|datasets)--(?P<repo>[\w.-]+)[/\\]snapshots[/\\](?P<commit>[0-9a-f]{40})(?P<path>[/\\].*)?$"
)


@dataclass(frozen=True)
class Address:
    """A place on the hub. As text it is what `address` reads."""

    kind: str
    """"model" or "dataset"."""
    repo: str
    """OWNER/NAME."""
    revision: str | None = None
    """A branch, a tag or a commit; the main branch if None."""
    path: str = ""
    """A file or folder in it; all of it if empty."""

    def __str__(self) -> str:
        kind = "datasets/" if self.kind == "dataset" else ""
        revision = "" if self.revision is None else f"@{self.revision}"
        return f"hf://{kind}{self.repo}{revision}{'/' if self.path else ''}{self.path}"

    @property
    def page(self) -> str:
        """Where a person reads of it."""
        from huggingface_hub import constants

        return f"{constants.ENDPOINT}/{'datasets/' if self.kind == 'dataset' else ''}{self.repo}"

    @property
    def command(self) -> str:
        """What a person runs where there is a network."""
        more = " --repo-type dataset" if self.kind == "dataset" else ""
        more += "" if self.revision is None else f" --revision {self.revision}"
        return f"hf download {self.repo}{f' {self.path}' if '.' in self.path else ''}{more}"


def address(name: str | os.PathLike[str]) -> Address | None:
    """The place on the hub that a name says, by ``hf://`` or the address of a page; None for any other name.

    Raises:
        ValueError: It begins as one and goes on as none.

    Examples:
        >>> str(address("https://huggingface.co/datasets/me/pictures/blob/main/features.safetensors"))
        'hf://datasets/me/pictures@main/features.safetensors'
        >>> address("features.safetensors")
    """
    text = str(name)
    if page := _PAGE.fullmatch(text):
        text = "hf://" + _VIEW.sub(r"@\1", page[1], count=1)
    if not re.match(r"hf:/", text):  # a Path has one slash less
        return None
    found = _ADDRESS.fullmatch(text.rstrip("/"))
    path = (found["path"] or "") if found else ""
    if not found or ".." in path.split("/"):
        raise ValueError(
            f"{name} is no address of the hub; expected hf://datasets/OWNER/NAME, hf://OWNER/NAME for a model, and "
            "after it @REVISION, /PATH or both"
        )
    return Address(
        "dataset" if found["data"] == "datasets/" else "model", found["repo"], found["revision"], path
    )


def here(path: str | os.PathLike[str]) -> Path:
    """The path itself, or of an address of the hub that of its copy; it is made where it is not there yet.

    Raises:
        FileNotFoundError: The hub has no such thing, or does not give it; what to do is said.
        ValueError: No address, or an answer of the hub that is refused.
    """
    wanted = None if Path(path).exists() else address(path)
    if wanted is None:
        return Path(path)
    if wanted.path:
        inside = glob.escape(wanted.path)
        ending = Path(wanted.path).suffix.lstrip(".").lower()
        patterns = [f"{inside}/{pattern}" for pattern in DATA]
        patterns += [inside] if f"*.{ending}" in DATA else []
    else:
        patterns = DATA
    found = _copy(wanted, patterns) / wanted.path
    if not found.exists() or (found.is_dir() and not any(found.iterdir())):
        raise FileNotFoundError(
            f"{wanted} is not there, or nothing of it is read here (no programs, no pickles); see {wanted.page}"
        )
    return found


def model_here(name: str | os.PathLike[str], expected: str = "", pickled: bool = False) -> Path:
    """The path itself, or the copy of a model that is named as on the hub: OWNER/NAME, OWNER/NAME@REVISION or hf://….

    Args:
        name: The folder or the name.
        expected: What else could be given, for the message; if empty, a path that is no name of the hub is returned
            whether it is there or not.
        pickled: Whether ``pytorch_model.bin`` is copied where there is no safetensors file: transformers reads it as
            tensors alone.

    Raises:
        FileNotFoundError: The hub has no such model, or does not give it; what to do is said.
        ValueError: No address, or an answer of the hub that is refused.
    """
    if Path(name).exists():
        return Path(name)
    wanted = address(name)
    if wanted is None and (bare := _BARE.fullmatch(str(name))) and not str(name).startswith("."):
        wanted = Address("model", bare["repo"], bare["revision"])
    missing = f"no model folder {name}" + (f"; expected {expected}" if expected else "")
    if wanted is None:
        if expected:
            raise FileNotFoundError(missing)
        return Path(name)
    if wanted.kind != "model" or wanted.path:
        raise ValueError(f"{name} is no model on the hub; expected OWNER/NAME or OWNER/NAME@REVISION")
    try:
        folder = _copy(wanted, MODEL, ["*/*"])
    except FileNotFoundError as error:
        if error.errno or address(name) is not None:
            raise
        raise FileNotFoundError(f"{missing}. {error}") from error  # a folder may have been meant
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(
            f"{wanted.repo} has no config.json, so it is no model that is read here; see {wanted.page}. Or the copy in "
            f"{folder} lacks it: {wanted.command}"
        )
    if not any(folder.glob("*.safetensors")):
        if not pickled:
            raise FileNotFoundError(
                f"{wanted.repo} has no model.safetensors; see {wanted.page}. Pickled weights are not taken from the hub"
            )
        folder = _copy(wanted, PICKLED, ["*/*"])
    return folder


def files_of_model(name: str, patterns: Sequence[str]) -> Path:
    """The folder of a model's copy, with those of its files that fit the patterns. Raises as `model_here`."""
    bare = _BARE.fullmatch(name)
    if bare is None:
        raise ValueError(f"{name} is no name of the hub; expected OWNER/NAME or OWNER/NAME@REVISION")
    return _copy(Address("model", bare["repo"], bare["revision"]), patterns, ["*/*"])


def origin(path: str | os.PathLike[str]) -> str | None:
    """The address, with its commit, of what a path in the cache is a copy of; None for other paths.

    Examples:
        >>> origin(f"/home/me/.cache/huggingface/hub/datasets--me--pictures/snapshots/{'0' * 40}/features.safetensors")
        'hf://datasets/me/pictures@0000000000000000000000000000000000000000/features.safetensors'
    """
    found = _COPY.search(str(path))
    if found is None:
        return None
    inside = (found["path"] or "").replace("\\", "/").strip("/")
    kind = found["kind"].removesuffix("s")
    return str(Address(kind, found["repo"].replace("--", "/", 1), found["commit"], inside))


def recorded(path: str | os.PathLike[str]) -> str:
    """A path as a record holds it: where it was copied from, with the commit, or the path itself."""
    return origin(path) or re.sub(r"^(hf|https?):/+", r"\1://", str(path))


def _copy(wanted: Address, patterns: Sequence[str], without: Sequence[str] = ()) -> Path:
    """The folder of the copy. Files that are there already are not asked for again."""
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(
            wanted.repo,
            repo_type=wanted.kind,
            revision=wanted.revision,
            allow_patterns=list(patterns),
            ignore_patterns=list(without) or None,
        )
    except Exception as error:  # of the hub, of the connection to it, of its client
        if isinstance(error, OSError) and error.errno:  # of the disk
            raise
        strange = isinstance(error, ValueError | LookupError | TypeError | AttributeError | AssertionError)
        raise (ValueError if strange else FileNotFoundError)(_why(wanted, error)) from error
    return Path(folder)


def _why(wanted: Address, error: Exception) -> str:
    """What is wrong, and what to do, in a sentence."""
    from huggingface_hub import constants, errors

    if isinstance(error, errors.GatedRepoError):
        return f"{wanted} is gated: accept its terms at {wanted.page}, log in with `hf auth login`, and try again"
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"the hub has no {wanted.kind} {wanted.repo}, or it is private: look at {wanted.page}, or log in with "
            "`hf auth login`"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{wanted.repo} has no revision {wanted.revision} on the hub; see {wanted.page}/commits"
    if isinstance(error, errors.LocalEntryNotFoundError):
        why = "HF_HUB_OFFLINE is set"
        if not constants.HF_HUB_OFFLINE:
            why = f"the hub does not answer ({first_line(error.__cause__ or error).rstrip('.')})"
        return f"{wanted} is not in the cache, or not all of it, and {why}. Where there is a network: {wanted.command}"
    if isinstance(error, LookupError | TypeError | AttributeError | AssertionError):
        return f"what the hub says of {wanted} is not understood ({error!r}). Try again, or look at {wanted.page}"
    return (
        f"the hub did not give {wanted}: {first_line(error).rstrip('.')}. Try again, or look at {wanted.page}"
    )
