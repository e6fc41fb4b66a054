"""IPv6 packets out: header, hop limit, traffic class, flow label, the path. Read by pytest."""
from __future__ import annotations

import errno
import struct

import pytest
from frames import FAR, OTHER_MAC, PEER, PEER_MAC, Host, Socket, mapped
from frames6 import AF_INET6, FAR6, GATEWAY6, OUR_LINK, PEER6, US6, Host6, on_link

IPPROTO_IPV6, UNICAST_HOPS, TCLASS = 41, 16, 67


def test_datagram_has_header_checksum_and_default_hop_limit(host6: Host6) -> None:
    sock = Socket(host6, domain=AF_INET6)
    assert sock.sendto(b"hello", PEER6, 7) == 5
    (packet,) = host6.sent6()
    assert packet.frame[:6] == PEER_MAC
    assert (packet.src, packet.dst, packet.next, packet.hops, packet.tclass) == (US6, PEER6, 17, 64, 0)
    assert packet.payload[8:] == b"hello" and struct.unpack("!H", packet.payload[4:6])[0] == 13


def test_hop_limit_and_traffic_class_are_the_sockets(host6: Host6) -> None:
    sock = Socket(host6, domain=AF_INET6)
    assert sock.setsockopt(IPPROTO_IPV6, UNICAST_HOPS, 5) == 0
    assert sock.setsockopt(IPPROTO_IPV6, TCLASS, 0xB9) == 0
    sock.sendto(b"x", PEER6, 7)
    (packet,) = host6.sent6()
    assert (packet.hops, packet.tclass) == (5, 0xB9)


def test_options_of_one_family_do_not_touch_the_other(host6: Host6) -> None:
    """Linux keeps IP_TTL and IPV6_UNICAST_HOPS apart, also on a socket that speaks both."""
    host6.learn(PEER)
    sock = Socket(host6, domain=AF_INET6)
    assert sock.setsockopt(IPPROTO_IPV6, UNICAST_HOPS, 5) == 0 and sock.setsockopt(0, 2, 9) == 0
    sock.sendto(b"x", PEER, 7)
    host6.poll()
    (packet,) = host6.ips()
    assert packet.ttl == 9


def test_flow_has_one_label_and_another_flow_another(host6: Host6) -> None:
    """RFC 6437 3: set, the same for each packet of a flow, not to be foretold."""
    one, other = Socket(host6, domain=AF_INET6), Socket(host6, domain=AF_INET6)
    one.sendto(b"a", PEER6, 7), one.sendto(b"b", PEER6, 7), other.sendto(b"c", PEER6, 7), one.sendto(b"d", PEER6, 8)
    labels = [packet.label for packet in host6.sent6()]
    assert labels[0] == labels[1] and len(set(labels)) == 3 and 0 not in labels


def test_far_host_is_reached_by_the_router_from_the_global_address(host6: Host6) -> None:
    assert host6.route("::", 0, GATEWAY6) == 0
    assert host6.lib.gd_stack_set_neighbour(host6.stack, host6.index, on_link(GATEWAY6, host6), OTHER_MAC) == 0
    Socket(host6, domain=AF_INET6).sendto(b"x", FAR6, 7)
    (packet,) = host6.sent6()
    assert (packet.frame[:6], packet.src, packet.dst) == (OTHER_MAC, US6, FAR6)


def test_default_route_of_ipv6_is_none_of_ipv4(host6: Host6) -> None:
    assert host6.route("::", 0, GATEWAY6) == 0
    assert Socket(host6).sendto(b"x", FAR, 7) == -errno.ENETUNREACH


def test_link_local_address_leaves_without_its_interface(host6: Host6) -> None:
    """fe80:index::1 is how the engine holds it; on the wire those bytes are zero, in header and checksum."""
    peer = on_link("fe80::2", host6)
    assert host6.lib.gd_stack_set_neighbour(host6.stack, host6.index, peer, PEER_MAC) == 0
    sock = Socket(host6, domain=AF_INET6)
    assert host6.lib.gd_sock_sendto(sock.c, b"x", 1, 0, peer, 7) == 1
    (packet,) = host6.sent6()
    assert (packet.src, packet.dst) == (OUR_LINK, "fe80::2")


@pytest.mark.parametrize(("address", "length"), [("::", 64), ("ff02::1", 64), (US6, 129), (US6, -1)])
def test_address_that_no_host_has_is_refused(host: Host, address: str, length: int) -> None:
    assert host.lib.gd_stack_add_address(host.stack, host.index, mapped(address), length) == -errno.EINVAL


def test_route_and_gateway_are_of_one_family(host6: Host6) -> None:
    assert host6.route("2001:db8:1::", 48, PEER) == -errno.EINVAL

