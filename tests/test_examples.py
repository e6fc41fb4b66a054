"""Each example does what it says, over net_tap in a namespace made for it.

Uses netns.py and peer.py; every file in examples/ has to have a test here.
"""
from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from netns import Namespace, end

EXAMPLES = Path(__file__).parent.parent / "examples"
STACK, KERNEL = "198.18.0.2", "198.18.0.1"
PATIENCE = 20.0
TESTED = {"flask_app.py", "fetch.py", "echo_server.py", "echo_client.py", "udp.py", "https_server.py",
          "counters.py", "demo.py", "test_greeting.py", "prices.py", "feed.py", "test_retries.py",
          "test_partition.py", "test_requests.py"}

Start = Callable[..., "subprocess.Popen[str]"]


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GREENDPDK_")}
    return kept | {"PYTHONPATH": str(EXAMPLES.parent), "PYTHONUNBUFFERED": "1", "no_proxy": "*"}


@pytest.fixture
def net() -> Iterator[Namespace]:
    """Make a namespace for one example."""
    with Namespace() as made:
        yield made


@pytest.fixture
def start(net: Namespace) -> Iterator[Start]:
    """Give a function that starts python with these words, inside."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: str, **settings: str) -> subprocess.Popen[str]:
        started.append(net.popen([sys.executable, *words], cwd=EXAMPLES.parent, env=environment() | settings,
                                 text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
        return started[-1]

    yield start
    for program in started:
        end(program)
        assert program.stdout is not None
        print(program.stdout.read())
        program.stdout.close()


def knock(net: Namespace, address: tuple[str, int]) -> socket.socket:
    """Connect from Linux's side as soon as somebody listens."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        with contextlib.suppress(OSError), net.entered():
            return socket.create_connection(address, 1)
        time.sleep(0.02)
    raise AssertionError(f"nobody listens at {address}")


def finish(program: subprocess.Popen[str]) -> str:
    """Wait for a program's own end and return what it printed."""
    assert program.stdout is not None
    text = program.stdout.read()
    assert program.wait(PATIENCE) == 0, text
    return text


def web_server(net: Namespace) -> str:
    """Serve examples/ on Linux's side; return the URL."""
    net.popen([sys.executable, "-m", "http.server", "--directory", str(EXAMPLES), "8000"],
              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    knock(net, ("127.0.0.1", 8000)).close()
    return f"http://{KERNEL}:8000"


def test_every_example_is_tested_and_short() -> None:
    files = {path.name: path for path in EXAMPLES.rglob("*.py")}
    assert set(files) == TESTED
    assert {name: lines for name, path in files.items()
            if (lines := len(path.read_text().splitlines())) > 60} == {}


@pytest.mark.slow
@pytest.mark.needs("tap", "flask", "curl")
@pytest.mark.parametrize("words", [
    ("-m", "flask", "--app", "examples/flask_app", "run", "--host", STACK, "--port", "8080"),
    ("examples/flask_app.py", STACK, "8080"),
], ids=["flask_run", "pywsgi"])
def test_flask_app(net: Namespace, start: Start, words: tuple[str, ...]) -> None:
    start("-m", "greendpdk", *words)
    knock(net, (STACK, 8080)).close()
    done = net.run(["curl", "--noproxy", "*", "-sS", f"http://{STACK}:8080/"])
    assert done.stdout == f"Hello {KERNEL}, from Flask.\n"
    done = net.run(["curl", "--noproxy", "*", "-sS", f"http://{STACK}:8080/bytes/100000"], text=False)
    assert done.stdout == bytes(100000)


@pytest.mark.slow
@pytest.mark.needs("tap", "requests")
def test_fetch(net: Namespace, start: Start) -> None:
    url = f"{web_server(net)}/fetch.py"
    size = (EXAMPLES / "fetch.py").stat().st_size
    assert finish(start("-m", "greendpdk", "examples/fetch.py", url, url)) == f"{url} 200 {size} bytes\n" * 2


@pytest.mark.slow
@pytest.mark.needs("tap")
@pytest.mark.parametrize("address", [STACK, pytest.param("fd00::2", marks=pytest.mark.needs("ipv6"))])
def test_echo_server(net: Namespace, start: Start, address: str) -> None:
    start("examples/echo_server.py", address, "7000", GREENDPDK_ADDRESS=address + ("/64" if ":" in address else "/24"))
    clients = [knock(net, (address, 7000)) for _ in range(3)]
    for number, client in enumerate(clients):
        client.settimeout(PATIENCE)
        client.sendall(b"client %d" % number)
    for number, client in enumerate(clients):
        with client:
            assert client.recv(100) == b"client %d" % number


@pytest.mark.slow
@pytest.mark.needs("tap")
def test_echo_client(net: Namespace, start: Start) -> None:
    serve = (EXAMPLES / "echo_server.py").read_text().replace("monkey.patch_all()", "")
    net.popen([sys.executable, "-c", serve, "0.0.0.0", "7000"], cwd=EXAMPLES.parent, env=environment())
    knock(net, ("127.0.0.1", 7000)).close()
    assert "1000 round trips" in finish(start("examples/echo_client.py", KERNEL, "7000"))


@pytest.mark.slow
@pytest.mark.needs("tap")
def test_udp(net: Namespace, start: Start) -> None:
    start("-m", "greendpdk", "examples/udp.py", STACK, "7000")
    with net.entered():
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with client:
        client.settimeout(0.1)
        assert ask(client, b"hello", (STACK, 7000)) == b"HELLO"


def ask(client: socket.socket, question: bytes, address: tuple[str, int]) -> bytes:
    """Ask until there is an answer: nothing tells when a datagram socket has been bound."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        with contextlib.suppress(OSError):
            client.sendto(question, address)
            return client.recv(100)
        time.sleep(0.05)
    raise AssertionError("no answer")


@pytest.mark.slow
@pytest.mark.needs("tap", "openssl", "curl")
def test_https_server(net: Namespace, start: Start, tmp_path: Path) -> None:
    files: Any = (str(tmp_path / "cert.pem"), str(tmp_path / "key.pem"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=demo", "-addext",
                    f"subjectAltName=IP:{STACK}", "-out", files[0], "-keyout", files[1]],
                   check=True, capture_output=True)
    start("-m", "greendpdk", "examples/https_server.py", STACK, "8443", *files)
    knock(net, (STACK, 8443)).close()
    done = net.run(["curl", "--noproxy", "*", "-sS", "--cacert", files[0], f"https://{STACK}:8443/examples/udp.py"])
    assert done.stdout == (EXAMPLES / "udp.py").read_text()


@pytest.mark.slow
@pytest.mark.needs("tap")
def test_counters(net: Namespace, start: Start) -> None:
    printed = finish(start("examples/counters.py", f"{web_server(net)}/udp.py"))
    assert printed.startswith(f"200 {(EXAMPLES / 'udp.py').stat().st_size} bytes\n")
    assert "net_tap0.rx_bytes" in printed


@pytest.mark.slow
@pytest.mark.needs("requests")
@pytest.mark.parametrize(("options", "passed", "skipped", "address"), [
    ([], 2, 7, ""), (["--dpdk=memory"], 8, 1, ""),
    pytest.param(["--dpdk"], 9, 0, "", marks=pytest.mark.needs("tap")),
    pytest.param(["--dpdk"], 9, 0, "fd00::2/64", marks=pytest.mark.needs("tap", "ipv6")),
], ids=["kernel", "memory", "tap", "ipv6"])
def test_pytest_project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, options: list[str],
                        passed: int, skipped: int, address: str) -> None:
    if address:
        monkeypatch.setenv("GREENDPDK_ADDRESS", address)
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES.parent))
    pytester.copy_example(str(EXAMPLES / "pytest_project"))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    result = pytester.runpytest_subprocess("-p", "greendpdk.pytest_plugin", *options, timeout=60)
    result.assert_outcomes(passed=passed, skipped=skipped)


@pytest.mark.slow
@pytest.mark.needs("tap", "flask", "requests")
def test_demo() -> None:
    before = Path("/proc/net/dev").read_text().count(":")
    done = subprocess.run([sys.executable, str(EXAMPLES / "demo.py")], env=environment(), capture_output=True,
                          text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("5,000,000 bytes fetched") == 2
    assert done.stdout.count("at the stack's address 198.18.0.2: none") == 2
    assert Path("/proc/net/dev").read_text().count(":") == before
