"""What an installation pulls, and under which licences: `make dependencies` writes docs/dependencies.md.

Versions, sizes and licences are of this environment, as the packages' own metadata say. A licence that nobody has read
yet (`READ`) ends it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "dependencies.md"
EXTRAS = ("lmdb", "data", "sweep", "track", "trl")
"""Extras for users; the others are for work on the package itself."""
READ = (
    "MIT", "BSD", "Apache", "Python Software Foundation", "PSF", "ISC", "Mozilla Public License 2.0", "MPL-2.0", "HPND",
    "0BSD", "Zlib", "BSL-1.0", "3-Clause BSD", "Unlicense", "CC0", "CNRI-Python", "OpenLDAP", "OLDAP",
)  # fmt: skip
"""Beginnings of names of licences under which a package may be depended on by one under MIT."""
WHY = {
    "accelerate": "the transformers Trainer needs it: devices, processes, mixed precision",
    "cyclopts": "the command line, from signatures and docstrings",
    "datasets": "tables saved by it, and the hub's",
    "einops": "products of blocks that can be read",
    "huggingface-hub": "models, features and data by name; publishing",
    "jaxtyping": "shapes in signatures, checked in the tests",
    "lz4": "compressed values of UNITER's databases",
    "matplotlib": "figures and plots",
    "msgpack": "values of UNITER's databases",
    "numpy": "arrays, records, statistics",
    "optuna": "the hyper-parameter search",
    "peft": "LoRA in examples and tests",
    "pillow": "reading and drawing pictures",
    "pyarrow": "tables in Parquet",
    "rich": "tables and progress in the terminal",
    "safetensors": "weights and features, read in place, nothing unpickled",
    "scipy": "distributions and tests behind intervals",
    "statsmodels": "Wilson's interval and McNemar's test; brings pandas",
    "tensorboard": "logs of training",
    "torch": "all of it",
    "transformers": "models, tokenizers, the Trainer",
    "trl": "SFTTrainer in examples and tests",
}
"""What each that is asked for is for."""
INTRO = """\
# What it pulls

Written by `make dependencies` from an installation of everything. More on why each is there:
[decision 001](decisions/001-dependencies.md), and the decisions of what needs it. The package itself is MIT; nothing of
these packages is copied into it. All licences below let it be used with them, without conditions on code that only
imports them."""


def requirements(name: str, extra: str = "") -> list[str]:
    """Packages that a package asks for on this machine, with an extra or without."""
    found = []
    for text in distribution(name).requires or []:
        one = Requirement(text)
        alone = one.marker is None or one.marker.evaluate({"extra": ""})
        if alone if not extra else not alone and one.marker.evaluate({"extra": extra}):
            found += [canonicalize_name(one.name)] + [
                other for more in one.extras for other in requirements(one.name, more)
            ]
    return found


def closure(roots: list[str]) -> set[str]:
    """These and all that they ask for, of what is installed."""
    seen: set[str] = set()
    left = list(roots)
    while left:
        name = left.pop()
        try:
            if name not in seen:
                left += requirements(name)
                seen.add(name)
        except PackageNotFoundError:
            continue  # of another platform
    return seen


def megabytes(name: str) -> float:
    """Installed files of a package."""
    files = distribution(name).files or []
    return sum(path.stat().st_size for file in files if (path := Path(str(file.locate()))).is_file()) / 1e6


def licences() -> dict[str, str]:
    """Package -> its licence, by its own metadata."""
    said = subprocess.run(
        [sys.executable, "-m", "piplicenses", "--format=json", "--with-system"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {canonicalize_name(one["Name"]): one["License"] for one in json.loads(said.stdout)}


def unread(licence: str) -> list[str]:
    """The parts of a licence's name that are not known."""
    parts = licence.replace("(", "").replace(")", "").replace(" AND ", ";").replace(" OR ", ";").split(";")
    return [one.strip() for one in parts if not one.strip().startswith(READ)]


def page() -> str:
    """The page.

    Raises:
        SystemExit: A licence that nobody has read.
    """
    known, direct = licences(), requirements("cacr")
    base = closure(direct)
    groups = {"": (direct, base)}
    for extra in EXTRAS:
        own = requirements("cacr", extra)
        groups[extra] = (own, closure(own) - base)
    strange = {n: known[n] for _, names in groups.values() for n in names if unread(known[n])}
    if strange:
        raise SystemExit(f"licences that nobody has read yet: {strange}")
    parts = [INTRO]
    for extra, (asked, names) in groups.items():
        sizes = {name: megabytes(name) for name in names}
        total, torch = sum(sizes.values()), sizes.get("torch", 0.0)
        called = f'`pip install "cacr[{extra}]"` adds' if extra else "`pip install cacr`"
        rest = f", {total - torch:.0f} MB without torch (here its build for CPUs)" if torch else ""
        parts.append(
            f"## {called}\n\n{len(names)} packages, {total:.0f} MB{rest}. In bold what is asked for directly; the "
            "others come with them."
        )
        rows = ["| package | version | MB | licence | for |", "|---|---|---|---|---|"]
        for name in sorted(names, key=lambda one: (one not in asked, one)):
            shown = f"**{name}**" if name in asked else name
            why = WHY[name] if name in asked else ""
            rows.append(
                f"| {shown} | {distribution(name).version} | {sizes[name]:.1f} | {known[name]} | {why} |"
            )
        parts.append("\n".join(rows))
    return "\n\n".join(parts) + "\n"


def asked_for() -> set[str]:
    """Packages that pyproject.toml names for users."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    texts = [
        *project["dependencies"],
        *(t for extra in EXTRAS for t in project["optional-dependencies"][extra]),
    ]
    return {canonicalize_name(Requirement(text).name) for text in texts}


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"Wrote {PAGE.relative_to(ROOT)}")
