"""pytest --dpdk: run a user's own tests patched, over a port of their own, on a network that they can make worse.

Loaded by pytest through the entry point `greendpdk`; calls monkey/, _stack.py and, with --dpdk only, _pytest_network.py
(marks, captures), _pytest_timeout.py.

    --dpdk          a net_tap in a network namespace made for this run; the kernel in it is the other side
    --dpdk=memory   the stack's own loopback: no device and no privilege

The namespace is this process's own (unshare), so it ends with the process and there is nothing to remove. Under
pytest-xdist each worker has one; the process that deals the tests out stays as it is.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from greendpdk._stack import Stack
    from greendpdk.testing import Network, Peer

MARK = "network(loss, delay, jitter, reorder, duplicate, corrupt, rate, queue, mtu, seed, direction): how bad the network is in this test, with --dpdk (docs/pytest.md)"  # noqa: E501 (a line of `pytest --markers`)
NEEDS_DPDK = "needs a network that can be shaped: run pytest with --dpdk, or --dpdk=memory where no device can be had"
RUN_SECONDS = 30.0  # a program at the kernel's side
STOP_SECONDS = 1.0  # at the end: who has not acknowledged by then is a test's broken peer
TESTED = pytest.StashKey[bool]()  # this process has the stack and runs tests on it


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer the options. Each mode is an option of its own, so that `--dpdk tests/` means what it says."""
    group = parser.getgroup("greendpdk", "tests over DPDK")
    texts = {
        "--dpdk": ("tap", "run the tests patched, over net_tap in a network namespace of their own"),
        "--dpdk=tap": ("tap", "the same"),
        "--dpdk=memory": ("memory", "run them patched over the stack's own loopback: no device, no privilege"),
    }
    for name, (mode, text) in texts.items():
        group.addoption(name, dest="dpdk", action="store_const", const=mode, default=None, help=text)
    group.addoption("--dpdk-capture-dir", metavar="DIR",
                    help="where the packets of failing tests go, as .pcapng (default: beside pytest's tmp_path)")
    group.addoption("--dpdk-capture", choices=("fail", "off"), default="fail",
                    help="keep the packets of a failing test: fail (default), off")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Patch before the first conftest.py, and so before any test, is imported."""
    options = early_config.known_args_namespace
    if options.dpdk is None:
        return
    from greendpdk._errors import ConfigError

    try:
        if _deals_out(options):
            _prepare_workers(options.dpdk)
            return
        _over_tap() if options.dpdk == "tap" else _over_memory()
    except (ConfigError, OSError) as error:
        raise pytest.UsageError(f"--dpdk: {error}") from None
    early_config.stash[TESTED] = True


def pytest_configure(config: pytest.Config) -> None:
    """Name the mark, and with a stack look after tests, their network and their time-outs."""
    config.addinivalue_line("markers", MARK)
    if not config.stash.get(TESTED, False):
        return
    from greendpdk import _pytest_network, _pytest_timeout

    config.pluginmanager.register(_pytest_network.Watch(config), "greendpdk_network")
    config.pluginmanager.register(_pytest_timeout, "greendpdk_timeout")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Look at the marks now: a mistake in one is an error whatever the tests run over."""
    from greendpdk._conditions import ConditionError, read

    for item in items:
        for mark in item.iter_markers("network"):
            if not _is_ours(mark) and (config.getoption("dpdk") is None or not (mark.args or mark.kwargs)):
                continue
            try:
                if mark.args:
                    raise ConditionError(f"{mark.args[0]!r} has no name: say which it is, as in loss={mark.args[0]!r}")
                read(mark.kwargs)
            except ConditionError as error:
                raise pytest.UsageError(f"{item.nodeid}: @pytest.mark.network: {error}") from None


def _is_ours(mark: pytest.Mark) -> bool:
    """Tell our mark from one of the same name by which others sort their tests out (`-m "not network"`)."""
    from greendpdk._conditions import NAMES

    return not NAMES.isdisjoint(mark.kwargs)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what asks for a network where there is none to be had."""
    if item.config.getoption("dpdk") is None and any(map(_is_ours, item.iter_markers("network"))):
        pytest.skip(NEEDS_DPDK)


def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest) -> None:
    """Say why pytest-flask's server cannot be reached in memory, before its clients try for ten seconds."""
    if fixturedef.argname == "live_server" and request.config.getoption("dpdk") == "memory" and (
        fixturedef.func.__module__.startswith("pytest_flask")
    ):
        pytest.skip("pytest-flask's live_server is a process at the kernel's side, and --dpdk=memory has none: use "
                    "dpdk_serve(app), or --dpdk --live-server-host 198.18.0.1")


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say what the tests run over."""
    mode = config.getoption("dpdk")
    if mode is None:
        return None
    if not config.stash.get(TESTED, False):
        what = "net_tap in a network namespace" if mode == "tap" else "a stack in memory"
        return f"greendpdk: each worker over {what} of its own"
    from greendpdk import _stack

    ports = _stack.current().ports
    if not ports:
        return "greendpdk: over the stack's own loopback, 127.0.0.1 (no device)"
    ends = [f"{port.name} ({port.driver}): stack {_first(port.addresses)}, kernel {_first(port.tap)}" for port in ports]
    return f"greendpdk: over {'; '.join(ends)}, in a network namespace of this run's own"


def pytest_unconfigure(config: pytest.Config) -> None:
    """Send what is left and give the port back."""
    if not config.stash.get(TESTED, False):
        return
    from greendpdk import _stack

    if _stack.running():
        _stack.stop(STOP_SECONDS)


def _deals_out(options: Any) -> bool:
    """Tell whether this is pytest-xdist's process that runs no test itself."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        return False
    return bool(getattr(options, "numprocesses", None) or getattr(options, "tx", None))


def _prepare_workers(mode: str) -> None:
    """Give workers of pytest-xdist a user namespace: they have threads by then, and cannot make one (unshare(2))."""
    if mode == "tap" and os.geteuid():
        from greendpdk._namespace import enter_namespace

        enter_namespace()


def _over_tap() -> None:
    from greendpdk._namespace import enter_namespace

    enter_namespace()
    from greendpdk import _stack
    from greendpdk.monkey import patch_all

    _stack.start_shaped()
    patch_all()


def _over_memory() -> None:
    from greendpdk import _stack
    from greendpdk.monkey import patch_all

    _stack.start_shaped(vdev="none", loopback="stack")
    patch_all()


def _first(addresses: Sequence[Any]) -> str:
    return str(addresses[0].ip) if addresses else "has no address"


@pytest.fixture(scope="session")
def dpdk_stack(request: pytest.FixtureRequest) -> Stack:
    """Give the running greendpdk stack: counters(), ports. Skips without --dpdk."""
    if request.config.getoption("dpdk") is None:
        pytest.skip("needs greendpdk's stack: run pytest with --dpdk or --dpdk=memory")
    from greendpdk import _stack

    return _stack.current()


@pytest.fixture(scope="session")
def dpdk_address(request: pytest.FixtureRequest) -> str:
    """Give the stack's address, to listen on; 127.0.0.1 without --dpdk and with --dpdk=memory."""
    if request.config.getoption("dpdk") != "tap":
        return "127.0.0.1"
    from greendpdk import _stack

    return str(_stack.current().ports[0].addresses[0].ip)


@pytest.fixture(scope="session")
def dpdk_kernel_address(request: pytest.FixtureRequest) -> str:
    """Give the kernel's address on the tap; 127.0.0.1 without --dpdk. With --dpdk=memory there is no kernel side."""
    mode = request.config.getoption("dpdk")
    if mode == "memory":
        pytest.skip("--dpdk=memory has no kernel side: use dpdk_peer, or run with --dpdk")
    if mode is None:
        return "127.0.0.1"
    from greendpdk import _stack

    ends = _stack.current().ports[0].tap
    if not ends:
        pytest.skip("the port is no net_tap, so its other side is not this machine's kernel")
    return str(ends[0].ip)


@pytest.fixture(scope="session")
def dpdk_kernel(dpdk_kernel_address: str, request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Give `start(function, *args)`: runs function(socket, *args) in a native thread, on the kernel's side.

    `socket` is the kernel's own socket class, never patched; the function may block, as it has a thread to itself.
    start returns a Future: result(timeout=None) waits without stopping the stack.
    """
    pool: Any
    if request.config.getoption("dpdk"):
        from gevent.threadpool import ThreadPoolExecutor

        from greendpdk.monkey import get_original

        kernel, pool = get_original("socket", "socket"), ThreadPoolExecutor(16)
    else:
        from concurrent.futures import ThreadPoolExecutor as Plain

        kernel, pool = socket.socket, Plain(16)
    yield lambda function, *args: pool.submit(function, kernel, *args)
    pool.shutdown(wait=False)


@pytest.fixture(scope="session")
def dpdk_run(dpdk_kernel_address: str) -> Callable[..., subprocess.CompletedProcess[Any]]:
    """Give `run(["curl", ...], **options)`: a program on the kernel's side, as subprocess.run; the stack goes on.

    Output is captured as text, and the program killed after 30 s, unless the options say otherwise.
    """

    def run(command: Sequence[str], **options: Any) -> subprocess.CompletedProcess[Any]:
        if not {"capture_output", "stdout", "stderr"} & set(options):
            options["capture_output"] = True
        return subprocess.run(command, **{"text": True, "timeout": RUN_SECONDS, **options})

    return run


@pytest.fixture(scope="session")
def dpdk_peer(dpdk_stack: Stack) -> Iterator[Peer]:
    """Give a second stack at the other end of a wire: greendpdk.testing.Peer. No kernel and no device is on the way."""
    from greendpdk.testing import Peer

    with Peer() as peer:
        yield peer


@pytest.fixture
def dpdk_serve(dpdk_address: str) -> Iterator[Callable[[Any], str]]:
    """Give `serve(app)`: serves a WSGI application (Flask's and others) on the stack until the test's end; the URL.

    It is served by this process, in greenlets with --dpdk and by a thread without.
    """
    stops: list[Callable[[], Any]] = []

    def serve(app: Any) -> str:
        from greendpdk._pytest_serve import serve_wsgi

        url, stop = serve_wsgi(app, dpdk_address)
        stops.append(stop)
        return url

    yield serve
    for stop in stops:
        stop()


@pytest.fixture
def network(request: pytest.FixtureRequest) -> Network:
    """Give the test's network: set(), partition(), heal(), reset_connections(), clear(), counts().

    Skips without --dpdk. It begins as the mark says, and is perfect again after the test.
    """
    if request.config.getoption("dpdk") is None:
        pytest.skip(NEEDS_DPDK)
    from greendpdk.testing import network as shaped

    return shaped
