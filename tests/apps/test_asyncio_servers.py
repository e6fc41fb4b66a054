"""Servers on asyncio's selector loop, unmodified, over net_tap; the clients are Linux's.

Uses App of running.py and the programs beside it.
"""
from __future__ import annotations

import smtplib
import ssl
import sys
from ftplib import FTP
from pathlib import Path

import pytest
from netns import Namespace
from running import BIG, PROGRAMS, STACK, App, check_out, curl, fetch_everything

pytestmark = [pytest.mark.needs("tap", "curl"), pytest.mark.slow]
PORT = "8080"
URL = f"http://{STACK}:{PORT}"


def check_server(net: Namespace, folder: Path, *words: str, path: str = "/") -> None:
    """Fetch all paths of asgi.py, and speak WebSocket."""
    app = App(net, folder, *words)
    app.wait_for(int(PORT))
    fetch_everything(app, folder)
    ask = [sys.executable, str(PROGRAMS / "ask_websocket.py"), f"ws://{STACK}:{PORT}{path}"]
    assert net.run(ask).stdout == "HELLO\n"
    check_out(app.finish(), 3 * len(BIG))


@pytest.mark.app("uvicorn", "curl, websockets", "small and large answers, streams, posts, keep-alive, WebSocket")
def test_uvicorn(net: Namespace, tmp_path: Path) -> None:
    check_server(net, tmp_path, "-m", "uvicorn", "--loop", "asyncio", "--host", STACK, "--port", PORT, "asgi:app")


@pytest.mark.app("hypercorn", "curl, websockets", "the same")
def test_hypercorn(net: Namespace, tmp_path: Path) -> None:
    check_server(net, tmp_path, "-m", "hypercorn", "--workers", "0", "--bind", f"{STACK}:{PORT}", "asgi:app")


@pytest.mark.app("aiohttp", "curl, websockets", "aiohttp.web: the same")
def test_aiohttp_web(net: Namespace, tmp_path: Path) -> None:
    check_server(net, tmp_path, "-m", "aiohttp.web", "-H", STACK, "-P", PORT, "aiohttpweb:make", path="/ws")


@pytest.mark.app("fastapi", "curl", "under uvicorn: JSON both ways, a dependency in a thread, a large answer")
def test_fastapi(net: Namespace, tmp_path: Path) -> None:
    app = App(net, tmp_path, "-m", "uvicorn", "--loop", "asyncio", "--host", STACK, "--port", PORT, "fastapiweb:app")
    app.wait_for(int(PORT))
    assert curl(net, f"{URL}/items/7?name=seven") == b'{"number":7,"name":"seven"}'
    assert curl(net, "--json", '{"number": 1, "name": "one"}', f"{URL}/items") == b'"one in a thread"'
    assert curl(net, f"{URL}/big") == BIG
    check_out(app.finish(), len(BIG))


@pytest.mark.needs("openssl")
@pytest.mark.app("aiosmtpd", "smtplib", "STARTTLS, a large message")
def test_aiosmtpd(net: Namespace, tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    cert, key = map(str, certificate)
    app = App(net, tmp_path, "serve_smtp.py", STACK, PORT, str(tmp_path), cert, key)
    app.wait_for(int(PORT))
    with net.entered(), smtplib.SMTP(STACK, int(PORT), timeout=10) as client:
        client.starttls(context=ssl.create_default_context(cafile=cert))
        client.sendmail("me@test", ["you@test"], b"Subject: large\r\n\r\n" + b"0123456789abcdef\r\n" * 40_000)
    assert (tmp_path / "mail").stat().st_size > 700_000
    counters = app.finish()
    assert counters["net_tap0.rx_bytes"] > 700_000
    check_out(counters, 1000)


@pytest.mark.app("pyftpdlib", "ftplib", "its own loop: up and down, by passive and active connections")
def test_pyftpdlib(net: Namespace, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    app = App(net, tmp_path, "-m", "pyftpdlib", "-i", STACK, "-p", PORT, "-w", "-d", str(tmp_path / "files"))
    app.wait_for(int(PORT))
    (tmp_path / "big").write_bytes(BIG)
    with net.entered(), FTP(timeout=10) as client:
        client.connect(STACK, int(PORT))
        client.login()
        for passive in (True, False):
            client.set_pasv(passive)
            with (tmp_path / "big").open("rb") as body:
                client.storbinary(f"STOR {passive}", body)
            back: list[bytes] = []
            client.retrbinary(f"RETR {passive}", back.append)
            assert b"".join(back) == BIG
    counters = app.finish()
    assert counters["tcp_active_opens"] >= 2  # it has called back
    check_out(counters, 2 * len(BIG))


@pytest.mark.app("websockets", "websockets", "its blocking server: text, 1 MB")
def test_websockets_server(net: Namespace, tmp_path: Path) -> None:
    app = App(net, tmp_path, "echo_websockets.py", STACK, PORT)
    app.wait_for(int(PORT))
    seen = net.run([sys.executable, str(PROGRAMS / "use_websockets.py"), f"ws://{STACK}:{PORT}"],
                   env={"no_proxy": "*", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}).stdout
    assert '"big": true' in seen
    check_out(app.finish(), 1_000_000)
