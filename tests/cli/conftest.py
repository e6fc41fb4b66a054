"""The commands against a live process. Called by pytest; calls watched.py."""
from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from peer import ROOT
from watched import Watched

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def watched() -> Iterator[Watched]:
    """Run the process that is looked into."""
    made = Watched()
    yield made
    made.end()


@pytest.fixture
def greendpdk() -> Run:
    """Run the command line; the exit status is 0 unless `status` says otherwise."""

    def run(*words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run([sys.executable, "-m", "greendpdk", *words], cwd=ROOT, text=True, capture_output=True,
                              timeout=60, check=False)
        assert done.returncode == status, done.stderr
        return done

    return run
