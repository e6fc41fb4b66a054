"""ICMPv6: echo, errors about our packets, errors about others' (RFC 4443). Read by pytest."""
from __future__ import annotations

import errno
import struct

import pytest
from frames import ICMP, PEER, SECOND, Socket, ether, icmp, ip4, udp
from frames6 import AF_INET6, FAR6, ICMP6, PEER6, US6, Host6, ether6, extension, icmp6, ip6, udp6

UNREACHABLE, TOO_BIG, EXCEEDED, PARAMETER, ECHO, REPLY, REDIRECT = 1, 2, 3, 4, 128, 129, 137


def test_echo_comes_back_whole(host6: Host6) -> None:
    (answer,) = host6.answers6(ip6(icmp6(ECHO, 0, b"\1\2\3\4", b"data"), ICMP6, tclass=0x40))
    assert (answer.src, answer.dst, answer.hops, answer.tclass) == (US6, PEER6, 64, 0x40)
    assert answer.payload[:2] == bytes([REPLY, 0]) and answer.payload[4:] == b"\1\2\3\4data"


def test_echo_to_all_nodes_is_answered_by_our_address(host6: Host6) -> None:
    """RFC 4443 4.2; Linux answers too."""
    (answer,) = host6.answers6(ip6(icmp6(ECHO, dst="ff02::1"), ICMP6, dst="ff02::1"))
    assert (answer.src, answer.dst) == (US6, PEER6)


@pytest.mark.parametrize(
    ("message", "counter"),
    [
        (icmp6(ECHO)[:7], "icmp_drop_malformed"),
        (icmp6(ECHO)[:-1] + b"\1", "icmp_drop_checksum"),
        (icmp6(200), "icmp_drop_unknown"),
        (icmp6(REPLY), "icmp_drop_unknown"),
        (icmp6(UNREACHABLE, 4), "icmp_drop_malformed"),
        (icmp6(TOO_BIG, 0, struct.pack("!I", 1279), bytes(60)), "icmp_drop_unknown"),
    ],
)
def test_what_says_nothing_is_dropped_and_counted(host6: Host6, message: bytes, counter: str) -> None:
    assert host6.answers6(ip6(message, ICMP6)) == [] and host6.dropped() == {counter: 1}


def connected(host6: Host6) -> Socket:
    sock = Socket(host6, domain=AF_INET6)
    assert sock.connect(PEER6, 9) == 0 and sock.send(b"question") == 8
    return sock


@pytest.mark.parametrize(
    ("kind", "code", "number"),
    [
        (UNREACHABLE, 4, errno.ECONNREFUSED), (UNREACHABLE, 1, errno.EACCES), (UNREACHABLE, 5, errno.EACCES),
        (UNREACHABLE, 6, errno.EACCES), (PARAMETER, 1, errno.EPROTO), (TOO_BIG, 0, errno.EMSGSIZE),
        (UNREACHABLE, 9, errno.EPROTO),
    ],
)  # fmt: skip
def test_hard_error_is_told_to_a_connected_socket(host6: Host6, kind: int, code: int, number: int) -> None:
    """Linux's icmpv6_err_convert."""
    sock = connected(host6)
    (question,) = host6.sent6()
    host6.inject(ether6(ip6(icmp6(kind, code, struct.pack("!I", 1400), question.frame[14:]), ICMP6)))
    assert sock.recvfrom() == -number and not host6.dropped()


@pytest.mark.parametrize(("kind", "code"), [(UNREACHABLE, 0), (UNREACHABLE, 3), (EXCEEDED, 0)])
def test_soft_error_is_not_told_to_a_datagram_socket(host6: Host6, kind: int, code: int) -> None:
    sock = connected(host6)
    (question,) = host6.sent6()
    host6.inject(ether6(ip6(icmp6(kind, code, bytes(4), question.frame[14:]), ICMP6)))
    assert sock.recvfrom() == -errno.EAGAIN and not host6.dropped()


def test_quote_is_understood_behind_extension_headers(host6: Host6) -> None:
    sock = connected(host6)
    (question,) = host6.sent6()
    port = struct.unpack("!H", question.payload[:2])[0]
    inner = udp6(b"question", port, 9, US6, PEER6)
    quote = ip6(extension(44, b"") + bytes([17, 0, 0, 1, 1, 2, 3, 4]) + inner, 60, US6, PEER6)
    host6.inject(ether6(ip6(icmp6(UNREACHABLE, 4, bytes(4), quote), ICMP6)))
    assert sock.recvfrom() == -errno.ECONNREFUSED


@pytest.mark.parametrize(
    ("quote", "counter"),
    [
        (ip6(udp6(b"q", 1, 9, US6, FAR6), 17, US6, FAR6), "icmp_drop_no_socket"),
        (ip6(udp6(b"q", 1, 9), 17, PEER6, PEER6), "icmp_drop_no_socket"),
        (ip6(bytes([17, 0, 1, 0, 1, 2, 3, 4]) + bytes(8), 44, US6, PEER6), "icmp_drop_malformed"),
        (ip6(extension(60, b"") * 6 + bytes(8), 60, US6, PEER6), "icmp_drop_malformed"),
        (ip6(bytes([17, 255]) + bytes(14), 60, US6, PEER6), "icmp_drop_malformed"),
        (ip6(b"1234567", 17, US6, PEER6), "icmp_drop_malformed"),
    ],
)
def test_error_that_quotes_nothing_of_ours_is_dropped(host6: Host6, quote: bytes, counter: str) -> None:
    connected(host6)
    host6.sent6(), host6.moved()
    assert host6.answers6(ip6(icmp6(UNREACHABLE, 4, bytes(4), quote), ICMP6)) == []
    assert host6.dropped() == {counter: 1}


def test_closed_port_is_told_and_quoted(host6: Host6) -> None:
    datagram = udp6(b"x" * 1400, dport=9)
    (answer,) = host6.answers6(ip6(datagram))
    assert (answer.payload[0], answer.payload[1]) == (UNREACHABLE, 4)
    assert len(answer.frame) == 14 + 1280 and answer.payload[8:] == ip6(datagram)[: 1280 - 48]


def test_error_gets_no_error(host6: Host6) -> None:
    """RFC 4443 2.4 (e.1), (e.2): nor does a redirect."""
    chain = extension(60, b"") + extension(ICMP6, bytes([0x9E, 0]))
    for kind in (UNREACHABLE, REDIRECT, 127):
        assert host6.answers6(ip6(chain + icmp6(kind), 60)) == []
    assert len(host6.answers6(ip6(chain + icmp6(ECHO), 60))) == 1


def test_errors_of_both_families_share_one_limit(host6: Host6) -> None:
    hosts = [f"10.0.0.{number + 2}" for number in range(48)]
    for host in hosts:
        host6.learn(host)
    assert len(host6.answer(*(ether(ip4(udp(b"x", src=host), src=host)) for host in hosts))) == 48
    assert len(host6.answers6(*(ip6(udp6(b"x", dport=9)) for _ in range(6)))) == 2
    assert host6.dropped()["icmp_drop_rate_limit"] == 4


def test_errors_to_one_network_are_limited(host6: Host6) -> None:
    """A host has its /64 full of addresses: one a second to all of it, six at once."""
    packets = [ip6(udp6(b"x", dport=9, src=src), src=src) for src in (PEER6, "2001:db8::3") * 10]
    host6.learn("2001:db8::3")
    assert len(host6.answers6(*packets)) == 6
    assert host6.dropped()["icmp_drop_host_limit"] == 14
    host6.now += SECOND
    assert len(host6.answers6(*packets)) == 1


def test_dead_neighbour_is_told_to_the_socket(host6: Host6) -> None:
    """A packet that waited for a neighbour and failed is reported as IPv4's is."""
    sock = Socket(host6, domain=AF_INET6)
    assert sock.connect("2001:db8::77", 9) == 0 and sock.send(b"x") == 1
    host6.advance(5 * SECOND)
    assert host6.moved()["neigh_drop_unreachable"] == 1


def test_error_of_one_family_says_nothing_of_the_other(host6: Host6) -> None:
    """Who can send us IPv6 must not get by it past what keeps forged IPv4 away, nor the other way round."""
    sock, sock4 = connected(host6), Socket(host6)
    host6.learn(PEER)
    assert sock4.connect(PEER, 9) == 0 and sock4.send(b"question") == 8
    host6.poll()
    question, question4 = (frame[14:] for frame in host6.take())
    host6.inject(ether6(ip6(icmp6(UNREACHABLE, 4, bytes(4), question4), ICMP6)))
    host6.inject(ether(ip4(icmp(3, 3, bytes(4), question), ICMP)))
    assert sock.recvfrom() == sock4.recvfrom() == -errno.EAGAIN
    assert host6.dropped() == {"icmp_drop_malformed": 2}


def test_error_of_an_unknown_type_is_told_as_a_soft_one(host6: Host6) -> None:
    """RFC 4443 2.4 (a); Linux's icmpv6_notify."""
    sock = connected(host6)
    (question,) = host6.sent6()
    host6.inject(ether6(ip6(icmp6(100, 0, bytes(4), question.frame[14:]), ICMP6)))
    assert sock.recvfrom() == -errno.EAGAIN and not host6.dropped()
    host6.inject(ether6(ip6(icmp6(100, 0, bytes(4), ip6(udp6(b"q", 1, 9, US6, FAR6), 17, US6, FAR6)), ICMP6)))
    assert host6.dropped() == {"icmp_drop_no_socket": 1}
