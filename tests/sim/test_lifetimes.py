"""What connections cost and leave behind: idle ones, closed ones, aborted ones, and stacks that are out of memory."""

from __future__ import annotations

import errno
import socket
import time

import pytest
from streams import Stream, assert_nothing_left, run

from greendpdk._native import lib
from greendpdk.testing import Fault, Wire, tcp_info
from greendpdk.testing.clock import MS, S
from greendpdk.testing.endpoint import address_to_c


def test_hour_of_idle_keepalive_is_a_moment() -> None:
    with Wire() as wire:
        client, server = wire.connection()
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        began = time.perf_counter()
        wire.advance(3600 * S)
        assert time.perf_counter() - began < 1
        assert (client.state, server.state) == ("ESTABLISHED", "ESTABLISHED")
        probes = wire.a.counters().get("tcp_keepalive_probes", 0) + wire.b.counters().get("tcp_keepalive_probes", 0)
        assert 58 <= probes <= 122
        assert (wire.a.buffer_bytes, wire.b.buffer_bytes) == (0, 0)


def test_idle_connection_says_nothing() -> None:
    with Wire() as wire:
        wire.connection()
        before = [host.counters() for host in (wire.a, wire.b)]
        wire.advance(24 * 3600 * S)
        for host, counters in zip((wire.a, wire.b), before, strict=True):
            assert host.counters()["tcp_out"] == counters["tcp_out"]


def test_acknowledgement_that_finds_no_route_ends_nothing() -> None:
    """Invariant: what gives a connection up is that its own bytes stay unacknowledged; a receiver has none out."""
    with Wire() as wire:
        client, server = wire.connection()
        client.send(b"x")
        wire.run_until(lambda: server.unread == 1)
        ours = address_to_c(wire.b.address)
        assert lib.gd_stack_del_address(wire.b.c, wire.b.ifindex, ours) == 0
        wire.advance(S)
        assert lib.gd_stack_add_address(wire.b.c, wire.b.ifindex, ours, 24) == 0
        wire.advance(3600 * S)
        assert (client.unacked, server.state) == (0, "ESTABLISHED")
        assert "tcp_timeouts" not in wire.b.counters()


def test_user_timeout_begins_with_what_finds_no_route() -> None:
    with Wire() as wire:
        client, _ = wire.connection()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000)
        wire.advance(3600 * S)
        assert lib.gd_stack_del_address(wire.a.c, wire.a.ifindex, address_to_c(wire.a.address)) == 0
        client.send(b"x")
        took = wire.run_until(lambda: client.state == "CLOSED")
        assert 29 * S < took < 32 * S
        with pytest.raises(OSError, match="unreachable"):
            client.recv(1)


def test_second_connection_of_a_socket_knows_nothing_of_the_first() -> None:
    with Wire() as wire:
        client, _ = wire.connection()
        wire.cut()
        client.send(b"x")
        wire.advance(S)
        assert tcp_info(client).total_retrans > 0
        wire.cut(False)
        wire.b.listener(81)
        client.connect(None)
        with pytest.raises(BlockingIOError):
            client.connect((wire.b.address, 81))
        wire.run_until(lambda: client.state == "ESTABLISHED")
        info = tcp_info(client)
        assert (info.total_retrans, info.last_data_sent, info.bytes_sent) == (0, 0, 0)


def test_peer_that_vanishes_is_found_by_keepalive() -> None:
    with Wire() as wire:
        client, _ = wire.connection()
        for name, value in ((socket.TCP_KEEPIDLE, 10), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3)):
            client.setsockopt(socket.IPPROTO_TCP, name, value)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        wire.cut()
        took = wire.run_until(lambda: client.state == "CLOSED", 60 * S)
        assert 24 * S < took < 26 * S
        with pytest.raises(TimeoutError):
            client.recv(1)


@pytest.mark.parametrize("abort", [False, True], ids=["closed", "aborted"])
def test_hundred_connections_leave_nothing(abort: bool) -> None:
    with Wire(Fault(delay_ns=MS), Fault(delay_ns=MS)) as wire:
        listener = wire.b.listener(80)
        for number in range(100):
            client = wire.a.connect((wire.b.address, 80))
            wire.run_until(lambda: listener.ready)
            server = listener.accept()
            streams = [Stream(client, server, 3000, number), Stream(server, client, 3000, number)]
            run(wire, streams)
            if abort:
                server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            server.close()
            client.close()
        assert_nothing_left(wire)


def test_connection_aborted_in_the_middle_gives_its_memory_back() -> None:
    with Wire(Fault(loss=0.2), Fault(loss=0.2), seed=5) as wire:
        for number in range(20):
            client, server = wire.connection(80 + number)  # the one before may live on for its last frames
            client.send(b"x" * 100_000)
            wire.advance(number * MS)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()
            server.close()
        assert_nothing_left(wire)


def test_sender_out_of_memory_is_told_and_recovers() -> None:
    """ENOBUFS or EAGAIN under the cap, and once the peer reads, everything arrives."""
    with Wire(a={"buffer_cap": 65536}) as wire:
        pairs = [wire.connection(80 + number) for number in range(4)]
        refused = 0
        for client, _ in pairs:
            try:
                while True:
                    client.send(b"y" * 65536)
            except OSError as error:
                assert error.errno in (errno.ENOBUFS, errno.EAGAIN)
                refused += 1
        assert refused == 4
        assert wire.a.buffer_bytes <= 65536
        for client, server in pairs:
            server.close()
            client.close()
        assert_nothing_left(wire)
        client, server = wire.connection(90)
        run(wire, [Stream(client, server, 500_000, 1)])
        assert_nothing_left(wire)


def test_receiver_out_of_memory_drops_and_recovers() -> None:
    """Frames that find no buffer are dropped and counted; they are sent again and arrive once there is room."""
    with Wire(Fault(delay_ns=MS), Fault(delay_ns=MS), b={"buffer_cap": 131072}) as wire:
        pairs = [wire.connection(80 + number) for number in range(4)]
        streams = [Stream(client, server, 400_000, number) for number, (client, server) in enumerate(pairs)]
        for stream in streams:
            stream.push()
        wire.advance(5 * S)
        assert wire.b.buffer_bytes <= 131072
        assert wire.b.counters()["tcp_drop_memory"] > 0
        run(wire, streams)
        assert_nothing_left(wire)


def test_reader_that_stops_stops_the_sender() -> None:
    """Memory on both sides stays under the buffers' sizes, however long it lasts; then all arrives."""
    with Wire(Fault(delay_ns=MS), Fault(delay_ns=MS)) as wire:
        client, server = wire.connection()
        stream = Stream(client, server, 8 << 20, 3)
        for _ in range(100):
            stream.push()
            wire.advance(S)
        assert stream.sent <= 3 << 20
        assert wire.b.buffer_bytes <= (1 << 20) + 8192
        run(wire, [stream])
        assert_nothing_left(wire)


def test_flood_of_challenges_is_limited() -> None:
    """RFC 5961 7: one challenge ACK in half a second, however often somebody asks."""
    from greendpdk.testing.script import play_text

    floods = "".join("+0 < S 100:100(0) win 65535\n" for _ in range(150))
    play_text(
        "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 bind(3, ..., ...) = 0\n+0 listen(3, 8) = 0\n"
        "+0 < S 0:0(0) win 65535 <mss 1000>\n+0 > S. 0:0(0) ack 1 <mss 1460>\n+.1 < . 1:1(0) ack 1 win 65535\n"
        f"+0 accept(3, ..., ...) = 4\n{floods}+0 > . 1:1(0) ack 1\n+2 < S 100:100(0) win 65535\n+0 > . 1:1(0) ack 1\n"
    )
