"""The tests that the transformers library brings for its own models, of the installed version: found and imported.

A release's sdist holds the files of its ``tests`` folder, none of the folders below; what those files import from there
is stood in for, unless a whole checkout of the repository is named. None of it is kept in this repository.
"""

import importlib
import importlib.metadata
import os
import subprocess
import sys
import tarfile
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any

from transformers import PreTrainedConfig

PLACE = "CACR_TRANSFORMERS_TESTS"
"""The environment variable that names the folder ``tests`` of an unpacked sdist or of a checkout."""
PACKAGE = "transformers_tests"
"""What that folder is imported as, beside the tests of this package."""
VERSION = importlib.metadata.version("transformers")
MARK = "test_modeling_common.py"


def downloaded(build: Path) -> Path:
    """The folder of tests of the installed version; its sdist is downloaded and unpacked once.

    Args:
        build: Where the archive and the folder lie.

    Raises:
        FileNotFoundError: It could not be downloaded, or holds no tests.
    """
    folder = build / f"transformers-{VERSION}" / "tests"
    if (folder / MARK).is_file():
        return folder
    archive = build / f"transformers-{VERSION}.tar.gz"
    if not archive.is_file():
        asked = [f"transformers=={VERSION}", "--dest", str(build)]
        only_source = ["--no-deps", "--no-binary", ":all:", "--no-build-isolation"]
        done = subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", *only_source, *asked])
        if done.returncode or not archive.is_file():
            raise FileNotFoundError(
                f"pip gave no sdist of transformers {VERSION}; name the tests of an unpacked one: "
                f"python -m tests.common_models --tests FOLDER/tests"
            )
    with tarfile.open(archive) as held:
        inside = [one for one in held if one.name.split("/")[1:2] == ["tests"]]
        held.extractall(build, members=inside, filter="data")
    Path(folder, "__init__.py").touch()  # which one of the files reads
    if not (folder / MARK).is_file():
        raise FileNotFoundError(f"{archive} holds no tests/{MARK}; name those of a checkout with --tests")
    return folder


def library(name: str) -> Any:
    """A module of the library's tests, by its path from their folder: ``library("test_modeling_common")``."""
    if PACKAGE not in sys.modules:
        package = _stand_in(PACKAGE)
        package.__path__ = [os.environ[PLACE]]
        _stand_in_for("exporters.test_export", ExportTesterMixin=type("ExportTesterMixin", (), {}))
        _stand_in_for("generation.test_utils", GenerationTesterMixin=type("GenerationTesterMixin", (), {}))
        _stand_in_for("utils.test_configuration_utils", config_common_kwargs=_other_than_default())
    return importlib.import_module(f"{PACKAGE}.{name}")


def whole() -> bool:
    """Whether a checkout is used, with the folders that an sdist lacks."""
    return Path(os.environ[PLACE], "exporters", "test_export.py").is_file()


def _stand_in_for(name: str, **held: Any) -> None:
    """A module that an sdist lacks, where it is lacking."""
    if Path(os.environ[PLACE], *name.split(".")).with_suffix(".py").is_file():
        return
    folder, _, _ = name.partition(".")
    if f"{PACKAGE}.{folder}" not in sys.modules:
        _stand_in(f"{PACKAGE}.{folder}").__path__ = []
    vars(_stand_in(f"{PACKAGE}.{name}")).update(held)


def _stand_in(name: str) -> ModuleType:
    sys.modules[name] = module = ModuleType(name)
    return module


def _other_than_default() -> dict[str, Any]:
    """Fields that all configurations share -> a value that none has by itself."""
    given = {
        "dtype": "float16",
        "architectures": ["SomeModel"],
        "problem_type": "regression",
        "id2label": {0: "no", 1: "yes", 2: "who knows"},
        "label2id": {"no": 0, "yes": 1, "who knows": 2},
    }
    flags = {one.name: not one.default for one in fields(PreTrainedConfig) if isinstance(one.default, bool)}
    return {**flags, **given}
