"""UDP over net_tap with Linux as the peer, in both directions.

Uses the fixtures of conftest.py and workers.py.
"""
from __future__ import annotations

import socket

import pytest
import workers
from peer import Remote, Side

pytestmark = pytest.mark.needs("tap")
Sides = tuple[Side, Side]


def bound(side: Side) -> Remote:
    sock = side.socket(socket.SOCK_DGRAM)
    sock.bind((side.address, 0))
    return sock


@pytest.mark.parametrize("size", [0, 1, 1000, 1472, 1473, 8000, 60000, 65507])
def test_echo(sides: Sides, size: int) -> None:
    """Up to the MTU, and in fragments beyond, both ways."""
    server, client = sides
    echo, asking = bound(server), client.socket(socket.SOCK_DGRAM)
    served = server.begin(workers.serve_datagrams, echo, 1)
    asking.settimeout(5)
    data = workers.pattern(size)[:size]
    asking.sendto(data, tuple(echo.getsockname()))
    assert asking.recvfrom(70000) == (data, tuple(echo.getsockname()))
    assert served.result(5) == 1
    echo.close()
    asking.close()


def test_thousand_echoes(sides: Sides) -> None:
    server, client = sides
    echo = bound(server)
    served = server.begin(workers.serve_datagrams, echo, 1000)
    assert client.run(workers.ask_datagrams, tuple(echo.getsockname()), 1000) == 1000
    assert served.result(20) == 1000
    echo.close()


def test_closed_port_refuses_a_connected_socket(sides: Sides) -> None:
    server, client = sides
    echo = bound(server)
    address = tuple(echo.getsockname())
    echo.close()
    asking = client.socket(socket.SOCK_DGRAM)
    asking.settimeout(5)
    asking.connect(address)
    asking.send(b"anybody?")
    with pytest.raises(ConnectionRefusedError):
        asking.recv(100)
    asking.close()


def test_connected_socket_hears_its_peer_only(sides: Sides) -> None:
    server, client = sides
    friend, stranger, ours = bound(server), bound(server), bound(client)
    ours.connect(tuple(friend.getsockname()))
    stranger.sendto(b"stranger", tuple(ours.getsockname()))
    friend.sendto(b"friend", tuple(ours.getsockname()))
    ours.settimeout(5)
    assert ours.recv(100) == b"friend"
    ours.settimeout(0.05)
    with pytest.raises(TimeoutError):
        ours.recv(100)


def test_longer_datagram_is_cut(sides: Sides) -> None:
    server, client = sides
    receiver, sender = bound(server), bound(client)
    receiver.settimeout(5)
    sender.sendto(b"0123456789", tuple(receiver.getsockname()))
    assert receiver.recv(4) == b"0123"
    sender.sendto(b"next", tuple(receiver.getsockname()))
    assert receiver.recv(10) == b"next"
