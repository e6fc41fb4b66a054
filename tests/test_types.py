"""A program typed against us is checked as against the standard library: no Any where CPython has a type."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROGRAM = '''
import select
import socket
import ssl
from typing import assert_type

import greendpdk
from greendpdk import monkey
from greendpdk import select as our_select
from greendpdk import socket as our_socket
from greendpdk import ssl as our_ssl
from greendpdk.testing import Clock, Wire


def serve(listener: our_socket.socket) -> bytes:
    sock, _ = listener.accept()
    with sock:
        assert_type(sock, socket.socket)
        assert_type(sock.recv(4, our_socket.MSG_PEEK | our_socket.MSG_WAITALL), bytes)
        sock.setsockopt(our_socket.IPPROTO_TCP, our_socket.TCP_NODELAY, 1)
        assert_type(sock.send(b"x"), int)
        assert_type(sock.gettimeout(), float | None)
        return sock.recv(99)


def wrap(sock: socket.socket) -> our_ssl.SSLSocket:
    context = our_ssl.create_default_context()
    assert_type(context, ssl.SSLContext)
    context.verify_mode = our_ssl.CERT_REQUIRED
    assert_type(our_ssl.get_server_certificate(("192.0.2.1", 443), timeout=1.0), str)
    return context.wrap_socket(sock, server_hostname="peer")


def wait(sock: our_socket.socket) -> list[tuple[int, int]]:
    our_select.select([sock], [], [], 0)
    with our_select.epoll() as poller:
        assert_type(poller, select.epoll)
        poller.register(sock, our_select.EPOLLIN)
        return poller.poll(0)


def main() -> None:
    monkey.patch_all()
    greendpdk.start(loopback="stack")
    assert_type(our_socket.SOCK_STREAM | our_socket.SOCK_NONBLOCK, int)
    assert_type(our_socket.getaddrinfo("localhost", 80)[0][2], int)
    assert_type(our_socket.socketpair()[0], socket.socket)
    our_socket.wait_read(3)
    try:
        with our_socket.create_connection(("192.0.2.1", 80), timeout=1, all_errors=True) as sock:
            wrap(sock)
    except (our_socket.timeout, our_socket.gaierror, our_ssl.SSLError, our_select.error) as error:
        assert_type(error.errno, int | None)
    serve(our_socket.create_server(("", 80), reuse_port=True))
    with Wire() as wire:
        assert_type(wire.clock, Clock)
'''


@pytest.mark.slow
def test_typed_program_is_checked_as_against_the_standard_library(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    command = [sys.executable, "-m", "mypy", "--strict", f"--config-file={ROOT / 'setup.cfg'}", program.name]
    told = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path)
    assert told.stdout == "Success: no issues found in 1 source file\n"
