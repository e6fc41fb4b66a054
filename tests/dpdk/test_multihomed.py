"""Two net_taps in one stack: each subnet is reached by its own port, one of them leads to the rest of the world.

Uses netns.py, peer.py. Two namespaces stand behind the taps: each kernel's end is moved into one of its own, so that
nothing but the right port leads there.
"""
from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import workers
from netns import Namespace
from peer import Side

pytestmark = pytest.mark.needs("tap")
STACK = ("198.18.8.2", "198.18.9.2")
KERNEL = ("198.18.8.1", "198.18.9.1")
FAR = ("203.0.113.1", "192.0.2.1")  # behind the first port's gateway by default, behind the second's by a route


@dataclass
class Homes:
    """The stack, and the two kernels' sides."""

    stack: Side
    kernels: tuple[Side, Side]


def move(net: Namespace, far: Namespace, device: str, kernel: str, stack: str, behind: str) -> None:
    """Move a tap's kernel end, with the routes back to the stack's other address."""
    net.ip("link", "set", device, "netns", far.name)
    far.ip("address", "add", f"{kernel}/24", "dev", device)
    far.ip("address", "add", f"{behind}/32", "dev", "lo")
    far.ip("link", "set", device, "up")
    far.ip("route", "add", "default", "via", stack)


@pytest.fixture(scope="module")
def homes() -> Iterator[Homes]:
    """Start the stack in one namespace and move its taps into two others."""
    with Namespace() as net, Namespace() as one, Namespace() as two:
        stack = Side(
            net, "stack", "0.0.0.0", vdev="net_tap0,iface=one;net_tap1,iface=two",
            address=";".join(f"{address}/24" for address in STACK), gateway=KERNEL[0],
            routes=f"192.0.2.0/24 via {KERNEL[1]}")  # fmt: skip
        for far, device, kernel, own, behind in zip((one, two), ("one", "two"), KERNEL, STACK, FAR, strict=True):
            move(net, far, device, kernel, own, behind)
        yield Homes(stack, (Side(one, "kernel", KERNEL[0]), Side(two, "kernel", KERNEL[1])))
        assert stack.close() == 0


@pytest.mark.parametrize("port", [0, 1])
def test_each_subnet_is_reached_by_its_port_from_its_address(homes: Homes, port: int) -> None:
    listener = homes.kernels[port].listen()
    connected = homes.stack.connect(tuple(listener.getsockname()))
    accepted, peer = listener.accept()
    assert peer[0] == STACK[port] == connected.getsockname()[0]
    received = homes.kernels[port].begin(workers.receive_stream, accepted)
    digest = homes.stack.run(workers.send_stream, connected, 1_000_000, 8)
    assert received.result(60) == (1_000_000, digest)
    for sock in (listener, accepted, connected):
        sock.close()


@pytest.mark.parametrize("port", [0, 1])
def test_what_is_behind_a_router_is_reached_by_the_longest_prefix(homes: Homes, port: int) -> None:
    listener = homes.kernels[port].call("socket", "create_server", (FAR[port], 0))
    connected = homes.stack.connect(tuple(listener.getsockname()))
    _, peer = listener.accept()
    assert peer[0] == STACK[port] == connected.getsockname()[0]
    connected.close()
    listener.close()


def test_wildcard_listener_accepts_from_both_and_answers_from_the_address_that_was_asked(homes: Homes) -> None:
    listener = homes.stack.call("socket", "create_server", ("0.0.0.0", 0))
    number = listener.getsockname()[1]
    for port in (0, 1):
        connected = homes.kernels[port].connect((STACK[port], number))
        accepted, peer = listener.accept()
        assert peer == connected.getsockname()
        assert accepted.getsockname()[0] == STACK[port]
        accepted.sendall(b"from the right one")
        assert connected.recv(100) == b"from the right one"
        connected.close()
        accepted.close()
    listener.close()


def test_the_other_ports_address_is_answered_for_too(homes: Homes) -> None:
    """The weak end system model, as on Linux: asked by the first port for the second's address."""
    listener = homes.stack.call("socket", "create_server", (STACK[1], 0))
    connected = homes.kernels[0].connect(tuple(listener.getsockname()))
    accepted, _ = listener.accept()
    assert accepted.getsockname()[0] == STACK[1]
    accepted.sendall(b"by the first port")
    assert connected.recv(100) == b"by the first port"
    listener.close()


def test_datagrams_of_one_socket_leave_by_each_port(homes: Homes) -> None:
    sock = homes.stack.socket(socket.SOCK_DGRAM)
    sock.bind(("0.0.0.0", 0))
    for port in (0, 1):
        hearing = homes.kernels[port].socket(socket.SOCK_DGRAM)
        hearing.bind((KERNEL[port], 0))
        hearing.settimeout(5)
        sock.sendto(b"hello", tuple(hearing.getsockname()))
        data, sender = hearing.recvfrom(100)
        assert (data, sender[0]) == (b"hello", STACK[port])
    before = homes.stack.call("greendpdk", "counters")
    assert before["net_tap0.tx_packets"] > 0 and before["net_tap1.tx_packets"] > 0
