"""How many ACKs a receiver spends: on a tap each is a system call."""

from __future__ import annotations

from greendpdk.testing import Fault, Wire
from greendpdk.testing.clock import MS, S


def test_burst_beyond_a_gap_is_not_acknowledged_segment_by_segment() -> None:
    """A sender that knows SACK gets its three duplicates, then one ACK a burst, unless it makes or fills a gap."""
    with Wire(Fault(loss=0.01, delay_ns=10 * MS), Fault(delay_ns=10 * MS), seed=1) as wire:
        wire.bulk([wire.connection()], 20 * S, 3_000_000)
        counters = wire.b.counters()
    assert counters["tcp_out_of_order"] > 200
    assert counters["tcp_out"] < 350  # 462 with an ACK for each
