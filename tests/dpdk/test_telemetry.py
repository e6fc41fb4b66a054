"""DPDK's telemetry of a running process: it tells of all sockets, lets only its user in, leaves nothing."""
from __future__ import annotations

import json
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from peer import ROOT

pytestmark = pytest.mark.needs("dpdk")

PROGRAM = """
import os, sys, time
from greendpdk import monkey
monkey.patch_all(vdev="none", loopback="stack", telemetry="on")
import socket, gevent, greendpdk
from greendpdk._native import ffi, lib
listener = socket.create_server(("127.0.0.1", 0), backlog=400)
held = [socket.create_connection(listener.getsockname()) for _ in range(300)]
held += [listener.accept()[0] for _ in held]
waiting = gevent.spawn(listener.accept)

def hold():
    end = time.monotonic() + 4
    print("held", flush=True)
    while time.monotonic() < end:
        pass

print(ffi.string(lib.gd_eal_runtime_dir()).decode(), flush=True)
for line in iter(lambda: gevent.get_hub().threadpool.apply(sys.stdin.readline), ""):
    word = line.strip()
    if word == "fork":
        if (child := os.fork()) == 0:
            sys.exit(0)
        os.waitpid(child, 0)
    elif word == "hold":
        hold()
    elif word == "stop":
        greendpdk.stop()
    print("done", flush=True)
"""


class Process:
    """The program, and questions to it."""

    def __init__(self) -> None:
        self.run = subprocess.Popen([sys.executable, "-c", PROGRAM], cwd=ROOT, text=True, bufsize=1,
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.place = Path(self.line())

    def line(self) -> str:
        assert self.run.stdout is not None
        return self.run.stdout.readline().strip()

    def do(self, word: str) -> None:
        assert self.run.stdin is not None
        self.run.stdin.write(f"{word}\n")

    def ask(self, command: str) -> Any:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asking:
            asking.settimeout(10)
            asking.connect(str(self.place / "dpdk_telemetry.v2"))
            asking.recv(4096)
            asking.send(command.encode())
            (answer,) = json.loads(asking.recv(1 << 16)).values()
            return answer

    def end(self) -> None:
        assert self.run.stdin is not None and self.run.stdout is not None
        self.run.stdin.close()
        assert self.run.wait(20) == 0
        self.run.stdout.close()


@pytest.fixture
def process() -> Iterator[Process]:
    made = Process()
    yield made
    made.end()


def test_every_socket_is_told_of_page_by_page(process: Process) -> None:
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


def test_only_its_user_may_ask_and_nothing_is_left(process: Process) -> None:
    assert stat.S_IMODE(process.place.stat().st_mode) == 0o700
    process.end()
    assert not process.place.exists()


def test_a_forked_child_that_exits_takes_nothing_along(process: Process) -> None:
    process.do("fork")
    assert process.line() == "done"
    assert process.ask("/greendpdk/info")["pid"] == process.run.pid


@pytest.mark.slow
def test_who_asks_a_process_whose_loop_is_held_is_told_so(process: Process) -> None:
    process.do("hold")
    assert process.line() == "held"
    assert "held the process's loop" in process.ask("/greendpdk/info")["error"]
    assert process.line() == "done"


def test_a_stopped_stack_says_so(process: Process) -> None:
    process.do("stop")
    assert process.line() == "done"
    assert "no stack runs" in process.ask("/greendpdk/info")["error"]
