"""Invariant: a datagram that does not fit goes out whole in fragments, or not at all, and the sender is told which."""
from __future__ import annotations

import errno
import struct
from typing import Any

import pytest
from frames import (
    BROADCAST,
    ICMP,
    MS,
    OTHER,
    OTHER_MAC,
    OUR_MAC,
    PEER,
    PEER_MAC,
    SECOND,
    UDP,
    US,
    Host,
    Ip,
    Socket,
    arp,
    ether,
    icmp,
    ip4,
    udp,
)
from frames6 import AF_INET6, ICMP6, PEER6, US6, Host6, ether6, icmp6, ip6, parse_ip6, udp6

DISCOVER, MTU = 10, 14  # IP_MTU_DISCOVER, IP_MTU
DISCOVER6, MTU6, DONTFRAG6 = 23, 24, 62
DONT, WANT, DO, PROBE, INTERFACE, OMIT = range(6)
DF = 0x4000


@pytest.fixture
def sock(host: Host) -> Socket:
    """A socket bound to our port 7; its peers' MAC addresses are known."""
    host.learn()
    host.learn(OTHER, OTHER_MAC)
    made = Socket(host)
    assert made.bind(port=7) == 0
    return made


def sent(host: Host) -> list[Ip]:
    host.poll()
    return host.ips()


def joined(packets: list[Ip], mtu: int = 1500) -> bytes:
    """The payload of packets that are the fragments of one datagram, each as long as it may be."""
    assert len({packet.frame[18:20] for packet in packets}) == 1
    whole = b""
    for packet in packets:
        last = packet is packets[-1]
        assert packet.fragment == (len(whole) // 8 | (0 if last else 0x2000))
        assert len(packet.payload) <= mtu - 20 and (last or len(packet.payload) == (mtu - 20) // 8 * 8)
        whole += packet.payload
    return whole


def getsockopt(sock: Socket, level: int, name: int) -> int:
    value, size = sock.ffi.new("int *"), sock.ffi.new("uint32_t *", 4)
    rc = int(sock.lib.gd_sock_getsockopt(sock.c, level, name, value, size))
    return rc if rc < 0 else int(value[0])


def too_big(quoted: bytes, mtu: int, src: str = PEER) -> bytes:
    """Fragmentation needed, from a router."""
    return ether(ip4(icmp(3, 4, struct.pack("!HH", 0, mtu), quoted[:28]), ICMP, src=src))


@pytest.mark.parametrize("size", [1473, 2952, 8000, 65507])
def test_datagram_is_cut_to_the_mtu(host: Host, sock: Socket, size: int) -> None:
    data = bytes(at * 7 & 255 for at in range(size))
    assert sock.sendto(data, PEER, 9) == size
    packets = sent(host)
    assert joined(packets) == udp(data, 7, 9, US, PEER)
    assert host.moved()["fragment_out"] == len(packets)


@pytest.mark.parametrize(("mode", "whole", "longer"), [
    (DONT, 0, True), (WANT, DF, True), (DO, DF, False), (PROBE, DF, False), (INTERFACE, 0, False), (OMIT, 0, True),
])
def test_mtu_discover_decides_on_df_and_fragments(host: Host, sock: Socket, mode: int, whole: int,
                                                  longer: bool) -> None:
    assert sock.setsockopt(0, DISCOVER, mode) == 0 and getsockopt(sock, 0, DISCOVER) == mode
    assert sock.sendto(bytes(1472), PEER, 9) == 1472
    assert [packet.fragment for packet in sent(host)] == [whole]
    assert sock.sendto(bytes(1473), PEER, 9) == (1473 if longer else -errno.EMSGSIZE)
    assert len(sent(host)) == (2 if longer else 0)


def test_mtu_discover_is_want_and_knows_its_values(host: Host, sock: Socket) -> None:
    assert getsockopt(sock, 0, DISCOVER) == WANT
    assert sock.setsockopt(0, DISCOVER, 6) == -errno.EINVAL
    assert sock.setsockopt(0, DISCOVER, -1) == -errno.EINVAL


def test_identifications_follow_for_a_peer_and_tell_nothing_of_others(host: Host, sock: Socket) -> None:
    """RFC 7739 5.3"""
    idents: dict[str, list[int]] = {PEER: [], OTHER: []}
    for peer in [PEER, OTHER] * 5:
        assert sock.sendto(bytes(2000), peer, 9) == 2000
        idents[peer].append(struct.unpack("!H", sent(host)[0].frame[18:20])[0])
    for numbers in idents.values():
        assert {(b - a) % 65536 for a, b in zip(numbers, numbers[1:], strict=False)} <= {1, 2}
    assert (idents[PEER][0] - idents[OTHER][0]) % 65536 not in (0, 1, 65535)


# ---- all or nothing ----


def test_queue_without_room_for_all_takes_none(host: Host, sock: Socket) -> None:
    lib, netif = host.lib, host.stack.netifs[1]
    for _ in range(5):  # of 45 fragments each, and the queue holds 256
        assert sock.sendto(bytes(65507), PEER, 9) == 65507
    assert (sock.sendto(bytes(65507), PEER, 9), netif.ntx) == (-errno.EAGAIN, 225)
    assert sock.ready() & lib.GD_WRITE == 0
    host.advance(2 * MS)
    assert sock.ready() & lib.GD_WRITE
    assert len(host.take()) == 225
    assert sock.sendto(bytes(65507), PEER, 9) == 65507


def test_more_fragments_than_the_queue_holds_are_too_many(native: Any) -> None:
    host = Host(native, mtu=100)
    host.learn()
    assert Socket(host).sendto(bytes(65507), PEER, 9) == -errno.EMSGSIZE
    assert host.take() == []
    host.close()


def test_unknown_neighbour_is_asked_before_the_fragments(host: Host) -> None:
    sock = Socket(host)
    assert sock.bind(port=7) == 0
    assert sock.sendto(bytes(20000), PEER, 9) == -errno.EAGAIN
    host.poll()
    assert host.take() == [ether(arp(1, US, PEER, OUR_MAC), 0x0806, BROADCAST, OUR_MAC)]
    host.advance(2 * MS)
    assert sock.ready() & host.lib.GD_WRITE
    assert sock.sendto(bytes(20000), PEER, 9) == -errno.EAGAIN
    host.inject(ether(arp(2, PEER, US, PEER_MAC, OUR_MAC), 0x0806))
    assert sock.sendto(bytes(20000), PEER, 9) == 20000
    assert len(sent(host)) == 14


def test_neighbour_that_does_not_answer_is_an_error(host: Host) -> None:
    sock = Socket(host)
    assert sock.sendto(bytes(20000), PEER, 9) == -errno.EAGAIN
    host.advance(3 * SECOND + 100 * MS)
    assert sock.sendto(bytes(20000), PEER, 9) == -errno.EHOSTUNREACH


# ---- the path's MTU ----


def test_path_mtu_is_learnt_and_forgotten_after_ten_minutes(host: Host, sock: Socket) -> None:
    assert sock.sendto(bytes(1472), PEER, 9) == 1472
    (packet,) = sent(host)
    host.inject(too_big(packet.frame[14:], 1006))
    assert sock.recvfrom() == -errno.EAGAIN  # not connected: it hears of nothing
    assert sock.sendto(bytes(1472), PEER, 9) == 1472
    assert joined(sent(host), 1006) == udp(bytes(1472), 7, 9, US, PEER)
    assert sock.sendto(bytes(1472), OTHER, 9) == 1472
    assert len(sent(host)) == 1
    host.advance(599 * SECOND)
    assert sock.sendto(bytes(1472), PEER, 9) == 1472
    assert len(sent(host)) == 2
    host.advance(2 * SECOND)
    assert sock.sendto(bytes(1472), PEER, 9) == 1472
    assert len(sent(host)) == 1


def test_connected_socket_hears_emsgsize_and_can_ask(host: Host, sock: Socket) -> None:
    assert getsockopt(sock, 0, MTU) == -errno.ENOTCONN
    assert sock.connect(PEER, 9) == 0
    assert getsockopt(sock, 0, MTU) == 1500
    assert sock.setsockopt(0, DISCOVER, DO) == 0
    assert sock.send(bytes(1472)) == 1472
    (packet,) = sent(host)
    host.inject(too_big(packet.frame[14:], 1400))
    assert sock.send(b"") == -errno.EMSGSIZE
    assert getsockopt(sock, 0, MTU) == 1400
    assert sock.send(bytes(1373)) == -errno.EMSGSIZE
    assert sock.send(bytes(1372)) == 1372


@pytest.mark.parametrize(
    ("mode", "learns", "told"), [(DONT, True, False), (PROBE, True, True), (INTERFACE, False, False)]
)
def test_who_believes_in_path_mtus(host: Host, sock: Socket, mode: int, learns: bool, told: bool) -> None:
    """Linux: INTERFACE and OMIT believe in none, PROBE notes them for others, DONT is not told."""
    assert sock.connect(PEER, 9) == 0
    assert sock.setsockopt(0, DISCOVER, mode) == 0
    assert sock.send(bytes(1472)) == 1472
    (packet,) = sent(host)
    host.inject(too_big(packet.frame[14:], 1400))
    assert (sock.recvfrom() == -errno.EMSGSIZE) == told
    other = Socket(host)
    assert other.sendto(bytes(1472), PEER, 9) == 1472
    assert len(sent(host)) == (2 if learns else 1)


def test_path_mtu_below_552_is_an_attack(host: Host, sock: Socket) -> None:
    assert sock.sendto(bytes(1472), PEER, 9) == 1472
    (packet,) = sent(host)
    host.inject(too_big(packet.frame[14:], 68))
    assert sock.sendto(bytes(1472), PEER, 9) == 1472
    assert joined(sent(host), 552) == udp(bytes(1472), 7, 9, US, PEER)


def test_error_about_a_port_of_nobody_teaches_nothing(host: Host, sock: Socket) -> None:
    host.inject(too_big(ip4(udp(bytes(1472), 8, 9, US, PEER), UDP, US, PEER), 1006))
    assert host.dropped() == {"icmp_drop_no_socket": 1}
    assert sock.sendto(bytes(1472), PEER, 9) == 1472
    assert len(sent(host)) == 1


def test_flood_of_errors_about_many_hosts_leaves_the_memory_as_it_is(host: Host, sock: Socket) -> None:
    for number in range(2000):
        dst = f"10.{number // 250}.1.{number % 250 + 1}"
        host.inject(too_big(ip4(udp(bytes(1472), 7, 9, US, dst), UDP, US, dst), 600))
    assert host.dropped() == {}
    assert sock.sendto(bytes(1472), PEER, 9) == 1472
    assert len(sent(host)) == 1


# ---- echo ----


def test_echo_that_came_in_fragments_goes_in_fragments(host: Host, sock: Socket) -> None:
    """ping -s 8000"""
    message = icmp(8, rest=b"\1\2\3\4", data=bytes(at & 255 for at in range(8000)))
    parts = [message[at : at + 1480] for at in range(0, len(message), 1480)]
    host.inject(*[ether(ip4(part, ICMP, ident=3, fragment=number * 185 | (0 if part is parts[-1] else 0x2000)))
                  for number, part in enumerate(parts)])
    assert joined(sent(host)) == icmp(0, rest=b"\1\2\3\4", data=message[8:])


# ---- IPv6 ----


def joined6(frames: list[bytes], mtu: int) -> bytes:
    whole, idents = b"", set()
    for frame in frames:
        packet = parse_ip6(frame)
        assert packet.next == 44 and packet.payload[0] in (UDP, ICMP6) and len(frame) - 14 <= mtu
        field, ident = struct.unpack("!HI", packet.payload[2:8])
        assert field == len(whole) | (0 if frame is frames[-1] else 1)
        idents.add(ident)
        whole += packet.payload[8:]
    assert len(idents) == 1
    return whole


@pytest.fixture
def sock6(host6: Host6) -> Socket:
    made = Socket(host6, domain=AF_INET6)
    assert made.bind("::", 7) == 0
    return made


@pytest.mark.parametrize("size", [1453, 8000, 65527])
def test_ipv6_datagram_has_a_fragment_header(host6: Host6, sock6: Socket, size: int) -> None:
    assert sock6.sendto(bytes(size), PEER6, 9) == size
    host6.poll()
    assert joined6(host6.take(), 1500) == udp6(bytes(size), 7, 9, US6, PEER6)


def test_ipv6_limits(host6: Host6, sock6: Socket) -> None:
    assert sock6.sendto(bytes(65528), PEER6, 9) == -errno.EMSGSIZE
    assert sock6.setsockopt(41, DONTFRAG6, 1) == 0
    assert sock6.sendto(bytes(1453), PEER6, 9) == -errno.EMSGSIZE
    assert sock6.setsockopt(41, DONTFRAG6, 0) == 0
    assert sock6.setsockopt(41, DISCOVER6, DO) == 0
    assert sock6.sendto(bytes(1453), PEER6, 9) == -errno.EMSGSIZE
    assert sock6.sendto(bytes(1452), PEER6, 9) == 1452


def test_ipv6_mtu_option_makes_fragments_smaller(host6: Host6, sock6: Socket) -> None:
    assert sock6.setsockopt(41, MTU6, 1279) == -errno.EINVAL
    assert sock6.setsockopt(41, MTU6, 1280) == 0
    assert sock6.sendto(bytes(1400), PEER6, 9) == 1400
    host6.poll()
    assert joined6(host6.take(), 1280) == udp6(bytes(1400), 7, 9, US6, PEER6)


def test_ipv6_packet_too_big_is_learnt(host6: Host6, sock6: Socket) -> None:
    assert sock6.connect(PEER6, 9) == 0
    assert getsockopt(sock6, 41, MTU6) == 1500
    quoted = ip6(udp6(bytes(1400), 7, 9, US6, PEER6), src=US6, dst=PEER6)[:1232]
    for told in (1300, 1400):  # RFC 8201 4: no such error makes it larger
        host6.inject(ether6(ip6(icmp6(2, rest=struct.pack("!I", told), data=quoted), ICMP6)))
        assert sock6.recvfrom() == -errno.EMSGSIZE
        assert getsockopt(sock6, 41, MTU6) == 1300
    host6.take()
    assert sock6.send(bytes(1400)) == 1400
    host6.poll()
    assert joined6(host6.take(), 1300) == udp6(bytes(1400), 7, 9, US6, PEER6)


def test_ipv6_echo_goes_in_fragments(host6: Host6) -> None:
    message = icmp6(128, data=bytes(3000))
    parts = [message[at : at + 1232] for at in range(0, len(message), 1232)]
    packets = [ip6(struct.pack("!BBHI", ICMP6, 0, at * 1232 | (part is not parts[-1]), 5) + part, 44)
               for at, part in enumerate(parts)]
    host6.inject(*map(ether6, packets))
    host6.poll()
    assert joined6(host6.take(), 1500) == icmp6(129, data=bytes(3000), src=US6, dst=PEER6)


def test_datagrams_between_two_sockets_of_ours_need_no_fragments_but_the_longest_of_ipv6(host6: Host6) -> None:
    server, client = Socket(host6, domain=AF_INET6), Socket(host6, domain=AF_INET6)
    assert server.bind("::", 7) == 0
    for size in (65000, 65527):
        assert client.sendto(bytes(size), US6, 7) == size
        host6.poll()
        data, *_ = server.recvfrom(70000)  # type: ignore[misc]
        assert data == bytes(size)

