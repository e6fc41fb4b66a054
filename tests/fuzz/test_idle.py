"""A hundred thousand idle connections: small, and no burden to those that are busy. Counted in basic blocks of machine
code that the engine runs, which are the same on a loaded machine; benchmarks/connections.py measures the time.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any

import harness
import pytest

CONNECTIONS = 100_000


@pytest.fixture(scope="module")
def idle() -> dict[str, Any]:
    """Run it once; idle.c says what the figures are."""
    program = harness.program(["idle.c"], "blocks")
    words = [program, str(CONNECTIONS), "1", "5000"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.slow
def test_idle_connection_costs_its_control_block_and_little_else(idle: dict[str, Any]) -> None:
    """Two hash tables' places, and what malloc rounds up; no buffer, no ring."""
    assert idle["tcb"] <= idle["bytes_each"] <= idle["tcb"] + 64
    assert idle["bytes_each"] <= 2048  # Linux's tcp_sock alone has more
    assert idle["left"] == 0


@pytest.mark.slow
def test_segment_costs_the_same_beside_a_hundred_thousand_idle_connections(idle: dict[str, Any]) -> None:
    few, busy = (idle["rounds"][0][name]["blocks"] for name in ("few", "busy"))
    assert few > 100
    assert busy <= few * 1.2


@pytest.mark.slow
def test_armed_timers_cost_nothing_until_they_fire(idle: dict[str, Any]) -> None:
    """A turn with 100,000 keepalives armed is a turn with ten; a timer that fires costs less than two segments."""
    assert idle["tick_many"]["blocks"] <= idle["tick_few"]["blocks"] * 1.05
    assert idle["arm"]["blocks"] <= 200
    assert idle["fire"]["blocks"] <= 2 * idle["rounds"][0]["few"]["blocks"]
