"""docs/parity.md is true: 49 rows, a test in each, and each of them exists; what is about the wire is shown there."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TESTS = ROOT / "tests"
ROWS = [
    [cell.strip() for cell in line[1:-1].split("|")]
    for line in (ROOT / "docs" / "parity.md").read_text().split("\n")
    if re.match(r"\| \d+ \|", line)
]
# Rows whose last column in the analysis is about frames: a script, a test over a real port, or one of the engine alone.
ON_THE_WIRE = {*range(14, 20), 22, 26, 27, 28, *range(30, 33), *range(35, 38), 42, 43, 45, 46, 48}
WIRE = re.compile(r"\.pkt`|`(dpdk|sim|unit)/")


@functools.cache
def functions(path: Path) -> set[str]:
    return set(re.findall(r"^(?:async )?def (test\w+)", path.read_text(), re.M)) if path.is_file() else set()


def exists(test: str) -> bool:
    """Tell whether a script, or a function of a file, is there."""
    if test.endswith(".pkt"):
        return (TESTS / "tcp" / test).is_file()
    file, _, name = test.partition("::")
    return name in functions(TESTS / file)


def test_every_row_is_there() -> None:
    assert [int(row[0]) for row in ROWS] == list(range(1, 50))


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_each_row_names_tests_that_exist(row: list[str]) -> None:
    assert len(row) == 5 and all(row)
    named = re.findall(r"`([^`]+)`", row[4])
    assert named and [test for test in named if not exists(test)] == []
    assert int(row[0]) not in ON_THE_WIRE or WIRE.search(row[4])
