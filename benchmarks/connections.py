"""Measure what many idle connections cost: bytes, time a segment, time of the timers; and what a flood of SYNs costs.

No network and no privilege: the engine alone, in virtual time, one core. Calls tests/fuzz/harness.py, idle.c, flood.c.
"""
from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "fuzz"))

import harness

CONNECTIONS, ROUNDS, ECHOES = 100_000, 9, 20_000


def measure(source: str, *words: object) -> dict[str, Any]:
    """Build the program without sanitizers, run it, and return its figures."""
    done = subprocess.run([harness.program([source], "plain"), *map(str, words)], capture_output=True, text=True,
                          check=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def main() -> None:
    """Measure and print."""
    idle, flood = measure("idle.c", CONNECTIONS, ROUNDS, ECHOES), measure("flood.c")
    few, busy = (statistics.median(each[name]["ns"] for each in idle["rounds"]) for name in ("few", "busy"))
    print(f"{platform.machine()}, {os.cpu_count()} cores; medians of {ROUNDS} rounds of {ECHOES:,} echoes\n")
    print(f"bytes of a connection that is idle      {idle['bytes_each']:8,.0f}   (control block {idle['tcb']}, "
          f"half-open {idle['request']}, TIME-WAIT {idle['time_wait']})")
    print(f"ns an echo, 10 connections              {few:8,.0f}   (a segment in, recv, send, a segment out)")
    print(f"ns an echo, beside {CONNECTIONS:,} idle ones   {busy:8,.0f}   ({busy / few:.2f} of that)")
    print(f"ns an echo, any of {CONNECTIONS:,}             {idle['all']['ns']:8,.0f}   (cold caches)")
    print(f"ns to arm a keepalive                   {idle['arm']['ns']:8,.0f}")
    print(f"ns a turn without work, 10 armed        {idle['tick_few']['ns']:8,.0f}")
    print(f"ns a turn without work, {CONNECTIONS:,} armed   {idle['tick_many']['ns']:8,.0f}")
    print(f"ns a keepalive that fires               {idle['fire']['ns']:8,.0f}   (and sends its probe)")
    print(f"ns a spoofed SYN                        {flood['cpu_ns_per_syn']:8,.0f}   (of {flood['spoofed']:,}; "
          f"goodput of the others {flood['flood_bytes'] / flood['calm_bytes']:.2f})")


if __name__ == "__main__":
    main()
