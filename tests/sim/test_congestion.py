"""What congestion control does over seconds: too long for a script, too simple for the table."""

from __future__ import annotations

from greendpdk.testing import Fault, Wire
from greendpdk.testing.clock import MS, S


def moved_after_idle(idle_s: int) -> int:
    """Lose much, then nothing for a moment, pause, and return the bytes of the next second."""
    clean, lossy = Fault(delay_ns=10 * MS), Fault(loss=0.05, delay_ns=10 * MS)
    with Wire(lossy, clean, seed=3) as wire:
        pair = wire.connection()
        wire.bulk([pair], 60 * S, 2_000_000)
        wire.fault(clean, clean)
        wire.bulk([pair], 2 * S, 4_000_000)
        wire.advance(idle_s * S)
        (bulk,) = wire.bulk([pair], S)
        return bulk.received


def test_cubic_does_not_grow_by_the_time_that_nobody_sent() -> None:
    """RFC 9438 5.8."""
    short, long = moved_after_idle(1), moved_after_idle(120)
    assert long < 1.2 * short
