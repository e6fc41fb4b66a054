"""The pytest plugin as a user meets it: pytest in a process of its own, over sample projects.

Uses pytester; the runs over net_tap make their own namespaces.
"""
from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

ECHO = """
import socket, threading
import pytest

@pytest.fixture
def server(dpdk_address):
    with socket.create_server((dpdk_address, 0)) as listener:
        def serve():
            sock, _ = listener.accept()
            with sock:
                sock.sendall(sock.recv(100))
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()
        thread.join(10)

def ask(socket_class, address):
    with socket_class() as sock:
        sock.settimeout(10)
        sock.connect(address)
        sock.sendall(b"hello")
        return sock.recv(100)
"""
MEMORY = ECHO + """
def test_echo_over_the_loopback(server):
    import greendpdk
    before = greendpdk.counters()["tcp_in"]
    assert ask(socket.socket, server) == b"hello"
    assert greendpdk.counters()["tcp_in"] > before
    assert greendpdk._stack.current().ports == []
"""
TAP = ECHO + """
def test_kernel_is_the_client(server, dpdk_kernel):
    import greendpdk
    assert dpdk_kernel(ask, server).result(10) == b"hello"
    assert greendpdk.counters()["net_tap0.rx_packets"] > 0

def test_kernel_is_the_server(dpdk_kernel, dpdk_kernel_address):
    def listen(socket_class):
        listener = socket_class()
        listener.bind((dpdk_kernel_address, 0))
        listener.listen()
        return listener
    def serve(socket_class, listener):
        sock, _ = listener.accept()
        sock.sendall(sock.recv(100)[::-1])
        sock.close()
        listener.close()
    listener = dpdk_kernel(listen).result(10)
    served = dpdk_kernel(serve, listener)
    assert ask(socket.socket, listener.getsockname()) == b"olleh"
    served.result(10)

def test_namespace_is_our_own():
    import subprocess
    assert "198.18.0.1" in subprocess.run(["ip", "address"], capture_output=True, text=True).stdout
"""
PLAIN = ECHO + """
def test_same_test_on_kernel_sockets(server, dpdk_kernel, dpdk_kernel_address):
    assert dpdk_kernel_address == "127.0.0.1"
    assert dpdk_kernel(ask, server).result(10) == b"hello"

def test_nothing_is_patched_or_loaded():
    import sys, threading
    assert socket.socket.__module__ == "socket"
    assert "gevent" not in sys.modules
    assert "greendpdk._native" not in sys.modules
    assert threading.Thread.__module__ == "threading"
"""


def run(pytester: pytest.Pytester, source: str, *options: str) -> pytest.RunResult:
    """Run pytest over one file of a user who has the package installed (or on the path)."""
    pytester.makepyfile(test_user=source)
    pytester.makeini("[pytest]\n")
    return pytester.runpytest_subprocess("-p", "greendpdk.pytest_plugin", *options, timeout=60)


@pytest.fixture(autouse=True)
def on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the processes below find the package that is tested, and load no other plugin: they start faster."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def test_memory_runs_patched_over_the_loopback(pytester: pytest.Pytester) -> None:
    result = run(pytester, MEMORY, "--dpdk=memory")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["greendpdk: over the stack's own loopback, 127.0.0.1 (no device)"])


def test_memory_has_no_kernel_side(pytester: pytest.Pytester) -> None:
    result = run(pytester, "def test_user(dpdk_kernel_address): pass", "--dpdk=memory")
    result.assert_outcomes(skipped=1)


@pytest.mark.needs("user-namespaces")
@pytest.mark.parametrize(("source", "options", "passed"), [
    (MEMORY, "--dpdk=memory", 1), pytest.param(TAP, "--dpdk", 3, marks=pytest.mark.needs("tap")),
], ids=["memory", "tap"])
def test_needs_no_root(pytester: pytest.Pytester, source: str, options: str, passed: int) -> None:
    path = pytester.makepyfile(test_user=source)
    for folder in (path, *list(path.parents)[:3]):
        os.chmod(folder, 0o755)
    nobody = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
    result = pytester.run(*nobody, sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p",
                          "greendpdk.pytest_plugin", options, str(path), timeout=60)
    result.assert_outcomes(passed=passed)


@pytest.mark.needs("tap")
def test_tap_has_the_kernel_at_the_other_side(pytester: pytest.Pytester) -> None:
    result = run(pytester, TAP, "--dpdk")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["greendpdk: over net_tap0 (net_tap): stack 198.18.0.2, kernel 198.18.0.1, *"])


@pytest.mark.needs("tap")
def test_option_takes_no_word_that_follows(pytester: pytest.Pytester) -> None:
    result = run(pytester, "def test_user(): pass", "--dpdk", "test_user.py")
    result.assert_outcomes(passed=1)


@pytest.mark.needs("tap")
def test_tap_leaves_this_namespace_alone(pytester: pytest.Pytester) -> None:
    before = Path("/proc/net/dev").read_text().count(":")
    run(pytester, "def test_user(): pass", "--dpdk").assert_outcomes(passed=1)
    assert Path("/proc/net/dev").read_text().count(":") == before


def test_conftest_sees_a_patched_world(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("import socket\nMODULE = socket.socket.__module__")
    result = run(pytester, "from conftest import MODULE\ndef test_user(): assert MODULE != 'socket'", "--dpdk=memory")
    result.assert_outcomes(passed=1)


def test_nothing_happens_without_the_option(pytester: pytest.Pytester) -> None:
    run(pytester, PLAIN).assert_outcomes(passed=2)


@pytest.mark.needs("installed")
def test_entry_point_brings_the_option(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    pytester.makepyfile(test_user=MEMORY)
    pytester.runpytest_subprocess("--dpdk=memory", timeout=60).assert_outcomes(passed=1)


def test_wrong_mode_is_an_error(pytester: pytest.Pytester) -> None:
    result = run(pytester, "def test_user(): pass", "--dpdk=wrong")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--dpdk*wrong*"])


@pytest.mark.needs("tap")
def test_wrong_setting_is_one_sentence(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREENDPDK_ADDRESS", "198.18.0.2/24/7")
    result = run(pytester, "def test_user(): pass", "--dpdk")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--dpdk*198.18.0.2/24/7*"])
    assert "Traceback" not in result.stderr.str()
