"""gunicorn with the worker class greendpdk.gunicorn.Worker over net_tap; the clients are Linux's curl and sockets.

Uses running.py and the programs beside it. gunicorn's master is not patched, and forks.
"""
from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from netns import Namespace
from running import (
    BIG,
    KERNEL,
    PATIENCE,
    PROGRAMS,
    STACK,
    check_out,
    curl,
    fetch_everything,
    programs_environment,
)

pytestmark = [pytest.mark.needs("tap", "curl", "ping", "gunicorn"), pytest.mark.slow]
PORT = 8080
URL = f"http://{STACK}:{PORT}"


class Gunicorn:
    """A master in a namespace, and its log."""

    def __init__(self, net: Namespace, folder: Path, *words: str, worker: str = "greendpdk.gunicorn.Worker",
                 **settings: str) -> None:
        self.net, self.log, self.file = net, folder / "log", folder / "counters.json"
        environment = programs_environment() | {"COUNTERS": str(self.file), **settings}
        argv = [sys.executable, "-m", "gunicorn", "-k", worker, "-c", "gunicorn_conf.py",
                "--graceful-timeout", "10", "--no-control-socket", *words, "wsgi:app"]
        with self.log.open("w") as log:
            self.process = net.popen(argv, cwd=PROGRAMS, stdout=log, stderr=subprocess.STDOUT, env=environment)

    def output(self) -> str:
        return self.log.read_text()

    def until(self, what: str, done: Callable[[], Any]) -> Any:
        """Wait until something is true, and return it."""
        give_up = time.monotonic() + PATIENCE
        while time.monotonic() < give_up:
            if found := done():
                return found
            time.sleep(0.02)
        raise AssertionError(f"{what}:\n{self.output()}")

    def listens(self, host: str = STACK) -> bool:
        assert self.process.poll() is None, self.output()
        with contextlib.suppress(OSError), self.net.entered(), socket.create_connection((host, PORT), 1):
            return True
        return False

    def wait_for(self, host: str = STACK) -> None:
        self.until(f"nothing listens on {host}", lambda: self.listens(host))

    def workers(self) -> list[int]:
        """List the workers that have been started, the oldest first."""
        return list(map(int, re.findall(r"Booting worker with pid: (\d+)", self.output())))

    def finish(self, number: signal.Signals = signal.SIGTERM) -> dict[str, int]:
        """End the master and return the counters of the worker that ended last."""
        self.process.send_signal(number)
        assert self.process.wait(PATIENCE) == 0, self.output()
        counters: dict[str, int] = json.loads(self.file.read_text())
        return counters


@pytest.mark.app("gunicorn", "curl", "`-k greendpdk.gunicorn.Worker`: the same, SIGTERM")
def test_gunicorn(net: Namespace, tmp_path: Path) -> None:
    server = Gunicorn(net, tmp_path, "-b", f"{STACK}:{PORT}")
    server.wait_for()
    fetch_everything(server, tmp_path)
    assert f"http://{STACK}:{PORT} (in the worker)" in server.output()
    check_out(server.finish(), 3 * len(BIG))
    assert "Traceback" not in server.output()


def test_gunicorn_listens_on_the_kernel_too(net: Namespace, tmp_path: Path) -> None:
    path = tmp_path / "s"
    server = Gunicorn(net, tmp_path, "-b", f"0.0.0.0:{PORT}", "-b", f"127.0.0.1:{PORT + 1}", "-b", f"unix:{path}")
    server.wait_for()
    assert curl(net, f"{URL}/") == b"hello " + KERNEL.encode()
    assert curl(net, f"http://127.0.0.1:{PORT}/") == b"hello 127.0.0.1"
    assert curl(net, f"http://127.0.0.1:{PORT + 1}/") == b"hello 127.0.0.1"
    assert curl(net, "--unix-socket", str(path), f"{URL}/big") == BIG
    check_out(server.finish(), 0)


@pytest.mark.needs("openssl")
def test_gunicorn_over_tls(net: Namespace, tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    cert, key = map(str, certificate)
    server = Gunicorn(net, tmp_path, "-b", f"{STACK}:{PORT}", "--certfile", cert, "--keyfile", key)
    server.wait_for()
    assert curl(net, "--cacert", cert, f"https://{STACK}:{PORT}/big") == BIG
    check_out(server.finish(), len(BIG))


def test_gunicorn_answers_the_last_request_before_it_ends(net: Namespace, tmp_path: Path) -> None:
    server = Gunicorn(net, tmp_path, "-b", f"{STACK}:{PORT}")
    server.wait_for()
    with net.entered(), socket.create_connection((STACK, PORT), PATIENCE) as client:
        client.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n12")
        assert curl(net, f"{URL}/")  # so the worker has seen the half of it
        server.process.terminate()
        server.until("still listens", lambda: not server.listens())
        client.sendall(b"34")
        answer = b"".join(iter(lambda: client.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"1234")
    assert server.process.wait(PATIENCE) == 0


@pytest.mark.app("gunicorn", "curl", "SIGHUP, a worker that dies, SIGUSR2 refused, max_requests: the port goes on")
def test_gunicorn_workers_hand_the_port_on(net: Namespace, tmp_path: Path) -> None:
    server = Gunicorn(net, tmp_path, "-b", f"{STACK}:{PORT}", "--max-requests", "10")
    server.wait_for()
    server.process.send_signal(signal.SIGHUP)
    server.until("no second worker", lambda: len(server.workers()) == 2)
    assert curl(net, "--retry", "5", "--retry-all-errors", f"{URL}/") == b"hello " + KERNEL.encode()
    server.until("the first worker goes on", lambda: not Path(f"/proc/{server.workers()[0]}").exists())

    os.kill(server.workers()[1], signal.SIGKILL)
    server.until("no third worker", lambda: len(server.workers()) == 3)
    server.wait_for()

    server.process.send_signal(signal.SIGUSR2)
    server.until("no refusal", lambda: "SIGUSR2 is refused" in server.output())
    assert curl(net, f"{URL}/") == b"hello " + KERNEL.encode()

    curl(net, "--retry", "5", "--retry-all-errors", *[f"{URL}/"] * 12)
    server.until("no fourth worker", lambda: len(server.workers()) == 4)
    server.wait_for()
    check_out(server.finish(), 0)
    assert "Traceback" not in server.output()


@pytest.mark.app("gunicorn", "curl", "two workers, each with a port and an address of its own")
def test_gunicorn_worker_has_a_port_of_its_own(net: Namespace, tmp_path: Path) -> None:
    server = Gunicorn(net, tmp_path, "-b", f"0.0.0.0:{PORT}", "-b", f"198.18.{{worker}}.2:{PORT + 1}", "--workers", "2",
                      GREENDPDK_VDEV="net_tap{worker}", GREENDPDK_ADDRESS="198.18.{worker}.2/24")
    for number in range(2):
        server.wait_for(f"198.18.{number}.2")
        for port in (PORT, PORT + 1):
            assert curl(net, f"http://198.18.{number}.2:{port}/") == f"hello 198.18.{number}.1".encode()
    assert curl(net, f"http://127.0.0.1:{PORT}/") == b"hello 127.0.0.1"
    server.process.send_signal(signal.SIGTTIN)  # one worker more than there are ports
    server.until("no wait", lambda: "Waiting for a port: 2 of 2 are other workers'" in server.output())
    check_out({name.replace("net_tap1.", "net_tap0."): value for name, value in server.finish().items()}, 0)


@pytest.mark.app("gunicorn", "curl", "`-k gevent` with GREENDPDK=1", "serves on the kernel's sockets; connections that "
                 "the app makes are the stack's")
def test_gunicorn_gevent_worker_serves_on_the_kernel(net: Namespace, tmp_path: Path) -> None:
    server = Gunicorn(net, tmp_path, "-b", f"0.0.0.0:{PORT}", worker="gevent", GREENDPDK="1")
    server.wait_for("127.0.0.1")
    assert curl(net, f"http://127.0.0.1:{PORT}/") == b"hello 127.0.0.1"
    server.until("no port", lambda: net.run(["ping", "-c", "1", "-W", "1", STACK], check=False).returncode == 0)
    assert not server.listens()
    assert server.finish()["tcp_passive_opens"] == 0


@pytest.mark.parametrize(("words", "settings", "reason", "status"), [
    (["--workers", "2"], {}, "2 workers cannot share one port", 1),
    ([], {"GREENDPDK_ADDRESS": "nonsense"}, "nonsense", 1),
    ([], {"GREENDPDK_MTU": "9000"}, "greendpdk: mtu (GREENDPDK_MTU) is ", 3),  # the port says so, in the worker
])
def test_gunicorn_refuses_what_cannot_be(net: Namespace, tmp_path: Path, words: list[str], settings: dict[str, str],
                                         reason: str, status: int) -> None:
    server = Gunicorn(net, tmp_path, "-b", f"{STACK}:{PORT}", *words, **settings)
    assert server.process.wait(PATIENCE) == status
    assert reason in server.output()
    assert "Traceback" not in server.output()
