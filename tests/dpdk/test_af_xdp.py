"""net_af_xdp on a veth whose other end is Linux: what the driver's queues take of the port's frames comes back.

Uses netns.py, peer.py and workers.py.
"""
from __future__ import annotations

from collections.abc import Iterator

import pytest
import workers
from netns import Namespace
from peer import Remote, Side

pytestmark = pytest.mark.needs("namespaces", "dpdk", "af_xdp")

LINUX, STACK = "198.18.6.1", "198.18.6.2"
SIZE = 20_000_000  # twice what all of the port's frames hold


@pytest.fixture
def nets() -> Iterator[tuple[Namespace, Namespace]]:
    """Make two namespaces joined by a veth."""
    with Namespace() as near, Namespace() as far:
        near.join(far, "198.18.99.1/24", f"{LINUX}/24")
        # A veth hands over frames whose checksum the sender's kernel has left to the hardware that is not there.
        far.run(["ethtool", "-K", "veth0", "tx", "off", "tso", "off", "gso", "off"])
        yield near, far


def stack_in(net: Namespace) -> Side:
    return Side(net, "stack", STACK, vdev="net_af_xdp0,iface=veth0", address=f"{STACK}/24")


def joined(server: Side, client: Side) -> tuple[Remote, Remote]:
    listener = server.listen()
    connected = client.connect(tuple(listener.getsockname()))
    accepted, _ = listener.accept()
    return connected, accepted


def check_stream(server: Side, client: Side, size: int) -> None:
    connected, accepted = joined(server, client)
    received = server.begin(workers.receive_stream, accepted)
    digest = client.run(workers.send_stream, connected, size, 6)
    assert received.result(60) == (size, digest)


def test_streams_pass_both_ways_again_and_again(nets: tuple[Namespace, Namespace]) -> None:
    near, far = nets
    kernel, stack = Side(far, "kernel", LINUX), stack_in(near)
    for server, client in ((stack, kernel), (kernel, stack)) * 2:
        check_stream(server, client, SIZE)
    counters = stack.call("greendpdk", "counters")
    assert counters["net_af_xdp0.tx_bytes"] > 2 * SIZE < counters["net_af_xdp0.rx_bytes"]
    assert counters["eth_drop_no_frame"] == 0
    assert stack.close() == 0
    kernel.close()
