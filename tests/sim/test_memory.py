"""One cap for all buffers. Invariants: it is never passed; who holds little goes on whatever the others hold; when
memory comes back those who wait are woken, in order; nothing is left of it in the end, and nothing spins in between.
"""

from __future__ import annotations

import socket
from itertools import count

import pytest
from streams import Stream, assert_nothing_left, run

from greendpdk._native import lib
from greendpdk.testing import Endpoint, Fault, Wire
from greendpdk.testing.clock import MS, S

CHUNK = 4096
LAN = Fault(delay_ns=MS, rate_bps=1_000_000_000, queue_frames=1000)
PORTS = count(1000)


def hogs(wire: Wire, number: int, receive: int = 6 << 20) -> list[tuple[Endpoint, Endpoint]]:
    """Return connections whose readers (with a buffer of so many bytes) never read, filled until nothing moves."""
    pairs = [wire.connection(next(PORTS)) for _ in range(number)]
    for client, server in pairs:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 6 << 20)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    for _ in range(100):
        for client, server in pairs:
            Stream(client, server, 1 << 30).push()
        wire.advance(20 * MS)
    return pairs


def drop(pairs: list[tuple[Endpoint, Endpoint]]) -> None:
    for pair in pairs:
        for end in pair:
            end.close()  # bytes are unread: a RST


@pytest.mark.parametrize("short", ["reader", "writer"])
def test_hog_that_never_reads_starves_nobody(short: str) -> None:
    """Thirty others move 100 kB each way beside it, on the host whose memory is short; then all is returned."""
    small = {"buffer_cap": 256 * CHUNK}
    with Wire(LAN, LAN, a=small if short == "writer" else {}, b=small if short == "reader" else {}) as wire:
        host = wire.b if short == "reader" else wire.a
        pairs = hogs(wire, 2, 6 << 20 if short == "reader" else 2304)
        held = host.buffer_bytes
        assert 100 * CHUNK < held < 192 * CHUNK
        others = [wire.connection(next(PORTS)) for _ in range(30)]
        streams = [Stream(*pair, 100_000, seed) for seed, pair in enumerate(others)]
        streams += [Stream(*pair[::-1], 100_000, seed) for seed, pair in enumerate(others)]
        assert run(wire, streams, 60 * S) < 5 * S
        assert held - 8 * CHUNK <= host.buffer_bytes <= 256 * CHUNK
        drop(pairs)
        assert_nothing_left(wire)


def test_writer_is_woken_when_memory_comes_back() -> None:
    """All memory is gone: send says EAGAIN, not ENOBUFS, and GD_WRITE comes with the memory, not with an ACK."""
    with Wire(LAN, LAN, a={"buffer_cap": 64 * CHUNK}) as wire:
        client, server = wire.connection(80)
        pairs = hogs(wire, 40, 2304)
        assert wire.a.buffer_bytes > 62 * CHUNK
        with pytest.raises(BlockingIOError):
            client.send(b"x" * 1000)
        assert not client.ready & lib.GD_WRITE
        wire.a.events()
        wire.advance(S)
        assert client.id not in dict(wire.a.events())
        drop(pairs)
        wire.advance(20 * MS)
        assert dict(wire.a.events())[client.id] & lib.GD_WRITE
        assert client.ready & lib.GD_WRITE
        run(wire, [Stream(client, server, 100_000)])
        assert_nothing_left(wire)


def test_writers_are_woken_in_the_order_in_which_they_came() -> None:
    with Wire(LAN, LAN, a={"buffer_cap": 64 * CHUNK}) as wire:
        waiting = [wire.connection(next(PORTS))[0] for _ in range(5)]
        pairs = hogs(wire, 40, 2304)
        for client in reversed(waiting):
            with pytest.raises(BlockingIOError):
                client.send(b"x" * 1000)
        wire.a.events()
        drop(pairs)
        wire.advance(20 * MS)
        ours = {client.id for client in waiting}
        assert [id for id, _ in wire.a.events() if id in ours] == [client.id for client in reversed(waiting)]


def test_window_that_memory_closed_opens_when_memory_comes_back() -> None:
    """The receiver says so by itself: the sender's next probe would be seconds away."""
    with Wire(LAN, LAN, b={"buffer_cap": 64 * CHUNK}) as wire:
        listener = wire.b.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65534)  # sixteen chunks less two bytes
        listener.bind((wire.b.address, 80))
        listener.listen()
        client = wire.a.connect((wire.b.address, 80))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 300_000)
        wire.run_until(lambda: listener.ready)
        server = listener.accept()
        stream = Stream(client, server, 200_000)
        stream.push()
        wire.advance(10 * S)
        assert server.unread == 65534
        others = [wire.b.socket(socket.SOCK_DGRAM) for _ in range(20)]
        sender = wire.a.socket(socket.SOCK_DGRAM)
        for number, other in enumerate(others):
            other.bind((wire.b.address, 2000 + number))
            for _ in range(20):
                sender.sendto(bytes(1400), (wire.b.address, 2000 + number))
                wire.turn()
        wire.advance(100 * MS)
        assert wire.b.buffer_bytes > 63 * CHUNK
        assert wire.b.counters()["udp_drop_buffer"] > 0
        server.recv(4000)  # its chunk is not empty yet, and there is no other
        stream.received += 4000
        wire.advance(20 * S)
        assert server.unread <= 61536
        for other in others:
            other.close()
        wire.advance(10 * MS)
        assert server.unread > 61536
        run(wire, [stream])
        assert_nothing_left(wire)


def test_byte_that_is_next_comes_before_those_behind_the_gap() -> None:
    """Memory is full of what came out of order: it gives way, though it was SACKed, and comes once more."""
    bad = Fault(loss=0.1, delay_ns=5 * MS)
    pruned = 0
    for seed in range(5):
        with Wire(bad, Fault(delay_ns=5 * MS), seed=seed, b={"buffer_cap": 48 * CHUNK}) as wire:
            pairs = [wire.connection(next(PORTS)) for _ in range(8)]
            streams = [Stream(*pair, 200_000, number) for number, pair in enumerate(pairs)]
            run(wire, streams)
            pruned += wire.b.counters().get("tcp_out_of_order_pruned", 0)
            assert_nothing_left(wire)
    assert pruned > 0


def test_waiting_for_memory_costs_nothing() -> None:
    """An hour with forty hogs and ten that wait: some probes of closed windows, but no turn without a reason."""
    with Wire(LAN, LAN, a={"buffer_cap": 64 * CHUNK}, b={"buffer_cap": 64 * CHUNK}) as wire:
        waiting = [wire.connection(next(PORTS))[0] for _ in range(10)]
        hogs(wire, 40)
        for client in waiting:
            with pytest.raises(BlockingIOError):
                client.send(b"x" * 1000)
        end, turns = wire.clock.now + 3600 * S, 0
        while wire.clock.jump(wire.turn(), end):
            turns += 1
        assert turns < 50 * 3600 / 100  # a probe in two minutes each, an answer, a timer that has moved
        assert wire.a.buffer_bytes <= 64 * CHUNK


def test_crumbs_in_flight_are_bounded_by_the_send_buffer() -> None:
    """A segment of one byte takes an entry of its own: 256 bytes of SO_SNDBUF, so that crumbs end in EAGAIN too."""
    with Wire(LAN, LAN) as wire:
        client, server = wire.connection(80)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 10_000)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire.cut()
        sent = 0
        with pytest.raises(BlockingIOError):
            while sent < 10_000:
                sent += client.send(b"x")
                wire.turn()
        assert sent == 40
        wire.cut(down=False)
        wire.run_until(lambda: server.unread == 40 and client.unacked == 0)
        assert client.ready & lib.GD_WRITE


def test_low_water_mark_beyond_what_memory_holds_wakes_the_reader() -> None:
    """SO_RCVLOWAT of a megabyte, and a share of less: as much as can come is enough, or both sides would wait."""
    with Wire(LAN, LAN, b={"buffer_cap": 64 * CHUNK}) as wire:
        client, server = wire.connection(80)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 6 << 20)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 6 << 20)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1 << 20)
        stream = Stream(client, server, 2 << 20)
        woken = 0
        end = wire.clock.now + 60 * S
        while not stream.ended and wire.clock.jump(wire.turn(), end):
            stream.push()
            if dict(wire.b.events()).get(server.id, 0) & lib.GD_READ and server.ready & lib.GD_READ:
                woken += 1
                stream.pull()
        assert (stream.received, stream.wrong) == (2 << 20, [])
        assert woken < 200
