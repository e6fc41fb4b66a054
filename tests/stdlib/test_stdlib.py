"""Some of CPython's own test modules over the stack's loopback; make stdlib runs all of them.

Calls run.py, as make stdlib does.
"""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
STATES = ("ok", "fail", "skip")


@pytest.mark.slow
@pytest.mark.needs("stdlib-tests")
def test_some_of_cpythons_modules_pass_as_under_stock_gevent() -> None:
    done = subprocess.run([sys.executable, str(HERE / "run.py"), "--quick"],
                          capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_is_worse_than_stock_gevent_without_a_reason() -> None:
    rows = [line for line in (HERE / "expected.txt").read_text().splitlines() if line.split(" ")[0] in STATES]
    assert rows
    worse = [line for line in rows if line.split()[1] == "ok" and line.split()[2] != "ok"]
    assert [line for line in worse if line.partition("| ")[2][:1] in ("", "?")] == []
