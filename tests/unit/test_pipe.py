"""Invariant: a pipe without faults delivers every frame once, in order, at the time its delay and rate give; with
faults the same seed does the same again, and what a fault does not name does not happen.
"""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

MTU = 1500
HEADER = bytes(range(12)) + b"\x08\x00"  # to, from, IPv4
MS = 10**6
NEVER = 2**64 - 1
EAGAIN, ENOBUFS, EMSGSIZE = 11, 105, 90


class Pipe:
    """Two ends; what one sends, the other takes."""

    def __init__(self, native: Any, **fault: Any) -> None:
        self.ffi, self.lib = native.ffi, native.lib
        ends = self.ffi.new("struct gd_port *[2]")
        assert self.lib.gd_pipe_pair(MTU, bytes(5) + b"\2", bytes(5) + b"\4", ends, ends + 1) == 0
        self.a, self.b = ends
        self.room = self.ffi.new("char[]", MTU + 14)
        self.fault(**fault)

    def fault(self, **fault: Any) -> None:
        """Let the frames of end a suffer."""
        self.lib.gd_pipe_fault(self.a, self.ffi.new("struct gd_fault *", fault))

    def send(self, payload: bytes, now: int = 0, end: Any = None) -> int:
        """Put a frame on the wire."""
        frame = HEADER + payload
        return int(self.lib.gd_pipe_inject(end or self.a, frame, len(frame), now))

    def take(self, now: int, end: Any = None) -> list[bytes]:
        """Return the payloads that have arrived."""
        found = []
        while (size := self.lib.gd_pipe_take(end or self.b, self.room, MTU + 14, now)) >= 0:
            found.append(bytes(self.ffi.buffer(self.room, size))[14:])
        assert size == -EAGAIN
        return found

    def next(self) -> int:
        """Return when the next frame arrives at b."""
        return int(self.lib.gd_pipe_next(self.b))

    def arrivals(self) -> list[tuple[int, bytes]]:
        """Move the clock from arrival to arrival; return when each frame came."""
        found = []
        while (at := self.next()) != NEVER:
            found += [(at, payload) for payload in self.take(at)]
        return found

    def close(self) -> None:
        """Close both ends."""
        self.lib.gd_port_close(self.a)
        self.lib.gd_port_close(self.b)


@pytest.fixture
def pipe(native: Any) -> Iterator[Pipe]:
    """Make a wire without faults."""
    made = Pipe(native)
    yield made
    made.close()


def number(value: int) -> bytes:
    return value.to_bytes(4, "big") + bytes(46)


def test_frames_arrive_in_order_and_once(pipe: Pipe) -> None:
    for value in range(1000):
        assert pipe.send(number(value)) == 0
    assert pipe.take(0) == [number(value) for value in range(1000)]
    assert pipe.next() == NEVER


def test_each_end_takes_what_the_other_sent(pipe: Pipe) -> None:
    pipe.send(b"from a")
    pipe.send(b"from b", end=pipe.b)
    assert pipe.take(0, pipe.a) == [b"from b"]
    assert pipe.take(0, pipe.b) == [b"from a"]


def test_delay_holds_a_frame_until_its_time(pipe: Pipe) -> None:
    pipe.fault(delay_ns=5 * MS)
    pipe.send(b"late", now=MS)
    assert pipe.next() == 6 * MS
    assert pipe.take(6 * MS - 1) == []
    assert pipe.take(6 * MS) == [b"late"]


def test_rate_spaces_frames_by_their_length(pipe: Pipe) -> None:
    pipe.fault(rate_bps=8_000_000, delay_ns=MS)  # a byte a microsecond
    for value in range(3):
        pipe.send(number(value))
    frame_time = 64 * 1000
    assert [at for at, _ in pipe.arrivals()] == [MS + frame_time * n for n in (1, 2, 3)]
    pipe.send(number(4), now=50 * MS)  # the wire was idle: no credit is kept
    assert [at for at, _ in pipe.arrivals()] == [51 * MS + frame_time]


def test_full_queue_of_a_slow_wire_drops_the_tail(pipe: Pipe) -> None:
    pipe.fault(rate_bps=8_000_000, queue_frames=10)
    for value in range(30):
        assert pipe.send(number(value)) == 0
    assert [payload for _, payload in pipe.arrivals()] == [number(value) for value in range(10)]
    for value in range(3):
        pipe.send(number(value), now=100 * MS)
    assert len(pipe.arrivals()) == 3


def test_loss_is_near_its_chance_and_the_same_for_a_seed(native: Any) -> None:
    def survivors(seed: int) -> list[bytes]:
        pipe = Pipe(native, loss=0.1, seed=seed)
        for value in range(10_000):
            pipe.send(number(value))
        found = pipe.take(0)
        pipe.close()
        return found

    once = survivors(1)
    assert 8800 < len(once) < 9200
    assert once == sorted(once)
    assert survivors(1) == once
    assert survivors(2) != once


def test_duplicate_arrives_twice_unharmed(pipe: Pipe) -> None:
    pipe.fault(duplicate=1.0)
    pipe.send(b"again")
    assert pipe.take(0) == [b"again", b"again"]


def test_reordered_frames_are_held_longer_and_others_keep_their_order(pipe: Pipe) -> None:
    pipe.fault(reorder=0.2, reorder_ns=3 * MS, delay_ns=MS, seed=7)
    for value in range(200):
        pipe.send(number(value))
    arrivals = pipe.arrivals()
    early = [payload for at, payload in arrivals if at == MS]
    late = [payload for at, payload in arrivals if at == 4 * MS]
    assert early == sorted(early) and late == sorted(late)
    assert sorted(early + late) == [number(value) for value in range(200)]
    assert 20 < len(late) < 60


def test_jitter_spreads_frames_and_keeps_their_order(pipe: Pipe) -> None:
    pipe.fault(jitter_ns=10 * MS, delay_ns=MS, seed=3)
    for value in range(200):
        pipe.send(number(value), now=value * MS)
    arrivals = pipe.arrivals()
    assert [payload for _, payload in arrivals] == [number(value) for value in range(200)]
    delays = [at - value * MS for value, (at, _) in enumerate(arrivals)]
    assert min(delays) >= MS and max(delays) <= 11 * MS
    assert max(delays) - min(delays) > 5 * MS


def test_corruption_changes_one_byte_of_the_packet(pipe: Pipe) -> None:
    pipe.fault(corrupt=1.0, seed=5)
    for _ in range(500):
        pipe.send(bytes(100))
    found = pipe.take(0)
    assert len(found) == 500
    assert {len(payload) - payload.count(0) for payload in found} == {1}
    assert len({payload.index(max(payload)) for payload in found}) > 80


def test_damaged_arp_is_lost_as_ethernet_would_lose_it(pipe: Pipe) -> None:
    pipe.fault(corrupt=1.0)
    frame = bytes(12) + b"\x08\x06" + bytes(46)
    assert pipe.lib.gd_pipe_inject(pipe.a, frame, len(frame), 0) == 0
    assert pipe.take(0) == []


def test_partition_drops_one_direction_until_it_ends(pipe: Pipe) -> None:
    pipe.lib.gd_pipe_down(pipe.a, 1)
    pipe.send(b"lost")
    pipe.send(b"other way", end=pipe.b)
    pipe.lib.gd_pipe_down(pipe.a, 0)
    pipe.send(b"through")
    assert pipe.take(0) == [b"through"]
    assert pipe.take(0, pipe.a) == [b"other way"]


def test_frame_longer_than_the_mtu_is_refused(pipe: Pipe) -> None:
    assert pipe.send(bytes(MTU)) == 0
    assert pipe.send(bytes(MTU + 1)) == -EMSGSIZE
    assert len(pipe.take(0)) == 1


def test_small_room_leaves_the_frame_where_it_is(pipe: Pipe) -> None:
    pipe.send(b"whole")
    assert pipe.lib.gd_pipe_take(pipe.b, pipe.room, 18, 0) == -EMSGSIZE
    assert pipe.take(0) == [b"whole"]


def test_endless_queue_refuses_at_last_and_recovers(pipe: Pipe) -> None:
    pipe.fault(delay_ns=MS)
    frame = HEADER + number(0)
    results = [pipe.lib.gd_pipe_inject(pipe.a, frame, len(frame), 0) for _ in range(131_073)]
    assert results[-2:] == [0, -ENOBUFS]
    assert len(pipe.take(MS)) == 131_072
    assert pipe.send(b"room again", MS) == 0


def test_closed_end_swallows_what_is_sent_to_it(native: Any) -> None:
    pipe = Pipe(native)
    pipe.send(b"under way")
    pipe.lib.gd_port_close(pipe.b)
    assert pipe.send(b"to nobody") == 0
    pipe.lib.gd_port_close(pipe.a)


@given(
    sends=st.lists(st.tuples(st.integers(0, 20 * MS), st.integers(1, 200)), max_size=60),
    fault=st.fixed_dictionaries(
        {},
        optional={
            "reorder": st.floats(0, 1),
            "duplicate": st.floats(0, 1),
            "delay_ns": st.integers(0, 5 * MS),
            "jitter_ns": st.integers(0, 5 * MS),
            "reorder_ns": st.integers(0, 5 * MS),
            "rate_bps": st.integers(1_000, 10**9),
            "seed": st.integers(0, 2**64 - 1),
        },
    ),
)
def test_nothing_is_lost_or_early_whatever_else_happens(
    native: Any, sends: list[tuple[int, int]], fault: dict[str, Any]
) -> None:
    pipe = Pipe(native, **fault)
    sends = [(now, size) for (now, size) in sorted(sends)]
    for index, (now, size) in enumerate(sends):
        assert pipe.send(index.to_bytes(2, "big") + bytes(size), now) == 0
    arrivals = pipe.arrivals()
    pipe.close()
    assert [at for at, _ in arrivals] == sorted(at for at, _ in arrivals)
    seen = {int.from_bytes(payload[:2], "big") for _, payload in arrivals}
    assert seen == set(range(len(sends)))
    for at, payload in arrivals:
        now, size = sends[int.from_bytes(payload[:2], "big")]
        assert at >= now + fault.get("delay_ns", 0)
        assert payload[2:] == bytes(size)
    if fault.get("duplicate", 0) == 0:
        assert len(arrivals) == len(sends)
