"""Ports other than net_tap: net_memif between two stacks, net_af_packet on a veth, net_ring, net_pcap.

Uses netns.py, peer.py and workers.py.
"""
from __future__ import annotations

import errno
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import workers
from netns import Namespace
from peer import Side

pytestmark = pytest.mark.needs("namespaces", "dpdk")


@pytest.fixture(scope="module")
def net() -> Iterator[Namespace]:
    """Make a namespace with nothing in it."""
    with Namespace() as made:
        yield made


def test_two_stacks_over_memif(net: Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="gd-") as folder:  # short: a socket's path has 108 bytes
        wire = f"socket={folder}/memif.sock,socket-abstract=no"
        server = Side(net, "stack", "198.18.1.1", vdev=f"net_memif0,role=server,{wire}",
                      address="198.18.1.1/24")
        client = Side(net, "stack", "198.18.1.2", vdev=f"net_memif0,role=client,{wire}",
                      address="198.18.1.2/24")
        listener = server.listen()
        connected = client.connect(tuple(listener.getsockname()))
        accepted, _ = listener.accept()
        received = server.begin(workers.receive_stream, accepted)
        digest = client.run(workers.send_stream, connected, 20_000_000, 5)
        assert received.result(60) == (20_000_000, digest)
        assert server.call("greendpdk", "counters")["net_memif0.rx_bytes"] > 20_000_000
        client.run(workers.pause, 0.2)
        assert client.run(workers.idle_share, 1.0) < 0.04  # the driver has no fd to wait on: a timer looks
        for sock in (connected, accepted, listener):
            sock.close()
        assert client.close() == 0
        assert server.close() == 0


@pytest.mark.needs("tap")
def test_stack_on_a_veth_by_af_packet(net: Namespace) -> None:
    with Namespace() as far:
        net.join(far, "198.18.99.1/24", "198.18.2.1/24")
        # A veth hands over frames whose checksum the sender's kernel has left to the hardware that is not there.
        far.run(["ethtool", "-K", "veth0", "tx", "off", "tso", "off", "gso", "off"])
        kernel = Side(far, "kernel", "198.18.2.1")
        stack = Side(net, "stack", "198.18.2.2", vdev="net_af_packet0,iface=veth0", address="198.18.2.2/24")
        for server, client in ((stack, kernel), (kernel, stack)):
            listener = server.listen()
            connected = client.connect(tuple(listener.getsockname()))
            accepted, _ = listener.accept()
            received = server.begin(workers.receive_stream, accepted)
            digest = client.run(workers.send_stream, connected, 5_000_000, 6)
            assert received.result(60) == (5_000_000, digest)
        assert stack.call("greendpdk", "counters")["net_af_packet0.rx_bytes"] > 5_000_000
        assert stack.close() == 0
        kernel.close()


@pytest.mark.slow
def test_ring_brings_back_what_is_sent(net: Namespace) -> None:
    stack = Side(net, "stack", "198.18.3.1", vdev="net_ring0", address="198.18.3.1/24")
    with pytest.raises(OSError) as caught:
        stack.connect(("198.18.3.2", 80))
    assert caught.value.errno == errno.EHOSTUNREACH
    counters = stack.call("greendpdk", "counters")
    assert counters["net_ring0.rx_packets"] == counters["net_ring0.tx_packets"] > 1
    assert stack.close() == 0


def test_pcap_records_what_is_sent(net: Namespace, tmp_path: Path) -> None:
    file = tmp_path / "out.pcap"
    stack = Side(net, "stack", "198.18.4.1", vdev=f"net_pcap0,tx_pcap={file}", address="198.18.4.1/24")
    asking = stack.socket(socket.SOCK_DGRAM)
    asking.sendto(b"anybody?", ("198.18.4.2", 9))
    stack.call("greendpdk", "stop", 0)  # what waits for ARP would be waited for
    assert stack.close() == 0
    question = socket.inet_aton("198.18.4.2")  # the last four bytes of an ARP request
    assert b"\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01" in file.read_bytes()
    assert question in file.read_bytes()


def test_no_port_leaves_the_loopback(net: Namespace) -> None:
    stack = Side(net, "stack", "127.0.0.1", vdev="none", loopback="stack")
    listener = stack.listen()
    connected = stack.connect(tuple(listener.getsockname()))
    accepted, _ = listener.accept()
    received = stack.begin(workers.receive_stream, accepted)
    digest = stack.run(workers.send_stream, connected, 5_000_000, 7)
    assert received.result(60) == (5_000_000, digest)
    assert workers.kernel_connections(stack.pid) == []
    assert stack.close() == 0


@pytest.mark.needs("tap")
def test_two_ports_at_once(net: Namespace) -> None:
    stack = Side(net, "stack", "198.18.5.2", vdev="net_tap0,iface=one;net_tap1,iface=two",
                 address="198.18.5.2/24", tap_address="198.18.5.1/24")
    kernel = Side(net, "kernel", "198.18.5.1")
    listener = stack.listen()
    kernel.connect(tuple(listener.getsockname()))
    listener.accept()
    counters = stack.call("greendpdk", "counters")
    assert counters["net_tap0.rx_packets"] > 0
    assert "net_tap1.rx_packets" in counters
    kernel.close()
    assert stack.close() == 0
