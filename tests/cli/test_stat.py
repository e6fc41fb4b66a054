"""greendpdk stat tells a live process's counters, and how fast they move."""
from __future__ import annotations

import json
from typing import Any

import pytest
from watched import Watched

pytestmark = pytest.mark.needs("dpdk")


def test_counters_are_named_and_chosen_by_pattern(watched: Watched, greendpdk: Any) -> None:
    pid = str(watched.run.pid)
    counters = json.loads(greendpdk("stat", "-j", "-p", pid).stdout)["counters"]
    assert counters["tcp_active_opens"] == counters["tcp_passive_opens"] == 300 and counters["sockets"] == 601
    assert greendpdk("stat", "-p", pid, "tcp_*_opens").stdout.split() == [
        "tcp_active_opens", "300", "tcp_passive_opens", "300"]  # fmt: skip
    assert "tcp_drop_checksum " in greendpdk("stat", "-z", "-p", pid).stdout


def test_watch_ends_after_its_count_and_shows_rates(watched: Watched, greendpdk: Any) -> None:
    lines = greendpdk("stat", "-j", "-w", "0.05", "-c", "3", "-p", str(watched.run.pid), "sockets").stdout.splitlines()
    assert [json.loads(line)["per_second"] for line in lines] == [{}, {"sockets": 0.0}, {"sockets": 0.0}]


@pytest.mark.parametrize("words, says", [
    (("no_such_*",), "no counter is named like no_such_*"), (("-w", "0"), "above 0"),
    (("-w", "nan"), "above 0"),
])  # fmt: skip
def test_a_mistake_is_one_sentence(watched: Watched, greendpdk: Any, words: tuple[str, ...], says: str) -> None:
    done = greendpdk("stat", "-p", str(watched.run.pid), *words, status=1)
    assert says in done.stderr and len(done.stderr.splitlines()) == 1
