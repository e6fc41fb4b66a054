"""Servers, unmodified, over net_tap; the clients are Linux's: curl, openssl, plain sockets.

Uses App of running.py and the programs beside it.
"""
from __future__ import annotations

import contextlib
import json
import socket
import sys
import time
from pathlib import Path

import pytest
from netns import Namespace
from running import (
    BIG,
    KERNEL,
    PATIENCE,
    PROGRAMS,
    STACK,
    App,
    check_out,
    curl,
    fetch_everything,
    kernel_connections,
    programs_environment,
)

pytestmark = [pytest.mark.needs("tap", "curl"), pytest.mark.slow]
PORT = 8080
URL = f"http://{STACK}:{PORT}"


@pytest.mark.app("flask", "curl", "under gevent.pywsgi: small and large answers, streams, posts, keep-alive")
def test_flask_under_pywsgi(net: Namespace, tmp_path: Path) -> None:
    app = App(net, tmp_path, "serve_pywsgi.py", STACK, str(PORT))
    app.wait_for(PORT)
    fetch_everything(app, tmp_path)
    check_out(app.finish(), 3 * len(BIG))


@pytest.mark.app("flask", "curl", "flask run: the same")
def test_flask_run(net: Namespace, tmp_path: Path) -> None:
    app = App(net, tmp_path, "-m", "flask", "--app", "web", "run", "--host", STACK, "--port", str(PORT))
    app.wait_for(PORT)
    fetch_everything(app, tmp_path)
    check_out(app.finish(), 3 * len(BIG))


@pytest.mark.app("http.server", "curl", "a large file, a listing")
def test_http_server(net: Namespace, tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    (tmp_path / "served/big").write_bytes(BIG)
    app = App(net, tmp_path, "-m", "http.server", "--bind", STACK, "--directory", str(tmp_path / "served"),
              str(PORT))
    app.wait_for(PORT)
    assert curl(net, f"{URL}/big") == BIG
    assert b'<a href="big">' in curl(net, f"{URL}/")
    assert kernel_connections(app) == []
    check_out(app.finish(), len(BIG))


def test_wildcard_listener_serves_both_stacks(net: Namespace, tmp_path: Path) -> None:
    app = App(net, tmp_path, "-m", "http.server", "--directory", str(PROGRAMS), str(PORT))
    app.wait_for(PORT)
    over_dpdk = curl(net, f"{URL}/web.py")
    over_kernel = curl(net, f"http://127.0.0.1:{PORT}/web.py")
    assert over_dpdk == over_kernel == (PROGRAMS / "web.py").read_bytes()
    check_out(app.finish(), len(over_dpdk))


@pytest.mark.app("socketserver", "kernel sockets", "ThreadingTCPServer: 20 connections at once")
def test_threading_socketserver(net: Namespace, tmp_path: Path) -> None:
    app = App(net, tmp_path, "serve_lines.py", "ThreadingTCPServer", STACK, str(PORT))
    app.wait_for(PORT)
    with net.entered():
        clients = [socket.create_connection((STACK, PORT), 10) for _ in range(20)]
    for number, client in enumerate(clients):
        client.sendall(b"line %d\n" % number)
    for number, client in enumerate(clients):
        with client, client.makefile("rb") as lines:
            assert lines.readline() == b"LINE %d\n" % number
    assert kernel_connections(app) == []
    check_out(app.finish(), 1000)


@pytest.mark.app("socketserver", "kernel sockets", "TCPServer: connections one after the other")
def test_socketserver_one_by_one(net: Namespace, tmp_path: Path) -> None:
    app = App(net, tmp_path, "serve_lines.py", "TCPServer", STACK, str(PORT))
    app.wait_for(PORT)
    for number in range(5):
        with net.entered(), socket.create_connection((STACK, PORT), 10) as client, client.makefile("rb") as lines:
            client.sendall(b"line %d\n" % number)
            assert lines.readline() == b"LINE %d\n" % number
    check_out(app.finish(), 300)


@pytest.mark.app("socketserver", "kernel sockets", "UDPServer and ThreadingUDPServer: 50 datagrams")
@pytest.mark.parametrize("kind", ["UDPServer", "ThreadingUDPServer"])
def test_socketserver_of_datagrams(net: Namespace, tmp_path: Path, kind: str) -> None:
    app = App(net, tmp_path, "serve_lines.py", kind, STACK, str(PORT))
    with net.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.2)
        give_up = time.monotonic() + PATIENCE
        answer = b""
        while answer != b"UP?" and time.monotonic() < give_up:  # until it is up: no route, port unreachable, silence
            with contextlib.suppress(OSError):
                client.sendto(b"up?", (STACK, PORT))
                answer = client.recv(100)
        client.settimeout(10)
        client.connect((STACK, PORT))
        for number in range(50):
            client.send(b"datagram %d" % number)
        answers = {client.recv(100) for _ in range(50)}
    assert answers >= {b"DATAGRAM %d" % number for number in range(49)}  # a late answer to "up?" may stand for the last
    assert app.finish()["udp_in"] >= 50


@pytest.mark.app("xmlrpc.server", "xmlrpc.client", "calls, 30 in one, 256 kB, a fault")
def test_xmlrpc_server(net: Namespace, tmp_path: Path) -> None:
    app = App(net, tmp_path, "serve_xmlrpc.py", STACK, str(PORT))
    app.wait_for(PORT)
    seen = net.run([sys.executable, str(PROGRAMS / "use_xmlrpc.py"), URL], env=programs_environment()).stdout
    assert json.loads(seen) == {"pow": 2 ** 30 - 1, "echo": True, "fault": 1}
    check_out(app.finish(), 200_000)


@pytest.mark.needs("openssl")
@pytest.mark.app("gevent.pywsgi", "curl, openssl", "TLS 1.2 and 1.3")
def test_https_pywsgi(net: Namespace, tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    app = App(net, tmp_path, "serve_pywsgi.py", STACK, str(PORT), str(cert), str(key))
    app.wait_for(PORT)
    secure = URL.replace("http:", "https:")
    assert curl(net, "--cacert", str(cert), f"{secure}/big") == BIG
    assert curl(net, "--cacert", str(cert), "--tls-max", "1.2", f"{secure}/big") == BIG
    client = net.run(["openssl", "s_client", "-connect", f"{STACK}:{PORT}", "-CAfile", str(cert), "-quiet",
                      "-verify_return_error"], input=b"GET / HTTP/1.0\r\n\r\n", text=False, check=False)
    assert f"hello {KERNEL}".encode() in client.stdout
    assert net.run(["curl", "--noproxy", "*", "-s", f"{URL}/"], check=False).returncode != 0  # in the clear
    check_out(app.finish(), 2 * len(BIG))
