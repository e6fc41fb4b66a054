"""Peers that are not there, go away, or knock without TCP: what the stack's side sees over net_tap.

Uses the fixtures of conftest.py and workers.py.
"""
from __future__ import annotations

import errno
import itertools
import os
import signal
import socket
import time

import pytest
import workers
from netns import Namespace
from peer import Side

pytestmark = pytest.mark.needs("tap")
NOBODY = itertools.count(77)  # the stack remembers for a second who has not answered


def nobody() -> tuple[str, int]:
    """Give an address that no host has."""
    return f"198.18.0.{next(NOBODY)}", 80


@pytest.mark.slow
def test_host_that_does_not_answer_arp_is_unreachable(stack: Side) -> None:
    sock = stack.socket()
    with pytest.raises(OSError) as caught:
        sock.connect(nobody())
    assert caught.value.errno == errno.EHOSTUNREACH
    sock.close()


def test_connect_times_out(stack: Side) -> None:
    begun = time.monotonic()
    with pytest.raises(TimeoutError):
        stack.connect(nobody(), timeout=0.2)
    assert time.monotonic() - begun < 2


def test_pending_connect_reports_einprogress(stack: Side) -> None:
    sock = stack.socket()
    sock.setblocking(False)
    address = nobody()
    assert sock.connect_ex(address) == errno.EINPROGRESS
    assert sock.connect_ex(address) == errno.EALREADY
    sock.close()


def test_kill_of_the_peer_ends_the_stream(net: Namespace, stack: Side, kernel: Side) -> None:
    listener = stack.listen()
    with_kill = Side(net, "kernel", kernel.address)
    connected = with_kill.connect(tuple(listener.getsockname()))
    accepted, _ = listener.accept()
    connected.sendall(b"before")
    assert accepted.recv(100) == b"before"
    blocked = accepted.begin("recv", 100)
    os.kill(with_kill.pid, signal.SIGKILL)
    assert blocked.result(10) == b""
    with_kill.close()
    listener.close()


def test_kill_of_a_peer_that_had_not_read_resets(net: Namespace, stack: Side, kernel: Side) -> None:
    listener = stack.listen()
    with_kill = Side(net, "kernel", kernel.address)
    connected = with_kill.connect(tuple(listener.getsockname()))
    accepted, _ = listener.accept()
    accepted.sendall(b"unread")
    connected.recv(1, socket.MSG_PEEK)
    blocked = accepted.begin("recv", 100)
    os.kill(with_kill.pid, signal.SIGKILL)
    with pytest.raises(ConnectionResetError):
        blocked.result(10)
    with_kill.close()
    listener.close()


@pytest.mark.needs("ping")
@pytest.mark.parametrize("size", [0, 56, 1472, 8000, 60000])
def test_stack_answers_ping(net: Namespace, kernel: Side, size: int) -> None:
    done = net.run(["ping", "-c", "3", "-i", "0.05", "-W", "2", "-s", str(size), "198.18.0.2"])
    assert " 0% packet loss" in done.stdout


@pytest.mark.slow
def test_vanished_peer_times_out(net: Namespace, stack: Side, kernel: Side,
                                 request: pytest.FixtureRequest) -> None:
    listener = kernel.listen()
    connected = stack.connect(tuple(listener.getsockname()))
    listener.accept()
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 700)
    device = net.ip("-brief", "address", "show", "to", kernel.address).split()[0].partition("@")[0]
    net.ip("link", "set", device, "arp", "off")
    net.ip("address", "del", f"{kernel.address}/24", "dev", device)
    request.addfinalizer(lambda: net.ip("address", "add", f"{kernel.address}/24", "dev", device))
    request.addfinalizer(lambda: net.ip("link", "set", device, "arp", "on"))
    connected.send(b"anybody?")
    with pytest.raises(OSError) as caught:
        connected.recv(1)
    assert caught.value.errno in (errno.ETIMEDOUT, errno.EHOSTUNREACH)


def test_flood_of_connections_that_close_at_once(sides: tuple[Side, Side]) -> None:
    server, client = sides
    listener = server.listen()
    accepted = server.begin(workers.accept_and_close, listener, 200)
    assert client.run(workers.connect_and_close, tuple(listener.getsockname()), 200) == 200
    assert accepted.result(30) == 200
    listener.close()
