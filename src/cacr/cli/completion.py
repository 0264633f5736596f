"""``cacr completion``."""

from __future__ import annotations

from typing import Literal


def completion(shell: Literal["bash", "zsh", "fish", "powershell"], /) -> int:
    """Print the script that completes commands and options in a shell. It changes nothing: where it goes is yours.

    Args:
        shell: Whose script.
    """
    from cacr.cli import app

    print(app().generate_completion(shell=shell))
    return 0
