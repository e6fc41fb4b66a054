"""Invariants of the byte stream, searched by hypothesis through the whole engine: each test begins with its own."""

from __future__ import annotations

import contextlib

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from raw_peer import RawPeer
from streams import Stream, assert_nothing_left, run

from greendpdk.testing import Fault, Wire
from greendpdk.testing._flow import pattern
from greendpdk.testing.clock import MS
from greendpdk.testing.segment import ACK, FIN, PSH, RST, SYN

LIMITS = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
TOTAL = 4000
ISN = st.integers(0, 2**32 - 1) | st.integers(2**32 - TOTAL, 2**32 - 1)
SPAN = st.tuples(st.integers(0, TOTAL - 1), st.integers(1, 1500)).map(lambda span: (span[0], min(sum(span), TOTAL)))


def covered_prefix(spans: list[tuple[int, int]]) -> int:
    """Return how far from 0 on the spans leave no gap."""
    end = 0
    for start, stop in sorted(spans):
        if start > end:
            break
        end = max(end, stop)
    return end


@LIMITS
@given(isn=ISN, spans=st.lists(SPAN, min_size=1, max_size=16))
def test_what_is_delivered_is_the_prefix_without_gaps(isn: int, spans: list[tuple[int, int]]) -> None:
    """After each segment, in any order and overlap, the ACK and the readable bytes are the covered prefix."""
    with RawPeer(isn) as peer:
        got = b""
        for number, (start, stop) in enumerate(spans, 1):
            peer.segment(ACK, 1 + start, stop - start)
            with contextlib.suppress(BlockingIOError):
                got += peer.endpoint.recv(65536)
            assert got == pattern(0, covered_prefix(spans[:number]))
        peer.clock.advance(50 * MS)
        peer.poll()
        peer.take()
        assert peer.acked == 1 + len(got)
        peer.segment(ACK | PSH, 1, TOTAL)
        with contextlib.suppress(BlockingIOError):
            got += peer.endpoint.recv(65536)
        assert got == pattern(0, TOTAL)


@LIMITS
@given(isn=ISN, spans=st.lists(SPAN, min_size=17, max_size=80), buffer=st.integers(2304, 8192))
def test_any_storm_of_segments_ends_in_the_stream(isn: int, spans: list[tuple[int, int]], buffer: int) -> None:
    """What is read is always a prefix of the stream, in any buffer; sending it in order then brings the rest."""
    with RawPeer(isn, buffer) as peer:
        got = b""
        for start, stop in spans:
            peer.segment(ACK, 1 + start, stop - start)
            with contextlib.suppress(BlockingIOError):
                got += peer.endpoint.recv(700)
            assert got == pattern(0, len(got))
        for _ in range(2 * TOTAL):
            if len(got) == TOTAL:
                break
            peer.take()
            peer.segment(ACK, 1 + len(got), min(1000, TOTAL - len(got)))
            with contextlib.suppress(BlockingIOError):
                got += peer.endpoint.recv(65536)
        assert got == pattern(0, TOTAL)
        assert peer.host.buffer_bytes <= 2 * buffer + 3 * 4096


SEGMENT = st.tuples(
    st.sampled_from([0, ACK, ACK | PSH, ACK | FIN, SYN, SYN | ACK, RST, RST | ACK, SYN | FIN, FIN]),
    st.integers(-70000, 70000) | st.integers(-3, 3),
    st.integers(0, 3000),
    st.integers(-70000, 70000) | st.integers(0, 3),
    st.integers(0, 65535),
)


@LIMITS
@given(isn=ISN, segments=st.lists(SEGMENT, max_size=40), written=st.integers(0, 5000))
def test_no_segment_makes_bytes_that_nobody_sent(isn: int, segments: list[tuple[int, ...]], written: int) -> None:
    """Whatever segments come, each poll ends, and what is read is a prefix of the stream."""
    with RawPeer(isn) as peer:
        got = b""
        with contextlib.suppress(BlockingIOError):
            peer.endpoint.send(pattern(0, written))
        for flags, seq, length, ack, window in segments:
            seq = max(1, 1 + len(got) + seq)
            peer.segment(flags, seq, length, ack % 2**32, window)
            peer.take()
            with contextlib.suppress(OSError):
                got += peer.endpoint.recv(65536)
            assert got == pattern(0, len(got))
            peer.clock.advance(MS)
        peer.endpoint.close()
        peer.clock.advance(300 * 10**9)
        peer.poll()


@settings(parent=LIMITS, max_examples=30)
@given(
    seed=st.integers(0, 2**32),
    chunks=st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    total=st.integers(0, 60_000),
    loss=st.floats(0, 0.2),
    reorder=st.floats(0, 0.3),
    duplicate=st.floats(0, 0.2),
    corrupt=st.floats(0, 0.1),
)
def test_calls_of_any_size_on_any_wire_carry_the_stream(
    seed: int, chunks: tuple[int, int], total: int, loss: float, reorder: float, duplicate: float, corrupt: float
) -> None:
    """Both directions deliver exactly what was sent, then the end, and nothing is left, for any faults and calls."""
    fault = Fault(loss, duplicate, reorder, corrupt, delay_ns=MS, jitter_ns=MS, reorder_ns=3 * MS)
    with Wire(fault, fault, seed=seed) as wire:
        client, server = wire.connection(limit=300 * 10**9)
        run(wire, [Stream(client, server, total, 1, chunks[0]), Stream(server, client, total // 2, 2, chunks[1])])
        assert_nothing_left(wire)
