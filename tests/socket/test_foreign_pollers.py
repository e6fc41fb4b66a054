"""The number of a socket in the kernel's own epoll and poll, as C code and other loops have it: what they see is what a
kernel socket shows, but for urgent data and datagram sockets' errors (docs/compat.md).
"""
from __future__ import annotations

import errno
import os
import select as kernel
import socket as std
import time

import gevent
import pytest

IN, OUT, ERR, HUP, RDHUP, ET = (
    kernel.EPOLLIN, kernel.EPOLLOUT, kernel.EPOLLERR, kernel.EPOLLHUP, kernel.EPOLLRDHUP, kernel.EPOLLET,
)  # fmt: skip
ALL = IN | OUT | RDHUP
RESET = b"\1\0\0\0\0\0\0\0"  # SO_LINGER of 0 seconds


class Foreign:
    """A poller that knows numbers only."""

    def __init__(self, kind):
        self.kind, self.made = kind, kernel.epoll() if kind == "epoll" else kernel.poll()

    def watch(self, sock, mask=ALL):
        self.made.register(sock.fileno(), mask)
        return self

    def sees(self, expected):
        """Tell if the one socket comes to be ready so; else what it was at last."""
        end = time.monotonic() + 2
        while (found := dict(self.made.poll(0))) != expected and time.monotonic() < end:
            gevent.sleep(0.001)
        return found == expected or {fd: bin(events) for fd, events in found.items()}


@pytest.fixture(params=["epoll", "poll"])
def foreign(request):
    made = Foreign(request.param)
    yield made
    if request.param == "epoll":
        made.made.close()


def fill(sock):
    sock.setblocking(False)
    try:
        while True:
            sock.send(bytes(1 << 20))
    except BlockingIOError:
        gevent.sleep(0.01)


def test_bytes_are_in_and_room_is_out(pair, foreign):
    client, server = pair
    fd = client.fileno()
    assert foreign.watch(client).sees({fd: OUT}) is True
    server.sendall(b"xy")
    assert foreign.sees({fd: IN | OUT}) is True
    client.recv(1)
    assert foreign.sees({fd: IN | OUT}) is True
    client.recv(1)
    assert foreign.sees({fd: OUT}) is True


def test_a_full_socket_is_not_out_until_the_peer_reads(pair, foreign):
    client, server = pair
    foreign.watch(client)
    for _ in range(2):
        fill(client)
        while foreign.sees({}) is not True:
            fill(client)
        server.setblocking(False)
        end = time.monotonic() + 5
        while foreign.made.poll(0) != [(client.fileno(), OUT)] and time.monotonic() < end:
            try:
                server.recv(1 << 20)
            except BlockingIOError:
                gevent.sleep(0.001)
        assert foreign.sees({client.fileno(): OUT}) is True


def test_the_peers_end_is_rdhup_and_both_ends_are_hup(pair, foreign):
    client, server = pair
    fd = client.fileno()
    foreign.watch(client)
    server.shutdown(std.SHUT_WR)
    assert foreign.sees({fd: IN | OUT | RDHUP}) is True
    assert client.recv(1) == b""
    assert foreign.sees({fd: IN | OUT | RDHUP}) is True
    client.shutdown(std.SHUT_WR)
    assert foreign.sees({fd: IN | OUT | RDHUP | HUP}) is True


def test_bytes_before_the_peers_end_are_still_in(pair, foreign):
    client, server = pair
    foreign.watch(client)
    server.sendall(b"last")
    server.shutdown(std.SHUT_WR)
    assert foreign.sees({client.fileno(): IN | OUT | RDHUP}) is True
    assert client.recv(10) == b"last" and client.recv(10) == b""


def test_a_reset_is_err_until_it_is_read_and_hup_for_good(pair, foreign):
    client, server = pair
    fd = client.fileno()
    foreign.watch(client)
    server.setsockopt(std.SOL_SOCKET, std.SO_LINGER, RESET)
    server.close()
    assert foreign.sees({fd: IN | OUT | RDHUP | HUP | ERR}) is True
    assert client.getsockopt(std.SOL_SOCKET, std.SO_ERROR) == errno.ECONNRESET
    assert foreign.sees({fd: IN | OUT | RDHUP | HUP}) is True


def test_a_refused_connect_is_err_and_a_connect_that_succeeds_is_out(net, listener, foreign):
    with net.socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        refusing = closed.getsockname()
        with net.socket.socket() as sock:
            sock.setblocking(False)
            sock.connect_ex(refusing)
            foreign.watch(sock, OUT)
            assert foreign.sees({sock.fileno(): OUT | ERR | HUP}) is True
            assert sock.getsockopt(std.SOL_SOCKET, std.SO_ERROR) == errno.ECONNREFUSED
            foreign.made.unregister(sock.fileno())
    with net.socket.socket() as sock:
        sock.setblocking(False)
        sock.connect_ex(listener.getsockname())
        foreign.watch(sock)
        assert foreign.sees({sock.fileno(): OUT}) is True
        assert sock.getsockopt(std.SOL_SOCKET, std.SO_ERROR) == 0


def test_a_listener_is_in_while_connections_wait(net, listener, foreign):
    fd = listener.fileno()
    assert foreign.watch(listener).sees({}) is True
    with net.socket.create_connection(listener.getsockname()), net.socket.create_connection(listener.getsockname()):
        for _ in range(2):
            assert foreign.sees({fd: IN}) is True
            listener.accept()[0].close()
        assert foreign.sees({}) is True


def test_a_datagram_is_in_and_an_error_wakes(net, udp, foreign):
    a, b = udp
    fd = a.fileno()
    assert foreign.watch(a).sees({fd: OUT}) is True
    b.sendto(b"x", a.getsockname())
    assert foreign.sees({fd: IN | OUT}) is True
    a.recv(10)
    a.connect(b.getsockname())
    b.close()
    a.send(b"y")
    assert foreign.sees({fd: OUT | (ERR if net.kind == "kernel" else IN)}) is True  # a stand-in cannot take ERR back
    with pytest.raises(ConnectionRefusedError):
        a.send(b"z")
    assert foreign.sees({fd: OUT}) is True


def test_edges_are_told_once_each(pair):
    """As loops of epoll's own, with EPOLLET, have it."""
    client, server = pair
    foreign = Foreign("epoll").watch(client, IN | ET)
    server.sendall(b"x")
    assert foreign.sees({client.fileno(): IN}) is True
    gevent.sleep(0.005)
    assert foreign.made.poll(0) == []
    client.recv(1)
    server.sendall(b"y")
    assert foreign.sees({client.fileno(): IN}) is True
    client.recv(1)
    foreign.made.close()


def test_a_dup_is_watched_as_well(pair, foreign):
    client, server = pair
    fd = os.dup(client.fileno())
    foreign.made.register(fd, IN)
    server.sendall(b"x")
    assert foreign.sees({fd: IN}) is True
    client.recv(1)
    assert foreign.sees({}) is True
    os.close(fd)
