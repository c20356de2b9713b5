"""Documentation that cannot go stale: every Python block runs, every link leads somewhere."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

import attrs
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = sorted(
    p.relative_to(REPOSITORY).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "netfile_spec/*.md", "cnnrt/**/*.md", "training/*.md")
    for p in REPOSITORY.glob(pattern)
)
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[^\n]*)\n(?P<code>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")


@attrs.frozen
class Block:
    """A fenced block of a page and the line that its code begins in."""

    language: str
    code: str
    line: int


def blocks(text: str) -> list[Block]:
    found = []
    for match in FENCE.finditer(text):
        indent = len(match["indent"])
        code = "".join(line[indent:] for line in match["code"].splitlines(keepends=True))
        found.append(Block(match["language"].strip(), code, text.count("\n", 0, match.start("code")) + 1))
    return found


def read(page: str) -> str:
    return (REPOSITORY / page).read_text(encoding="utf-8")


def with_python(pages: list[str]) -> list[str]:
    return [page for page in pages if any(b.language == "python" for b in blocks(read(page)))]


@pytest.mark.parametrize("page", with_python(PAGES))
def test_the_python_of_a_page_runs_from_top_to_bottom(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # The page is a module while it runs, since some pages show what a plugin's module looks like.
    module = types.ModuleType("page_of_documentation")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    try:
        for block in blocks(read(page)):
            if block.language == "python":
                # Blank lines in front make a traceback show the line of the page.
                exec(compile("\n" * (block.line - 1) + block.code, str(REPOSITORY / page), "exec"), vars(module))
    finally:
        for name in [name for name, other in sys.modules.items() if other is module and name != module.__name__]:
            del sys.modules[name]


def test_the_main_pages_show_code_that_runs() -> None:
    assert {"README.md", "docs/python-api.md", "docs/your-own-framework.md"} <= set(with_python(PAGES))


@pytest.mark.parametrize("page", PAGES)
def test_blocks_say_what_they_are(page: str) -> None:
    known = {"python", "console", "text", "toml", "ebnf", "netfile", "yaml", "sh"}
    assert {b.language for b in blocks(read(page))} <= known


def anchors(text: str) -> set[str]:
    """Return what headings are linked by, as GitHub makes it: lower case, punctuation left out, hyphens for blanks."""
    headings = re.findall(r"^#+ +(.*?) *$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(text: str) -> list[str]:
    return [m["target"] for m in LINK.finditer(re.sub(r"`[^`\n]*`", "", FENCE.sub("", text)))]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_and_headings_that_are_there(page: str) -> None:
    dead = []
    for target in links(read(page)):
        if re.match(r"[a-z]+:", target):  # the web's links are the web's
            continue
        name, _, anchor = target.partition("#")
        file = (REPOSITORY / page).parent / name if name else REPOSITORY / page
        if (
            not file.resolve().is_relative_to(REPOSITORY)
            or not file.exists()
            or (anchor and anchor not in anchors(file.read_text(encoding="utf-8")))
        ):
            dead.append(target)
    assert dead == []


def test_the_check_of_links_sees_them() -> None:
    text = "# A heading: of two\n[a](b.md#c) ![d](e.png)\n```text\n[no](link.md)\n```\n`[no](code.md)`"
    assert links(text) == ["b.md#c", "e.png"]
    assert anchors(text) == {"a-heading-of-two"}
    assert sum(len(links(read(page))) for page in PAGES) > 10
