"""SO_MAX_PACING_RATE bounds what a connection sends, whatever its congestion control would let it (socket(7))."""

from __future__ import annotations

import socket

import pytest

from greendpdk.testing import Fault, Wire
from greendpdk.testing.clock import MS, S

SO_MAX_PACING_RATE, TCP_CONGESTION = 47, 13
RATE = 1_000_000  # bytes a second


@pytest.mark.parametrize("algorithm", [b"cubic", b"reno", b"bbr"])
def test_rate_is_reached_and_not_passed(algorithm: bytes) -> None:
    fault = Fault(delay_ns=5 * MS)
    with Wire(fault, fault, seed=1) as wire:
        client, server = wire.connection()
        client.setsockopt(socket.IPPROTO_TCP, TCP_CONGESTION, algorithm)
        client.setsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE, RATE)
        wire.bulk([(client, server)], 1 * S)
        (bulk,) = wire.bulk([(client, server)], 4 * S)
        assert 0.85 * RATE < bulk.received / 4 < 1.03 * RATE
        client.setsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE, -1)
        (bulk,) = wire.bulk([(client, server)], 1 * S)
        assert bulk.received > 3 * RATE
