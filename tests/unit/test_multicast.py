"""Invariant: what comes for a group or for everybody reaches each socket that Linux would give it to, and no other; the
options have Linux's layouts and errors.
"""
from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator

import pytest
from frames import (
    BROADCAST,
    OTHER,
    PEER,
    UDP,
    US,
    Host,
    Socket,
    ether,
    four,
    ip4,
    mapped,
    parse_ip,
    pipe,
    udp,
)
from frames6 import AF_INET6, PEER6, US6, Host6, ether6, ip6, parse_ip6, udp6

GROUP, GROUP2, GROUP6 = "239.1.2.3", "239.1.2.4", "ff05::1:3"
SECOND = "172.16.0.1"
IF, TTL, LOOP, JOIN, LEAVE, ALL = 32, 33, 34, 35, 36, 49  # IP_MULTICAST_..., IP_ADD_MEMBERSHIP, ...
IF6, HOPS6, LOOP6, JOIN6, LEAVE6, ALL6 = 17, 18, 19, 20, 21, 29
MCAST_JOIN, MCAST_LEAVE = 42, 45
IP, IP6, SOL_SOCKET = 0, 41, 1


def group_mac(group: str) -> bytes:
    return bytes.fromhex("01005e") + bytes([four(group)[1] & 0x7F]) + four(group)[2:]


def to_group(data: bytes, group: str = GROUP, src: str = PEER, dport: int = 7) -> bytes:
    return ether(ip4(udp(data, dport=dport, src=src, dst=group), src=src, dst=group), to=group_mac(group))


def setraw(sock: Socket, level: int, name: int, value: bytes) -> int:
    return int(sock.lib.gd_sock_setsockopt(sock.c, level, name, value, len(value)))


def getraw(sock: Socket, level: int, name: int, room: int = 4) -> bytes | int:
    value, size = sock.ffi.new("char[]", room), sock.ffi.new("uint32_t *", room)
    rc = int(sock.lib.gd_sock_getsockopt(sock.c, level, name, value, size))
    return rc or bytes(sock.ffi.buffer(value, size[0]))


def mreq(group: str = GROUP, address: str = "0.0.0.0") -> bytes:
    return four(group) + four(address)


def mreqn(group: str, address: str, index: int) -> bytes:
    return mreq(group, address) + struct.pack("=i", index)


def mreq6(group: str = GROUP6, index: int = 0) -> bytes:
    return mapped(group) + struct.pack("=i", index)


def group_req(group: str, index: int = 0) -> bytes:
    family = AF_INET6 if ":" in group else socket.AF_INET
    body = struct.pack("=HH", family, 0) + (bytes(4) + mapped(group) if ":" in group else four(group))
    return struct.pack("=I4x", index) + body.ljust(128, b"\0")


def listening(host: Host, address: str = "0.0.0.0", domain: int = socket.AF_INET) -> Socket:
    sock = Socket(host, domain=domain)
    assert sock.setsockopt(SOL_SOCKET, socket.SO_REUSEADDR, 1) == 0
    assert sock.bind(address, 7) == 0
    return sock


def got(*socks: Socket) -> list[bytes | None]:
    results = [sock.recvfrom() for sock in socks]
    return [None if isinstance(result, int) else result[0] for result in results]


@pytest.fixture
def two(host: Host) -> Iterator[Host]:
    """A host with a second interface, 172.16.0.1/16, whose other end is host.other."""
    a, b = pipe(host.native, 1500, bytes.fromhex("020000000009"), bytes.fromhex("02000000000a"))
    host.second = host.lib.gd_stack_attach(host.stack, a, b"test1")  # type: ignore[attr-defined]
    assert host.lib.gd_stack_add_address(host.stack, host.second, mapped(SECOND), 16) == 0  # type: ignore[attr-defined]
    host.poll()
    yield host
    host.lib.gd_port_close(b)


# ---- who hears ----


def test_group_is_heard_only_while_a_socket_is_a_member(host: Host) -> None:
    sock = listening(host)
    host.inject(to_group(b"before"))
    assert host.dropped() == {"ip4_drop_not_ours": 1}
    assert setraw(sock, IP, JOIN, mreq()) == 0
    host.inject(to_group(b"member"), to_group(b"other group", GROUP2))
    assert got(sock) == [b"member"] and got(sock) == [None]
    assert setraw(sock, IP, LEAVE, mreq()) == 0
    host.moved()
    host.inject(to_group(b"after"))
    assert host.dropped() == {"ip4_drop_not_ours": 1} and got(sock) == [None]


def test_membership_ends_with_the_socket(host: Host) -> None:
    stays, goes = listening(host), listening(host)
    for sock in (stays, goes):
        assert setraw(sock, IP, JOIN, mreq()) == 0
    goes.close()
    host.inject(to_group(b"one"))
    assert got(stays) == [b"one"]
    stays.close()
    host.moved()
    host.inject(to_group(b"none"))
    assert host.dropped() == {"ip4_drop_not_ours": 1}


@pytest.mark.parametrize("kind", ["group", "broadcast", "subnet broadcast"])
def test_each_socket_that_matches_gets_its_copy(host: Host, kind: str) -> None:
    dst = {"group": GROUP, "broadcast": "255.255.255.255", "subnet broadcast": "10.0.0.255"}[kind]
    wild, again, exact, unicast = listening(host), listening(host), listening(host, dst), listening(host, US)
    six, linked = listening(host, "::", AF_INET6), listening(host, dst)
    other = Socket(host)
    assert other.bind(port=8) == 0
    assert linked.connect(PEER, 5000) == 0
    assert setraw(wild, IP, JOIN, mreq()) == 0
    everybody = (wild, again, exact, six, linked)
    host.inject(ether(ip4(udp(b"all", dst=dst), dst=dst), to=group_mac(GROUP) if kind == "group" else BROADCAST))
    assert got(*everybody) == [b"all"] * 5 and got(*everybody, unicast, other) == [None] * 7
    host.inject(ether(ip4(udp(b"more", src=OTHER, dst=dst), src=OTHER, dst=dst), to=BROADCAST))
    assert got(linked, wild) == [None, b"more"]


def test_socket_that_wants_its_own_groups_only(host: Host) -> None:
    """IP_MULTICAST_ALL"""
    member, shy = listening(host), listening(host)
    assert setraw(member, IP, JOIN, mreq()) == 0
    assert shy.setsockopt(IP, ALL, 0) == 0
    host.inject(to_group(b"x"))
    assert got(member, shy) == [b"x", None]
    assert setraw(shy, IP, JOIN, mreq()) == 0
    host.inject(to_group(b"y"))
    assert got(member, shy) == [b"y", b"y"]


def test_membership_is_an_interface_s(two: Host) -> None:
    sock = listening(two)
    assert setraw(sock, IP, JOIN, mreq(GROUP, SECOND)) == 0
    two.inject(to_group(b"by the first"))
    assert got(sock) == [None]
    assert setraw(sock, IP, JOIN, mreq(GROUP, US)) == 0
    two.inject(to_group(b"by the first"))
    assert got(sock) == [b"by the first"]


def test_detached_interface_takes_its_memberships(two: Host) -> None:
    """And leaves no neighbour behind, as a last report to routers would."""
    sock, neighbours = listening(two), two.stack.neigh_count
    assert setraw(sock, IP, JOIN, mreq(GROUP, SECOND)) == 0
    assert two.lib.gd_stack_detach(two.stack, two.second) == 0  # type: ignore[attr-defined]
    assert two.stack.neigh_count == neighbours
    assert setraw(sock, IP, LEAVE, mreqn(GROUP, "0.0.0.0", two.second)) == -errno.ENODEV  # type: ignore[attr-defined]
    sock.close()


def test_datagram_to_a_group_without_a_socket_gets_no_error(host: Host) -> None:
    sock = listening(host)
    assert setraw(sock, IP, JOIN, mreq()) == 0
    host.poll()
    host.take()
    host.moved()
    assert host.answer(to_group(b"x", dport=9)) == []
    assert host.dropped() == {"udp_drop_no_port": 1}


# ---- sending ----


def test_own_datagram_is_for_members_here_too(host: Host) -> None:
    member, sender = listening(host), Socket(host)
    assert setraw(member, IP, JOIN, mreq()) == 0
    host.take()
    assert sender.sendto(b"x", GROUP, 7) == 1
    assert member.recvfrom() == (b"x", US, sender.name()[1])
    host.poll()
    (packet,) = [parse_ip(frame) for frame in host.take() if frame[23] == UDP]
    assert (packet.dst, packet.src, packet.ttl, packet.frame[:6]) == (GROUP, US, 1, group_mac(GROUP))
    assert sender.setsockopt(IP, LOOP, 0) == 0
    assert sender.sendto(b"y", GROUP, 7) == 1
    assert got(member) == [None]


def test_own_broadcast_is_heard_here_too(host: Host) -> None:
    listener, sender = listening(host), Socket(host)
    assert sender.setsockopt(SOL_SOCKET, socket.SO_BROADCAST, 1) == 0
    assert sender.sendto(b"x", "10.0.0.255", 7) == 1
    assert listener.recvfrom() == (b"x", US, sender.name()[1])
    assert sender.sendto(b"y", PEER, 7) == 1 and got(listener) == [None]


def test_socket_bound_to_a_group_sends_from_its_host_s_address(host: Host) -> None:
    sock = listening(host, GROUP)
    assert sock.sendto(b"x", GROUP2, 9) == 1
    host.poll()
    (packet,) = host.ips()
    assert (packet.src, packet.payload) == (US, udp(b"x", 7, 9, US, GROUP2))


def test_ttl_of_groups_is_its_own(host: Host) -> None:
    sock = Socket(host)
    assert getraw(sock, IP, TTL) == struct.pack("=i", 1)
    for value, ttl in ((5, 5), (-1, 1), (255, 255)):
        assert sock.setsockopt(IP, TTL, value) == 0
        assert sock.sendto(b"x", GROUP, 9) == 1
        host.poll()
        assert [packet.ttl for packet in host.ips()] == [ttl]
    assert sock.setsockopt(IP, TTL, 0) == 0
    assert sock.sendto(b"stays here", GROUP, 9) == 10
    host.poll()
    assert host.take() == []
    for wrong in (-2, 256):
        assert sock.setsockopt(IP, TTL, wrong) == -errno.EINVAL


def test_interface_of_groups_is_chosen(two: Host) -> None:
    sock = Socket(two)
    assert getraw(sock, IP, IF) == bytes(4)
    assert setraw(sock, IP, IF, four(SECOND)) == 0
    assert getraw(sock, IP, IF) == four(SECOND)
    assert sock.sendto(b"x", GROUP, 9) == 1
    two.poll()
    assert two.take() == []
    assert setraw(sock, IP, IF, mreqn("0.0.0.0", "0.0.0.0", two.index)) == 0
    assert sock.sendto(b"x", GROUP, 9) == 1
    two.poll()
    assert [packet.src for packet in two.ips()] == [US]
    assert setraw(sock, IP, IF, mreqn("0.0.0.0", "10.9.9.9", two.index)) == 0  # nobody looks yet
    assert sock.sendto(b"x", GROUP, 9) == -errno.EINVAL  # as Linux's route look-up says
    bound = Socket(two)
    assert bound.bind(US) == 0 and setraw(bound, IP, IF, mreqn("0.0.0.0", "10.9.9.9", two.index)) == 0
    assert bound.sendto(b"x", GROUP, 9) == 1
    two.poll()
    assert [packet.src for packet in two.ips()] == [US]
    assert setraw(sock, IP, IF, four("10.9.9.9")) == -errno.EADDRNOTAVAIL
    assert setraw(sock, IP, IF, mreqn("0.0.0.0", "0.0.0.0", 9)) == -errno.EADDRNOTAVAIL
    assert setraw(sock, IP, IF, b"123") == -errno.EINVAL
    assert setraw(sock, IP, IF, bytes(4)) == 0


def test_groups_on_the_loopback(host: Host) -> None:
    member, sender = listening(host), Socket(host)
    assert setraw(member, IP, JOIN, mreq(GROUP, "127.0.0.1")) == 0
    assert setraw(sender, IP, IF, four("127.0.0.1")) == 0
    assert sender.sendto(b"x", GROUP, 7) == 1
    assert got(member) == [b"x"]
    host.poll()
    assert host.take() == []


# ---- errors of the options ----


def test_errors_of_memberships_are_linux_s(host: Host) -> None:
    sock = listening(host)
    assert setraw(sock, IP, JOIN, mreq(PEER)) == -errno.EINVAL
    assert setraw(sock, IP, JOIN, mreq()[:7]) == -errno.EINVAL
    assert setraw(sock, IP, JOIN, mreq(GROUP, "10.9.9.9")) == -errno.ENODEV
    assert setraw(sock, IP, JOIN, mreqn(GROUP, US, 9)) == -errno.ENODEV
    assert setraw(sock, IP, JOIN, mreqn(GROUP, "10.9.9.9", host.index)) == 0
    assert setraw(sock, IP, JOIN, mreq()) == -errno.EADDRINUSE
    assert setraw(sock, IP, LEAVE, mreq(GROUP2)) == -errno.EADDRNOTAVAIL
    assert setraw(sock, IP, MCAST_LEAVE, group_req(GROUP)) == 0
    assert setraw(sock, IP, LEAVE, mreq()) == -errno.EADDRNOTAVAIL
    assert setraw(sock, IP, MCAST_JOIN, group_req(GROUP6)) == -errno.EINVAL
    assert setraw(sock, IP, MCAST_JOIN, group_req(GROUP)[:135]) == -errno.EINVAL
    assert setraw(sock, IP6, JOIN6, mreq6()) == -errno.ENOPROTOOPT
    assert setraw(sock, IP, 39, bytes(12)) == -errno.EINVAL  # IP_ADD_SOURCE_MEMBERSHIP of no group
    assert sock.setsockopt(IP, ALL, 2) == -errno.EINVAL


def test_a_socket_joins_20_groups(host: Host) -> None:
    sock = listening(host)
    for number in range(20):
        assert setraw(sock, IP, JOIN, mreq(f"239.0.0.{number}")) == 0
    assert setraw(sock, IP, JOIN, mreq("239.0.0.20")) == -errno.ENOBUFS


def test_options_read_as_they_were_set(host: Host) -> None:
    sock = listening(host, "::", AF_INET6)
    for level, name, values in ((IP, LOOP, (1, 0)), (IP, ALL, (1, 0)), (IP6, LOOP6, (1, 0)), (IP6, ALL6, (1, 0)),
                                (IP6, HOPS6, (1, 9)), (IP6, IF6, (0, host.index))):
        first, second = values
        assert getraw(sock, level, name) == struct.pack("=i", first)
        assert sock.setsockopt(level, name, second) == 0
        assert getraw(sock, level, name) == struct.pack("=i", second)
    assert sock.setsockopt(IP6, LOOP6, 2) == -errno.EINVAL
    assert sock.setsockopt(IP6, IF6, 9) == -errno.ENODEV


# ---- IPv6 ----


@pytest.mark.parametrize("group", [GROUP6, "ff02::1:3"])
def test_ipv6_group_is_heard_by_members(host6: Host6, group: str) -> None:
    sock = listening(host6, "::", AF_INET6)
    packet = ether6(ip6(udp6(b"x", dst=group), dst=group), to=b"\x33\x33" + mapped(group)[12:])
    host6.inject(packet)
    assert got(sock) == [None]
    assert setraw(sock, IP6, JOIN6, mreq6(group)) == 0
    assert setraw(sock, IP6, JOIN6, mreq6(group, host6.index)) == -errno.EADDRINUSE
    bound = listening(host6, group, AF_INET6)
    host6.inject(packet)
    assert got(sock, bound) == [b"x", b"x"]
    assert setraw(sock, IP6, MCAST_LEAVE, group_req(group)) == 0
    host6.inject(packet)
    assert got(sock) == [None]


def test_ipv6_own_datagram_goes_out_and_to_members_here(host6: Host6) -> None:
    member, sender = listening(host6, "::", AF_INET6), Socket(host6, domain=AF_INET6)
    assert setraw(member, IP6, JOIN6, mreq6()) == 0
    assert sender.setsockopt(IP6, HOPS6, 3) == 0
    assert sender.setsockopt(IP6, IF6, host6.index) == 0
    host6.settle6()
    assert sender.sendto(b"x", GROUP6, 7) == 1
    assert got(member) == [b"x"]
    host6.poll()
    (packet,) = [parse_ip6(frame) for frame in host6.take() if frame[20] == UDP]
    assert (packet.src, packet.dst, packet.hops, packet.frame[:6].hex()) == (US6, GROUP6, 3, "333300010003")
    assert sender.setsockopt(IP6, LOOP6, 0) == 0
    assert sender.sendto(b"x", GROUP6, 7) == 1
    assert got(member) == [None]


def test_ipv6_errors_are_linux_s(host6: Host6) -> None:
    sock = listening(host6, "::", AF_INET6)
    assert setraw(sock, IP6, JOIN6, mreq6(PEER6)) == -errno.EINVAL
    assert setraw(sock, IP6, JOIN6, mreq6()[:19]) == -errno.EINVAL
    assert setraw(sock, IP6, JOIN6, mreq6(GROUP6, 9)) == -errno.ENODEV
    assert setraw(sock, IP6, LEAVE6, mreq6()) == -errno.EADDRNOTAVAIL
    assert setraw(sock, IP6, MCAST_JOIN, group_req(GROUP)) == -errno.EADDRNOTAVAIL


# ---- checksums ----


def test_udp_over_ipv6_needs_a_checksum(host6: Host6) -> None:
    """RFC 8200 8.1; over IPv4 none is needed (RFC 768)."""
    sock = listening(host6, "::", AF_INET6)
    host6.inject(ether6(ip6(udp6(b"none", checksum=0))))
    assert got(sock) == [None] and host6.dropped() == {"udp_drop_checksum": 1}


def test_checksum_that_comes_out_as_zero_is_sent_as_ones(host: Host) -> None:
    """RFC 768: zero says that there is none."""
    host.learn()
    sock = Socket(host)
    assert sock.bind(port=4000) == 0
    (plain,) = struct.unpack("!H", udp(b"\0\0", 4000, 9, US, PEER)[6:8])
    for size in (2, 2000):
        data = struct.pack("!H", plain) if size == 2 else b""
        if not data:
            (plain,) = struct.unpack("!H", udp(bytes(size), 4000, 9, US, PEER)[6:8])
            data = struct.pack("!H", plain) + bytes(size - 2)
        assert sock.sendto(data, PEER, 9) == size
        host.poll()
        assert host.ips()[0].payload[6:8] == b"\xff\xff"


def test_port_is_named_by_its_scope_id_too(host6: Host6) -> None:
    """As in addresses: the numbers of the kernel's interfaces begin at 1 as well."""
    scope = (1 << 30) + host6.index
    sock = listening(host6, "::", AF_INET6)
    assert setraw(sock, IP6, JOIN6, mreq6(GROUP6, scope)) == 0
    assert setraw(sock, IP6, LEAVE6, mreq6(GROUP6, host6.index)) == 0
    assert setraw(sock, IP6, MCAST_JOIN, group_req(GROUP6, scope)) == 0
    assert setraw(sock, IP6, MCAST_LEAVE, group_req(GROUP6, host6.index)) == 0
    assert sock.setsockopt(IP6, IF6, scope) == 0 and sock.setsockopt(IP6, IF6, scope + 9) == -errno.ENODEV
    assert setraw(Socket(host6), IP, IF, mreqn("0.0.0.0", "0.0.0.0", scope)) == 0
