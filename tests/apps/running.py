"""Unmodified apps over net_tap: started patched in a namespace, and what stands at Linux's side of it.

Used by the tests beside it; calls netns.py, skips.py and runner.py.
"""
from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import skips
from netns import Namespace, end

HERE = Path(__file__).parent
PROGRAMS = HERE / "programs"
STACK, KERNEL = "198.18.0.2", "198.18.0.1"
BIG = hashlib.shake_256(b"big").digest(3_000_000)
PATIENCE = 20.0


def programs_environment() -> dict[str, str]:
    """Return the environment without what would change what a program does."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GREENDPDK_")}
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # requests lets them win over Session.verify
        environment.pop(name, None)
    return environment | {"PYTHONPATH": str(HERE.parent.parent), "PYTHONUNBUFFERED": "1", "no_proxy": "*"}


class App:
    """`python -m greendpdk` with an app, inside a namespace."""

    def __init__(self, net: Namespace, folder: Path, *arguments: str) -> None:
        self.net, self.file = net, folder / "counters.json"
        self.log = folder / "log"
        with self.log.open("w") as log:
            self.process = net.popen([sys.executable, str(HERE / "runner.py"), str(self.file), *arguments],
                                     cwd=PROGRAMS, stdout=log, stderr=subprocess.STDOUT, env=programs_environment())

    def wait_for(self, port: int) -> None:
        """Wait until the app listens on the stack's address."""
        give_up = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < give_up:
            with contextlib.suppress(OSError), self.net.entered(), socket.create_connection((STACK, port), 1):
                return
            time.sleep(0.02)
        raise AssertionError(f"nothing listens on port {port}:\n{self.output()}")

    def output(self) -> str:
        """Return what the app has printed."""
        return self.log.read_text()

    def finish(self) -> dict[str, int]:
        """End the app as Ctrl-C does and return greendpdk's counters."""
        end(self.process, PATIENCE)
        return self._counters()

    def leave(self) -> dict[str, int]:
        """Wait for the app's own end and return the counters."""
        status = self.process.wait(PATIENCE)
        assert status == 0, self.output()
        return self._counters()

    def join(self) -> tuple[Any, dict[str, int]]:
        """Wait for the app's own end; return the JSON of its last line, and the counters."""
        counters = self.leave()
        return json.loads(self.output().splitlines()[-1]), counters

    def _counters(self) -> dict[str, int]:
        assert self.file.exists(), self.output()
        counters: dict[str, int] = json.loads(self.file.read_text())
        return counters


class Handler(BaseHTTPRequestHandler):
    """What Linux's side serves: /big, /chunked, and an echo of what is posted."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self.send_response(200)
        if self.path == "/chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for start in range(0, len(BIG), 50_000):
                part = BIG[start:start + 50_000]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.wfile.write(b"0\r\n\r\n")
            return
        self.send_header("Content-Length", str(len(BIG)))
        self.end_headers()
        self.wfile.write(BIG)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        return


class Server(ThreadingHTTPServer):
    """An HTTP server in a namespace, on kernel sockets; knows how many connections it has had."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, net: Namespace, certificate: tuple[Path, Path] | None = None) -> None:
        self.connections = 0
        with net.entered():
            super().__init__(("0.0.0.0", 0), Handler)  # the tap's address is not there yet
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.url = f"{'https' if certificate else 'http'}://{KERNEL}:{self.server_port}"

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections += 1
        super().process_request(request, client_address)


@contextlib.contextmanager
def serving(net: Namespace, certificate: tuple[Path, Path] | None = None) -> Iterator[Server]:
    """Serve from a thread for a while."""
    with Server(net, certificate) as server:
        thread = threading.Thread(target=functools.partial(server.serve_forever, 0.05))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def daemon(net: Namespace, argv: list[str], *ports: int, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server program of Linux's side for a while; it listens on these ports when the block begins."""
    argv[0] = skips.program(argv[0]) or argv[0]
    options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **options}
    program = net.popen(argv, **options)
    try:
        for port in ports:
            wait_inside(net, port, program)
        yield program
    finally:
        program.terminate()  # some take SIGINT for nothing
        with contextlib.suppress(subprocess.TimeoutExpired):
            program.wait(5)
        end(program, 0)


def wait_inside(net: Namespace, port: int, program: subprocess.Popen[Any] | None = None) -> None:
    """Wait until a program of ours listens on the namespace's loopback."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up and (program is None or program.poll() is None):
        with contextlib.suppress(ConnectionRefusedError), net.entered(), \
                socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise AssertionError(f"nothing listens on port {port}")


def check_in(counters: dict[str, int], received: int) -> None:
    """See that a client's bytes came in through the DPDK port, over connections of the stack."""
    assert counters["net_tap0.rx_bytes"] > received
    assert counters["net_tap0.tx_packets"] > 0
    assert counters["tcp_active_opens"] > 0


def curl(net: Namespace, *words: str) -> bytes:
    """Fetch with curl, on kernel sockets."""
    body: bytes = net.run(["curl", "-sS", "--noproxy", "*", "--fail", "--max-time", "20", *words], text=False).stdout
    return body


def check_out(counters: dict[str, int], sent: int) -> None:
    """See that a server's bytes went out through the DPDK port, over connections of the stack."""
    assert counters["net_tap0.tx_bytes"] > sent
    assert counters["net_tap0.rx_packets"] > 0
    assert counters["tcp_passive_opens"] > 0


def kernel_connections(app: App) -> list[str]:
    """List the TCP connections of the app's process that the kernel knows of."""
    rows = app.net.run(["ss", "-tnpH"]).stdout.splitlines()
    return [row for row in rows if f"pid={app.process.pid}," in row]


def fetch_everything(app: App, tmp_path: Path) -> None:
    """Drive an app with the paths of wsgi.py in the ways that differ on the wire."""
    net, url = app.net, f"http://{STACK}:8080"
    assert curl(net, f"{url}/").decode() == f"hello {KERNEL}"
    assert curl(net, f"{url}/big") == BIG
    assert curl(net, f"{url}/stream") == BIG
    (tmp_path / "body").write_bytes(BIG)
    assert curl(net, "-H", "Expect:", "-H", "Content-Type: application/octet-stream",
                "--data-binary", f"@{tmp_path}/body", f"{url}/echo") == BIG
    assert curl(net, *[f"{url}/"] * 20).decode() == f"hello {KERNEL}" * 20
    assert kernel_connections(app) == []
