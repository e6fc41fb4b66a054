"""Wire.bulk, the simulator's fast way to move bytes, does what calls of send and recv do."""

from __future__ import annotations

from streams import Stream, run

from greendpdk.testing import Fault, Wire
from greendpdk.testing.clock import MS, S

LOSSY = Fault(loss=0.01, delay_ns=5 * MS, rate_bps=100_000_000, queue_frames=100)
SIZE = 2_000_000


def test_bulk_moves_all_bytes_of_every_stream() -> None:
    with Wire(LOSSY, LOSSY, seed=1) as wire:
        pairs = [wire.connection(80 + number) for number in range(3)]
        assert [bulk.received for bulk in wire.bulk(pairs, 60 * S, SIZE)] == [SIZE] * 3
        assert [sink.unread for _, sink in pairs] == [0] * 3


def test_bulk_takes_about_as_long_as_calls() -> None:
    took = []
    for by_calls in (True, False):
        with Wire(LOSSY, LOSSY, seed=2) as wire:
            source, sink = wire.connection()
            began = wire.clock.now
            if by_calls:
                run(wire, [Stream(source, sink, SIZE)])
            else:
                wire.bulk([(source, sink)], 60 * S, SIZE)
            took.append(wire.clock.now - began)
    assert 0.5 < took[0] / took[1] < 2


def test_bulk_stops_at_its_time_and_names_the_longest_pause() -> None:
    with Wire(Fault(delay_ns=5 * MS), Fault(delay_ns=5 * MS)) as wire:
        pair = wire.connection()
        wire.bulk([pair, *(wire.connection(81 + number) for number in range(3))], 100 * MS)
        began = wire.clock.now
        (before,) = wire.bulk([pair], S)
        assert wire.clock.now == began + S
        assert before.received > SIZE
        assert 5 * MS < before.longest_pause_ns <= 10 * MS
        wire.cut()
        wire.bulk([pair], S)
        wire.cut(down=False)
        (after,) = wire.bulk([pair], 10 * S)
        assert after.received > SIZE
