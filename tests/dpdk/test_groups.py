"""Multicast and broadcast over net_tap with Linux as the peer: datagrams both ways, and what routers would hear.

Uses netns.py, peer.py; reads the frames of the tap by a packet socket.
"""
from __future__ import annotations

import contextlib
import select
import socket
import struct
import time
from collections.abc import Iterator

import pytest
from netns import Namespace
from peer import Remote, Side

pytestmark = pytest.mark.needs("tap", "ipv6")
STACK, KERNEL, STACK6, KERNEL6 = "198.18.0.2", "198.18.0.1", "fd00::2", "fd00::1"
GROUP, GROUP6 = "239.1.2.3", "ff05::1:3"
IGMP, ICMP6, MLD2_REPORT = 2, 58, 143
QUERY = bytes.fromhex("110aecf50000000002000000")  # of IGMPv3, about all groups, to be answered within 1 s


@pytest.fixture(scope="module")
def stack(net: Namespace) -> Iterator[Side]:
    """Start the process that runs over greendpdk."""
    side = Side(net, "stack", STACK, vdev="net_tap0,iface=gd0", address=f"{STACK}/24,{STACK6}/64")
    yield side
    assert side.close() == 0


@pytest.fixture(params=["kernel_to_stack", "stack_to_kernel"])
def ends(request: pytest.FixtureRequest, stack: Side, kernel: Side) -> tuple[Side, Side]:
    """Give (sender, receiver), both ways round."""
    return (kernel, stack) if request.param == "kernel_to_stack" else (stack, kernel)


def make(side: Side, family: int = socket.AF_INET) -> Remote:
    made: Remote = side.call("socket", "socket", family, socket.SOCK_DGRAM)
    made.settimeout(5)
    return made


def mreq(address: str) -> bytes:
    return socket.inet_aton(GROUP) + socket.inet_aton(address)


def member(side: Side, host: str = "") -> Remote:
    """A socket on a free port of the wildcard that has joined the group on the side's interface."""
    made = make(side)
    made.bind((host, 0))
    made.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, mreq(side.address))
    return made


@contextlib.contextmanager
def listening(net: Namespace) -> Iterator[socket.socket]:
    """Listen to all frames of the tap."""
    with net.entered():
        packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))  # ETH_P_ALL
        packets.bind(("gd0", 0))
    with packets:
        yield packets


def heard(packets: socket.socket, within: float) -> Iterator[bytes]:
    """Give the frames that come, from their IP header on."""
    end = time.monotonic() + within
    while (left := end - time.monotonic()) > 0 and select.select([packets], [], [], left)[0]:
        yield packets.recv(2000)[14:]


def igmp_records(packets: socket.socket, count: int, source: str = STACK, within: float = 5) -> list[tuple[int, str]]:
    """Wait for so many group records of IGMPv3, from the stack."""
    found: list[tuple[int, str]] = []
    for packet in heard(packets, within):
        if packet[9] != IGMP or packet[0] >> 4 != 4 or packet[12:16] != socket.inet_aton(source):
            continue
        assert (packet[0], packet[8], packet[20:24]) == (0x46, 1, b"\x94\x04\0\0")
        assert packet[16:20] == socket.inet_aton("224.0.0.22") and packet[24] == 0x22
        records = packet[32:]
        found += [(records[at], socket.inet_ntoa(records[at + 4 : at + 8])) for at in range(0, len(records), 8)]
        if len(found) >= count:
            break
    return found


@pytest.mark.parametrize("size", [3, 8000])
def test_datagram_to_a_group_reaches_the_member(ends: tuple[Side, Side], size: int) -> None:
    """A member that is bound to the wildcard: on the stack's side it is the kernel's too."""
    sender, receiver = ends
    hearing, saying = member(receiver), make(sender)
    saying.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(sender.address))
    saying.sendto(bytes(size), (GROUP, hearing.getsockname()[1]))
    data, source = hearing.recvfrom(9000)
    assert (data, source[0]) == (bytes(size), sender.address)
    hearing.close()
    saying.close()


def test_member_that_is_bound_to_the_group(ends: tuple[Side, Side]) -> None:
    sender, receiver = ends
    hearing, saying = member(receiver, GROUP), make(sender)
    assert hearing.getsockname()[0] == GROUP
    saying.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(sender.address))
    saying.sendto(b"x", (GROUP, hearing.getsockname()[1]))
    assert hearing.recv(10) == b"x"
    hearing.close()
    saying.close()


def test_broadcast_reaches_every_socket_of_its_port(ends: tuple[Side, Side]) -> None:
    sender, receiver = ends
    first, second, saying = make(receiver), make(receiver), make(sender)
    for sock in (first, second):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    first.bind(("", 0))
    second.bind(("", first.getsockname()[1]))
    saying.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    saying.sendto(b"all", ("198.18.0.255", first.getsockname()[1]))
    assert (first.recv(10), second.recv(10)) == (b"all", b"all")
    for sock in (first, second, saying):
        sock.close()


def test_routers_hear_who_joins_and_leaves(net: Namespace, stack: Side, kernel: Side) -> None:
    with listening(net) as packets:
        sock = member(stack)
        assert igmp_records(packets, 2) == [(4, GROUP), (4, GROUP)]
        sock.close()
        assert igmp_records(packets, 2) == [(3, GROUP), (3, GROUP)]


Change = tuple[int, frozenset[str]]


def changes(packets: socket.socket, source: str, want: set[Change]) -> set[Change]:
    """Wait until a host's IGMPv3 records (type, sources) are these, or too long."""
    found: set[Change] = set()
    for packet in heard(packets, 5):
        if packet[9] != IGMP or packet[0] >> 4 != 4 or packet[12:16] != socket.inet_aton(source):
            continue
        count, at = struct.unpack("!H", packet[30:32])[0], 32
        for _ in range(count):
            sources = struct.unpack("!H", packet[at + 2 : at + 4])[0]
            names = [socket.inet_ntoa(packet[at + 8 + 4 * n : at + 12 + 4 * n]) for n in range(sources)]
            if packet[at + 4 : at + 8] == socket.inet_aton(GROUP):
                found.add((packet[at], frozenset(names)))
            at += 8 + 4 * sources
        if found >= want:
            break
    return found


@pytest.mark.parametrize("kind", ["stack", "kernel"])
def test_source_filters_are_told_as_linux_tells_them(net: Namespace, stack: Side, kernel: Side, kind: str) -> None:
    """IP_ADD_SOURCE_MEMBERSHIP, IP_DROP_SOURCE_MEMBERSHIP, IP_MSFILTER: what routers hear is the same of both."""
    side = stack if kind == "stack" else kernel
    a, b = "198.18.0.7", "198.18.0.8"
    head = socket.inet_aton(GROUP) + socket.inet_aton(side.address)
    with listening(net) as packets:
        sock = make(side)
        sock.bind(("", 0))
        for name, value, want in (
            (39, head + socket.inet_aton(a), {(5, frozenset({a}))}),
            (39, head + socket.inet_aton(b), {(5, frozenset({a, b}))}),  # the first once more, and the second
            (40, head + socket.inet_aton(a), {(6, frozenset({a}))}),
            (41, head + struct.pack("=II", 0, 1) + socket.inet_aton(a), {(4, frozenset({a}))}),
            (36, head, {(3, frozenset[str]())}),
        ):
            sock.setsockopt(socket.IPPROTO_IP, name, value)
            assert changes(packets, side.address, want) >= want
        sock.close()


def test_router_that_asks_is_answered(net: Namespace, stack: Side, kernel: Side) -> None:
    with listening(net) as packets:
        sock = member(stack)
        igmp_records(packets, 2)
        with net.entered():
            raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, IGMP)
        with raw:
            raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(KERNEL))
            raw.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, b"\x94\x04\0\0")
            raw.sendto(QUERY, ("224.0.0.1", 0))
        assert igmp_records(packets, 1) == [(2, GROUP)]
        sock.close()


def test_ipv6_group_reaches_the_member_and_is_reported(net: Namespace, ends: tuple[Side, Side]) -> None:
    sender, receiver = ends
    # The stack's first port is its interface 2; of the kernel's side the name is known.
    index = {side: 2 if side.kind == "stack" else int(side.call("socket", "if_nametoindex", "gd0")) for side in ends}
    with listening(net) as packets:
        hearing, saying = make(receiver, socket.AF_INET6), make(sender, socket.AF_INET6)
        hearing.bind(("::", 0))
        request = socket.inet_pton(socket.AF_INET6, GROUP6) + struct.pack("=i", index[receiver])
        hearing.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
        saying.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index[sender])
        saying.sendto(b"six", (GROUP6, hearing.getsockname()[1]))
        data, source = hearing.recvfrom(10)
        assert data == b"six" and (source[0] in (STACK6, KERNEL6) or source[0].startswith("fe80:"))
        group = socket.inet_pton(socket.AF_INET6, GROUP6)
        assert any(packet[48] == MLD2_REPORT and group in packet for packet in heard(packets, 5)
                   if packet[0] >> 4 == 6 and packet[6] == 0 and packet[40] == ICMP6)
    hearing.close()
    saying.close()
