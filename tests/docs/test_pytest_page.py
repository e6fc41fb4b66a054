"""The examples of docs/pytest.md run as they stand there.

Each Python block begins with the name of its file.
"""
from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "pytest.md").read_text()
BLOCKS = dict(re.findall(r"^```python\n# (\S+\.py)\n(.*?)^```$", PAGE, re.M | re.S))


@pytest.fixture(autouse=True)
def on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the processes below find the package that is tested, and load no other plugin."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def run(pytester: pytest.Pytester, names: list[str], option: str) -> pytest.RunResult:
    for name in names:
        (pytester.path / name).write_text(BLOCKS[name])
    return pytester.runpytest_subprocess("-p", "greendpdk.pytest_plugin", option, timeout=60)


def test_every_example_has_a_name() -> None:
    assert PAGE.count("```python") == len(BLOCKS)
    assert set(BLOCKS) == {"test_first.py", "test_counts.py", "test_app.py", "test_tap.py", "plain.py"}


@pytest.mark.needs("flask", "requests")
def test_examples_pass_in_memory(pytester: pytest.Pytester) -> None:
    run(pytester, ["test_first.py", "test_counts.py", "test_app.py"], "--dpdk=memory").assert_outcomes(passed=6)


@pytest.mark.needs("tap", "curl")
def test_examples_pass_over_net_tap(pytester: pytest.Pytester) -> None:
    run(pytester, ["test_first.py", "test_counts.py", "test_tap.py"], "--dpdk").assert_outcomes(passed=6)


def test_plain_example_runs(tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text(BLOCKS["plain.py"])
    done = subprocess.run([sys.executable, "plain.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.fullmatch(r"delay=10ms both ways, seed=7 \| \d+ packets\n", done.stdout)
