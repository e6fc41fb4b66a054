"""Prometheus metrics of a live stack: names, help texts, served by the kernel; the dashboard fits."""
from __future__ import annotations

import errno
import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from peer import ROOT

from greendpdk import _device, _stack, metrics

DASHBOARD = ROOT / "docs" / "grafana" / "greendpdk.json"

PROGRAM = """
from greendpdk import monkey
monkey.patch_all(vdev="none", loopback="stack", metrics={metrics!r})
import socket, sys, gevent, greendpdk, prometheus_client
listener = socket.create_server(("127.0.0.1", 0))
held = [socket.create_connection(listener.getsockname()), listener.accept()[0]]
server = greendpdk.running().metrics
if server is None:
    from greendpdk.metrics import collector
    registry = prometheus_client.CollectorRegistry()
    registry.register(collector())
    print({how})
else:
    print(server.port, flush=True)
    gevent.get_hub().threadpool.apply(sys.stdin.read)
for one in (*held, listener):
    one.close()
"""


@contextmanager
def program(metrics: str | None, how: str = "0") -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-W", "error", "-c", PROGRAM.format(metrics=metrics, how=how)]
    with subprocess.Popen(words, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as run:
        yield run
        out, errors = run.communicate(timeout=60)
        assert run.returncode == 0 and errors == "", errors


def check(text: str) -> None:
    assert "greendpdk_tcp_active_opens_total 1.0" in text
    assert 'greendpdk_sockets{protocol="tcp",state="ESTAB"} 2.0' in text
    assert re.search(r'greendpdk_loop_seconds_total\{activity="busy"\} 0\.\d+', text)
    assert "# HELP greendpdk_tcp_drop_paws_total an old timestamp (RFC 7323 5)" in text
    assert "# TYPE greendpdk_buffer_bytes gauge" in text


def test_metrics_are_served_by_the_kernel() -> None:
    with program("127.0.0.1:0") as run:
        assert run.stdout is not None
        port = int(run.stdout.readline())
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            check(answer.read().decode())


def test_a_forked_child_does_not_hold_their_port() -> None:
    code = """if True:
        from greendpdk import monkey
        monkey.patch_all(vdev="none", loopback="stack", metrics="127.0.0.1:0")
        import os, greendpdk
        port = greendpdk.running().metrics.port
        (held, holding), (ready, tell) = os.pipe(), os.pipe()
        pid = os.fork()
        if not pid:
            os.write(tell, b"x")
            os.read(held, 1)
            os._exit(0)
        os.read(ready, 1)
        greendpdk.stop()
        print(monkey.get_original("socket", "socket")().connect_ex(("127.0.0.1", port)))
        os.write(holding, b"x")
        os.waitpid(pid, 0)
    """
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, timeout=60, check=True)
    assert int(done.stdout) == errno.ECONNREFUSED


@pytest.mark.parametrize("how", [
    "prometheus_client.generate_latest(registry).decode()",
    "gevent.get_hub().threadpool.apply(prometheus_client.generate_latest, (registry,)).decode()",
], ids=["in its thread", "in another"])  # fmt: skip
def test_an_application_can_show_them_with_its_own(how: str) -> None:
    with program(None, how) as run:
        assert run.stdout is not None
        check(run.stdout.read())


@pytest.fixture
def samples(monkeypatch: Any) -> set[str]:
    """Return the names that a stack with one port shows."""
    stack = _stack.start(vdev="none", loopback="stack", telemetry="off")
    names = ("rx_packets", "tx_packets", "rx_bytes", "tx_bytes", "rx_missed", "rx_errors", "tx_errors", "rx_no_buffer")
    monkeypatch.setattr(_device, "statistics", lambda _: dict.fromkeys(names, 1))
    monkeypatch.setattr(stack, "ports", [type("Port", (), {"name": "net0", "c": None})()])
    found = list(metrics.collector().collect())
    assert all(family.documentation for family in found)
    monkeypatch.undo()
    _stack.stop()
    return {sample.name for family in found for sample in family.samples}


def test_every_query_of_the_dashboard_names_a_metric(samples: set[str]) -> None:
    board = json.loads(DASHBOARD.read_text())
    queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    queries += [variable["query"] for variable in board["templating"]["list"] if variable["type"] == "query"]
    asked = set(re.findall(r"greendpdk_\w+", " ".join(queries)))
    assert len(queries) > 30 and asked - samples == set()
    assert all(re.search(r"greendpdk_\w+", query) for query in queries)


def test_no_stack_is_no_metric() -> None:
    assert list(metrics.collector().collect()) == []


def test_without_the_extra_it_says_what_to_install(monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'greendpdk\[prometheus\]'"):
        metrics.collector()
    with pytest.raises(ModuleNotFoundError, match="metrics need prometheus_client"):
        _stack.start(vdev="none", loopback="stack", telemetry="off", metrics=":0")
    assert _stack.running() is None
