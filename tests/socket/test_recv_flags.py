"""The flags of recv and send, as Linux has them: MSG_PEEK, MSG_WAITALL, MSG_DONTWAIT, MSG_NOSIGNAL, MSG_TRUNC."""
from __future__ import annotations

import gevent
import pytest


@pytest.mark.parametrize("size", [1, 3, 99])
def test_peek_leaves_the_data(pair, net, size):
    client, server = pair
    client.sendall(b"abc")
    assert server.recv(size, net.socket.MSG_PEEK) == b"abc"[:size]
    room = bytearray(size)
    assert server.recv_into(room, 0, net.socket.MSG_PEEK) == min(size, 3)
    assert server.recv(9) == b"abc"


def test_peek_leaves_the_datagram(udp, net):
    a, b = udp
    b.sendto(b"one", a.getsockname())
    b.sendto(b"two", a.getsockname())
    assert a.recvfrom(9, net.socket.MSG_PEEK) == (b"one", b.getsockname())
    assert [a.recv(9), a.recv(9)] == [b"one", b"two"]


def test_peek_waits_for_the_first_byte(pair, net):
    client, server = pair
    waiting = gevent.spawn(server.recv, 9, net.socket.MSG_PEEK)
    gevent.sleep(0)
    client.sendall(b"x")
    assert waiting.get() == b"x" and server.recv(9) == b"x"


def test_sending_to_a_broken_connection_is_an_error_and_no_signal(pair, net):
    client, server = pair
    server.setsockopt(net.socket.SOL_SOCKET, net.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    server.close()
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    for flags in (0, net.socket.MSG_NOSIGNAL):
        with pytest.raises(BrokenPipeError):  # the process lives: SIGPIPE would have ended it
            client.send(b"x", flags)


@pytest.mark.parametrize("name", ["recv", "recvfrom"])
def test_dontwait_of_an_empty_datagram_socket(udp, net, name):
    a, _ = udp
    a.setblocking(False)
    with pytest.raises(BlockingIOError):
        getattr(a, name)(9, net.socket.MSG_DONTWAIT)


def test_trunc_tells_a_datagrams_length_to_recv_into(net):
    with net.socket.socket(type=net.socket.SOCK_DGRAM) as a, net.socket.socket(type=net.socket.SOCK_DGRAM) as b:
        a.bind(("127.0.0.1", 0))
        room = bytearray(4)
        for call in (a.recv_into, lambda *args: a.recvfrom_into(*args)[0]):
            b.sendto(b"0123456789", a.getsockname())
            assert call(room, 0, net.socket.MSG_TRUNC) == 10 and room == b"0123"
        b.sendto(b"0123456789", a.getsockname())
        assert a.recv_into(room) == 4


def test_trunc_throws_a_streams_bytes_away(net):
    with net.socket.create_server(("127.0.0.1", 0)) as server, net.socket.socket() as client:
        client.connect(server.getsockname())
        with server.accept()[0] as accepted:
            client.sendall(b"away, kept")
            room = bytearray(6)
            assert accepted.recv_into(room, 6, net.socket.MSG_TRUNC) == 6 and room == bytes(6)
            assert accepted.recv(9) == b"kept"
