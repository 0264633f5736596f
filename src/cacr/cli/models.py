"""``cacr models``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from cacr.cli.show import console, tell


def models(*names: str, out: Path | None = None, repetitions: int = 9, as_json: bool = False) -> int:
    """What `cacr.attach` supports: back ends, blocks and measured costs of each architecture, on tiny random models.

    Args:
        names: Architectures; all if none is named.
        out: A new Markdown file to write the table to; it is printed if not given.
        repetitions: Pairs of training steps to measure costs with (about 5 minutes for all); 0 measures nothing.
        as_json: Print one JSON object a line instead of the table.
    """
    from cacr._files import write_bytes_new
    from cacr._messages import unknown
    from cacr.tiny_models import TINY
    from cacr.tiny_models.survey import as_markdown, survey

    for name in names:
        if name not in TINY:
            raise ValueError(unknown("architecture", name, TINY))
    if repetitions < 0 or repetitions == 1:
        raise ValueError(f"repetitions is {repetitions}; expected 0, or 2 and more for quartiles")
    if out is not None and out.exists():
        raise FileExistsError(f"{out} exists and is not overwritten; give a new file")
    findings = []
    for finding in survey(repetitions, names):
        findings.append(finding)
        if as_json:
            print(json.dumps(asdict(finding)), flush=True)
        else:
            console.print(
                f"{finding.architecture}: {' '.join(finding.blocks) or finding.absent}", highlight=False
            )
    if as_json:
        return 0
    page = as_markdown(findings, repetitions)
    if out is None:
        console.print()
        print(page)
    else:
        write_bytes_new(out, page.encode())
        tell(f"The table is in {out}: {len(findings)} architectures.")
    return 0
