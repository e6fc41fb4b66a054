"""The suite's own rules: what a test needs, and that a run leaves nothing behind.

Read by pytest; calls skips.py and netns.py.
"""
from __future__ import annotations

import shutil
import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import netns
import skips

pytest_plugins = ["pytester"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer the reference run of the tests over a wire, and the scripts' run against Linux."""
    parser.addoption("--reference", action="store_true",
                     help="tests/dpdk: Linux at both ends, to see whether a failure is the test's own")
    parser.addoption("--oracle-seconds", type=float, default=25, help="how long a script may take that Linux plays")
    parser.addoption("--table", action="store_true", help="tests/apps: write docs/compat.md's table of applications")
    parser.addoption("--fresh", action="store_true", help="tests/fresh: install the packages and a new clone; minutes")
    parser.addoption("--oracle", action="store_true", help="tests/tcp: let Linux play the scripts too, in real time")


def pytest_configure(config: pytest.Config) -> None:
    """Name our marker, clear away what a killed run has left, and end in order on SIGTERM."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored behind `&`; programs of the tests end by it
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # and this one by nohup
    config.addinivalue_line("markers", "needs(*names): skip where a name of tests/skips.py is missing")
    config.addinivalue_line("markers", "app(package, against, what, result): a row of docs/compat.md's applications")
    config.addinivalue_line("markers", "needs_app(*packages): skip where one of these is not installed")
    if shutil.which("ip"):
        netns.sweep()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, with the reason that skips.py states."""
    if reason := skips.LEFT_OUT.get(item.nodeid.rpartition("/")[2]):
        pytest.skip(reason)
    for marker in item.iter_markers("needs"):
        for name in marker.args:
            if name == "tap" and item.config.getoption("--reference"):
                name = "namespaces"
            if reason := skips.missing(name):
                pytest.skip(reason)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run that leaves a namespace, and with it a tap or a process, behind.

    Programs that tests kill leave EAL's directories: the next start clears them away, and here the last one's.
    """
    from greendpdk._device import clear_beside

    clear_beside(Path("/var/run/dpdk/none"))
    left = netns.names(f"gd-{netns.os.getpid()}-") if shutil.which("ip") else []
    if left:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        print(f"\nleft behind: network namespaces {', '.join(left)}", file=sys.stderr)
