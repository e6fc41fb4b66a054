"""TCP over net_tap with Linux as the peer: opening, moving bytes, closing, in both directions.

Each test runs twice, with either side listening. Uses the fixtures of conftest.py and workers.py.
"""
from __future__ import annotations

import socket

import pytest
import workers
from peer import Remote, Side

pytestmark = pytest.mark.needs("tap")
Sides = tuple[Side, Side]
HUNDRED_MEGABYTES = 100_000_000


def joined(sides: Sides) -> tuple[Remote, Remote]:
    """Return (accepted, connected), the two ends of one connection."""
    server, client = sides
    with_listener = server.listen()
    connected = client.connect(tuple(with_listener.getsockname()))
    accepted, _ = with_listener.accept()
    with_listener.close()
    return accepted, connected


def test_both_ends_agree_on_names(sides: Sides) -> None:
    accepted, connected = joined(sides)
    assert accepted.getsockname() == connected.getpeername()
    assert accepted.getpeername() == connected.getsockname()
    assert accepted.getsockname()[0] == sides[0].address
    assert connected.getsockname()[0] == sides[1].address


def test_bytes_go_both_ways(sides: Sides) -> None:
    accepted, connected = joined(sides)
    connected.sendall(b"there")
    assert accepted.recv(100) == b"there"
    accepted.sendall(b"and back")
    assert connected.recv(100) == b"and back"


@pytest.mark.slow
@pytest.mark.parametrize("direction", ["to_listener", "from_listener"])
def test_hundred_megabytes_arrive_byte_exact(sides: Sides, direction: str) -> None:
    ends = list(zip(sides, joined(sides), strict=True))
    (receiver, sink), (sender, source) = ends if direction == "to_listener" else reversed(ends)
    received = receiver.begin(workers.receive_stream, sink)
    digest = sender.run(workers.send_stream, source, HUNDRED_MEGABYTES, 1)
    assert received.result(60) == (HUNDRED_MEGABYTES, digest)


@pytest.mark.slow
def test_both_directions_at_once_are_byte_exact(sides: Sides) -> None:
    ends = list(zip(sides, joined(sides), strict=True))
    size = 20_000_000
    received = [side.begin(workers.receive_stream, sock) for side, sock in ends]
    sent = [side.begin(workers.send_stream, sock, size, seed) for seed, (side, sock) in enumerate(ends)]
    digests = [future.result(60) for future in sent]
    assert [future.result(60) for future in received] == [(size, digests[1]), (size, digests[0])]


@pytest.mark.slow
def test_five_hundred_connections_at_once(sides: Sides) -> None:
    server, client = sides
    listener = server.listen(backlog=600)
    served = server.begin(workers.serve_echo, listener, 500)
    assert client.run(workers.many_echoes, tuple(listener.getsockname()), 500) == 500
    assert served.result(60) == 500
    listener.close()


def test_half_closed_connection_still_carries_the_other_direction(sides: Sides) -> None:
    accepted, connected = joined(sides)
    connected.sendall(b"question")
    connected.shutdown(socket.SHUT_WR)
    assert accepted.recv(100) == b"question"
    assert accepted.recv(100) == b""
    answer = accepted.side.begin(workers.send_stream, accepted, 3_000_000, 2)
    assert connected.side.run(workers.receive_stream, connected) == (3_000_000, answer.result(60))
    connected.close()
    accepted.close()


def test_close_is_end_of_stream_at_the_peer(sides: Sides) -> None:
    accepted, connected = joined(sides)
    accepted.sendall(b"last words")
    accepted.close()
    assert connected.recv(100) == b"last words"
    assert connected.recv(100) == b""


@pytest.mark.parametrize("end", [0, 1], ids=["listener_resets", "connector_resets"])
def test_reset_raises_at_the_peer(sides: Sides, end: int) -> None:
    ends = joined(sides)
    resetting, other = ends[end], ends[1 - end]
    blocked = other.begin("recv", 100)
    resetting.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    resetting.close()
    with pytest.raises(ConnectionResetError):
        blocked.result(10)
    with pytest.raises(BrokenPipeError):
        other.sendall(b"too late")


def test_close_with_unread_bytes_resets(sides: Sides) -> None:
    accepted, connected = joined(sides)
    connected.sendall(b"never read")
    accepted.recv(1, socket.MSG_PEEK)
    blocked = connected.begin("recv", 100)
    accepted.close()
    with pytest.raises(ConnectionResetError):
        blocked.result(10)


def test_connection_to_closed_port_is_refused(sides: Sides) -> None:
    server, client = sides
    listener = server.listen()
    address = tuple(listener.getsockname())
    listener.close()
    with pytest.raises(ConnectionRefusedError):
        client.connect(address)


def test_peer_that_stops_reading_stops_the_sender_and_loses_nothing(sides: Sides) -> None:
    for sink, source in (joined(sides), reversed(joined(sides))):
        sent = source.side.run(workers.fill, source)
        assert sent > 100_000
        received = sink.side.begin(workers.receive_stream, sink)
        source.shutdown(socket.SHUT_WR)
        assert received.result(30)[0] == sent


def test_recv_times_out(sides: Sides) -> None:
    for sock in joined(sides):
        sock.settimeout(0.05)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        sock.settimeout(0)
        with pytest.raises(BlockingIOError):
            sock.recv(1)


def test_accept_times_out(sides: Sides) -> None:
    listener = sides[0].listen()
    listener.settimeout(0.05)
    with pytest.raises(TimeoutError):
        listener.accept()
    listener.close()


def test_out_of_nothing_one_byte_at_a_time(sides: Sides) -> None:
    accepted, connected = joined(sides)
    for number in range(256):
        connected.send(bytes([number]))
    assert accepted.side.run(workers.receive_exactly, accepted, 256) == bytes(range(256))
