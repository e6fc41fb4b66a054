"""What opens its sockets in C goes past the stack, and what a user then sees; the servers are real ones.

Uses App of running.py and the programs beside it.
"""
from __future__ import annotations

import sys
from pathlib import Path

import pytest
from netns import Namespace
from running import BIG, KERNEL, PATIENCE, PROGRAMS, STACK, App, check_out, curl, daemon, serving

pytestmark = [pytest.mark.needs("tap"), pytest.mark.slow]


def answer_past_the_stack(net: Namespace, folder: Path, name: str, port: int) -> object:
    seen, counters = App(net, folder, "use_c_extensions.py", name, KERNEL, str(port)).join()
    assert counters["tcp_active_opens"] == 0
    return seen


@pytest.mark.app("psycopg2-binary", "postgres", "a query", "past the stack: the kernel's sockets; use pg8000")
def test_psycopg2_goes_past_the_stack(net: Namespace, tmp_path: Path, postgresql: int) -> None:
    assert answer_past_the_stack(net, tmp_path, "psycopg2", postgresql) == 42


@pytest.mark.app("pycurl", "http.server", "a fetch", "past the stack: the kernel's sockets; use urllib3 or httpx")
def test_pycurl_goes_past_the_stack(net: Namespace, tmp_path: Path) -> None:
    with serving(net) as server:
        assert answer_past_the_stack(net, tmp_path, "pycurl", server.server_port) == len(BIG)


@pytest.mark.app("grpcio", "grpcio", "a call", "past the stack: the kernel's sockets")
def test_grpc_client_goes_past_the_stack(net: Namespace, tmp_path: Path) -> None:
    with daemon(net, [sys.executable, str(PROGRAMS / "serve_grpc.py"), "0.0.0.0", "5001"], 5001):
        assert answer_past_the_stack(net, tmp_path, "grpc", 5001) == "HELLO"


@pytest.mark.app("grpcio", "kernel sockets", "a server on the stack's address", "no: \"Failed to bind to address\"")
def test_grpc_server_cannot_bind_the_stack(net: Namespace, tmp_path: Path) -> None:
    app = App(net, tmp_path, "serve_grpc.py", STACK, "5002")
    assert app.process.wait(PATIENCE) == 1
    assert f"Failed to bind to address {STACK}:5002" in app.output()


@pytest.mark.app("uvloop", "curl", "uvicorn where uvloop is installed",
                 "its import is refused, with the reason; uvicorn goes on with asyncio's loop")
def test_uvicorn_goes_on_without_uvloop(net: Namespace, tmp_path: Path) -> None:
    app = App(net, tmp_path, "-m", "uvicorn", "--host", STACK, "--port", "8080", "asgi:app")
    app.wait_for(8080)
    assert curl(net, f"http://{STACK}:8080/big") == BIG
    check_out(app.finish(), len(BIG))
    app = App(net, tmp_path, "-m", "uvicorn", "--loop", "uvloop", "--host", STACK, "--port", "8080", "asgi:app")
    assert app.process.wait(PATIENCE) != 0
    assert "uvloop reads sockets by itself" in app.output()
