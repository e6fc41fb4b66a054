"""Invariant: whichever allocation fails, nothing crashes or leaks; the call that wanted it says ENOMEM, ENOBUFS or
EAGAIN, or a frame is dropped and counted; and once memory is back every stream arrives whole. The same when the port
has no frame to give or takes none, and meanwhile nothing spins: a turn a millisecond at most, and
no event without news.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest

from greendpdk.testing import Endpoint, Fault, Wire
from greendpdk.testing.clock import MS, S

T = TypeVar("T")
WANT = (errno.ENOMEM, errno.ENOBUFS)
GROUP = socket.inet_aton("239.1.2.3") + socket.inet_aton("10.0.0.1")
LOSSY = Fault(loss=0.05, delay_ns=5 * MS)
TOTAL = 150_000
PATTERN = bytes(i * 7 & 255 for i in range(256)) * (TOTAL // 256 + 1)


@pytest.fixture
def heap(native: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Let greendpdk.testing drive the engine whose allocations can fail; return their counts."""
    for module in ("wire", "endpoint"):
        monkeypatch.setattr(f"greendpdk.testing.{module}.lib", native.lib)
        monkeypatch.setattr(f"greendpdk.testing.{module}.ffi", native.ffi)
    fail(native.lib.gd_allocations, 0, 0)
    yield native.lib.gd_allocations
    fail(native.lib.gd_allocations, 0, 0)


def fail(heap: Any, first: int, last: int) -> None:
    heap.seen, heap.failed, heap.fail_from, heap.fail_to = 0, 0, first, last


def persist(wire: Wire, call: Callable[[], T]) -> T:
    """Call until there is memory for it."""
    while True:
        try:
            return call()
        except OSError as error:
            if error.errno not in WANT:
                raise
            wire.advance(MS)


def begin(wire: Wire, client: Endpoint) -> None:
    try:
        client.connect((wire.b.address, 80))
    except BlockingIOError:
        return


def move(wire: Wire, client: Endpoint, server: Endpoint) -> None:
    """The pattern both ways, to its end."""
    sent, got = {client: 0, server: 0}, {client: bytearray(), server: bytearray()}

    def step() -> bool:
        for end in (client, server):
            try:
                while sent[end] < TOTAL:
                    sent[end] += end.send(PATTERN[sent[end] : min(sent[end] + 20_000, TOTAL)])
            except BlockingIOError:
                pass
            try:
                while len(got[end]) < TOTAL:
                    got[end] += end.recv(50_000)
            except BlockingIOError:
                pass
        return all(len(data) == TOTAL for data in got.values())

    wire.run_until(step, 600 * S)
    assert all(bytes(data) == PATTERN[:TOTAL] for data in got.values())


def life(wire: Wire) -> None:
    """All that allocates once a stack is there: neighbours, ports, queues, connections, windows, gaps, TIME-WAIT."""
    listener = persist(wire, lambda: wire.b.socket())
    persist(wire, lambda: listener.bind((wire.b.address, 80)))
    persist(wire, lambda: listener.listen())
    client = persist(wire, lambda: wire.a.socket())
    persist(wire, lambda: begin(wire, client))
    wire.run_until(lambda: listener.ready, 120 * S)
    server = listener.accept()
    move(wire, client, server)
    datagrams = persist(wire, lambda: wire.a.socket(socket.SOCK_DGRAM))
    persist(wire, lambda: datagrams.sendto(bytes(3000), (wire.b.address, 80)))  # in fragments
    persist(wire, lambda: datagrams.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, GROUP))
    for end in (client, server, listener, datagrams):
        end.close()
    wire.advance(200 * S)
    assert [(host.buffer_bytes, host.sockets) for host in (wire.a, wire.b)] == [(0, 0), (0, 0)]


def test_any_one_allocation_may_fail(heap: Any) -> None:
    live, number = heap.live, 1
    while True:
        with Wire(LOSSY, LOSSY, seed=3) as wire:
            fail(heap, number, number + 1)
            life(wire)
            done = heap.failed == 0
            fail(heap, 0, 0)
        assert heap.live == live, f"allocation {number} failed"
        if done:
            break
        number += 1
    assert number > 30


def test_stack_that_cannot_be_made_leaves_nothing(heap: Any, native: Any) -> None:
    live, number, rc = heap.live, 0, -errno.ENOMEM
    config, out = native.ffi.new("struct gd_config *"), native.ffi.new("struct gd_stack **")
    while rc:
        assert rc == -errno.ENOMEM
        number += 1
        fail(heap, number, number + 1)
        rc = native.lib.gd_stack_new(config, 0, out)
        fail(heap, 0, 0)
        if rc == 0:
            native.lib.gd_stack_free(out[0])
        assert heap.live == live, f"allocation {number} failed"
    assert number > 5


@pytest.mark.parametrize("seed", range(4))
def test_connection_goes_on_after_a_minute_without_memory(heap: Any, seed: int) -> None:
    live = heap.live
    with Wire(LOSSY, LOSSY, seed=seed) as wire:
        client, server = wire.connection(80)
        client.send(PATTERN[:20_000])
        wire.advance(seed * 3 * MS)
        fail(heap, 1, 1 << 60)
        wire.advance(60 * S)
        with pytest.raises(OSError) as caught:
            wire.a.socket()
        assert caught.value.errno in WANT
        assert (client.state, server.state) == ("ESTABLISHED", "ESTABLISHED")
        fail(heap, 0, 0)
        wire.run_until(lambda: server.unread == 20_000, 130 * S)
        assert server.recv(20_000) == PATTERN[:20_000]
        move(wire, client, server)
    assert heap.live == live


class Port:
    """Stands in front of a port's functions; while shut, it has no frame to give, or takes none."""

    def __init__(self, native: Any, port: Any, how: str) -> None:
        self.real, self.shut = port.ops, False
        self.ops = native.ffi.new("struct gd_port_ops *")
        self.ops[0] = port.ops[0]
        self.alloc = native.ffi.callback(
            "struct gd_frame *(struct gd_port *)",
            lambda port: native.ffi.NULL if self.shut else self.real.alloc(port),
        )
        self.tx = native.ffi.callback(
            "int(struct gd_port *, struct gd_frame **, int, uint64_t)",
            lambda port, frames, count, now: 0 if self.shut else self.real.tx(port, frames, count, now),
        )
        if how == "gives none":
            self.ops.alloc = self.alloc
        else:
            self.ops.tx = self.tx
        port.ops = self.ops


@pytest.mark.parametrize("how", ["gives none", "takes none"])
def test_connection_goes_on_after_ten_seconds_without_frames(heap: Any, native: Any, how: str) -> None:
    live = heap.live
    with Wire(LOSSY, LOSSY, seed=5) as wire:
        port = Port(native, wire._ends[0], how)
        client, server = wire.connection(80)
        client.send(PATTERN[:50_000])
        wire.advance(12 * MS)
        port.shut = True
        server.send(b"x" * 30_000)
        end, turns, events = wire.clock.now + 10 * S, 0, 0
        while wire.clock.jump(wire.turn(), end):
            turns += 1
            events += len(wire.a.events())
        assert turns <= 10_500
        assert events <= 30
        assert client.state == "ESTABLISHED"
        other = wire.a.connect((wire.b.address, 81))  # its SYN waits too
        wire.advance(S)
        port.shut = False
        wire.run_until(lambda: server.unread == 50_000 and client.unread == 30_000, 30 * S)
        wire.run_until(lambda: other.state == "CLOSED", 10 * S)
        assert server.recv(50_000) == PATTERN[:50_000] and client.recv(30_000) == b"x" * 30_000
        move(wire, client, server)
    assert heap.live == live
