"""``python -m cacr`` is ``cacr``."""

import sys

from cacr.cli import main

if __name__ == "__main__":
    sys.exit(main())
