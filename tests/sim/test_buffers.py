"""Buffers that tune themselves: as large as the path and the reader need, never larger than their limit."""

from __future__ import annotations

import socket

import pytest
from streams import Stream, assert_nothing_left, run

from greendpdk._native import lib
from greendpdk.testing import Endpoint, Fault, Wire
from greendpdk.testing.clock import MS, S

AUTO = 2 * (6 << 20)  # as getsockopt shows it
GIGABIT = 1_000_000_000


def sizes(client: Endpoint, server: Endpoint) -> tuple[int, int]:
    """Return the sender's SO_SNDBUF and the receiver's SO_RCVBUF."""
    sent, received = (
        end.getsockopt(socket.SOL_SOCKET, name)
        for end, name in ((client, socket.SO_SNDBUF), (server, socket.SO_RCVBUF))
    )
    assert isinstance(sent, int) and isinstance(received, int)
    return sent, received


@pytest.mark.parametrize("timestamps_seed", [1, 2])
@pytest.mark.parametrize("rtt", [2, 20, 40])
def test_buffers_grow_until_the_path_is_full(rtt: int, timestamps_seed: int) -> None:
    """At 400 Mbit/s the path holds 100 kB, 1 MB, 2 MB: far more than 64 KiB; the last second runs at its rate."""
    there = Fault(delay_ns=rtt * MS // 2, rate_bps=400_000_000, queue_frames=1000)
    with Wire(there, Fault(delay_ns=rtt * MS // 2), seed=timestamps_seed) as wire:
        client, server = wire.connection()
        assert sizes(client, server) == (131072, 131072)
        wire.bulk([(client, server)], 2 * S)
        (last,) = wire.bulk([(client, server)], S // 4)
        assert last.received * 8 * 4 > 0.9 * 400_000_000
        assert all(2 * 50_000_000 * rtt // 1000 < size <= AUTO for size in sizes(client, server))


def test_slow_reader_keeps_a_small_buffer() -> None:
    there = Fault(delay_ns=5 * MS, rate_bps=GIGABIT, queue_frames=1000)
    with Wire(there, Fault(delay_ns=5 * MS)) as wire:
        client, server = wire.connection()
        stream = Stream(client, server, 1 << 30)
        for _ in range(200):
            stream.push()
            wire.advance(10 * MS)
            server.recv(4096)
        assert sizes(client, server)[1] == 131072
        assert wire.b.buffer_bytes <= 65536 + 8192


def test_buffers_that_were_set_stay() -> None:
    there = Fault(delay_ns=5 * MS, rate_bps=GIGABIT, queue_frames=1000)
    with Wire(there, Fault(delay_ns=5 * MS)) as wire:
        client, server = wire.connection()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 100_000)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 100_000)
        run(wire, [Stream(client, server, 20 << 20)])
        assert sizes(client, server) == (200_000, 200_000)
        assert_nothing_left(wire)


def test_thirty_megabytes_in_flight_are_told_by_the_scale() -> None:
    """1 Gbit/s over 100 ms holds 12.5 MB, more than tuning gives: set buffers carry it at the line's rate."""
    there = Fault(delay_ns=50 * MS, rate_bps=GIGABIT, queue_frames=20_000)
    with Wire(there, Fault(delay_ns=50 * MS)) as wire:
        listener = wire.b.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 << 20)
        listener.bind(("0.0.0.0", 80))
        listener.listen()
        client = wire.a.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32 << 20)
        with pytest.raises(BlockingIOError):
            client.connect((wire.b.address, 80))
        wire.run_until(lambda: listener.ready)
        pair = client, listener.accept()
        wire.bulk([pair], 2 * S)
        (last,) = wire.bulk([pair], S)
        assert last.received * 8 > 0.9 * GIGABIT
        assert_nothing_left(wire)


def test_idle_connections_own_no_buffers_however_large_they_have_grown() -> None:
    there = Fault(delay_ns=5 * MS, rate_bps=GIGABIT, queue_frames=1000)
    with Wire(there, Fault(delay_ns=5 * MS)) as wire:
        client, server = wire.connection()
        stream = Stream(client, server, 1 << 40)
        end = wire.clock.now + 200 * MS
        wire.run_until(lambda: (stream.push(), stream.pull(), wire.clock.now >= end)[-1], S)
        stream.total = stream.sent
        wire.run_until(lambda: (stream.pull(), stream.received == stream.total)[-1], S)
        wire.advance(S)
        assert min(sizes(client, server)) > 1 << 20
        assert (wire.a.buffer_bytes, wire.b.buffer_bytes) == (0, 0)


def test_larger_send_buffer_wakes_the_writer() -> None:
    """Linux's sk_setsockopt: "Wake up sending tasks if we upped the value"."""
    with Wire() as wire:
        client, _ = wire.connection()
        wire.cut()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4608)
        with pytest.raises(BlockingIOError):
            while True:
                client.send(b"x" * 1000)
        wire.a.events()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 100_000)
        assert dict(wire.a.events())[client.id] & lib.GD_WRITE
