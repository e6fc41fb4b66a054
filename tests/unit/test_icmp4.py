"""Invariant: what asks is answered, errors reach the socket whose packet they quote, and errors make no errors."""
from __future__ import annotations

import errno
import struct

import pytest
from frames import (
    ICMP,
    OTHER,
    OTHER_MAC,
    PEER,
    SECOND,
    TCP,
    UDP,
    US,
    Host,
    Socket,
    ether,
    icmp,
    ip4,
    mapped,
    parse_ip,
    udp,
)


@pytest.fixture(autouse=True)
def neighbour(host: Host) -> None:
    """Nobody waits for ARP here."""
    host.learn()


def connected(host: Host) -> Socket:
    """A datagram socket that has sent one datagram to its peer."""
    sock = Socket(host)
    assert sock.bind(US, 4000) == 0
    assert sock.connect(PEER, 9) == 0
    assert sock.send(b"data") == 4
    host.poll()
    host.take()
    host.moved()
    return sock


def error(kind: int, code: int, rest: bytes = bytes(4), quote: bytes | None = None) -> bytes:
    """A router's error about what connected() sent."""
    sent = ip4(udp(b"data", 4000, 9, US, PEER), UDP, US, PEER) if quote is None else quote
    return ether(ip4(icmp(kind, code, rest, sent), ICMP, src=OTHER))


@pytest.mark.parametrize("size", [0, 1, 56, 1472])
def test_echo_comes_back_with_its_data(host: Host, size: int) -> None:
    data, rest = bytes(at & 255 for at in range(size)), b"\x12\x34\x00\x07"
    (reply,) = host.answer(ether(ip4(icmp(8, 0, rest, data), ICMP)))
    packet = parse_ip(reply)
    assert (packet.src, packet.dst, packet.payload) == (US, PEER, icmp(0, 0, rest, data))


@pytest.mark.parametrize(
    ("message", "counter"),
    [
        (icmp(8)[:7], "icmp_drop_malformed"),
        (b"", "icmp_drop_malformed"),
        (b"\x08\x00\x00\x00" + bytes(4), "icmp_drop_checksum"),
        (icmp(0), "icmp_drop_unknown"),
        (icmp(13, data=bytes(12)), "icmp_drop_unknown"),
        (icmp(5, 1, bytes([10, 0, 0, 9]), ip4(udp(b"q", src=US, dst=PEER), UDP, US, PEER)), "icmp_drop_unknown"),
        (icmp(4, data=ip4(udp(b"q", src=US, dst=PEER), UDP, US, PEER)), "icmp_drop_unknown"),
        (icmp(3, 16, data=ip4(udp(b"q", src=US, dst=PEER), UDP, US, PEER)), "icmp_drop_unknown"),
        (icmp(3, 3), "icmp_drop_malformed"),
        (icmp(3, 3, data=bytes(28)), "icmp_drop_malformed"),
        (icmp(3, 3, data=ip4(b"1234567", UDP, US, PEER)), "icmp_drop_malformed"),
        (icmp(3, 3, data=ip4(b"12345678", UDP, US, PEER, version_ihl=0x4F)), "icmp_drop_malformed"),
        (icmp(3, 3, data=ip4(b"12345678", UDP, US, PEER, fragment=1)), "icmp_drop_malformed"),
        (icmp(3, 3, data=ip4(b"12345678", UDP, US, PEER)), "icmp_drop_no_socket"),
        (icmp(3, 3, data=ip4(b"12345678", TCP, US, PEER)), "icmp_drop_no_socket"),
        (icmp(3, 3, data=ip4(b"12345678", 132, US, PEER)), "icmp_drop_no_socket"),
        (icmp(3, 3, data=ip4(udp(b"q"), UDP, OTHER, PEER)), "icmp_drop_no_socket"),
    ],
)
def test_message_that_is_of_no_use_is_counted_once(host: Host, message: bytes, counter: str) -> None:
    assert host.answer(ether(ip4(message, ICMP))) == []
    assert host.dropped() == {counter: 1}


# As Linux's icmp_err_convert: what a connected datagram socket hears of. 0: nothing, as it may mend itself.
CODES = {
    (3, 0): 0, (3, 1): 0, (3, 2): errno.ENOPROTOOPT, (3, 3): errno.ECONNREFUSED, (3, 4): errno.EMSGSIZE, (3, 5): 0,
    (3, 6): errno.ENETUNREACH, (3, 7): errno.EHOSTDOWN, (3, 8): errno.ENONET, (3, 9): errno.ENETUNREACH,
    (3, 10): errno.EHOSTUNREACH, (3, 11): 0, (3, 12): 0, (3, 13): errno.EHOSTUNREACH, (3, 14): errno.EHOSTUNREACH,
    (3, 15): errno.EHOSTUNREACH, (11, 0): 0, (11, 1): 0, (12, 0): errno.EPROTO,
}


@pytest.mark.parametrize("code", CODES)
def test_error_reaches_the_connected_socket_as_linux_maps_it(host: Host, code: tuple[int, int]) -> None:
    sock = connected(host)
    host.inject(error(*code))
    assert host.dropped() == {}
    assert bool(sock.ready() & host.lib.GD_ERR) == bool(CODES[code])
    assert sock.recvfrom() == -(CODES[code] or errno.EAGAIN)
    assert sock.recvfrom() == -errno.EAGAIN


def test_error_about_an_address_that_went_is_nobody_s(host: Host) -> None:
    """The socket keeps its name, but what is quoted from there was not sent while the address is not ours."""
    other = "10.0.0.77"
    assert host.lib.gd_stack_add_address(host.stack, host.index, mapped(other), 24) == 0
    host.poll()
    sock = Socket(host)
    assert sock.bind(other, 4000) == 0 and sock.connect(PEER, 9) == 0
    assert host.lib.gd_stack_del_address(host.stack, host.index, mapped(other)) == 0
    quote = ip4(udp(b"data", 4000, 9, other, PEER), UDP, other, PEER)
    host.moved()
    host.inject(error(3, 3, quote=quote))
    assert host.dropped() == {"icmp_drop_no_socket": 1}
    assert sock.recvfrom() == -errno.EAGAIN
    assert host.lib.gd_stack_add_address(host.stack, host.index, mapped(other), 24) == 0
    host.inject(error(3, 3, quote=quote))
    assert sock.recvfrom() == -errno.ECONNREFUSED


def test_error_is_reported_to_the_next_send_as_well(host: Host) -> None:
    sock = connected(host)
    host.inject(error(3, 3))
    assert sock.send(b"more") == -errno.ECONNREFUSED
    assert sock.send(b"more") == 4


def test_unconnected_socket_hears_of_no_error(host: Host) -> None:
    sock = Socket(host)
    assert sock.bind(US, 4000) == 0
    assert sock.sendto(b"data", PEER, 9) == 4
    host.inject(error(3, 3))
    assert sock.recvfrom() == -errno.EAGAIN
    assert "icmp_drop_no_socket" not in host.moved()


def test_refusal_ends_a_connect(host: Host) -> None:
    stream = Socket(host, kind=1)
    assert stream.connect(PEER, 80) == -errno.EINPROGRESS
    host.poll()
    (syn,) = host.ips()
    host.inject(error(3, 3, quote=syn.frame[14:42]))
    assert stream.ready() & host.lib.GD_ERR
    stream.close()


def test_port_unreachable_quotes_the_datagram(host: Host) -> None:
    packet = ip4(udp(b"x" * 100))
    (reply,) = host.answer(ether(packet))
    answer = parse_ip(reply)
    assert (answer.src, answer.dst, answer.proto, answer.tos) == (US, PEER, ICMP, 0xC0)
    assert answer.payload == icmp(3, 3, data=packet)
    assert host.dropped() == {"udp_drop_no_port": 1}


def test_quote_keeps_the_error_within_576_bytes(host: Host) -> None:
    packet = ip4(udp(b"x" * 1400))
    (reply,) = host.answer(ether(packet))
    assert len(reply) - 14 == 576
    assert parse_ip(reply).payload == icmp(3, 3, data=packet[:548])


def test_errors_are_limited_and_the_limit_recovers(host: Host) -> None:
    """From one host each; the limit of each is far."""
    for number in range(240):
        host.learn(f"10.0.0.{number + 2}", OTHER_MAC)
    frames = [ether(ip4(udp(b"x", src=f"10.0.0.{number + 2}"), src=f"10.0.0.{number + 2}")) for number in range(240)]
    assert len(host.answer(*frames[:80])) == 50
    assert host.dropped()["icmp_drop_rate_limit"] == 30
    host.now += 10_000_000
    assert len(host.answer(*frames[80:160])) == 10
    host.now += SECOND
    assert len(host.answer(*frames[160:])) == 50


def test_errors_to_one_host_are_limited_and_leave_the_others_theirs(host: Host) -> None:
    """Linux's icmp_ratelimit: one a second, six at once."""
    host.learn(OTHER, OTHER_MAC)
    frames = [ether(ip4(udp(b"x")))] * 80
    assert len(host.answer(*frames)) == 6
    assert host.dropped()["icmp_drop_host_limit"] == 74
    assert len(host.answer(ether(ip4(udp(b"x", src=OTHER), src=OTHER)))) == 1
    host.now += SECOND
    assert len(host.answer(*frames)) == 1
    host.now += 20 * SECOND
    assert len(host.answer(*frames)) == 6


def test_port_unreachable_refuses_a_datagram_to_ourselves(host: Host) -> None:
    sock = Socket(host)
    assert sock.connect("127.0.0.1", 9) == 0
    assert sock.send(b"x") == 1
    host.poll()
    assert sock.recvfrom() == -errno.ECONNREFUSED


def test_fragmentation_needed_tells_a_stream_its_new_mtu(host: Host) -> None:
    stream = Socket(host, kind=1)
    assert stream.connect(PEER, 80) == -errno.EINPROGRESS
    host.poll()
    (syn,) = host.ips()
    host.inject(error(3, 4, struct.pack("!HH", 0, 1200), syn.frame[14:42]))
    assert host.dropped() == {}
    stream.close()
