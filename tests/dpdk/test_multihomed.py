"""Two net_taps in one stack: each subnet is reached by its own port, one of them leads to the rest of the world.

Uses netns.py, peer.py. Two namespaces stand behind the taps: each kernel's end is moved into one of its own, so that
nothing but the right port leads there. Everything is in both families.
"""
from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import workers
from netns import Namespace
from peer import Remote, Side

pytestmark = pytest.mark.needs("tap", "ipv6")
V4, V6 = socket.AF_INET, socket.AF_INET6
STACK = {V4: ("198.18.8.2", "198.18.9.2"), V6: ("fd08::2", "fd09::2")}
KERNEL = {V4: ("198.18.8.1", "198.18.9.1"), V6: ("fd08::1", "fd09::1")}
FAR = {V4: ("203.0.113.1", "192.0.2.1"), V6: ("2001:db8:1::1", "2001:db8:9::1")}  # behind the gateway, a route
LENGTH = {V4: 24, V6: 64}
LINK = "fe80::9"  # what the second port's router is called on its link
both_families = pytest.mark.parametrize("family", [V4, V6], ids=["v4", "v6"])
each_port = pytest.mark.parametrize("port", [0, 1], ids=["first", "second"])


@dataclass
class Homes:
    """The stack, and the two kernels' sides."""

    stack: Side
    kernels: tuple[Side, Side]


def move(net: Namespace, far: Namespace, device: str, port: int) -> None:
    """Move a tap's kernel end into its namespace, with routes back to the stack's other addresses."""
    net.ip("link", "set", device, "netns", far.name)
    far.ip("link", "set", device, "up")
    if port == 1:
        far.ip("address", "add", f"{LINK}/64", "dev", device, "nodad")
    for family in (V4, V6):
        nodad = ["nodad"] if family == V6 else []
        far.ip("address", "add", f"{KERNEL[family][port]}/{LENGTH[family]}", "dev", device, *nodad)
        far.ip("address", "add", FAR[family][port], "dev", "lo", *nodad)
        far.ip("-6" if family == V6 else "-4", "route", "add", "default", "via", STACK[family][port])


@pytest.fixture(scope="module")
def homes() -> Iterator[Homes]:
    """Start the stack in one namespace and move its taps into two others."""
    with Namespace() as net, Namespace() as one, Namespace() as two:
        lists = [",".join(f"{STACK[family][port]}/{LENGTH[family]}" for family in (V4, V6)) for port in (0, 1)]
        stack = Side(
            net, "stack", "0.0.0.0", vdev="net_tap0,iface=one;net_tap1,iface=two", address=";".join(lists),
            gateway=f"{KERNEL[V4][0]},{KERNEL[V6][0]}",
            routes=f"192.0.2.0/24 via {KERNEL[V4][1]}, 2001:db8:9::/48 via {LINK} dev net_tap1")  # fmt: skip
        stack.call("os", "getpid")
        for port, (far, device) in enumerate(((one, "one"), (two, "two"))):
            move(net, far, device, port)
        yield Homes(stack, (Side(one, "kernel", KERNEL[V4][0]), Side(two, "kernel", KERNEL[V4][1])))
        assert stack.close() == 0


def listen(side: Side, family: int, address: str) -> Remote:
    made: Remote = side.call("socket", "create_server", (address, 0), family=family)
    return made


@both_families
@each_port
def test_each_subnet_is_reached_by_its_port_from_its_address(homes: Homes, family: int, port: int) -> None:
    listener = listen(homes.kernels[port], family, KERNEL[family][port])
    connected = homes.stack.connect(tuple(listener.getsockname())[:2])
    accepted, peer = listener.accept()
    assert peer[0] == STACK[family][port] == connected.getsockname()[0]
    received = homes.kernels[port].begin(workers.receive_stream, accepted)
    digest = homes.stack.run(workers.send_stream, connected, 1_000_000, 8)
    assert received.result(60) == (1_000_000, digest)
    for sock in (listener, accepted, connected):
        sock.close()


@both_families
@each_port
def test_what_is_behind_a_router_is_reached_by_the_longest_prefix(homes: Homes, family: int, port: int) -> None:
    listener = listen(homes.kernels[port], family, FAR[family][port])
    connected = homes.stack.connect(tuple(listener.getsockname())[:2])
    _, peer = listener.accept()
    assert peer[0] == STACK[family][port] == connected.getsockname()[0]
    connected.close()
    listener.close()


@both_families
def test_wildcard_listener_accepts_from_both_and_answers_from_the_address_that_was_asked(
    homes: Homes, family: int
) -> None:
    listener = listen(homes.stack, family, "0.0.0.0" if family == V4 else "::")
    number = listener.getsockname()[1]
    for port in (0, 1):
        connected = homes.kernels[port].connect((STACK[family][port], number))
        accepted, peer = listener.accept()
        assert peer[:2] == connected.getsockname()[:2]
        assert accepted.getsockname()[0] == STACK[family][port]
        accepted.sendall(b"from the right one")
        assert connected.recv(100) == b"from the right one"
        connected.close()
        accepted.close()
    listener.close()


@both_families
def test_the_other_ports_address_is_answered_for_too(homes: Homes, family: int) -> None:
    """The weak end system model, as on Linux: asked by the first port for the second's address."""
    listener = listen(homes.stack, family, STACK[family][1])
    connected = homes.kernels[0].connect(tuple(listener.getsockname())[:2])
    accepted, _ = listener.accept()
    assert accepted.getsockname()[0] == STACK[family][1]
    accepted.sendall(b"by the first port")
    assert connected.recv(100) == b"by the first port"
    listener.close()


@both_families
def test_datagrams_of_one_socket_leave_by_each_port(homes: Homes, family: int) -> None:
    sock = homes.stack.call("socket", "socket", family, socket.SOCK_DGRAM)
    sock.bind(("0.0.0.0" if family == V4 else "::", 0))
    for port in (0, 1):
        hearing = homes.kernels[port].call("socket", "socket", family, socket.SOCK_DGRAM)
        hearing.bind((KERNEL[family][port], 0))
        hearing.settimeout(5)
        sock.sendto(b"hello", tuple(hearing.getsockname())[:2])
        data, sender = hearing.recvfrom(100)
        assert (data, sender[0]) == (b"hello", STACK[family][port])
