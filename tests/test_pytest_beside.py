"""The pytest plugin beside others: pytest-xdist, pytest-timeout, and Flask's applications served for a test.

Uses pytester, as test_pytest_network.py.
"""
from __future__ import annotations

import re

import pytest
from plugged import PEER, on_path, run

__all__ = ["on_path"]




def test_workers_of_xdist_have_a_stack_each(pytester: pytest.Pytester) -> None:
    result = run(pytester, PEER + """
@pytest.mark.parametrize("number", range(6))
@pytest.mark.network(delay="5ms")
def test_echo(echo, number, worker_id):
    assert worker_id != "master"
    assert seconds(ask, echo) > 0.02

def test_fails(echo):
    assert ask(echo) == b"olleh"
""", "-p", "xdist.plugin", "-n", "2")
    result.assert_outcomes(passed=6, failed=1)
    result.stdout.fnmatch_lines(["greendpdk: each worker over a stack in memory of its own", "*- packets -*"])


@pytest.mark.needs("tap")
def test_workers_of_xdist_have_a_namespace_each(pytester: pytest.Pytester) -> None:
    result = run(pytester, """
import os, pytest, socket, time
@pytest.mark.parametrize("number", range(4))
@pytest.mark.network(delay="5ms")
def test_kernel(number, dpdk_kernel, dpdk_address):
    def connect(make_socket, address):
        began = time.monotonic()
        with make_socket() as sock:
            sock.connect(address)
        return time.monotonic() - began
    with socket.create_server((dpdk_address, 0)) as listener:
        connected = dpdk_kernel(connect, listener.getsockname())
        listener.accept()[0].close()
        assert connected.result(10) > 0.009
    print("namespace", os.readlink("/proc/self/ns/net"))
""", "-p", "xdist.plugin", "-n", "2", "--dpdk", "-rP")
    result.assert_outcomes(passed=4)
    assert len(set(re.findall(r"namespace (net\S+)", result.stdout.str()))) == 2


WAITS = PEER + """
def test_waits(dpdk_peer):
    with dpdk_peer.create_server() as listener, socket.create_connection(listener.getsockname()) as sock:
        sock.recv(1)

def test_after():
    pass
"""
COMPUTES = "def test_computes():\n    while True:\n        pass\n"


@pytest.mark.parametrize("source", [WAITS, COMPUTES], ids=["waits", "computes"])
def test_timeout_by_signal_fails_the_test_alone(pytester: pytest.Pytester, source: str) -> None:
    result = run(pytester, source, "-p", "pytest_timeout", "--timeout=0.5", "--timeout-method=signal")
    result.assert_outcomes(failed=1, passed=source.count("def test_after"))
    result.stdout.fnmatch_lines(["*Failed: Timeout*0.5*"])
    assert "Traceback" not in result.stderr.str()


@pytest.mark.parametrize("source", [WAITS, COMPUTES], ids=["waits", "computes"])
def test_timeout_by_thread_ends_the_run_with_stacks(pytester: pytest.Pytester, source: str) -> None:
    result = run(pytester, source, "-p", "pytest_timeout", "--timeout=0.5", "--timeout-method=thread")
    assert result.ret == 1
    text = result.stdout.str() + result.stderr.str()
    assert "Timeout" in text and ("in test_waits" in text or "in test_computes" in text)


@pytest.mark.needs("flask", "requests")
def test_flask_is_served_over_the_stack(pytester: pytest.Pytester) -> None:
    source = """
import flask, pytest, requests

@pytest.fixture
def app():
    app = flask.Flask(__name__)
    app.route("/")(lambda: "hello")
    return app

def test_served(app, dpdk_serve):
    assert requests.get(dpdk_serve(app), timeout=10).text == "hello"
"""
    over = "\ndef test_over(app, dpdk_serve, network):\n    test_served(app, dpdk_serve)\n    " \
           "assert network.counts().packets > 6\n"
    run(pytester, source + over).assert_outcomes(passed=2)
    plain = pytester.runpytest_subprocess("-p", "greendpdk.pytest_plugin", timeout=60)
    plain.assert_outcomes(passed=1, skipped=1)


LIVE = """
import flask, pytest, requests

@pytest.fixture(scope="session")
def app():
    app = flask.Flask(__name__)
    app.route("/")(lambda: "hello")
    return app

def test_live(live_server):
    import greendpdk
    before = greendpdk.counters()["tcp_in"]
    assert requests.get(live_server.url("/"), timeout=10).text == "hello"
    assert greendpdk.counters()["tcp_in"] > before
"""


@pytest.mark.needs("tap", "flask", "requests")
def test_live_server_of_pytest_flask_is_at_the_kernels_side(pytester: pytest.Pytester) -> None:
    result = run(pytester, LIVE, "-p", "pytest_flask.plugin", "--dpdk", "--live-server-host=198.18.0.1")
    result.assert_outcomes(passed=1)


@pytest.mark.needs("flask", "requests")
def test_live_server_of_pytest_flask_says_what_to_use_in_memory(pytester: pytest.Pytester) -> None:
    result = run(pytester, LIVE, "-p", "pytest_flask.plugin", "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*use dpdk_serve(app)*"])
