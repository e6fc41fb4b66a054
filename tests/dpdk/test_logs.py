"""What a stack on a real device says through logging, and that it prints nothing else."""
from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from netns import Namespace

ROOT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.needs("tap")

VERBOSE = """
import logging
logging.basicConfig(level="INFO", format="%(levelname)s %(name)s %(message)s")
import greendpdk
greendpdk.start()
greendpdk.stop()
"""


@pytest.fixture
def net() -> Iterator[Namespace]:
    """Make a namespace with nothing in it."""
    with Namespace() as made:
        yield made


def errors_of(net: Namespace, program: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GREENDPDK_")}
    words = ["ip", "netns", "exec", net.name, sys.executable, "-c", program]
    done = subprocess.run(words, env=kept | {"PYTHONPATH": str(ROOT)}, cwd="/", capture_output=True, text=True,
                          timeout=60, check=True)
    return done.stderr


def test_its_life_and_dpdks_words_are_told_at_info(net: Namespace) -> None:
    lines = errors_of(net, VERBOSE).splitlines()
    assert any(line.startswith("INFO greendpdk.eal EAL: Detected ") for line in lines)
    (started,) = [line for line in lines if " has started: " in line]
    assert started.startswith("INFO greendpdk greendpdk ") and "net_tap0 (net_tap) 198.18.0.2/24" in started
    assert any(line.startswith("INFO greendpdk greendpdk has stopped") for line in lines)
    assert [line for line in lines if not line.startswith("INFO greendpdk")] == []


def test_nothing_is_printed_by_default(net: Namespace) -> None:
    assert errors_of(net, "import greendpdk; greendpdk.start(); greendpdk.stop()") == ""


def test_a_link_that_is_down_is_warned_of(net: Namespace, tmp_path: Path) -> None:
    said = errors_of(net, f"""
import gevent, greendpdk
from greendpdk import _notices
_notices.LINK_SECONDS = 0.01
vdev = "net_memif0,role=server,socket={tmp_path}/m.sock,socket-abstract=no"
greendpdk.start(vdev=vdev, address="10.0.0.1/24")
gevent.sleep(0.05)
""")
    assert said.startswith("net_memif0: the link is down: the other side has not connected") and said.count("\n") == 1


def test_a_tap_that_another_process_has_open_is_warned_of(net: Namespace) -> None:
    start = "import greendpdk, sys; greendpdk.start(vdev='net_tap0,iface=gd0')"
    program = f"{start}; print('up', flush=True); sys.stdin.read()"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GREENDPDK_")}
    words = ["ip", "netns", "exec", net.name, sys.executable, "-c", program]
    with subprocess.Popen(words, env=kept | {"PYTHONPATH": str(ROOT)}, cwd="/", stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as first:
        assert first.stdin is not None and first.stdout is not None and first.stdout.readline() == "up\n"
        said = errors_of(net, f"{start}; greendpdk.stop()")
        first.stdin.close()
    assert f"process {first.pid} has the tap gd0 open too" in said and "iface=NAME" in said
