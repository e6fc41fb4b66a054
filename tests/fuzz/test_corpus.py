"""Every input that once broke an invariant, or reaches code of its own, is replayed under the sanitizers."""

from __future__ import annotations

import os
import subprocess

import harness
import pytest

CORPUS = harness.HERE / "corpus"


@pytest.mark.slow
@pytest.mark.parametrize("target", harness.targets())
def test_no_input_of_the_corpus_breaks_an_invariant(target: str) -> None:
    program = harness.program([f"fuzz_{target}.c", "replay.c"], "asan")
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    done = subprocess.run([program, CORPUS / target], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, f"{done.stdout.splitlines()[-1:]}\n{done.stderr[-8000:]}"
    assert len(done.stdout.splitlines()) == sum(1 for _ in (CORPUS / target).iterdir())


def test_corpus_is_small() -> None:
    sizes = {path.name: sum(one.stat().st_size for one in path.iterdir()) for path in CORPUS.iterdir()}
    assert set(sizes) == set(harness.targets())
    assert sum(sizes.values()) < 1_000_000, sizes
