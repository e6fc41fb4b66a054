"""IPv6 beyond the link, over a real router: the kernel forwards to a host behind a link of 1,300 bytes, and says so.

Uses netns.py, peer.py. The tap's end is the router; its other link goes to a namespace that takes 1,500 bytes, so that
nothing but the router's "packet too big" can tell the stack (RFC 8201).
"""
from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import workers
from netns import Namespace
from peer import Side

pytestmark = pytest.mark.needs("tap", "ipv6")
STACK, ROUTER, FAR = "fd00::2", "fd00::1", "fd00:9::2"
NARROW = 1300


@dataclass
class Path:
    """Both ends, and the router between them."""

    stack: Side
    far: Side
    router: Namespace


@pytest.fixture(scope="module")
def path() -> Iterator[Path]:
    """Start the stack behind a router, and a host on the router's other side."""
    with Namespace() as router, Namespace() as beyond:
        router.run(["sysctl", "-qw", "net.ipv6.conf.all.forwarding=1"])
        router.ip("link", "add", "veth0", "type", "veth", "peer", "name", "veth0", "netns", beyond.name)
        for side, address in ((router, "fd00:9::1"), (beyond, FAR)):
            side.ip("address", "add", f"{address}/64", "dev", "veth0", "nodad")
            side.ip("link", "set", "veth0", "up")
        router.ip("link", "set", "veth0", "mtu", str(NARROW))
        beyond.ip("-6", "route", "add", "default", "via", "fd00:9::1")
        stack = Side(router, "stack", STACK, vdev="net_tap0,iface=gd0", address=f"{STACK}/64", gateway=ROUTER)
        far = Side(beyond, "kernel", FAR)
        yield Path(stack, far, router)
        far.close()
        assert stack.close() == 0


def test_stream_learns_the_paths_mtu(path: Path) -> None:
    listener = path.far.call("socket", "create_server", (FAR, 0), family=socket.AF_INET6)
    connected = path.stack.call("socket", "create_connection", tuple(listener.getsockname())[:2], 10)
    connected.settimeout(None)
    assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) == 1500 - 60 - 12
    accepted, peer = listener.accept()
    assert peer[0] == STACK
    received = path.far.begin(workers.receive_stream, accepted)
    digest = path.stack.run(workers.send_stream, connected, 2_000_000, 1)
    assert received.result(60) == (2_000_000, digest)
    assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) == NARROW - 60 - 12


def test_datagram_that_was_too_big_goes_in_fragments_from_then_on(path: Path) -> None:
    hearing = path.far.call("socket", "socket", socket.AF_INET6, socket.SOCK_DGRAM)
    hearing.bind((FAR, 0))
    hearing.settimeout(0.5)
    saying = path.stack.call("socket", "socket", socket.AF_INET6, socket.SOCK_DGRAM)
    for _ in range(10):
        saying.sendto(bytes(1400), tuple(hearing.getsockname()))
        try:
            assert hearing.recv(2000) == bytes(1400)
        except TimeoutError:
            continue
        break
    else:
        pytest.fail("no datagram came through")


@pytest.mark.slow
def test_host_that_the_router_does_not_reach_is_unreachable(path: Path) -> None:
    """The router answers for it: address unreachable."""
    asking = path.stack.call("socket", "socket", socket.AF_INET6)
    asking.settimeout(10)
    with pytest.raises(OSError, match="No route to host|unreachable"):
        asking.connect(("fd00:9::77", 80))
    with pytest.raises(OSError, match="unreachable"):
        path.stack.call("socket", "create_connection", ("fd00:a::1", 80), 10)
