"""DPDK's telemetry of a running process: it tells of all sockets, lets only its user in, leaves nothing."""
from __future__ import annotations

import stat
from collections.abc import Iterator

import pytest
from watched import Watched

pytestmark = pytest.mark.needs("dpdk")

@pytest.fixture
def process() -> Iterator[Watched]:
    made = Watched()
    yield made
    made.end()


def test_every_socket_is_told_of_page_by_page(process: Watched) -> None:
    found, cursor = [], "0"
    while True:
        answer = process.ask(f"/greendpdk/sockets,{cursor},info")
        cursor = str(answer.pop("next"))
        found += answer.values()
        if cursor == "0":
            break
    assert len(found) == len({row["id"] for row in found}) == 601
    (listener,) = [row for row in found if row["state"] == "LISTEN"]
    rest = [row for row in found if row["state"] == "ESTAB"]
    assert listener["send_q"] == 400 and len(rest) == 600
    assert all(row["tcpi_rtt"] > 0 and row["cc"] == "cubic" for row in rest if row["peer"] == listener["local"])
    assert process.ask("/greendpdk/info")["sockets"] == 601
    assert process.ask("/greendpdk/counters")["tcp_in"] > 600
    assert "ValueError" in process.ask("/greendpdk/sockets,nonsense")["error"]


def test_only_its_user_may_ask_and_nothing_is_left(process: Watched) -> None:
    assert stat.S_IMODE(process.place.stat().st_mode) == 0o700
    process.end()
    assert not process.place.exists()


def test_a_forked_child_that_exits_takes_nothing_along(process: Watched) -> None:
    process.do("fork")
    assert process.line() == "done"
    assert process.ask("/greendpdk/info")["pid"] == process.run.pid


@pytest.mark.slow
def test_who_asks_a_process_whose_loop_is_held_is_told_so(process: Watched) -> None:
    process.do("hold")
    assert process.line() == "held"
    assert "held the process's loop" in process.ask("/greendpdk/info")["error"]
    assert process.line() == "done"


def test_a_stopped_stack_says_so(process: Watched) -> None:
    process.do("stop")
    assert process.line() == "done"
    assert "no stack runs" in process.ask("/greendpdk/info")["error"]
