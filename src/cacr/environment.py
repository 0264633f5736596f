"""What a number was made with, as far as a repetition must know it: versions, code, machine, settings.

Every run folder and every record holds it, and records are published: names of people and of machines are not asked
for. ``command`` has the words that were typed, paths in them too. Data have hashes of their own (`cacr.data.contents`).
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from cacr._processes import usable_cores, world_size

HOME = Path(__file__).parent
PACKAGES = (
    *("cacr", "torch", "transformers", "tokenizers", "accelerate", "safetensors", "numpy", "scipy", "pillow"),
    *("statsmodels", "einops", "optuna", "datasets", "pyarrow", "lmdb", "msgpack", "lz4", "peft", "trl"),
)
"""Whose versions are recorded, where they are installed."""
OF_NUMBERS = (
    "OMP_",
    "MKL_",
    "KMP_",
    "GOMP_",
    "OPENBLAS_",
    "BLIS_",
    "ONEDNN_",
    "DNNL_",
    "ATEN_",
    "CUBLAS_",
    "CUDNN_",
    "NVIDIA_TF32_OVERRIDE",
    "NCCL_ALGO",
    "NCCL_PROTO",
    "TORCH_ALLOW_TF32",
    "TORCH_BLAS",
    "TORCHINDUCTOR_",
    "TORCH_CUDNN",
    "PYTORCH_CUDA_ALLOC_CONF",
    "PYTHONHASHSEED",
    "CUDA_LAUNCH_BLOCKING",
    "CUDA_VISIBLE_DEVICES",
)
"""Beginnings of the names of environment variables that change numbers or the order in which they are added up."""


def environment() -> dict[str, Any]:
    """Versions, code, machine and settings of this process, as plain values.

    ``code`` is a hash of this package's own files, ``git`` the commit it was checked out at (None where it was
    installed) and ``git_changes`` a hash of what was changed since in the package's folder, None where nothing was.
    ``processors`` counts those of the machine, ``processor`` says which of what; ``threads`` are torch's.
    """
    import torch

    commit, changes = git_state()
    return {
        "python": platform.python_version(),
        "packages": _versions(),
        "code": code_hash(),
        "git": commit,
        "git_changes": changes,
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "processor": {
            "model": _processor(),
            "cores": _cores(),
            "usable": usable_cores(),
            "instructions": torch.backends.cpu.get_cpu_capability(),
        },
        "processes": world_size(),
        "threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "cuda": _cuda(),
        "torch": {
            "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
            "only_warn": torch.is_deterministic_algorithms_warn_only_enabled(),
            "cudnn_deterministic": torch.backends.cudnn.deterministic,
            "cudnn_benchmark": torch.backends.cudnn.benchmark,
            "float32_matmul": torch.get_float32_matmul_precision(),
            "mkl": torch.backends.mkl.is_available(),
            "mkldnn": torch.backends.mkldnn.is_available(),
        },
        "variables": variables(),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
    }


def variables(given: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment variables that change numbers, of this process or of those that are given."""
    return {name: value for name, value in sorted(given.items()) if name.startswith(OF_NUMBERS)}


def code_hash(home: Path = HOME) -> str:
    """A hash of the package's own files of code and data, wherever it is installed."""
    digest = hashlib.sha256()
    for file in sorted(home.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            digest.update(file.relative_to(home).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def git_state(where: Path = HOME) -> tuple[str | None, str | None]:
    """The commit of this package's own repository, and a hash of what was changed since in the package's folder.

    Both are None where the package lies in no repository of its own.
    """
    if not (where.parents[1] / "pyproject.toml").is_file():  # not the repository of a user's environment
        return None, None
    commit = _git("rev-parse", "HEAD", cwd=where)
    if not commit:
        return None, None
    changes = _git("diff", "HEAD", "--binary", "--", ".", cwd=where) or b""
    for name in (_git("ls-files", "--others", "--exclude-standard", "-z", "--", ".", cwd=where) or b"").split(
        b"\0"
    ):
        file = where / os.fsdecode(name)
        if name and file.is_file():
            changes += name + b"\0" + file.read_bytes()
    return commit.decode().strip(), hashlib.sha256(changes).hexdigest()[:12] if changes else None


def _git(*arguments: str, cwd: Path) -> bytes | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=cwd, capture_output=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # an extra
            continue
    return found


def _cuda() -> dict[str, Any] | None:
    import torch

    if not torch.cuda.is_available():
        return None
    try:
        asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        said = subprocess.run(asked, capture_output=True, text=True, timeout=10).stdout.split()
    except (OSError, subprocess.TimeoutExpired):
        said = []
    return {
        "driver": said[0] if said else None,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
    }


def _processor() -> str:
    names = _cpu_info("model name") or _cpu_info("Model")
    return names[0] if names else platform.processor() or platform.machine()


def _cores() -> int | None:
    """Physical cores; None where the system does not say."""
    found = set(zip(_cpu_info("physical id"), _cpu_info("core id"), strict=False))
    return len(found) or None


def _cpu_info(name: str) -> list[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        return []
    return [value.strip() for key, _, value in (line.partition(":") for line in lines) if key.strip() == name]
