"""A path that carries less than its ends think: with ICMP, and as a black hole (RFC 1191, RFC 4821).

The hosts stand on a wire each; between them is a router of our own, which drops what is longer than its link's MTU.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import pytest

from greendpdk._errors import check
from greendpdk._native import ffi, lib
from greendpdk.testing import Clock, Host, tcp_info
from greendpdk.testing.clock import MS, NEVER, S
from greendpdk.testing.endpoint import address_to_c
from greendpdk.testing.segment import Frame, Icmp, Ip, build
from greendpdk.testing.wire import MAC_A, MAC_B

DELAY = 10 * MS
ETHERNET = 14


class Path:
    """Hosts a (10.0.0.1) and b (10.0.0.2), and a router of `mtu` that says so or does not."""

    def __init__(self, mtu: int, tells: bool) -> None:
        self.clock, self.mtu, self.tells = Clock(), mtu, tells
        self.lost = 0
        self.under_way: list[tuple[int, int, int, bytes]] = []
        self.count = 0
        self.room = ffi.new("uint8_t[]", 16384)
        self.hosts, self.far = [], []
        for number, (own, other) in enumerate((("10.0.0.1", "10.0.0.2"), ("10.0.0.2", "10.0.0.1"))):
            ends = ffi.new("struct gd_port *[2]")
            check(lib.gd_pipe_pair(1500, MAC_A, MAC_B, ends, ends + 1))
            host = Host(self.clock, number)
            host.attach(ends[0], own)
            check(lib.gd_stack_set_neighbour(host.c, host.ifindex, address_to_c(other), MAC_B))
            self.hosts.append(host)
            self.far.append(ends[1])

    def turn(self) -> int:
        """Poll both, move what has been sent and what has come; return when there is more to do."""
        while True:
            now = self.clock.now
            deadline = min(host.poll() for host in self.hosts)
            for side in (0, 1):
                while (count := lib.gd_pipe_take(self.far[side], self.room, 16384, now)) >= 0:
                    self.carry(side, bytes(ffi.buffer(self.room, count)))
            if deadline > now and (not self.under_way or self.under_way[0][0] > now):
                return min(deadline, self.under_way[0][0] if self.under_way else NEVER)
            while self.under_way and self.under_way[0][0] <= now:
                _, _, to, frame = heapq.heappop(self.under_way)
                check(lib.gd_pipe_inject(self.far[to], MAC_A + MAC_B + frame[12:], len(frame), now))

    def carry(self, side: int, frame: bytes) -> None:
        """Pass a frame on, or not."""
        if len(frame) - ETHERNET > self.mtu:
            self.lost += 1
            if not self.tells:
                return
            packet = frame[ETHERNET:]
            error = Icmp(3, 4, self.mtu, packet[:28])
            frame = build(Frame(MAC_A, MAC_B, Ip("10.0.0.9", "10.0.0.1" if side == 0 else "10.0.0.2", error)))
            side = 1 - side
        self.count += 1
        heapq.heappush(self.under_way, (self.clock.now + DELAY, self.count, 1 - side, frame))

    def send(self, source: object, sink: object, total: int, limit: int = 60 * S) -> float:
        """Move total bytes; return the seconds that it took."""
        began, left, came = self.clock.now, total, 0
        while came < total:
            try:
                while left:
                    left -= source.send(b"x" * min(left, 65536))  # type: ignore[attr-defined]
            except BlockingIOError:
                pass
            try:
                while got := sink.recv(65536):  # type: ignore[attr-defined]
                    came += len(got)
            except BlockingIOError:
                pass
            assert self.clock.jump(self.turn(), began + limit), f"{came} of {total} bytes came"
        return (self.clock.now - began) / S

    def wait(self, ns: int) -> None:
        """Let time pass."""
        end = self.clock.now + ns
        while self.clock.jump(self.turn(), end):
            pass

    def connect(self, port: int = 80) -> tuple[object, object]:
        """Return both ends of a connection."""
        listener = self.hosts[1].listener(port)
        client = self.hosts[0].connect(("10.0.0.2", port))
        self.wait(100 * MS)
        return client, listener.accept()


@pytest.fixture
def path() -> Iterator[Path]:
    made: list[Path] = []

    def make(mtu: int, tells: bool = False) -> Path:
        made.append(Path(mtu, tells))
        return made[-1]

    yield make  # type: ignore[misc]
    for one in made:
        for host in one.hosts:
            host.close()
        for end in one.far:
            lib.gd_port_close(end)


@pytest.mark.parametrize("mtu", [1490, 1400, 1280, 1100, 900])
def test_a_black_hole_is_found_and_then_the_largest_size_that_passes(path, mtu):
    """In a few seconds the bytes go on; the search ends within a few bytes of the path's MTU, at one loss a step."""
    here = path(mtu)
    client, server = here.connect()
    took = here.send(client, server, 2_000_000)
    found = tcp_info(client).pmtu
    assert took < 12 and mtu - 9 <= found <= mtu
    counters = here.hosts[0].counters()
    assert counters["tcp_mtu_black_holes"] <= 2 and counters["tcp_mtu_probes"] <= 10
    assert "tcp_fast_retransmits" not in counters  # a lost probe is no congestion
    before = here.lost
    here.send(client, server, 2_000_000)
    assert here.lost == before  # nothing too long is sent any more


def test_an_outage_is_no_black_hole_for_long(path):
    """The whole size is tried first once something comes through again."""
    here = path(1500)
    client, server = here.connect()
    here.send(client, server, 100_000)
    here.mtu = 0
    with pytest.raises(AssertionError, match="bytes came"):
        here.send(client, server, 100_000, 10 * S)
    here.mtu = 1500
    here.send(client, server, 1_500_000)
    info, counters = tcp_info(client), here.hosts[0].counters()
    assert info.pmtu == 1500 and counters["tcp_mtu_probes"] == counters["tcp_mtu_probes_through"] == 1


def test_what_icmp_told_is_tried_again_after_ten_minutes(path):
    """RFC 1191 6.3, by a probe: the path has become wider, and no segment is lost in finding out."""
    here = path(1300, tells=True)
    client, server = here.connect()
    assert here.send(client, server, 500_000) < 3 and tcp_info(client).pmtu == 1300
    here.mtu = 1500
    here.wait(300 * S)
    here.send(client, server, 200_000)
    assert tcp_info(client).pmtu == 1300
    here.wait(400 * S)
    before = here.lost
    here.send(client, server, 500_000)
    assert tcp_info(client).pmtu == 1500 and here.lost == before


def test_a_probe_that_a_router_refuses_is_taken_at_its_word(path):
    """RFC 8899's and RFC 4821's faster way: the error names the size to try next."""
    here = path(1300, tells=True)
    client, server = here.connect()
    here.send(client, server, 500_000)
    here.mtu = 1400
    here.wait(700 * S)
    here.send(client, server, 500_000)
    assert tcp_info(client).pmtu == 1400 and here.hosts[0].counters()["tcp_mtu_probes"] == 2
    assert "tcp_fast_retransmits" not in here.hosts[0].counters()


@pytest.mark.parametrize("tells", [True, False])
def test_the_next_connection_begins_with_what_is_known(path, tells):
    """Linux's route exceptions: no second connection to the host sends what the path does not take, for ten minutes."""
    here = path(1300, tells)
    here.send(*here.connect(), 2_000_000)
    before = here.lost
    client, server = here.connect(81)
    assert here.send(client, server, 500_000) < 3 and here.lost == before
    assert 1291 <= tcp_info(client).pmtu <= 1300
    here.mtu = 1500
    here.wait(700 * S)
    third, server = here.connect(82)
    here.send(third, server, 500_000)
    assert tcp_info(third).pmtu == 1500
