"""Clients, unmodified, over net_tap; the servers are Linux's: http.server, redis-server, openssl.

Uses App and the servers of running.py and the programs beside it.
"""
from __future__ import annotations

import contextlib
import hashlib
import socket
import time
from pathlib import Path

import pytest
from netns import Namespace
from running import BIG, KERNEL, PATIENCE, App, serving

pytestmark = [pytest.mark.needs("tap"), pytest.mark.slow]
DIGEST = hashlib.sha256(BIG).hexdigest()
SESSION = {"big 0": DIGEST, "big 1": DIGEST, "big 2": DIGEST, "chunked": DIGEST, "echo": True}


def check_port(counters: dict[str, int], received: int) -> None:
    """See that the bytes came in through the DPDK port."""
    assert counters["net_tap0.rx_bytes"] > received
    assert counters["net_tap0.tx_packets"] > 0
    assert counters["tcp_active_opens"] > 0


@pytest.mark.needs("requests")
def test_requests_session(net: Namespace, tmp_path: Path) -> None:
    with serving(net) as server:
        seen, counters = App(net, tmp_path, "fetch_requests.py", server.url).join()
        assert seen == SESSION
        assert server.connections == 1  # the pool has used its one connection again and again
    check_port(counters, 4 * len(BIG))


@pytest.mark.needs("requests", "openssl")
def test_requests_session_over_https(net: Namespace, tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    with serving(net, certificate) as server:
        seen, counters = App(net, tmp_path, "fetch_requests.py", server.url, str(certificate[0])).join()
        assert seen == SESSION
        assert server.connections == 1
    check_port(counters, 4 * len(BIG))


@pytest.mark.needs("requests", "openssl")
def test_requests_refuses_an_unknown_certificate(
        net: Namespace, tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    with serving(net, certificate) as server:
        app = App(net, tmp_path, "fetch_requests.py", server.url)
        assert app.process.wait(PATIENCE) == 1
        assert "CERTIFICATE_VERIFY_FAILED" in app.output()


@pytest.mark.needs("openssl")
def test_https_against_openssl(net: Namespace, tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    net.popen(["openssl", "s_server", "-accept", "8443", "-cert", str(cert), "-key", str(key), "-www", "-quiet"])
    wait_inside(net, 8443)
    script = tmp_path / "ask.py"
    script.write_text("import json, sys, http.client, ssl\n"
                      "context = ssl.create_default_context(cafile=sys.argv[2])\n"
                      "connection = http.client.HTTPSConnection(sys.argv[1], 8443, context=context, timeout=10)\n"
                      "connection.request('GET', '/')\n"
                      "print(json.dumps('TLSv1.3' in connection.getresponse().read().decode()))\n")
    seen, counters = App(net, tmp_path, str(script), KERNEL, str(cert)).join()
    assert seen is True
    check_port(counters, 1000)


def test_urllib(net: Namespace, tmp_path: Path) -> None:
    with serving(net) as server:
        seen, counters = App(net, tmp_path, "fetch_urllib.py", server.url).join()
    assert seen == [200, DIGEST]
    check_port(counters, len(BIG))


@pytest.mark.needs("requests")
def test_urllib3_pool(net: Namespace, tmp_path: Path) -> None:
    with serving(net) as server:
        seen, counters = App(net, tmp_path, "fetch_urllib3.py", server.url).join()
        assert seen == [DIGEST] * 12
        assert 1 <= server.connections <= 4  # as many as the pool may hold
    check_port(counters, 12 * len(BIG))


@pytest.mark.needs("redis", "redis-server")
def test_redis(net: Namespace, tmp_path: Path) -> None:
    net.popen(["redis-server", "--port", "6379", "--bind", "0.0.0.0", "--protected-mode", "no", "--save", "",
               "--dir", str(tmp_path), "--logfile", str(tmp_path / "redis.log")])
    wait_inside(net, 6379)
    seen, counters = App(net, tmp_path, "use_redis.py", KERNEL, "6379").join()
    assert seen == {"ping": True, "get": "value", "big": True, "pipeline": 499500, "blpop": "job",
                    "pubsub": "extra"}
    check_port(counters, 1 << 20)


def test_loopback_stays_the_kernels(net: Namespace, tmp_path: Path) -> None:
    with serving(net) as server:
        url = server.url.replace(KERNEL, "127.0.0.1")
        seen, counters = App(net, tmp_path, "fetch_urllib.py", url).join()
    assert seen == [200, DIGEST]
    assert counters["tcp_active_opens"] == 0


def wait_inside(net: Namespace, port: int) -> None:
    """Wait until a program of ours listens on the namespace's loopback."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        with contextlib.suppress(ConnectionRefusedError), net.entered(), \
                socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise AssertionError(f"nothing listens on port {port}")
