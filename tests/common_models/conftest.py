"""The library's tests are collected where they are named alone, as `python -m tests.common_models` does."""

import os

from tests.common_models.theirs import PLACE

collect_ignore = [] if PLACE in os.environ else ["test_common_models.py"]
