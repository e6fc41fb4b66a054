"""docs/rfc.md is true: what it names exists, each row has a test or a reason, and all of RFC 9293's list is there."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "rfc.md").read_text()
CORE, TESTS, SCRIPTS = ROOT / "greendpdk" / "core", ROOT / "tests", ROOT / "tests" / "tcp"
HEAD = ["Rule", "Level", "What the stack does", "Where", "Proof"]
REASON = re.compile(r"(Left out|Differs|Not tested)[^:]*: .{15,}|Left out with [A-Z]+-\d+|.*Differs: .{15,}")
# RFC 9293, Appendix B.
REQUIRED = [*(f"MUST-{n}" for n in range(1, 70)), *(f"SHLD-{n}" for n in range(1, 32)),
            *(f"MAY-{n}" for n in range(1, 19)), "REC-1"]


def rows() -> list[list[str]]:
    """Return the cells of every row of every table."""
    lines = [line for line in TEXT.split("\n") if line.startswith("| ")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [row for row in cells if row != HEAD and set(row) != {"---"}]


ROWS = rows()


def named(cell: str) -> list[str]:
    """Return what stands between backquotes."""
    return re.findall(r"`([^`]+)`", cell)


@functools.cache
def text_of(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


def missing_code(name: str) -> bool:
    """Tell if "folder/file.c" or "folder/file.c:function" is not there; a call of it is not enough."""
    file, _, function = name.partition(":")
    text = text_of(CORE / file) or text_of(ROOT / file)
    return not text or (function != "" and re.search(rf"^\w.*\b{re.escape(function)}\(", text, re.M) is None)


def missing_proof(name: str) -> bool:
    """Tell if a script, or "file.py" or "file.py::test", is not there."""
    file, _, test = name.partition("::")
    if file.endswith(".py"):
        text = text_of(TESTS / file)
        return not text or (test != "" and f"def {test}(" not in text)
    return not (SCRIPTS / f"{name}.pkt").is_file()


def test_rows_have_five_cells() -> None:
    assert len(ROWS) > 150
    assert [row for row in ROWS if len(row) != len(HEAD)] == []


def test_code_that_is_named_exists() -> None:
    assert [(row[0], name) for row in ROWS for name in named(row[3]) if missing_code(name)] == []


def test_proofs_that_are_named_exist() -> None:
    assert [(row[0], name) for row in ROWS for name in named(row[4]) if missing_proof(name)] == []


def test_each_row_has_a_proof_or_a_reason() -> None:
    bare = [row for row in ROWS if not named(row[4])]
    assert [row[0] for row in bare if row[4] != "–" or not REASON.match(row[2])] == []


def test_each_row_names_code() -> None:
    assert [row[0] for row in ROWS if not named(row[3])] == []


@pytest.mark.parametrize("name", REQUIRED)
def test_requirement_of_rfc_9293_has_a_row(name: str) -> None:
    assert any(re.search(rf"\b{name}\b", row[0]) for row in ROWS)


def test_headings_in_the_table_of_contents_exist() -> None:
    headings = {re.sub(r"[^\w\- ]", "", line[3:].lower()).replace(" ", "-")
                for line in TEXT.split("\n") if line.startswith("## ")}
    assert [link for link in re.findall(r"\]\(#([^)]+)\)", TEXT) if link not in headings] == []
