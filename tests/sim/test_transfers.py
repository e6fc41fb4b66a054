"""Two stacks on a bad wire: whatever it does to frames, the bytes that arrive are the bytes that were sent."""

from __future__ import annotations

import socket

import pytest
from streams import Stream, assert_nothing_left, run

from greendpdk.testing import Fault, Wire
from greendpdk.testing.clock import MS, S

MEGABYTE = 1 << 20
BAD = Fault(loss=0.02, duplicate=0.01, reorder=0.05, corrupt=0.005, delay_ns=5 * MS, jitter_ns=MS, reorder_ns=2 * MS)


def fault_ids(fault: Fault) -> str:
    return "-".join(f"{name}={value}" for name, value in vars(fault).items() if value) or "perfect"


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(
    "fault",
    [
        Fault(),
        Fault(delay_ns=50 * MS),
        Fault(loss=0.01, delay_ns=5 * MS),
        Fault(loss=0.1, delay_ns=5 * MS),
        Fault(duplicate=0.2, delay_ns=5 * MS),
        Fault(reorder=0.2, reorder_ns=3 * MS, delay_ns=5 * MS),
        Fault(corrupt=0.02, delay_ns=5 * MS),
        Fault(jitter_ns=20 * MS, delay_ns=5 * MS),
        Fault(rate_bps=100_000_000, queue_frames=64, delay_ns=5 * MS),
        BAD,
    ],
    ids=fault_ids,
)
def test_megabyte_each_way_arrives_whole(fault: Fault, seed: int) -> None:
    with Wire(fault, fault, seed=seed) as wire:
        client, server = wire.connection()
        run(wire, [Stream(client, server, MEGABYTE, 1), Stream(server, client, MEGABYTE, 2)])
        assert_nothing_left(wire)


@pytest.mark.parametrize("algorithm", [b"reno", b"bbr"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_bad_wire_breaks_no_congestion_control(algorithm: bytes, seed: int) -> None:
    with Wire(BAD, BAD, seed=seed) as wire:
        client, server = wire.connection()
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, 13, algorithm)  # TCP_CONGESTION
        run(wire, [Stream(client, server, MEGABYTE, 1), Stream(server, client, MEGABYTE, 2)])
        assert_nothing_left(wire)


def test_damaged_frames_are_dropped_and_counted() -> None:
    fault = Fault(corrupt=0.05, delay_ns=MS)
    with Wire(fault, fault, seed=6) as wire:
        client, server = wire.connection()
        run(wire, [Stream(client, server, MEGABYTE, 6)])
        assert wire.b.counters()["tcp_drop_checksum"] > 20
        assert_nothing_left(wire)


@pytest.mark.parametrize("mtu", [576, 1280, 1500, 4000, 9000])
def test_every_mtu_carries_a_megabyte(mtu: int) -> None:
    with Wire(BAD, BAD, seed=mtu, mtu=mtu) as wire:
        client, server = wire.connection()
        run(wire, [Stream(client, server, MEGABYTE, 3)])
        assert_nothing_left(wire)


@pytest.mark.parametrize(("receive", "send"), [(1, 1), (1, 1 << 20), (4096, 2048), (65536, 1), (1 << 20, 1 << 20)])
def test_small_buffers_and_tiny_windows_stall_nothing(receive: int, send: int) -> None:
    fault = Fault(loss=0.02, delay_ns=2 * MS)
    with Wire(fault, fault, seed=receive + send) as wire:
        listener = wire.b.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        listener.bind(("0.0.0.0", 80))
        listener.listen()
        client = wire.a.connect((wire.b.address, 80))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send)
        wire.run_until(lambda: listener.ready)
        run(wire, [Stream(client, listener.accept(), 200_000, 4)])
        assert_nothing_left(wire)


@pytest.mark.parametrize("chunk", [1, 7, 1459, 1460, 1461, 100_000])
def test_calls_of_every_size_give_the_same_stream(chunk: int) -> None:
    fault = Fault(loss=0.05, delay_ns=MS)
    with Wire(fault, fault, seed=chunk) as wire:
        client, server = wire.connection()
        run(wire, [Stream(client, server, min(300 * chunk, 300_000), 5, chunk)])
        assert_nothing_left(wire)


def test_fifty_connections_share_a_bad_wire() -> None:
    with Wire(BAD, BAD, seed=50) as wire:
        listener = wire.b.listener(80)
        clients = [wire.a.connect((wire.b.address, 80)) for _ in range(50)]
        streams: list[Stream] = []
        servers = {}

        def all_accepted() -> bool:
            while listener.ready:
                server = listener.accept()
                servers[server.getpeername()[1]] = server
            return len(servers) == 50

        wire.run_until(all_accepted, 300 * S)
        for number, client in enumerate(clients):
            server = servers[client.getsockname()[1]]
            streams += [Stream(client, server, 30_000, number), Stream(server, client, 30_000, number + 100)]
        run(wire, streams)
        assert_nothing_left(wire)


def test_two_connects_that_cross_become_one_connection() -> None:
    """RFC 9293 3.5, figure 7: simultaneous open; here both SYNs are under way for 10 ms."""
    fault = Fault(delay_ns=10 * MS)
    with Wire(fault, fault, seed=7) as wire:
        ends = []
        for host, other in ((wire.a, wire.b), (wire.b, wire.a)):
            end = host.socket()
            end.bind((host.address, 5000))
            with pytest.raises(BlockingIOError):
                end.connect((other.address, 5000))
            ends.append(end)
        wire.run_until(lambda: [end.state for end in ends] == ["ESTABLISHED"] * 2, S)
        frames = [host.counters()["tcp_out"] for host in (wire.a, wire.b)]
        assert max(frames) <= 4  # no war of ACKs
        run(wire, [Stream(ends[0], ends[1], 10_000, 8), Stream(ends[1], ends[0], 10_000, 9)])
        assert_nothing_left(wire)


def test_partition_is_survived() -> None:
    with Wire(Fault(delay_ns=MS), Fault(delay_ns=MS), seed=9) as wire:
        client, server = wire.connection()
        stream = Stream(client, server, MEGABYTE, 10)
        stream.push()
        wire.advance(2 * MS)
        wire.cut()
        wire.advance(60 * S)
        wire.cut(down=False)
        assert run(wire, [stream]) < 65 * S  # the backed-off timer, then at speed
        assert_nothing_left(wire)


def test_same_seed_gives_the_same_run() -> None:
    """The whole simulation is a function of its seed: the same time to the nanosecond, the same counters."""

    def once() -> tuple[int, dict[str, int], dict[str, int]]:
        with Wire(BAD, BAD, seed=123) as wire:
            client, server = wire.connection()
            took = run(wire, [Stream(client, server, 300_000, 11)])
            return took, wire.a.counters(), wire.b.counters()

    assert once() == once()
