"""MkDocs hooks: links out of docs/ lead to pages that show the file as it is in the repository.

Called by mkdocs (mkdocs.yml); tests/docs uses targets() too. So a page is written with links that work in a checkout
and on a forge (`../greendpdk/loop.py`), and the site needs neither: each file that is linked gets a page under source/.
CONTRIBUTING.md and CHANGELOG.md stand in the root and are pages of the site like those of docs/.
"""
from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
ROOT_PAGES = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
LINK = re.compile(r"(\]\()([^()\s#]+)((?:#[^()\s]*)?\))")
FENCE = re.compile(r"^(`{3,}|~{3,}).*?^\1", re.S | re.M)
LEXERS = {".h": "c", ".def": "c", ".pkt": "text", ".md": "markdown", ".toml": "toml", ".service": "ini", ".yml": "yaml"}


def targets(text: str) -> list[str]:
    """Return the relative links of a page, without their fragments."""
    found = [match[2] for match in LINK.finditer(FENCE.sub("", text))]
    return [link for link in found if not re.match(r"[a-z]+:|/", link)]


def place(page: str, link: str) -> str:
    """Return where in the repository a link of a page (both by their places there) leads."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), link))


def in_site(target: str) -> str:
    """Return a file's place in the site, relative to docs/."""
    if target in ROOT_PAGES:
        return ROOT_PAGES[target]
    if target.startswith("docs/"):
        return target.removeprefix("docs/")
    return f"source/{target}.md"


def rewrite(text: str, page: str) -> str:
    """Turn the links of a page into links of the site."""
    here = posixpath.dirname(in_site(page))

    def one(match: re.Match[str]) -> str:
        if re.match(r"[a-z]+:|/", match[2]):
            return match[0]
        target = in_site(place(page, match[2]))
        return match[1] + posixpath.relpath(target, here or ".") + match[3]

    parts: list[str] = []
    end = 0
    for fence in FENCE.finditer(text):
        parts += [LINK.sub(one, text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, LINK.sub(one, text[end:])])


def show(target: str) -> str:
    """Return the page of a file, or of a folder."""
    path = ROOT / target
    if path.is_dir():
        names = sorted(each.name + "/" * each.is_dir() for each in path.iterdir() if each.name[0] not in "._")
        return f"# {target}/\n\n" + "".join(f"- `{name}`\n" for name in names)
    lexer = LEXERS.get(path.suffix, path.suffix.removeprefix(".") or "text")
    return f"# {target}\n\n~~~~~~~~{lexer}\n{path.read_text()}\n~~~~~~~~\n"


def on_files(files: Any, config: Any) -> Any:
    """Add the pages of the root, and one for each linked file."""
    from mkdocs.structure.files import File

    texts = {f"docs/{file.src_uri}": file.content_string for file in files if file.is_documentation_page()}
    texts |= {name: (ROOT / name).read_text() for name in ROOT_PAGES}
    linked = {place(page, link) for page, text in texts.items() for link in targets(text)}
    for name, page in ROOT_PAGES.items():
        files.append(File.generated(config, page, content=texts[name]))
    for target in sorted(linked):
        if not target.startswith("docs/") and target not in ROOT_PAGES and (ROOT / target).exists():
            files.append(File.generated(config, f"source/{target}.md", content=show(target)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Rewrite a page's links; the pages of files are shown as they are."""
    uri = page.file.src_uri
    if uri.startswith("source/"):
        page.meta["search"] = {"exclude": True}
        return markdown
    names = {page: name for name, page in ROOT_PAGES.items()}
    return rewrite(markdown, names.get(uri, f"docs/{uri}"))
