"""BBR, which TCP_CONGESTION "bbr" asks for: fast where packets are lost at random, a short queue, a share for all."""

from __future__ import annotations

import socket
import struct
from statistics import fmean

import pytest

from greendpdk.testing import Endpoint, Fault, Wire
from greendpdk.testing.clock import MS, S

pytestmark = pytest.mark.needs("speed")
TCP_CONGESTION, TCP_INFO = 13, 11
RATE = 100_000_000
FRAMES = RATE * 20 // 1000 // 8 // 1514  # what the wire of 20 ms holds


def wire_of(loss: float = 0.0, rtt: int = 20, queue: int = FRAMES, seed: int = 1) -> Wire:
    fault = Fault(loss=loss, delay_ns=rtt * MS // 2, rate_bps=RATE, queue_frames=queue)
    return Wire(fault, fault, seed=seed)


def connection(wire: Wire, port: int = 80, algorithm: bytes = b"bbr") -> tuple[Endpoint, Endpoint]:
    client, server = wire.connection(port)
    client.setsockopt(socket.IPPROTO_TCP, TCP_CONGESTION, algorithm)
    return client, server


def mbits(wire: Wire, pairs: list[tuple[Endpoint, Endpoint]], before: int, during: int) -> list[float]:
    wire.bulk(pairs, before * S)
    return [bulk.received * 8 / during / 1e6 for bulk in wire.bulk(pairs, during * S)]


def rtt_ms(client: Endpoint) -> float:
    info = client.getsockopt(socket.IPPROTO_TCP, TCP_INFO, 104)
    assert isinstance(info, bytes)
    return float(struct.unpack_from("I", info, 68)[0]) / 1e3  # tcpi_rtt, us


@pytest.mark.parametrize(("loss", "least"), [(0.0, 90), (0.01, 80), (0.05, 60), (0.2, 10)])
def test_random_loss_costs_little(loss: float, least: float) -> None:
    """CUBIC has 8, 3 and 0.3 Mbit/s at 1, 5 and 20 %: it takes each loss for a full queue."""
    with wire_of(loss) as wire:
        assert fmean(mbits(wire, [connection(wire)], 2, 10)) >= least


def test_queue_stays_short_where_cubic_fills_it() -> None:
    found = []
    for algorithm in (b"bbr", b"cubic"):
        with wire_of(queue=4 * FRAMES) as wire:
            pair = connection(wire, algorithm=algorithm)
            assert mbits(wire, [pair], 4, 2)[0] >= 80
            found.append(rtt_ms(pair[0]))
    assert found[0] < 45 < 60 < found[1]


def test_short_queue_is_enough() -> None:
    """Paced, it needs a tenth of what the wire holds, where slow start's heaps overflow that."""
    with wire_of(queue=FRAMES // 10) as wire:
        assert mbits(wire, [connection(wire)], 2, 4)[0] >= 60


def test_four_flows_all_get_a_share() -> None:
    """Not an even one: version 1 forgets slowly who was first. CUBIC's is above 0.95 (test_throughput.py)."""
    with wire_of() as wire:
        shares = mbits(wire, [connection(wire, 80 + number) for number in range(4)], 15, 10)
    assert sum(shares) >= 85
    assert sum(shares) ** 2 / 4 / sum(share**2 for share in shares) >= 0.8


def test_pause_of_the_application_is_not_taken_for_the_paths_rate() -> None:
    """The samples of a sender that had nothing to send do not lower the model."""
    with wire_of() as wire:
        pair = connection(wire)
        wire.bulk([pair], 2 * S)
        wire.settle(2 * S)
        for _ in range(50):
            pair[0].send(b"x" * 1000)
            wire.run_until(lambda: pair[1].recv(2000) if pair[1].unread else 0)
            wire.advance(20 * MS)
        assert mbits(wire, [pair], 0, 1)[0] >= 70


def test_connection_that_goes_back_to_cubic_is_not_paced() -> None:
    with wire_of() as wire:
        client, server = connection(wire)
        wire.bulk([(client, server)], S)
        client.setsockopt(socket.IPPROTO_TCP, TCP_CONGESTION, b"cubic")
        info = client.getsockopt(socket.IPPROTO_TCP, TCP_INFO, 112)
        assert isinstance(info, bytes)
        assert struct.unpack_from("Q", info, 104)[0] == 2**64 - 1  # tcpi_pacing_rate
        assert mbits(wire, [(client, server)], 2, 2)[0] >= 80
