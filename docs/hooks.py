"""What the site takes from outside docs/: README, SECURITY and CHANGELOG as pages, sources as files."""

import re
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PAGES = {"README.md": "index.md", "SECURITY.md": "security.md", "CHANGELOG.md": "changelog.md"}
"""File of the project -> page of the site."""
LINK = re.compile(r"(?<=\]\()(?!https?:|#|mailto:)(?P<path>[^)#\s]+)(?P<anchor>#[^)\s]*)?(?=\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Pages and sources from outside docs/ become files of the site."""
    for name, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text(encoding="utf-8")))
    for file in files.documentation_pages():
        for link in LINK.finditer(file.content_string):
            source = _outside(file.src_uri, link["path"])
            if source and source.is_file() and files.get_file_from_path(_place(source)) is None:
                files.append(File.generated(config, _place(source), content=source.read_bytes()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links that are right in the repository are right in the site."""

    def moved(link: re.Match[str]) -> str:
        source = _outside(page.file.src_uri, link["path"])
        if source is None:
            return link[0]
        up = "../" * (len(PurePosixPath(page.file.src_uri).parts) - 1)
        return up + _place(source) + (link["anchor"] or "")

    return LINK.sub(moved, markdown)


def _outside(page: str, link: str) -> Path | None:
    """The project's file that a page's link means, where mkdocs would not find it itself."""
    by_page = {there: name for name, there in PAGES.items()}
    folder = ROOT if page in by_page else (ROOT / "docs" / page).parent
    target = (folder / link).resolve()
    inside_docs = target.is_relative_to(ROOT / "docs")
    return target if page in by_page or not inside_docs else None


def _place(source: Path) -> str:
    """Where a file of the project is in the site."""
    path = source.relative_to(ROOT)
    if path.as_posix() in PAGES:
        return PAGES[path.as_posix()]
    return path.relative_to("docs").as_posix() if path.is_relative_to("docs") else f"source/{path.as_posix()}"
