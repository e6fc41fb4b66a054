"""Invariant: a datagram arrives whole or not at all, at the socket Linux would give it to, and errors are Linux's."""
from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from frames import (
    BROADCAST,
    FAR,
    MS,
    OTHER,
    OTHER_MAC,
    PEER,
    PEER_MAC,
    US,
    Host,
    Socket,
    ether,
    ip4,
    mapped,
    parse_ip,
    pipe,
    udp,
)

IP_MTU_DISCOVER, UDP_CORK = 10, 1


@pytest.fixture
def sock(host: Host) -> Socket:
    """A socket bound to our port 7; its peers' MAC addresses are known."""
    host.learn()
    host.learn(OTHER, OTHER_MAC)
    made = Socket(host)
    assert made.bind(port=7) == 0
    return made


@pytest.fixture
def pair(native: Any) -> Iterator[tuple[Host, Host]]:
    """Two stacks on one wire."""
    a, b = pipe(native, 1500, PEER_MAC, OTHER_MAC)
    one, two = Host(native, PEER, wire=(a, b)), Host(native, OTHER, wire=(b, a))
    exchange(one, two)
    assert one.moved() and two.moved()  # each other's announcements
    yield one, two
    one.close()
    two.close()


def exchange(*hosts: Host) -> None:
    """Let both have their turns until nothing moves."""
    for _ in range(4):
        for host in hosts:
            host.poll()


def datagram(data: bytes, **fields: Any) -> bytes:
    """A frame from the peer to us."""
    src, dst = fields.get("src", PEER), fields.get("dst", US)
    return ether(ip4(udp(data, **fields), src=src, dst=dst))


def test_two_stacks_exchange_datagrams_both_ways(pair: tuple[Host, Host]) -> None:
    one, two = pair
    server, client = Socket(two), Socket(one)
    assert server.bind(port=53) == 0
    assert client.connect(OTHER, 53) == 0
    for size in (0, 1, 700, 1472):
        data = bytes(at & 255 for at in range(size))
        assert client.send(data) == size
        exchange(one, two)
        got = server.recvfrom()
        assert got == (data, PEER, client.name()[1])
        assert server.sendto(data[::-1], PEER, client.name()[1]) == size
        exchange(one, two)
        assert client.recvfrom() == (data[::-1], OTHER, 53)
    assert one.dropped() == two.dropped() == {}


def test_refusal_crosses_between_two_stacks(pair: tuple[Host, Host]) -> None:
    one, two = pair
    client = Socket(one)
    assert client.connect(OTHER, 53) == 0
    assert client.send(b"x") == 1
    exchange(one, two)
    assert client.recvfrom() == -errno.ECONNREFUSED
    assert two.dropped() == {"udp_drop_no_port": 1}


@pytest.mark.parametrize(
    ("frame", "counter"),
    [
        (ether(ip4(udp(b"")[:7])), "udp_drop_malformed"),
        (datagram(b"x", length=7), "udp_drop_malformed"),
        (datagram(b"x", length=10), "udp_drop_malformed"),
        (datagram(b"x", checksum=1), "udp_drop_checksum"),
    ],
)
def test_bad_datagram_is_counted_once(host: Host, sock: Socket, frame: bytes, counter: str) -> None:
    assert host.answer(frame) == []
    assert host.dropped() == {counter: 1}
    assert sock.recvfrom() == -errno.EAGAIN


def test_datagram_without_checksum_and_with_a_tail_is_taken(host: Host, sock: Socket) -> None:
    host.inject(datagram(b"plain", checksum=0), ether(ip4(udp(b"tailed") + b"???")))
    assert sock.recvfrom() == (b"plain", PEER, 5000)
    assert sock.recvfrom() == (b"tailed", PEER, 5000)


def test_peek_trunc_and_unread(host: Host, sock: Socket) -> None:
    host.inject(datagram(b"first"), datagram(b"", sport=1), datagram(b"third"))
    assert host.lib.gd_sock_unread(sock.c) == 5
    assert sock.recvfrom(flags=socket.MSG_PEEK) == (b"first", PEER, 5000)
    assert sock.msg_flags == 0
    assert sock.recvfrom(2, socket.MSG_PEEK | socket.MSG_TRUNC) == (b"fi", PEER, 5000)
    assert (sock.returned, sock.msg_flags) == (5, socket.MSG_TRUNC)
    assert sock.recvfrom(2) == (b"fi", PEER, 5000)
    assert (sock.returned, sock.msg_flags) == (2, socket.MSG_TRUNC)
    assert sock.recvfrom() == (b"", PEER, 1)
    assert sock.recvfrom(flags=socket.MSG_DONTWAIT) == (b"third", PEER, 5000)
    assert sock.recvfrom() == -errno.EAGAIN
    assert host.lib.gd_sock_unread(sock.c) == 0


def test_datagram_of_several_parts_is_one_on_the_wire(host: Host, sock: Socket) -> None:
    """MSG_MORE, and fragments as of any other."""
    assert sock.sendto(b"ab" * 500, PEER, 9, socket.MSG_MORE) == 1000
    assert sock.sendto(b"cd" * 500, OTHER, 10, socket.MSG_MORE) == 1000
    host.poll()
    assert host.take() == []
    assert sock.send(b"") == 0
    host.poll()
    first, second = host.ips()
    assert {first.dst, second.dst} == {PEER}
    assert (first.payload + second.payload)[8:] == b"ab" * 500 + b"cd" * 500
    assert host.moved()["udp_out"] == 1


def test_last_part_waits_with_who_sends_it(host: Host, sock: Socket) -> None:
    """A datagram in fragments to a host whose MAC address is unknown: EAGAIN, and the parts before stay."""
    third = "10.0.0.7"
    assert sock.sendto(b"a" * 1000, third, 9, socket.MSG_MORE) == 1000
    assert sock.send(b"b" * 1000) == -errno.EAGAIN
    host.poll()
    host.learn(third)
    host.take()
    assert sock.send(b"b" * 1000) == 1000
    host.poll()
    first, second = host.ips()
    assert (first.payload + second.payload)[8:] == b"a" * 1000 + b"b" * 1000


def test_parts_of_a_datagram_that_must_fit_are_lost_when_it_does_not(host: Host, sock: Socket) -> None:
    assert sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, 2) == 0  # IP_PMTUDISC_DO
    used = host.lib.gd_stack_buffer_bytes(host.stack)
    assert sock.sendto(b"a" * 1000, PEER, 9, socket.MSG_MORE) == 1000
    assert sock.send(b"b" * 473, socket.MSG_MORE) == -errno.EMSGSIZE
    assert host.lib.gd_stack_buffer_bytes(host.stack) == used
    assert sock.send(b"b") == -errno.EDESTADDRREQ


def test_pulled_cork_that_cannot_be_sent_is_counted(host: Host, sock: Socket) -> None:
    assert sock.setsockopt(socket.IPPROTO_UDP, UDP_CORK, 1) == 0
    assert sock.sendto(b"a" * 2000, "10.0.0.7", 9) == 2000
    assert sock.setsockopt(socket.IPPROTO_UDP, UDP_CORK, 0) == 0
    assert host.dropped() == {"udp_drop_corked": 1}


def test_arrival_makes_it_readable_and_posts_an_event(host: Host, sock: Socket) -> None:
    lib, pairs = host.lib, host.ffi.new("uint32_t[16]")
    assert sock.ready() == lib.GD_WRITE
    host.inject(datagram(b"x"))
    assert sock.ready() == lib.GD_READ | lib.GD_WRITE
    assert lib.gd_stack_events(host.stack, pairs, 8) == 1
    assert list(pairs[0:2]) == [lib.gd_sock_id(sock.c), lib.GD_READ]
    sock.recvfrom()
    assert sock.ready() == lib.GD_WRITE


def test_receive_buffer_bounds_what_waits(host: Host, sock: Socket) -> None:
    assert sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096) == 0
    host.inject(*[datagram(b"x" * 1000)] * 12)
    kept = 0
    while sock.recvfrom() != -errno.EAGAIN:
        kept += 1
    assert 4 <= kept <= 9
    assert host.dropped() == {"udp_drop_buffer": 12 - kept}
    assert host.lib.gd_stack_buffer_bytes(host.stack) == 0


def test_closing_gives_the_buffer_back(host: Host, sock: Socket) -> None:
    host.inject(datagram(b"x" * 1000))
    assert host.lib.gd_stack_buffer_bytes(host.stack) > 0
    sock.close()
    assert host.lib.gd_stack_buffer_bytes(host.stack) == 0
    assert len(host.answer(datagram(b"x"))) == 1


def test_connected_socket_hears_only_its_peer(host: Host, sock: Socket) -> None:
    assert sock.connect(PEER, 5000) == 0
    assert sock.name() == (US, 7)
    host.inject(datagram(b"peer"), datagram(b"other port", sport=5001), datagram(b"other host", src=OTHER))
    assert sock.recvfrom() == (b"peer", PEER, 5000)
    assert sock.recvfrom() == -errno.EAGAIN
    assert host.dropped()["udp_drop_no_port"] == 2


def test_dissolved_socket_hears_everybody_on_its_port_again(host: Host, sock: Socket) -> None:
    assert sock.connect(PEER, 5000) == 0
    assert sock.connect(None) == 0
    assert sock.name() == ("0.0.0.0", 7)
    host.inject(datagram(b"other", src=OTHER))
    assert sock.recvfrom() == (b"other", OTHER, 5000)
    assert sock.send(b"x") == -errno.EDESTADDRREQ


def test_dissolving_gives_a_chosen_port_back(host: Host, sock: Socket) -> None:
    client = Socket(host)
    assert client.connect(PEER, 5000) == 0
    address, port = client.name()
    assert address == US and 32768 <= port < 61000
    assert client.connect(None) == 0
    assert client.name() == ("0.0.0.0", 0)
    assert Socket(host).bind(port=port) == 0


def test_connected_socket_moves_to_another_peer(host: Host, sock: Socket) -> None:
    assert sock.connect(PEER, 5000) == 0
    assert sock.connect(OTHER, 6000) == 0
    assert sock.send(b"x") == 1
    host.poll()
    (frame,) = host.take()
    assert (frame[:6], parse_ip(frame).payload) == (OTHER_MAC, udp(b"x", 7, 6000, US, OTHER))
    host.inject(datagram(b"old"), datagram(b"new", src=OTHER, sport=6000))
    assert sock.recvfrom() == (b"new", OTHER, 6000)


def test_exact_address_goes_before_the_wildcard_and_a_connection_before_both(host: Host, sock: Socket) -> None:
    exact, linked = Socket(host), Socket(host)
    for other in (sock, exact, linked):
        assert other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1) == 0
    assert exact.bind(US, 7) == 0
    assert linked.bind(US, 7) == 0
    assert linked.connect(OTHER, 5000) == 0
    host.inject(datagram(b"a"), datagram(b"b", src=OTHER))
    assert exact.recvfrom() == (b"a", PEER, 5000)
    assert linked.recvfrom() == (b"b", OTHER, 5000)
    assert sock.recvfrom() == -errno.EAGAIN


def test_first_send_binds_a_port_that_hears_the_answer(host: Host, sock: Socket) -> None:
    client = Socket(host)
    assert client.sendto(b"q", PEER, 53) == 1
    assert client.sendto(b"q", OTHER, 53) == 1
    address, port = client.name()
    assert address == "0.0.0.0" and port >= 32768
    host.inject(datagram(b"a", sport=53, dport=port))
    assert client.recvfrom() == (b"a", PEER, 53)


def test_errors_of_sendto_are_linux_s(host: Host, sock: Socket) -> None:
    assert sock.send(b"x") == -errno.EDESTADDRREQ
    assert sock.sendto(b"x", PEER, 0) == -errno.EINVAL
    assert sock.sendto(b"x", FAR, 9) == -errno.ENETUNREACH
    assert sock.sendto(bytes(65508), PEER, 9) == -errno.EMSGSIZE
    assert sock.sendto(bytes(1472), PEER, 9) == 1472
    assert Socket(host).sendto(b"x", FAR, 9) == -errno.ENETUNREACH


@pytest.mark.parametrize("to", ["255.255.255.255", "10.0.0.255"])
def test_broadcast_needs_permission(host: Host, sock: Socket, to: str) -> None:
    assert sock.sendto(b"x", to, 9) == -errno.EACCES
    assert sock.connect(to, 9) == -errno.EACCES
    assert sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1) == 0
    assert sock.sendto(b"x", to, 9) == 1
    host.poll()
    (frame,) = host.take()
    assert (frame[:6], parse_ip(frame).dst, parse_ip(frame).src) == (BROADCAST, to, US)


def test_multicast_stays_on_the_link_and_needs_no_arp(host: Host, sock: Socket) -> None:
    assert sock.sendto(b"x", "239.129.2.3", 9) == 1
    host.poll()
    (frame,) = host.take()
    assert (frame[:6].hex(), parse_ip(frame).ttl) == ("01005e010203", 1)


def test_shutdown_of_each_direction(host: Host, sock: Socket) -> None:
    assert sock.shutdown(socket.SHUT_WR) == -errno.ENOTCONN
    assert sock.sendto(b"x", PEER, 9) == -errno.EPIPE
    linked = Socket(host)
    assert linked.connect(PEER, 9) == 0
    assert linked.shutdown(socket.SHUT_RD) == 0
    data, _, _ = linked.recvfrom()
    assert data == b""
    assert linked.ready() & (host.lib.GD_READ | host.lib.GD_RDHUP) == host.lib.GD_READ | host.lib.GD_RDHUP
    assert linked.send(b"x") == 1
    assert linked.shutdown(socket.SHUT_WR) == 0
    assert linked.send(b"x") == -errno.EPIPE
    assert linked.ready() & host.lib.GD_HUP
    assert linked.shutdown(7) == -errno.EINVAL


def test_full_device_means_eagain_and_writable_later(host: Host, sock: Socket) -> None:
    sent = 0
    while (rc := sock.sendto(b"x", PEER, 9)) == 1:
        sent += 1
    assert (rc, sent) == (-errno.EAGAIN, host.lib.GD_TX_QUEUE)
    assert not sock.ready() & host.lib.GD_WRITE
    host.now += MS
    host.poll()
    assert sock.ready() & host.lib.GD_WRITE
    pairs = host.ffi.new("uint32_t[16]")
    assert host.lib.gd_stack_events(host.stack, pairs, 8) == 1 and pairs[1] & host.lib.GD_WRITE
    assert len(host.take()) == sent
    assert sock.sendto(b"x", PEER, 9) == 1


def test_wildcard_destination_is_this_host(host: Host, sock: Socket) -> None:
    client = Socket(host)
    assert client.sendto(b"x", "0.0.0.0", 7) == 1
    host.poll()
    assert sock.recvfrom() == (b"x", "127.0.0.1", client.name()[1])


def test_ipv6_socket_speaks_ipv4_by_mapped_addresses(host: Host, sock: Socket) -> None:
    dual = Socket(host, domain=socket.AF_INET6)
    assert host.lib.gd_sock_bind(dual.c, bytes(16), 99) == 0
    host.inject(datagram(b"four", dport=99))
    assert dual.recvfrom() == (b"four", PEER, 5000)
    assert dual.sendto(b"back", PEER, 9) == 4
    host.poll()
    assert [packet.payload for packet in host.ips()] == [udp(b"back", 99, 9, US, PEER)]


def test_inet_socket_refuses_an_ipv6_address(host: Host, sock: Socket) -> None:
    six = bytes(15) + b"\x01"
    assert host.lib.gd_sock_sendto(sock.c, b"x", 1, 0, six, 9) == -errno.EAFNOSUPPORT
    assert host.lib.gd_sock_connect(sock.c, six, 9) == -errno.EAFNOSUPPORT


def test_route_that_changes_is_followed(host: Host, sock: Socket) -> None:
    assert sock.sendto(b"x", FAR, 9) == -errno.ENETUNREACH
    assert host.route("0.0.0.0", 0, PEER) == 0
    assert sock.sendto(b"x", FAR, 9) == 1
    assert host.route("192.0.2.0", 24, OTHER) == 0
    assert sock.sendto(b"x", FAR, 9) == 1
    host.poll()
    assert [frame[:6] for frame in host.take()] == [PEER_MAC, OTHER_MAC]
    assert host.lib.gd_stack_is_local(host.stack, mapped(FAR)) == 0


def test_ports_are_drawn_at_random(host: Host) -> None:
    """RFC 8085 5.1, RFC 6056 3.3.1: the next one is not to be told from the last."""
    socks = [Socket(host) for _ in range(30)]
    assert [sock.bind() for sock in socks] == [0] * 30
    ports = [sock.name()[1] for sock in socks]
    assert len(set(ports)) == 30 and all(32768 <= port < 61000 for port in ports)
    assert len({b - a for a, b in zip(ports, ports[1:], strict=False)}) == 29 and max(ports) - min(ports) > 14000


def test_parts_that_find_no_memory_to_be_joined_are_gone(host: Host) -> None:
    host.learn()
    sock, heap = Socket(host), host.lib.gd_allocations
    assert sock.sendto(b"one", PEER, 9, 0x8000) == 3  # MSG_MORE
    heap.seen, heap.failed, heap.fail_from, heap.fail_to = 0, 0, 1, 2
    assert sock.sendto(b"two", PEER, 9) == -errno.ENOBUFS
    heap.fail_from = heap.fail_to = 0
    assert heap.failed == 1 and host.lib.gd_stack_buffer_bytes(host.stack) == 0
    assert sock.sendto(b"three", PEER, 9) == 5
    host.poll()
    assert [packet.payload[8:] for packet in host.ips()] == [b"three"]


@pytest.mark.parametrize(("level", "option"), [(socket.IPPROTO_IP, 19), (socket.IPPROTO_IPV6, 75)])
def test_nobody_may_pass_for_other_hosts(host: Host, level: int, option: int) -> None:
    """IP_TRANSPARENT, IPV6_TRANSPARENT: as for who has no CAP_NET_ADMIN."""
    sock = Socket(host, domain=socket.AF_INET6 if level == socket.IPPROTO_IPV6 else socket.AF_INET)
    assert sock.setsockopt(level, option, 1) == -errno.EPERM and sock.setsockopt(level, option, 0) == 0
