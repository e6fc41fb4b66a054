"""pytest --dpdk: run a user's own tests patched, over a port of their own.

Loaded by pytest through the entry point `greendpdk`; calls monkey/ and _stack.py, and those only with --dpdk.

    --dpdk          a net_tap in a network namespace made for this run; the kernel in it is the other side
    --dpdk=memory   the stack's own loopback: no device and no privilege

The namespace is this process's own (unshare), so it ends with the process and there is nothing to remove.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer the option. Each value is an option of its own, so that `--dpdk tests/` means what it says."""
    group = parser.getgroup("greendpdk", "tests over DPDK")
    texts = {
        "--dpdk": ("tap", "run the tests patched, over net_tap in a network namespace of their own"),
        "--dpdk=tap": ("tap", "the same"),
        "--dpdk=memory": ("memory", "run them patched over the stack's own loopback: no device, no privilege"),
    }
    for name, (mode, text) in texts.items():
        group.addoption(name, dest="dpdk", action="store_const", const=mode, default=None, help=text)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Patch before the first conftest.py, and so before any test, is imported."""
    mode = early_config.known_args_namespace.dpdk
    if mode is None:
        return
    from greendpdk._errors import ConfigError

    try:
        _over_tap() if mode == "tap" else _over_memory()
    except (ConfigError, OSError) as error:
        raise pytest.UsageError(f"--dpdk: {error}") from None


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say what the tests run over."""
    if config.getoption("dpdk") is None:
        return None
    from greendpdk import _stack

    stack = _stack.current()
    ports = ", ".join(f"{port.name} ({port.driver})" for port in stack.ports)
    return f"greendpdk: {ports or 'no port, loopback only'}"


def pytest_unconfigure(config: pytest.Config) -> None:
    """Send what is left and give the port back."""
    if config.getoption("dpdk", None) is None:
        return
    from greendpdk import _stack

    if _stack.running():
        _stack.stop()


def _over_tap() -> None:
    from greendpdk._namespace import enter_namespace

    enter_namespace()
    from greendpdk import _stack
    from greendpdk.monkey import patch_all

    _stack.start()
    patch_all()


def _over_memory() -> None:
    from greendpdk import _stack
    from greendpdk.monkey import patch_all

    _stack.start(vdev="none", loopback="stack")
    patch_all()


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
        pytest.skip("--dpdk=memory has no kernel side")
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
