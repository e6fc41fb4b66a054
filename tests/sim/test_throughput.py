"""A first small table of throughput: loss x round trip, one stream. Bounds that congestion control must keep.

The numbers are virtual time's: the same on every machine.
"""

from __future__ import annotations

import pytest
from streams import Stream, run

from greendpdk.testing import Fault, Wire
from greendpdk.testing.clock import MS, S

# (loss, round trip in ms): Mbit/s at least, of 4 MB over 100 Mbit/s. Reno without SACK: RFC 3819 3's formula is above.
LEAST = {
    (0.0, 2): 90,
    (0.0, 20): 70,
    (0.0, 100): 30,
    (0.001, 20): 50,
    (0.01, 2): 50,
    (0.01, 20): 6,
    (0.03, 20): 2,
}


@pytest.mark.parametrize(("loss", "rtt"), LEAST)
def test_stream_is_as_fast_as_the_wire_lets_it(loss: float, rtt: int) -> None:
    there = Fault(loss=loss, delay_ns=rtt * MS // 2, rate_bps=100_000_000, queue_frames=2000)
    with Wire(there, Fault(delay_ns=rtt * MS // 2), seed=1) as wire:
        client, server = wire.connection()
        took = run(wire, [Stream(client, server, 4 << 20, 1)])
        rate = (4 << 20) * 8 / (took / S) / 1e6
        assert rate >= LEAST[loss, rtt], f"{rate:.1f} Mbit/s"
