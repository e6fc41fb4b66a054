"""What is skipped stands in skips.py, with its reason, and nowhere else.

Reads the suite's own files.
"""
from __future__ import annotations

import re
from pathlib import Path

from skips import LEFT_OUT, NEEDS

HERE = Path(__file__).parent
TESTS = {path: path.read_text() for path in HERE.rglob("test_*.py") if path != Path(__file__)}


def test_no_test_skips_by_itself() -> None:
    call = re.compile(r"^(?!.*[\"'].*pytest\.).*pytest\.(skip|mark\.skip|mark\.skipif|importorskip)\b", re.MULTILINE)
    assert [path.name for path, text in TESTS.items() if call.search(text)] == []


def test_every_need_is_known() -> None:
    named = {name for text in TESTS.values() for names in re.findall(r"mark\.needs\(([^)]*)\)", text)
             for name in re.findall(r'"([^"]+)"', names)}
    assert named == set(NEEDS)


def test_what_is_left_out_exists() -> None:
    for node in LEFT_OUT:
        file, name = re.fullmatch(r"(.+)::(\w+)\[.+\]", node).groups()
        assert any(path.name == file and f"def {name}(" in text for path, text in TESTS.items()), node
