"""IPv6 over net_tap with Linux as the peer: TCP, UDP, ping, neighbours, routers (radvd), duplicate addresses.

Uses netns.py, peer.py.
"""
from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import workers
from netns import Namespace
from peer import Remote, Side

pytestmark = pytest.mark.needs("tap", "ipv6")
ROOT = Path(__file__).parent.parent.parent
STACK, KERNEL = "fd00::2", "fd00::1"
Sides = tuple[Side, Side]


@pytest.fixture(scope="module")
def stack(net: Namespace) -> Iterator[Side]:
    """Start the process that runs over greendpdk."""
    side = Side(net, "stack", STACK, vdev="net_tap0,iface=gd0", address=f"198.18.0.2/24,{STACK}/64")
    yield side
    assert side.close() == 0


@pytest.fixture(scope="module")
def kernel(net: Namespace, stack: Side) -> Iterator[Side]:
    """Start the process that runs over Linux."""
    side = Side(net, "kernel", KERNEL)
    yield side
    side.close()


def make(side: Side, kind: int = socket.SOCK_STREAM, bound: bool = False) -> Remote:
    made: Remote = side.call("socket", "socket", socket.AF_INET6, kind)
    made.settimeout(10)
    if bound:
        made.bind((side.address, 0))
    return made


def joined(sides: Sides) -> tuple[Remote, Remote]:
    """Return (accepted, connected), the two ends of one connection."""
    listener = make(sides[0], bound=True)
    listener.listen()
    connected = make(sides[1])
    connected.connect(tuple(listener.getsockname()))
    accepted, _ = listener.accept()
    listener.close()
    return accepted, connected


# ---- streams and datagrams -------------------------------------------------------------------


def test_both_ends_agree_on_names_of_four(sides: Sides) -> None:
    accepted, connected = joined(sides)
    assert accepted.getsockname() == connected.getpeername()
    assert accepted.getpeername() == connected.getsockname()
    assert accepted.getsockname()[0] == sides[0].address and accepted.getsockname()[2:] == (0, 0)
    assert connected.getsockname()[0] == sides[1].address


@pytest.mark.slow
@pytest.mark.parametrize("direction", ["to_listener", "from_listener"])
def test_bytes_arrive_exact(sides: Sides, direction: str) -> None:
    ends = list(zip(sides, joined(sides), strict=True))
    (receiver, sink), (sender, source) = ends if direction == "to_listener" else reversed(ends)
    received = receiver.begin(workers.receive_stream, sink)
    digest = sender.run(workers.send_stream, source, 20_000_000, 1)
    assert received.result(60) == (20_000_000, digest)


def test_segments_are_as_large_as_the_link_allows(sides: Sides) -> None:
    for end in joined(sides):
        assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) == 1500 - 60 - 12


def test_closed_port_refuses(sides: Sides) -> None:
    listener = make(sides[0], bound=True)
    address = tuple(listener.getsockname())
    listener.close()
    with pytest.raises(ConnectionRefusedError):
        make(sides[1]).connect(address)
    asking = make(sides[1], socket.SOCK_DGRAM)
    asking.connect(address)
    asking.send(b"anybody?")
    with pytest.raises(ConnectionRefusedError):
        asking.recv(100)


@pytest.mark.parametrize("size", [0, 1000, 1452, 1453, 9000])
def test_datagram_comes_back(sides: Sides, size: int) -> None:
    """Up to the MTU, and in fragments beyond."""
    echo, asking = make(sides[0], socket.SOCK_DGRAM, bound=True), make(sides[1], socket.SOCK_DGRAM)
    served = sides[0].begin(workers.serve_datagrams, echo, 1)
    asking.sendto(bytes(size), tuple(echo.getsockname()))
    assert asking.recvfrom(10000) == (bytes(size), tuple(echo.getsockname()))
    assert served.result(5) == 1


def test_listener_on_the_wildcard_hears_both_families(stack: Side, kernel: Side) -> None:
    listener = stack.call("socket", "create_server", ("", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    for host, seen in ((STACK, KERNEL), ("198.18.0.2", "::ffff:198.18.0.1")):
        kernel.connect((host, listener.getsockname()[1]))
        accepted, address = listener.accept()
        assert address[0] == seen and address[2:] == (0, 0)
    listener.close()


def test_header_carries_what_the_socket_says(stack: Side, kernel: Side) -> None:
    """Hop limit and traffic class of datagrams, as the kernel sees them."""
    hearing, saying = make(kernel, socket.SOCK_DGRAM, bound=True), make(stack, socket.SOCK_DGRAM)
    for name in (socket.IPV6_RECVHOPLIMIT, socket.IPV6_RECVTCLASS):
        hearing.setsockopt(socket.IPPROTO_IPV6, name, 1)
    saying.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 9)
    saying.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, 0xB8)
    saying.sendto(b"x", tuple(hearing.getsockname()))
    _, extra, _, _ = hearing.recvmsg(10, 100)
    values = {kind: int.from_bytes(data, sys.byteorder) for _, kind, data in extra}
    assert values == {socket.IPV6_HOPLIMIT: 9, socket.IPV6_TCLASS: 0xB8}


# ---- the link --------------------------------------------------------------------------------


def kernel_link_address(net: Namespace) -> str:
    """Wait until the kernel, too, knows that its link-local address is nobody else's."""
    end = time.monotonic() + 10
    while "tentative" in (text := net.ip("-6", "address", "show", "dev", "gd0", "scope", "link")):
        assert time.monotonic() < end, text
        time.sleep(0.05)
    found = re.search(r"fe80::[0-9a-f:]+", text)
    assert found, text
    return found[0]


def of_stack(side: Side) -> tuple[str, int]:
    """The stack's link-local address, and its port's scope id."""
    addresses, scope, _ = side.run(workers.first_port)
    return next(own for own in addresses if own.startswith("fe80:")), scope


def kernel_scope(side: Side) -> int:
    return int(side.call("socket", "if_nametoindex", "gd0"))


def test_link_local_addresses_connect_both_ways(net: Namespace, stack: Side, kernel: Side) -> None:
    (ours, scope), theirs = of_stack(stack), kernel_link_address(net)
    listener = make(stack)
    listener.bind((ours, 0, 0, scope))
    listener.listen()
    assert listener.getsockname()[3] == scope
    connected = make(kernel)
    connected.connect((ours, listener.getsockname()[1], 0, kernel_scope(kernel)))
    accepted, address = listener.accept()
    assert address[3] == scope and address[0] == connected.getsockname()[0]
    back = make(kernel)
    back.bind((theirs, 0, 0, kernel_scope(kernel)))
    back.listen()
    again = make(stack)
    again.connect((theirs, back.getsockname()[1], 0, scope))
    assert again.getsockname()[0] == ours and back.accept()[1][0] == ours
    accepted.close()


def test_kernel_pings_the_stack(net: Namespace, stack: Side, kernel: Side) -> None:
    ours, _ = of_stack(stack)
    for size, to in (("56", STACK), ("1452", STACK), ("4000", STACK), ("56", f"{ours}%gd0"), ("56", "ff02::1%gd0")):
        said = net.run(["ping", "-6", "-c", "2", "-i", "0.2", "-w", "5", "-s", size, to]).stdout
        assert " 0% packet loss" in said


def test_kernel_knows_the_stack_as_a_neighbour(net: Namespace, stack: Side, kernel: Side) -> None:
    accepted, connected = joined((stack, kernel))
    connected.sendall(b"x")
    accepted.recv(1)
    known = net.ip("-6", "neighbour")
    assert re.search(rf"(?m)^{STACK} dev gd0 lladdr [0-9a-f:]+ +(REACHABLE|STALE|DELAY|PROBE)", known)


def test_stack_answers_when_the_kernel_has_forgotten_it(net: Namespace, stack: Side, kernel: Side) -> None:
    """The kernel asks in the solicited-node group."""
    net.ip("-6", "neighbour", "flush", "dev", "gd0")
    test_kernel_pings_the_stack(net, stack, kernel)


def test_stack_goes_on_when_the_kernel_has_another_mac(net: Namespace, stack: Side, kernel: Side) -> None:
    accepted, connected = joined((stack, kernel))
    net.ip("link", "set", "gd0", "address", "02:00:00:00:77:77")
    connected.sendall(b"still here")
    assert accepted.recv(100) == b"still here"
    accepted.sendall(b"and back")
    assert connected.recv(100) == b"and back"


# ---- routers and duplicates ------------------------------------------------------------------


def run(net: Namespace, program: str, check: bool = True, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a program over greendpdk in a namespace."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GREENDPDK_")}
    kept |= {f"GREENDPDK_{name.upper()}": value for name, value in settings.items()}
    words = [sys.executable, "-W", "error", "-c", "import greendpdk\n" + textwrap.dedent(program)]
    return net.run(words, env=kept | {"PYTHONPATH": str(ROOT)}, cwd="/", timeout=60, check=check)


RADVD = """
interface gd0 {
    AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; AdvCurHopLimit 33; AdvLinkMTU 1400;
    AdvDefaultLifetime 600;
    prefix fd00:5::/64 { AdvOnLink on; AdvAutonomous on; AdvValidLifetime 600; AdvPreferredLifetime 300; };
    RDNSS fd00:5::53 { AdvRDNSSLifetime 300; };
};
"""


@pytest.mark.slow
@pytest.mark.needs("radvd")
def test_address_and_route_come_from_radvd(tmp_path: Path) -> None:
    (tmp_path / "radvd.conf").write_text(RADVD)
    with Namespace() as net:
        net.run(["sysctl", "-qw", "net.ipv6.conf.all.forwarding=1"])
        net.ip("address", "add", "2001:db8:77::1/128", "dev", "lo")
        words = ["radvd", "-n", "-m", "logfile", "-l", str(tmp_path / "log"), "-p", str(tmp_path / "pid"),
                 "-C", str(tmp_path / "radvd.conf")]  # fmt: skip
        net.popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        side = Side(net, "stack", "::", vdev="net_tap0,iface=gd0", address="auto", tap_address="fd00:5::1/64")
        addresses, _, servers = side.run(workers.first_port)
        address = next(own for own in addresses if own.startswith("fd00:5::"))
        assert servers == ("fd00:5::53",)
        kernel = Side(net, "kernel", "2001:db8:77::1")  # behind the router
        listener = make(kernel, bound=True)
        listener.listen()
        connected = make(side)
        connected.connect(tuple(listener.getsockname()))
        accepted, peer = listener.accept()
        assert peer[0] == address
        accepted.sendall(b"from afar")
        assert connected.recv(100) == b"from afar"
        assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) == 1400 - 60 - 12
        kernel.close()
        assert side.close() == 0


@pytest.mark.slow
def test_link_without_a_router_is_named(net: Namespace) -> None:
    with Namespace() as quiet:
        program = "import greendpdk._ports as ports\nports.ROUTER_SECONDS = 0.6\ngreendpdk.start()"
        done = run(quiet, program, check=False, vdev="net_tap0,iface=gd0", address="auto")
    assert "on net_tap0 no router advertised itself" in done.stderr


@pytest.mark.parametrize("address", ["fd00::2/64", "auto"])
def test_address_that_the_kernel_has_is_refused(address: str) -> None:
    """One set by hand, or the one of the link that our MAC makes."""
    with Namespace() as here, Namespace() as there:
        peer = ("peer", "name", "veth0", "netns", there.name)
        here.ip("link", "add", "veth0", "address", "02:00:00:00:00:77", "type", "veth", *peer)
        for side in (here, there):
            side.ip("link", "set", "veth0", "up")
        for taken in ("fd00::2/64", "fe80::ff:fe00:77/64"):
            there.ip("address", "add", taken, "dev", "veth0", "nodad")
        time.sleep(0.1)  # the link comes up
        done = run(here, "greendpdk.start()", check=False, vdev="net_af_packet0,iface=veth0", address=address)
    said = "another host has fe80::ff:fe00:77/64" if address == "auto" else "another host has that address"
    assert said in done.stderr and address in done.stderr


def test_link_too_short_for_ipv6_is_named() -> None:
    with Namespace() as net:
        done = run(net, "greendpdk.start()", check=False, vdev="net_tap0,iface=gd0", address="fd00::2/64", mtu="1279")
    assert "ConfigError" in done.stderr and "needs 1280 at least" in done.stderr


def test_stack_may_speak_ipv6_alone(net: Namespace) -> None:
    with Namespace() as alone:
        done = run(alone, """
            from greendpdk import socket
            port = greendpdk.start().ports[0]
            name = socket.create_server(("fd00::2", 0), family=10).getsockname()[0]
            print([own.version for own in port.addresses], name)
        """, vdev="net_tap0,iface=gd0", address="fd00::2/64")  # fmt: skip
    assert done.stdout.strip() == "[6, 6] fd00::2"


def test_scope_of_the_kernel_stays_the_kernels(net: Namespace, stack: Side, kernel: Side) -> None:
    """The stack's port has the number 2 in the engine, as some interface has in the kernel: they are not mixed up."""
    theirs = kernel_link_address(net)
    listener = make(stack)
    listener.bind((theirs, 0, 0, kernel_scope(kernel)))
    listener.listen()
    connected = make(kernel)
    connected.connect((theirs, listener.getsockname()[1], 0, kernel_scope(kernel)))
    accepted, address = listener.accept()
    assert address[3] == kernel_scope(kernel)
    connected.sendall(b"within the kernel")
    assert accepted.recv(100) == b"within the kernel"
    reading = make(stack, socket.SOCK_DGRAM)
    reading.bind((theirs, 0, 0, kernel_scope(kernel)))
    make(stack, socket.SOCK_DGRAM).sendto(b"so do datagrams", tuple(reading.getsockname()))
    assert reading.recv(100) == b"so do datagrams"
