"""``python -m tests.fuzz``: see command.py. Here atheris gets to see the package's modules before they are imported."""

import sys

from tests.fuzz.guiding import instrumented

if __name__ == "__main__":
    with instrumented():
        from tests.fuzz.command import main

        sys.exit(main())
