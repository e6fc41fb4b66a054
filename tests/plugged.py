"""What the tests of the pytest plugin share: pytest in a process of its own, over a user's file.

Used by test_pytest_network.py and test_pytest_beside.py.
"""
from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

PEER = """
import socket, time
import pytest

def ask(address, timeout=10):
    with socket.create_connection(address, timeout=timeout) as sock:
        sock.sendall(b"hello")
        return sock.recv(100)

def seconds(function, *args):
    began = time.monotonic()
    function(*args)
    return time.monotonic() - began

@pytest.fixture(scope="module")
def echo(dpdk_peer):
    return dpdk_peer.serve(lambda sock: sock.sendall(sock.recv(100)))
"""


def run(pytester: pytest.Pytester, source: str, *options: str, ini: str = "") -> pytest.RunResult:
    """Run pytest over one file of a user, in memory unless told otherwise."""
    pytester.makepyfile(test_user=source)
    pytester.makeini(f"[pytest]\n{ini}")
    if "--dpdk" not in options:
        options = ("--dpdk=memory", *options)
    return pytester.runpytest_subprocess("-p", "greendpdk.pytest_plugin", *options, timeout=60)


@pytest.fixture(autouse=True)
def on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the processes below find the package that is tested, and load no other plugin: they start faster."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
