"""More HTTP and WebSocket clients over net_tap, some of asyncio, an installer and an object store's.

Uses App and the servers of running.py and the programs beside it.
"""
from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path

import pytest
from netns import Namespace
from running import BIG, KERNEL, PROGRAMS, App, check_in, daemon, serving

pytestmark = [pytest.mark.needs("tap"), pytest.mark.slow]
DIGEST = hashlib.sha256(BIG).hexdigest()


@pytest.mark.app("http.client", "http.server", "keep-alive, chunked, posts")
def test_http_client(net: Namespace, tmp_path: Path) -> None:
    with serving(net) as server:
        seen, counters = App(net, tmp_path, "fetch_http_client.py", KERNEL, str(server.server_port)).join()
        assert seen == {"big": [DIGEST] * 3, "chunked": DIGEST, "echo": True}
        assert server.connections == 1
    check_in(counters, 4 * len(BIG))


@pytest.mark.app("httpx", "http.server", "a client: keep-alive, streams, posts; its asyncio client, 6 at once")
def test_httpx(net: Namespace, tmp_path: Path) -> None:
    with serving(net) as server:
        seen, counters = App(net, tmp_path, "fetch_httpx.py", server.url).join()
    assert seen == {"big": [DIGEST] * 3, "chunked": DIGEST, "echo": True, "asyncio": [DIGEST] * 6}
    check_in(counters, 10 * len(BIG))


@pytest.mark.app("aiohttp", "http.server", "a session: 6 at once, chunked, posts")
def test_aiohttp_client(net: Namespace, tmp_path: Path) -> None:
    with serving(net) as server:
        seen, counters = App(net, tmp_path, "fetch_aiohttp.py", server.url).join()
    assert seen == {"big": [DIGEST] * 6, "chunked": DIGEST, "echo": True}
    check_in(counters, 7 * len(BIG))


@pytest.mark.app("asyncio", "http.server", "streams, 6 at once; a timeout")
def test_asyncio_streams(net: Namespace, tmp_path: Path) -> None:
    with serving(net) as server:
        seen, counters = App(net, tmp_path, "use_asyncio.py", KERNEL, str(server.server_port)).join()
    assert seen == {"big": [DIGEST] * 6, "silent": "timed out"}
    check_in(counters, 6 * len(BIG))


def echoing(net: Namespace) -> list[str]:
    return [sys.executable, str(PROGRAMS / "echo_websockets.py"), "0.0.0.0", "8001"]


@pytest.mark.app("websocket-client", "websockets", "text, 1 MB, ping")
def test_websocket_client(net: Namespace, tmp_path: Path) -> None:
    with daemon(net, echoing(net), 8001):
        seen, counters = App(net, tmp_path, "use_websocket_client.py", f"ws://{KERNEL}:8001").join()
    assert seen == {"text": "hello", "big": True, "after": "after"}
    check_in(counters, 1_000_000)


@pytest.mark.app("websockets", "websockets", "text, 1 MB; in asyncio, 20 at once")
def test_websockets_client(net: Namespace, tmp_path: Path) -> None:
    with daemon(net, echoing(net), 8001):
        seen, counters = App(net, tmp_path, "use_websockets.py", f"ws://{KERNEL}:8001").join()
    assert seen == {"text": "hello", "big": True, "asyncio": sum(range(20))}
    check_in(counters, 1_000_000)


@pytest.mark.app("xmlrpc.client", "xmlrpc.server", "calls, 30 in one, 256 kB, a fault")
def test_xmlrpc_client(net: Namespace, tmp_path: Path) -> None:
    with daemon(net, [sys.executable, str(PROGRAMS / "serve_xmlrpc.py"), "0.0.0.0", "8002"], 8002):
        seen, counters = App(net, tmp_path, "use_xmlrpc.py", f"http://{KERNEL}:8002").join()
    assert seen == {"pow": 2 ** 30 - 1, "echo": True, "fault": 1}
    check_in(counters, 256_000)


@pytest.mark.app("boto3", "moto", "S3: multipart up and down in threads, a listing, a missing key")
def test_boto3(net: Namespace, tmp_path: Path) -> None:
    with daemon(net, [sys.executable, "-m", "moto.server", "-H", "0.0.0.0", "-p", "5000"], 5000):
        seen, counters = App(net, tmp_path, "use_boto3.py", f"http://{KERNEL}:5000").join()
    assert seen == {"big": True, "keys": ["big", "small"], "missing": "NoSuchKey"}
    check_in(counters, 12_288_000)


@pytest.mark.app("pip", "http.server", "an install from an index")
def test_pip_installs_from_an_index(net: Namespace, tmp_path: Path) -> None:
    index = tmp_path / "index"
    (index / "hello").mkdir(parents=True)
    wheel = index / "hello" / "hello-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as made:
        made.writestr("hello.py", "print('hello')")
        made.writestr("filling", BIG)
        made.writestr("hello-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: hello\nVersion: 1.0\n")
        made.writestr("hello-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        made.writestr("hello-1.0.dist-info/RECORD", "hello.py,,\nfilling,,\n")
    with daemon(net, [sys.executable, "-m", "http.server", "--directory", str(index), "8003"], 8003):
        app = App(net, tmp_path, "-m", "pip", "--isolated", "install", "--disable-pip-version-check", "--no-deps",
                  "--no-cache-dir", "--root-user-action", "ignore", "--index-url", f"http://{KERNEL}:8003/",
                  "--trusted-host", KERNEL, "--target", str(tmp_path / "target"), "hello")
        counters = app.leave()
    assert (tmp_path / "target" / "hello.py").read_text() == "print('hello')"
    check_in(counters, len(BIG))
