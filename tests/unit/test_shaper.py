"""A shaper passes frames on unharmed, both ways, and does to them what it was told to, each way by itself."""
from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greendpdk._native import ffi, lib
from greendpdk.testing import Clock, Host
from greendpdk.testing.clock import S

MS = 10**6
NONE: dict[str, Any] = {"seed": 1}


class Shaped:
    """Two hosts on a wire, a shaper at the first one's end of it."""

    def __init__(self) -> None:
        self.clock = Clock()
        ends = ffi.new("struct gd_port *[2]")
        assert lib.gd_pipe_pair(1500, bytes(5) + b"\2", bytes(5) + b"\4", ends, ends + 1) == 0
        self.ends = list(ends)
        self.shaper = lib.gd_shaper_new(ends[0])
        self.a, self.b = Host(self.clock, 1), Host(self.clock, 2)
        self.a.attach(self.shaper, "10.0.0.1")
        self.b.attach(ends[1], "10.0.0.2")
        self.advance(MS)

    def fault(self, out: int, **fault: Any) -> None:
        lib.gd_shaper_fault(self.shaper, out, ffi.new("struct gd_fault *", {"seed": 7, **fault}))

    def advance(self, ns: int) -> None:
        end = self.clock.now + ns
        while True:
            deadline = min(self.a.poll(), self.b.poll(), *(lib.gd_pipe_next(end) for end in self.ends))
            if deadline > self.clock.now and not self.clock.jump(deadline, end):
                return

    def datagrams(self) -> tuple[Any, Any]:
        """Return two sockets that know each other's address and MAC address."""
        pair = [host.socket(socket.SOCK_DGRAM) for host in (self.a, self.b)]
        for end in pair:
            end.bind(("0.0.0.0", 9))
        pair[0].sendto(b"first", ("10.0.0.2", 9))
        self.advance(10 * MS)
        pair[1].recvfrom(100)
        return pair[0], pair[1]

    def close(self) -> None:
        self.a.close()
        self.b.close()


@pytest.fixture
def shaped() -> Iterator[Shaped]:
    made = Shaped()
    yield made
    made.close()


def count(sock: Any) -> int:
    got = 0
    try:
        while sock.recvfrom(2000):
            got += 1
    except BlockingIOError:
        return got


def test_frames_pass_both_ways_without_faults(shaped: Shaped) -> None:
    a, b = shaped.datagrams()
    for _ in range(300):
        a.sendto(b"x", ("10.0.0.2", 9))
        b.sendto(b"y", ("10.0.0.1", 9))
        shaped.advance(MS)
    assert (count(a), count(b)) == (300, 300)


def test_delay_holds_frames_that_way_only(shaped: Shaped) -> None:
    a, b = shaped.datagrams()
    shaped.fault(0, delay_ns=30 * MS)
    a.sendto(b"out", ("10.0.0.2", 9))
    b.sendto(b"in", ("10.0.0.1", 9))
    shaped.advance(MS)
    assert b.recvfrom(10)[0] == b"out" and count(a) == 0
    shaped.advance(28 * MS)
    assert count(a) == 0
    shaped.advance(2 * MS)
    assert a.recvfrom(10)[0] == b"in"


def test_loss_is_by_the_seed_and_duplicates_come_twice(shaped: Shaped) -> None:
    a, b = shaped.datagrams()
    got = []
    for fault in ({"loss": 0.3}, {"loss": 0.3}, {"duplicate": 1.0}):
        shaped.fault(1, **fault)
        for _ in range(200):
            a.sendto(b"x", ("10.0.0.2", 9))
            shaped.advance(MS)
        got.append(count(b))
    assert 120 < got[0] < 160 and got[0] == got[1] and got[2] == 400


def test_damage_is_seen_by_checksums(shaped: Shaped) -> None:
    a, b = shaped.datagrams()
    shaped.fault(1, corrupt=1.0)
    for _ in range(100):
        a.sendto(bytes(100), ("10.0.0.2", 9))
        shaped.advance(MS)
    for _ in range(count(b)):
        pytest.fail("a damaged datagram came through")
    counters = shaped.b.counters()
    assert counters["udp_drop_checksum"] > 50


def test_a_partition_heals(shaped: Shaped) -> None:
    a, b = shaped.datagrams()
    lib.gd_shaper_down(shaped.shaper, 1, 1)
    a.sendto(b"lost", ("10.0.0.2", 9))
    shaped.advance(MS)
    lib.gd_shaper_down(shaped.shaper, 1, 0)
    a.sendto(b"here", ("10.0.0.2", 9))
    shaped.advance(MS)
    assert b.recvfrom(10)[0] == b"here" and count(b) == 0


def test_a_stream_survives_a_bad_wire_both_ways(shaped: Shaped) -> None:
    for out in (0, 1):
        shaped.fault(out, loss=0.05, delay_ns=5 * MS, jitter_ns=2 * MS, reorder=0.02, reorder_ns=8 * MS, duplicate=0.01,
                     corrupt=0.01, rate_bps=50_000_000, queue_frames=100)  # fmt: skip
    listener, client = shaped.b.listener(), shaped.a.connect(("10.0.0.2", 80))
    shaped.advance(5 * S)
    server, sent, got = listener.accept(), 0, bytearray()
    data = bytes(range(256)) * 2000
    while len(got) < len(data):
        with contextlib.suppress(BlockingIOError):
            sent += client.send(data[sent : sent + 65536])
        shaped.advance(10 * MS)
        try:
            got += server.recv(1 << 20)
        except BlockingIOError:
            assert shaped.clock.elapsed < 600 * S
    assert bytes(got) == data


def test_frames_under_way_are_freed_with_the_stack(shaped: Shaped) -> None:
    a, _ = shaped.datagrams()
    shaped.fault(1, delay_ns=S)
    for _ in range(100):
        a.sendto(b"x", ("10.0.0.2", 9))  # close() frees them: the sanitizers' build tells


def test_the_stacks_own_loopback_can_be_shaped() -> None:
    host = Host(Clock(), 1, shape_loopback=1)
    a, b = host.socket(socket.SOCK_DGRAM), host.socket(socket.SOCK_DGRAM)
    b.bind(("127.0.0.1", 9))
    shaper = lib.gd_stack_port(host.c, 1)
    a.sendto(b"x", ("127.0.0.1", 9))
    host.poll(), host.poll()
    assert count(b) == 1
    for fault in ({"loss": 1.0}, {"corrupt": 1.0}):
        lib.gd_shaper_fault(shaper, 1, ffi.new("struct gd_fault *", fault))
        a.sendto(b"x", ("127.0.0.1", 9))
        host.poll(), host.poll()
        assert count(b) == 0
    assert lib.gd_stack_port(host.c, 5) == ffi.NULL
    host.close()


def test_all_connections_can_be_reset_as_by_the_peer() -> None:
    from greendpdk.testing import Wire

    with Wire() as wire:
        client, server = wire.connection()
        lib.gd_stack_abort_all(wire.a.c, errno.ECONNRESET)
        wire.advance(MS)
        for end in (client, server):
            with pytest.raises(ConnectionResetError):
                end.recv(1)


def shaped_counts(shaped: Shaped, out: int) -> dict[str, int]:
    found = ffi.new("struct gd_shaped *")
    lib.gd_shaper_shaped(shaped.shaper, out, found)
    return {name: int(getattr(found, name)) for name in ("frames", "lost", "late", "twice", "damaged")}


def test_what_became_of_packets_is_counted_each_way(shaped: Shaped) -> None:
    a, b = shaped.datagrams()
    assert shaped_counts(shaped, 1) == {"frames": 1, "lost": 0, "late": 0, "twice": 0, "damaged": 0}  # and no ARP
    shaped.fault(1, duplicate=1.0, reorder=1.0, reorder_ns=MS)
    a.sendto(b"x", ("10.0.0.2", 9))
    lib.gd_shaper_down(shaped.shaper, 0, 1)
    b.sendto(b"y", ("10.0.0.1", 9))
    shaped.advance(2 * MS)
    assert shaped_counts(shaped, 1) == {"frames": 2, "lost": 0, "late": 1, "twice": 1, "damaged": 0}
    assert shaped_counts(shaped, 0) == {"frames": 1, "lost": 1, "late": 0, "twice": 0, "damaged": 0}


def test_a_neighbour_is_found_whatever_is_lost_but_for_a_partition(shaped: Shaped) -> None:
    for out in (0, 1):
        shaped.fault(out, loss=1.0)
    a = shaped.a.socket(socket.SOCK_DGRAM)
    a.sendto(b"x", ("10.0.0.2", 9))
    shaped.advance(MS)
    assert shaped_counts(shaped, 1)["lost"] == 1  # it has left: its neighbour was known
    before = shaped.b.counters()["arp_in"]
    lib.gd_shaper_down(shaped.shaper, 1, 1)
    a.sendto(b"x", ("10.0.0.9", 9))
    shaped.advance(MS)
    assert shaped.b.counters()["arp_in"] == before


def test_a_delay_that_is_over_holds_nobody_up(shaped: Shaped) -> None:
    a, b = shaped.datagrams()
    shaped.fault(1, delay_ns=S)
    a.sendto(b"late", ("10.0.0.2", 9))
    shaped.advance(0)
    shaped.fault(1)
    a.sendto(b"early", ("10.0.0.2", 9))
    shaped.advance(MS)
    assert b.recvfrom(10)[0] == b"early"
    shaped.advance(S)
    assert b.recvfrom(10)[0] == b"late"


def test_mtu_can_be_lowered_and_given_back(shaped: Shaped) -> None:
    def set_mtu(mtu: int, ifindex: int = shaped.a.ifindex, host: Host = shaped.a) -> int:
        return int(lib.gd_shaper_mtu(host.c, ifindex, mtu))

    listener, before = shaped.b.listener(), shaped.a.connect(("10.0.0.2", 80))
    shaped.advance(MS)
    assert set_mtu(1280) == 0
    connections = [before, shaped.a.connect(("10.0.0.2", 80))]
    shaped.advance(MS)
    for client in connections:
        server = listener.accept()
        client.send(bytes(50_000))
        shaped.advance(MS)
        assert server.unread == 50_000
        assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) == 1280 - 40 - 12
    a = shaped.a.socket(socket.SOCK_DGRAM)
    a.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER, IP_PMTUDISC_DO
    with pytest.raises(OSError, match="Message too long"):
        a.sendto(bytes(1280 - 28 + 1), ("10.0.0.2", 9))
    assert set_mtu(0) == 0
    a.sendto(bytes(1500 - 28), ("10.0.0.2", 9))
    assert (set_mtu(575), set_mtu(1501), set_mtu(1280, 9), set_mtu(1280, shaped.b.ifindex, shaped.b)) == (
        -errno.EINVAL, -errno.EINVAL, -errno.ENODEV, -errno.ENODEV)  # fmt: skip


def fates(shaped: Shaped, turns: str) -> dict[str, str]:
    """Send datagrams of sockets a and b in the order of `turns`; return which of each arrived."""
    shaped.fault(1, loss=0.4)
    sinks = {name: shaped.b.socket(socket.SOCK_DGRAM) for name in "ab"}
    sources = {name: shaped.a.socket(socket.SOCK_DGRAM) for name in "ab"}
    for name, sink in sinks.items():
        sink.bind(("0.0.0.0", 0))
        sources[name].bind(("0.0.0.0", 0))
    got = dict.fromkeys("ab", "")
    for name in turns:
        sources[name].sendto(b"x", ("10.0.0.2", sinks[name].getsockname()[1]))
        shaped.advance(MS)
        got[name] += str(count(sinks[name]))
    return got


def test_a_flow_meets_the_same_fates_whatever_others_send_meanwhile(shaped: Shaped) -> None:
    shaped.datagrams()
    alone = fates(shaped, "ab" + 20 * "a" + 20 * "b")
    assert fates(shaped, 21 * "ab") == alone
    assert alone["a"] != alone["b"] and "0" in alone["a"] and "1" in alone["a"]


def test_a_connection_from_before_takes_nobodys_number(shaped: Shaped) -> None:
    listener, old = shaped.b.listener(), shaped.a.connect(("10.0.0.2", 80))
    shaped.advance(MS)
    listener.accept()

    def connect_by_the_seed(others: bool) -> list[bool]:
        """Return which of ten SYNs arrived."""
        shaped.fault(1, loss=0.4)
        if others:
            old.send(b"last words")
            a.sendto(b"x", ("10.0.0.2", 9))
        shaped.advance(0)
        clients = [shaped.a.connect(("10.0.0.2", 80)) for _ in range(10)]
        shaped.advance(10 * MS)
        return [client.state == "ESTABLISHED" for client in clients]

    a, _ = shaped.datagrams()
    first = connect_by_the_seed(False)
    assert connect_by_the_seed(True) == first and len(set(first)) == 2


def headers(draw: Any) -> bytes:
    """Draw a frame's head that looks like IPv4, IPv6, ARP or nothing, with lengths that may lie."""
    kind = draw(st.sampled_from([b"\x08\0" + b"\x45", b"\x08\0" + b"\x4f", b"\x86\xdd" + b"\x60", b"\x08\x06", b"zz"]))
    return bytes(12) + bytes(kind)


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_no_frame_harms_a_shaper_however_short_or_false(data: st.DataObject) -> None:
    """Invariant: whatever comes passes or is lost, is counted at most once, and no byte outside of it is read."""
    shaped = Shaped()
    try:
        shaped.fault(0, loss=0.1, duplicate=0.3, corrupt=0.3, reorder=0.3, reorder_ns=MS)
        frames = data.draw(st.lists(st.binary(max_size=80), max_size=20))
        for tail in frames:
            frame = headers(data.draw)[: data.draw(st.integers(0, 20))] + tail
            lib.gd_pipe_inject(shaped.ends[1], frame, len(frame), shaped.clock.now)
        shaped.advance(10 * MS)
        assert shaped_counts(shaped, 0)["frames"] <= len(frames)
    finally:
        shaped.close()


def test_a_frame_longer_than_the_mtu_is_counted_as_lost(shaped: Shaped) -> None:
    a, b = shaped.datagrams()
    assert lib.gd_shaper_mtu(shaped.a.c, shaped.a.ifindex, 600) == 0
    before = shaped_counts(shaped, 0)
    b.sendto(bytes(1000), ("10.0.0.1", 9))
    shaped.advance(MS)
    after = shaped_counts(shaped, 0)
    assert count(a) == 0 and (after["frames"], after["lost"]) == (before["frames"] + 1, before["lost"] + 1)


def test_frame_of_the_mtu_passes_both_ways(shaped: Shaped) -> None:
    a, b = shaped.datagrams()
    a.sendto(bytes(1472), ("10.0.0.2", 9))
    b.sendto(bytes(1472), ("10.0.0.1", 9))
    shaped.advance(MS)
    assert (count(a), count(b)) == (1, 1)


def icmp6_frame(kind: int, hop_by_hop: bool = False) -> bytes:
    body = bytes([kind]) + bytes(23)
    if hop_by_hop:
        body = bytes([58, 0, 5, 2, 0, 0, 1, 0]) + body
    head = bytes([0x60, 0, 0, 0, 0, len(body), 0 if hop_by_hop else 58, 255]) + bytes(15) + b"\1" + bytes(15) + b"\2"
    return bytes(5) + b"\2" + bytes(5) + b"\4" + b"\x86\xdd" + head + body


def test_what_keeps_a_link_up_is_no_packet_to_a_shaper(shaped: Shaped) -> None:
    """Neighbour discovery (133 to 137) and MLD (130 to 132, 143), also behind a hop-by-hop header; else all is."""
    for kind in (1, 128, 129, 130, 131, 132, 133, 134, 135, 136, 137, 138, 142, 143, 144):
        for hop_by_hop in (False, True):
            frame, before = icmp6_frame(kind, hop_by_hop), shaped_counts(shaped, 0)["frames"]
            assert lib.gd_pipe_inject(shaped.ends[1], frame, len(frame), shaped.clock.now) == 0
            shaped.advance(MS)
            assert shaped_counts(shaped, 0)["frames"] - before == (not (130 <= kind <= 137 or kind == 143))
    frame, before = icmp6_frame(135)[:62], shaped_counts(shaped, 0)["frames"]  # too short to tell
    assert lib.gd_pipe_inject(shaped.ends[1], frame, len(frame), shaped.clock.now) == 0
    shaped.advance(MS)
    assert shaped_counts(shaped, 0)["frames"] == before + 1
