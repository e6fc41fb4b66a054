"""Telemetry tells where the time of a live process's loop goes, and a handler that holds it is warned of."""
from __future__ import annotations

import subprocess
import sys
import threading
import time

import gevent
import pytest
from peer import ROOT
from watched import Watched

from greendpdk import _places

pytestmark = pytest.mark.needs("dpdk")
SHARES = ("busy_ns", "spinning_ns", "asleep_ns")

HOLDER = """
from greendpdk import monkey
monkey.patch_all(vdev="none", loopback="stack", telemetry="on", blocked={blocked})
import logging, sys, socket, time, gevent
if {sockets}:
    listener = socket.create_server(("127.0.0.1", 0))

def careless():
    until = time.monotonic() + 0.3
    while time.monotonic() < until:
        pass

gevent.sleep(0.05)
for _ in range(2):
    gevent.spawn(careless).join()
gevent.sleep(0.05)
"""


def test_shares_are_the_whole_time(watched: Watched) -> None:
    first, began = watched.ask("/greendpdk/loop"), time.monotonic_ns()
    time.sleep(0.3)
    second, ended = watched.ask("/greendpdk/loop"), time.monotonic_ns()
    moved = {name: second[name] - first[name] for name in SHARES}
    assert abs(sum(moved.values()) - (ended - began)) < 50_000_000, moved
    assert moved["asleep_ns"] > 200_000_000  # nothing is to do


def test_top_tells_of_greenlets_states_and_holds(watched: Watched) -> None:
    watched.ask("/greendpdk/top")
    watched.do("nothing")
    assert watched.line() == "done"
    found = watched.ask("/greendpdk/top")
    assert found["loop"]["watched"] == 1 and found["states"] == {"ESTAB": 600, "LISTEN": 1}
    assert found["handler/0"]["longest_us"] > 0 and found["handler/0"]["name"] == "main"
    assert watched.ask("/greendpdk/loop,off")["watched"] == 0
    assert "neither on nor off" in watched.ask("/greendpdk/loop,perhaps")["error"]


class Worker(threading.Thread):
    pass


@pytest.mark.parametrize("thread, name", [
    (threading.Thread(target=time.sleep), "sleep"), (threading.Thread(target=time.sleep, name="mine-1"), "mine-1"),
    (threading.Thread(), "Thread"), (Worker(), "Worker"),
], ids=["target", "named", "bare", "class"])  # fmt: skip
def test_a_thread_is_named_by_what_it_runs(thread: threading.Thread, name: str) -> None:
    assert _places.greenlet_name(gevent.Greenlet(thread.run)) == name


@pytest.mark.parametrize("blocked, sockets, warnings", [(100, 1, 1), (0, 1, 0), (100, 0, 0)],
                         ids=["a server", "switched off", "no socket"])
def test_who_holds_the_loop_is_warned_of_once_with_a_traceback(blocked: int, sockets: int, warnings: int) -> None:
    done = subprocess.run([sys.executable, "-c", HOLDER.format(blocked=blocked, sockets=sockets)], cwd=ROOT, text=True,
                          capture_output=True, timeout=60, check=True)
    assert done.stderr.count("held the loop for ") == warnings, done.stderr
    assert done.stderr.count("in careless") == warnings


FORKED = """
from greendpdk import monkey
monkey.patch_all(vdev="none", loopback="stack", telemetry="on")
import logging, os, socket, gevent, greendpdk
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
assert greendpdk.running().poller.notices.active
if (child := os.fork()) == 0:
    logging.basicConfig(level="DEBUG")
    gevent.sleep(1.2)
    os._exit(0)
assert os.waitpid(child, 0) == (child, 0)
"""


@pytest.mark.slow
def test_a_forked_child_looks_at_nothing() -> None:
    """The look that its parent had due would find a dead stack; a question's bell would ring in the wrong process."""
    done = subprocess.run([sys.executable, "-c", FORKED], cwd=ROOT, text=True, capture_output=True, timeout=60,
                          check=True)
    assert done.stderr == ""
