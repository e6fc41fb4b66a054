"""ECN against Linux (RFC 3168): a router marks, the receiver echoes, the sender slows down, and nothing is lost.

The marks are nftables' in the kernel's namespace, on what comes from the stack and on what goes there.
"""
from __future__ import annotations

from collections.abc import Iterator

import pytest
import workers
from netns import Namespace
from peer import Side

from greendpdk._tcp_info import SIZE, TcpInfo

pytestmark = [pytest.mark.needs("tap"), pytest.mark.needs("nft")]
STACK, KERNEL = "198.18.0.2", "198.18.0.1"  # as in conftest.py
SIZE_OF_STREAM = 10_000_000
ECN, ECN_SEEN = 8, 16  # <linux/tcp.h>: TCPI_OPT_
MARK = "ip ecn ect0 numgen inc mod 200 0 ip ecn set ce"


@pytest.fixture(scope="module")
def stack(net: Namespace) -> Iterator[Side]:
    """Start a stack whose SYNs ask."""
    side = Side(net, "stack", STACK, ecn="ask")
    yield side
    assert side.close() == 0


@pytest.fixture(scope="module")
def kernel(net: Namespace, stack: Side) -> Iterator[Side]:
    """Start Linux at the other end, which asks too, behind a hop that marks one packet in 200."""
    net.run(["sysctl", "-qw", "net.ipv4.tcp_ecn=1"])
    net.run(["nft", "add table ip marks"])
    for hook in ("prerouting", "postrouting"):
        net.run(["nft", f"add chain ip marks {hook} {{ type filter hook {hook} priority 0; }}"])
        net.run(["nft", f"add rule ip marks {hook} {MARK}"])
    side = Side(net, "kernel", KERNEL)
    yield side
    side.close()


@pytest.mark.slow
@pytest.mark.parametrize("direction", ["to_listener", "from_listener"])
def test_marks_slow_the_sender_down_and_cost_no_byte(sides: tuple[Side, Side], direction: str) -> None:
    server, client = sides
    listener = server.listen()
    connected = client.connect(tuple(listener.getsockname()))
    accepted, _ = listener.accept()
    listener.close()
    ends = [(server, accepted), (client, connected)]
    (receiver, sink), (sender, source) = ends if direction == "to_listener" else reversed(ends)
    received = receiver.begin(workers.receive_stream, sink)
    digest = sender.run(workers.send_stream, source, SIZE_OF_STREAM, 3)
    assert received.result(60) == (SIZE_OF_STREAM, digest)
    sent, got = (TcpInfo(sock.getsockopt(6, 11, SIZE)) for sock in (source, sink))
    assert sent.options & ECN and got.options & ECN_SEEN
    assert 0 < sent.delivered_ce < sent.delivered
