"""TLS over net_tap against Linux's openssl, in both directions: versions, sessions, certificates, renegotiation.

Uses App of running.py, serve_tls.py, ask_tls.py and fetch_https.py; openssl runs on kernel sockets.
"""
from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from netns import Namespace
from running import BIG, KERNEL, PATIENCE, STACK, App, check_in, check_out, daemon, serving

pytestmark = [pytest.mark.needs("tap", "openssl"), pytest.mark.slow]
PORT = 8443
VERSIONS = {"TLSv1_2": "-tls1_2", "TLSv1_3": "-tls1_3"}


@pytest.fixture
def server(net: Namespace, tmp_path: Path, certificate: tuple[Path, Path]) -> App:
    """Serve TLS over the stack."""
    app = App(net, tmp_path, "serve_tls.py", STACK, str(PORT), *map(str, certificate))
    app.wait_for(PORT)
    return app


def s_client(net: Namespace, cafile: Path, *words: str, send: bytes = b"") -> tuple[dict[str, Any], bytes]:
    """Talk to serve_tls.py; return what it says was agreed on, and all that openssl has printed."""
    command = ["openssl", "s_client", "-connect", f"{STACK}:{PORT}", "-CAfile", str(cafile), "-verify_return_error",
               "-ign_eof", *words]
    printed = net.run(command, input=b"%d\n" % len(send) + send, text=False, timeout=PATIENCE).stdout
    start = printed.find(b'{"version"')
    assert start >= 0, printed
    return json.JSONDecoder().raw_decode(printed[start:].decode(errors="replace"))[0], printed


@pytest.mark.parametrize("version", VERSIONS)
def test_openssl_talks_to_a_server_and_resumes(
        net: Namespace, tmp_path: Path, certificate: tuple[Path, Path], server: App, version: str) -> None:
    cert, session, flag = certificate[0], str(tmp_path / "session"), VERSIONS[version]
    agreed = {"version": version.replace("_", "."), "client": False, "alpn": "echo", "name": "a.name"}
    words = flag, "-alpn", "echo", "-servername", "a.name"
    first, printed = s_client(net, cert, *words, "-sess_out", session)
    assert first == agreed | {"reused": False}
    assert b"\nNew, TLSv1" in printed and b"Verification: OK" in printed
    again, printed = s_client(net, cert, *words, "-sess_in", session)
    assert again == agreed | {"reused": True}
    assert b"\nReused, TLSv1" in printed
    check_out(server.finish(), 1000)


@pytest.mark.parametrize("version", VERSIONS)
def test_openssl_shows_a_server_its_certificate(
        net: Namespace, certificate: tuple[Path, Path], server: App, version: str) -> None:
    cert, key = certificate
    facts, _ = s_client(net, cert, VERSIONS[version], "-cert", str(cert), "-key", str(key))
    assert facts["client"] is True


@pytest.mark.parametrize("version", VERSIONS)
def test_megabytes_from_openssl_come_back(
        net: Namespace, certificate: tuple[Path, Path], server: App, version: str) -> None:
    _, printed = s_client(net, certificate[0], VERSIONS[version], "-quiet", send=BIG)
    assert printed.partition(b"\n")[2] == BIG
    assert "Error" not in server.output()  # the server's unwrap() found openssl's close_notify
    check_out(server.finish(), len(BIG))


def test_openssl_may_not_renegotiate(net: Namespace, certificate: tuple[Path, Path], server: App) -> None:
    client = net.popen(["openssl", "s_client", "-connect", f"{STACK}:{PORT}", "-tls1_2"], stdin=subprocess.PIPE,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    for line in client.stdout:
        if b'{"version"' in line:
            break
    client.stdin.write(b"R\n")  # renegotiate, says openssl's manual
    client.stdin.flush()
    assert b"no renegotiation" in client.stdout.read()
    client.stdin.close()
    client.stdout.close()
    assert client.wait(PATIENCE) != 0


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_asks_openssl_and_resumes(
        net: Namespace, tmp_path: Path, certificate: tuple[Path, Path], version: str) -> None:
    cert, key = map(str, certificate)
    with daemon(net, ["openssl", "s_server", "-accept", str(PORT), "-cert", cert, "-key", key, "-www"], PORT):
        seen, counters = App(net, tmp_path, "ask_tls.py", KERNEL, str(PORT), cert, version).join()
    name = version.replace("_", ".")
    assert seen == [{"version": name, "reused": False, "server": ["New"], "client": False},
                    {"version": name, "reused": True, "server": ["Reused"], "client": False}]
    check_in(counters, 1000)


@pytest.mark.parametrize("version", VERSIONS)
def test_openssl_verifies_a_clients_certificate(
        net: Namespace, tmp_path: Path, certificate: tuple[Path, Path], version: str) -> None:
    cert, key = map(str, certificate)
    ask = ["ask_tls.py", KERNEL, str(PORT), cert, version]
    with daemon(net, ["openssl", "s_server", "-accept", str(PORT), "-cert", cert, "-key", key, "-www",
                      "-Verify", "1", "-verify_return_error", "-CAfile", cert], PORT):
        seen, _ = App(net, tmp_path, *ask, cert, key).join()
        assert [page["client"] for page in seen] == [True, True]
        app = App(net, tmp_path, *ask)
        assert app.process.wait(PATIENCE) == 1
        assert "ALERT" in app.output()


@pytest.mark.parametrize("kind", ["urllib3", pytest.param("httpx", marks=pytest.mark.needs("httpx"))])
def test_https_by_a_library(net: Namespace, tmp_path: Path, certificate: tuple[Path, Path], kind: str) -> None:
    with serving(net, certificate) as server:
        seen, counters = App(net, tmp_path, "fetch_https.py", kind, server.url, str(certificate[0])).join()
        assert seen == [[hashlib.sha256(BIG).hexdigest()] * 3, True]
        assert server.connections == 1
    check_in(counters, 3 * len(BIG))
