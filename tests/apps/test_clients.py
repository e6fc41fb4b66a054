"""Clients, unmodified, over net_tap; the servers are Linux's: http.server, openssl.

Uses App and the servers of running.py and the programs beside it.
"""
from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from netns import Namespace
from running import BIG, KERNEL, PATIENCE, App, check_in, serving, wait_inside

pytestmark = [pytest.mark.needs("tap"), pytest.mark.slow]
DIGEST = hashlib.sha256(BIG).hexdigest()
SESSION = {"big 0": DIGEST, "big 1": DIGEST, "big 2": DIGEST, "chunked": DIGEST, "echo": True}


@pytest.mark.app("requests", "http.server", "a session: keep-alive, streams, chunked, posts")
def test_requests_session(net: Namespace, tmp_path: Path) -> None:
    with serving(net) as server:
        seen, counters = App(net, tmp_path, "fetch_requests.py", server.url).join()
        assert seen == SESSION
        assert server.connections == 1  # the pool has used its one connection again and again
    check_in(counters, 4 * len(BIG))


@pytest.mark.needs("openssl")
@pytest.mark.app("requests", "http.server", "the same over TLS")
def test_requests_session_over_https(net: Namespace, tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    with serving(net, certificate) as server:
        seen, counters = App(net, tmp_path, "fetch_requests.py", server.url, str(certificate[0])).join()
        assert seen == SESSION
        assert server.connections == 1
    check_in(counters, 4 * len(BIG))


@pytest.mark.needs("requests", "openssl")
def test_requests_refuses_an_unknown_certificate(
        net: Namespace, tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    with serving(net, certificate) as server:
        app = App(net, tmp_path, "fetch_requests.py", server.url)
        assert app.process.wait(PATIENCE) == 1
        assert "CERTIFICATE_VERIFY_FAILED" in app.output()


@pytest.mark.needs("openssl")
@pytest.mark.app("http.client", "openssl", "TLS 1.3 against OpenSSL's own server")
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
    check_in(counters, 1000)


@pytest.mark.app("urllib.request", "http.server", "a fetch")
def test_urllib(net: Namespace, tmp_path: Path) -> None:
    with serving(net) as server:
        seen, counters = App(net, tmp_path, "fetch_urllib.py", server.url).join()
    assert seen == [200, DIGEST]
    check_in(counters, len(BIG))


@pytest.mark.app("urllib3", "http.server", "a pool of 4 connections, used by 8 threads")
def test_urllib3_pool(net: Namespace, tmp_path: Path) -> None:
    with serving(net) as server:
        seen, counters = App(net, tmp_path, "fetch_urllib3.py", server.url).join()
        assert seen == [DIGEST] * 12
        assert 1 <= server.connections <= 4  # as many as the pool may hold
    check_in(counters, 12 * len(BIG))


def test_loopback_stays_the_kernels(net: Namespace, tmp_path: Path) -> None:
    with serving(net) as server:
        url = server.url.replace(KERNEL, "127.0.0.1")
        seen, counters = App(net, tmp_path, "fetch_urllib.py", url).join()
    assert seen == [200, DIGEST]
    assert counters["tcp_active_opens"] == 0

