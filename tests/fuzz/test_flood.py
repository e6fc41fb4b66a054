"""A SYN flood from a million sources, in virtual time: connections live on, newcomers get in, memory is bounded."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import harness
import pytest

MS, SYNS = 5000, 200  # a million in five seconds



def run(cookies: int) -> dict[str, Any]:
    """Run it; flood.c says what the figures are. cookies: GD_COOKIES_WHEN_FULL 0, _NEVER 1."""
    program = harness.program(["flood.c"], "plain")
    words = [program, str(MS), str(SYNS), str(cookies)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["spoofed"] == 1_000_000
    return found


@pytest.fixture(scope="module")
def flood() -> dict[str, Any]:
    """The flood as a server of ours has it."""
    return run(0)


@pytest.mark.slow
def test_no_established_connection_breaks_under_a_flood_of_syns(flood: dict[str, Any]) -> None:
    assert flood["ends_alive"] == 200


@pytest.mark.slow
def test_goodput_under_a_flood_of_syns_is_at_least_half(flood: dict[str, Any]) -> None:
    assert flood["flood_bytes"] >= flood["calm_bytes"] / 2
    assert flood["calm_bytes"] > 500_000_000  # of the 625 MB that the wire could carry


@pytest.mark.slow
def test_memory_under_a_flood_of_syns_is_bounded(flood: dict[str, Any]) -> None:
    """Half-open ones up to their cap, with 64 bytes each for malloc and tables; and a few buffers more or less."""
    assert flood["most_half_open"] <= flood["cap"]
    assert flood["peak_flood"] - flood["peak_calm"] <= flood["cap"] * (flood["bytes_each"] + 64) + (2 << 20)


@pytest.mark.slow
def test_newcomers_get_in_during_a_flood_of_syns(flood: dict[str, Any]) -> None:
    """By cookies. A few lose their SYN on the full wire, more than once, and take longer than the flood."""
    assert flood["cookies"] > 500_000
    assert flood["newcomers_in"] >= 90
    assert flood["welcomed"] == flood["newcomers"] == 100


@pytest.mark.slow
def test_without_cookies_a_flood_of_syns_shuts_the_door_to_newcomers_alone() -> None:
    flood = run(1)
    assert flood["cookies"] == 0 and flood["dropped_syns"] > 500_000
    assert flood["newcomers_in"] < 20
    assert flood["ends_alive"] == 200
    assert flood["flood_bytes"] >= flood["calm_bytes"] / 2
