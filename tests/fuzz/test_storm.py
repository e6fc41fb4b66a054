"""A million frames against one stack, under AddressSanitizer and UBSan; storm.c has the invariants."""

from __future__ import annotations

import os
import subprocess

import harness
import pytest

FRAMES, SEED = 1_000_000, 1


@pytest.mark.slow
def test_stack_stands_a_storm_of_a_million_frames() -> None:
    program = harness.program(["storm.c"], "asan")
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    words = [program, str(FRAMES), str(SEED)]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr[-8000:]}"
    print(done.stdout)
