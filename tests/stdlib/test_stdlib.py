"""Some of CPython's own test modules over the stack's loopback; make stdlib runs all of them.

Calls run.py, as make stdlib does.
"""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.slow
@pytest.mark.needs("stdlib-tests")
def test_some_of_cpythons_modules_pass_as_under_stock_gevent() -> None:
    done = subprocess.run([sys.executable, str(HERE / "run.py"), "--quick"],
                          capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
