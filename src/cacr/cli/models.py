"""``cacr models``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from cacr.cli.show import bar, finish, tell, voice


def models(*names: str, out: Path | None = None, repetitions: int = 9) -> int:
    """What `cacr.attach` supports: back ends, blocks and measured costs of each architecture, on tiny random models.

    Args:
        names: Architectures; all if none is named.
        out: A new Markdown file to write the table to; it is printed if not given.
        repetitions: Pairs of training steps to measure costs with (about 5 minutes for all); 0 measures nothing.
    """
    from cacr._files import write_bytes_new
    from cacr._messages import unknown
    from cacr.tiny_models import DUAL_ENCODERS, TINY
    from cacr.tiny_models.survey import as_markdown, survey

    for name in names:
        if name not in TINY:
            raise ValueError(unknown("architecture", name, TINY))
    if repetitions < 0 or repetitions == 1:
        raise ValueError(f"repetitions is {repetitions}; expected 0, or 2 and more for quartiles")
    if out is not None and out.exists():
        raise FileExistsError(f"{out} exists and is not overwritten; give a new file")
    findings = []
    with bar() as progress:
        task = progress.add_task("architectures", total=len(names or (*TINY, *DUAL_ENCODERS)), note="")
        for finding in survey(repetitions, names):
            findings.append(finding)
            progress.advance(task)
            tell(f"{finding.architecture}: {' '.join(finding.blocks) or finding.absent}")
    page = as_markdown(findings, repetitions)
    said = ""
    if out is not None:
        write_bytes_new(out, page.encode())
        said = f"The table is in {out}: {len(findings)} architectures."
    elif not voice.json:
        tell("")
        print(page)
    wrote = {} if out is None else {"table": out}
    finish(said, wrote, {}, architectures=[asdict(finding) for finding in findings])
    return 0
