"""The documents hold together: every page is in the navigation, every link leads somewhere, the site builds.

Uses docs/site/hooks.py, which knows how a link of the repository becomes one of the site.
"""
from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "docs" / "site"))

import hooks  # noqa: E402

PAGES = {str(path.relative_to(ROOT)): path.read_text() for path in sorted((ROOT / "docs").rglob("*.md"))}
ALL = PAGES | {name: (ROOT / name).read_text() for name in ("README.md", *hooks.ROOT_PAGES)}
NAVIGATION = re.findall(r"^ +- .*: (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.M)


def slug(heading: str) -> str:
    """Make a heading's fragment as GitHub and the site do: small letters, hyphens, no punctuation."""
    words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
    return re.sub(r"[^\w\- ]", "", words).strip().replace(" ", "-")


def fragments(text: str) -> set[str]:
    return {slug(heading) for heading in re.findall(r"^#+ (.*)$", hooks.FENCE.sub("", text), re.M)}


def test_every_page_is_in_the_navigation() -> None:
    pages = {page.removeprefix("docs/") for page in PAGES if not re.match(r"docs/decisions/\d", page)}
    assert len(NAVIGATION) == len(set(NAVIGATION))
    assert set(NAVIGATION) == pages | set(hooks.ROOT_PAGES.values())


def test_every_decision_is_in_the_list_by_its_title() -> None:
    titles = {name.rpartition("/")[2]: text.split("\n", 1)[0] for name, text in PAGES.items() if "/decisions/0" in name}
    rows = dict(re.findall(r"^\| \[\d+\]\(([^)]+)\) \| (.*) \|$", PAGES["docs/decisions/index.md"], re.M))
    assert rows == {name: re.sub(r"^# \d{4} ", "", title) for name, title in titles.items()}
    assert [title[2:6] for title in titles.values()] == [f"{n:04}" for n in range(1, len(titles) + 1)]


@pytest.mark.parametrize("page", ALL)
def test_every_relative_link_leads_somewhere(page: str) -> None:
    lost = [link for link in hooks.targets(ALL[page]) if not (ROOT / hooks.place(page, link)).exists()]
    assert lost == []


@pytest.mark.parametrize("page", ALL)
def test_every_fragment_is_a_heading(page: str) -> None:
    text = hooks.FENCE.sub("", ALL[page])
    lost = []
    for link, fragment in re.findall(r"\]\(([^()\s#:]*)#([^()\s]+)\)", text):
        target = hooks.place(page, link) if link else page
        if target in ALL and fragment not in fragments(ALL[target]):
            lost.append(f"{link}#{fragment}")
    assert lost == []


@pytest.mark.needs("mkdocs")
def test_site_builds_without_a_warning(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(words, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True,
                          text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    shown = (tmp_path / "source" / "greendpdk" / "core" / "port" / "port.h.html").read_text()
    assert "struct" in shown and "../source/greendpdk/core/port/port.h.html" not in shown
    assert 'href="source/greendpdk/core/port/port.h.html"' in (tmp_path / "how-it-works.html").read_text()
