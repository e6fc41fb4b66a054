"""Invariant: each packet that IPv4 must not take is dropped, counted exactly once by name, and not answered."""
from __future__ import annotations

import struct
from typing import Any

import pytest
from frames import (
    BROADCAST,
    FAR,
    ICMP,
    OTHER,
    OTHER_MAC,
    PEER,
    PEER_MAC,
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
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from greendpdk.testing.segment import SYN, Ip, Tcp, build_ip

ECHO = icmp(8, data=b"hello")
GOOD = ip4(ECHO, ICMP)


QUOTED = ip4(udp(b"q", src=US, dst=PEER), UDP, US, PEER)


def bad_checksum() -> bytes:
    """A packet whose header says something else than its checksum."""
    return GOOD[:8] + bytes([GOOD[8] ^ 1]) + GOOD[9:]


CASES = {
    "shorter than a header": (GOOD[:19], "ip4_drop_malformed"),
    "empty": (b"", "ip4_drop_malformed"),
    "version 6": (ip4(ECHO, ICMP, version_ihl=0x65), "ip4_drop_malformed"),
    "header length 4": (ip4(ECHO, ICMP, version_ihl=0x44), "ip4_drop_malformed"),
    "header longer than the packet": (ip4(b"", ICMP, version_ihl=0x4F), "ip4_drop_malformed"),
    "total shorter than the header": (ip4(ECHO, ICMP, total=19), "ip4_drop_malformed"),
    "total longer than the frame": (ip4(ECHO, ICMP, total=len(GOOD) + 1), "ip4_drop_malformed"),
    "checksum": (bad_checksum(), "ip4_drop_checksum"),
    "source 0.0.0.0": (ip4(ECHO, ICMP, src="0.0.0.0"), "ip4_drop_source"),
    "source 0/8": (ip4(ECHO, ICMP, src="0.1.2.3"), "ip4_drop_source"),
    "source loopback": (ip4(ECHO, ICMP, src="127.0.0.1"), "ip4_drop_source"),
    "source multicast": (ip4(ECHO, ICMP, src="224.0.0.1"), "ip4_drop_source"),
    "source broadcast": (ip4(ECHO, ICMP, src="255.255.255.255"), "ip4_drop_source"),
    "source subnet broadcast": (ip4(ECHO, ICMP, src="10.0.0.255"), "ip4_drop_source"),
    "source ourselves": (ip4(ECHO, ICMP, src=US), "ip4_drop_source"),
    "destination another host": (ip4(ECHO, ICMP, dst=OTHER), "ip4_drop_not_ours"),
    "destination 0.0.0.0": (ip4(ECHO, ICMP, dst="0.0.0.0"), "ip4_drop_not_ours"),
    "destination loopback": (ip4(ECHO, ICMP, dst="127.0.0.1"), "ip4_drop_not_ours"),
    "destination a group": (ip4(ECHO, ICMP, dst="224.0.0.251"), "ip4_drop_not_ours"),
    "loose source route": (ip4(ECHO, ICMP, options=b"\x83\x07\x04\x0a\0\0\x02\0"), "ip4_drop_options"),
    "strict source route": (ip4(ECHO, ICMP, options=b"\x01\x89\x03\x04"), "ip4_drop_options"),
    "option of length 0": (ip4(ECHO, ICMP, options=b"\x44\0\0\0"), "ip4_drop_options"),
    "option of length 1": (ip4(ECHO, ICMP, options=b"\x44\x01\0\0"), "ip4_drop_options"),
    "option past the end": (ip4(ECHO, ICMP, options=b"\x44\x05\0\0"), "ip4_drop_options"),
    "option cut before its length": (ip4(ECHO, ICMP, options=b"\x01\x01\x01\x44"), "ip4_drop_options"),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_packet_is_dropped_and_counted_once(host: Host, name: str) -> None:
    packet, counter = CASES[name]
    host.learn()
    assert host.answer(ether(packet)) == []
    assert host.moved() == {"eth_in": 1, "ip4_in": 1, counter: 1}


@pytest.mark.parametrize(
    "options", [b"\x01\x01\x01\x00", b"\x94\x04\0\0", b"\x00\x44\0\0", b"\x07\x07\x04\0\0\0\0\x00"]
)
def test_harmless_options_are_skipped(host: Host, options: bytes) -> None:
    host.learn()
    (reply,) = host.answer(ether(ip4(ECHO, ICMP, options=options)))
    assert parse_ip(reply).payload == icmp(0, data=b"hello")


def test_padding_of_ethernet_is_not_data(host: Host) -> None:
    host.learn()
    (reply,) = host.answer(ether(GOOD + bytes(30)))
    assert parse_ip(reply).payload == icmp(0, data=b"hello")


def test_unknown_protocol_is_answered_by_protocol_unreachable(host: Host) -> None:
    host.learn()
    packet = ip4(b"12345678", 132)
    (reply,) = host.answer(ether(packet))
    assert parse_ip(reply).payload == icmp(3, 2, data=packet)
    assert host.dropped() == {"ip4_drop_protocol": 1}


@pytest.mark.parametrize("dst", ["255.255.255.255", "10.0.0.255"])
def test_broadcast_reaches_a_socket_and_is_never_answered_by_an_error(host: Host, dst: str) -> None:
    host.learn()
    sock = Socket(host)
    assert sock.bind(port=7) == 0
    host.inject(ether(ip4(udp(b"all", dst=dst), dst=dst), to=BROADCAST))
    assert sock.recvfrom() == (b"all", PEER, 5000)
    assert host.answer(ether(ip4(udp(b"all", dport=8, dst=dst), dst=dst), to=BROADCAST)) == []
    assert host.answer(ether(ip4(b"12345678", 132, dst=dst), to=BROADCAST)) == []
    assert host.answer(ether(ip4(ECHO, ICMP, dst=dst), to=BROADCAST)) == []


@pytest.mark.parametrize(("dst", "to"), [("10.0.0.255", BROADCAST), (US, BROADCAST)])
def test_segment_to_many_is_dropped_without_a_reset(host: Host, dst: str, to: bytes) -> None:
    """RFC 9293 3.9.2.3 (MUST-57); to our own address in a broadcast frame it is the same."""
    host.learn()
    syn = build_ip(Ip(PEER, dst, Tcp(5000, 7, flags=SYN)))
    assert host.answer(ether(syn, to=to)) == []
    assert host.moved()["tcp_drop_malformed"] == 1


def test_unicast_packet_in_a_broadcast_frame_gets_no_error(host: Host) -> None:
    host.learn()
    assert host.answer(ether(ip4(udp(b"x")), to=BROADCAST)) == []


def test_frames_for_others_and_of_other_kinds_are_dropped(host: Host) -> None:
    assert host.answer(ether(GOOD, to=OTHER_MAC), ether(GOOD, kind=0x88CC), b"short") == []
    assert host.dropped() == {"eth_drop_other_host": 1, "eth_drop_ethertype": 1, "eth_drop_short": 1}


def test_address_of_another_interface_is_ours_too(host: Host) -> None:
    a, b = host.ffi.new("struct gd_port **"), host.ffi.new("struct gd_port **")
    assert host.lib.gd_pipe_pair(1500, OTHER_MAC, PEER_MAC, a, b) == 0
    other = host.lib.gd_stack_attach(host.stack, a[0], b"test1")
    assert host.lib.gd_stack_add_address(host.stack, other, mapped("172.16.0.1"), 16) == 0
    host.learn()
    (reply,) = host.answer(ether(ip4(ECHO, ICMP, dst="172.16.0.1")))
    assert parse_ip(reply).src == "172.16.0.1"
    host.lib.gd_port_close(b[0])


def test_outgoing_header_is_right(host: Host) -> None:
    host.learn()
    sock = Socket(host)
    assert sock.bind(US, 4000) == 0
    assert sock.setsockopt(0, 2, 9) == 0  # IP_TTL
    assert sock.setsockopt(0, 1, 0x10) == 0  # IP_TOS
    assert sock.sendto(b"data", PEER, 9) == 4
    host.poll()
    (packet,) = host.ips()
    assert packet.frame[:12] == PEER_MAC + bytes.fromhex("020000000001")
    assert (packet.src, packet.dst, packet.proto, packet.ttl, packet.tos) == (US, PEER, UDP, 9, 0x10)
    assert packet.payload == udp(b"data", 4000, 9, US, PEER)


def test_packets_to_ourselves_go_by_the_loopback(host: Host) -> None:
    server, client = Socket(host), Socket(host)
    assert server.bind(port=7) == 0
    for address in (US, "127.0.0.1", "127.1.2.3"):
        assert client.sendto(b"me", address, 7) == 2
        host.poll()
        data, source, port = server.recvfrom()
        assert (data, source, port) == (b"me", US if address == US else "127.0.0.1", client.name()[1])
    assert host.take() == []


hostile = st.one_of(
    st.binary(max_size=80).map(ether),
    st.binary(max_size=80).map(lambda data: ether(ip4(data, data[0] % 20 if data else 0))),
    st.builds(lambda options, data: ether(ip4(data, ICMP, options=options + bytes(-len(options) % 4))),
              st.binary(max_size=40), st.binary(max_size=40)),
    st.builds(lambda at, byte, cut: mutate(ether(ip4(icmp(3, 3, data=QUOTED), ICMP)), at, byte, cut),
              st.integers(0, 90), st.integers(0, 255), st.integers(0, 90)),
    st.binary(max_size=60).map(lambda data: ether(data, 0x0806)),
)


def mutate(frame: bytes, at: int, byte: int, cut: int) -> bytes:
    """Change a byte, maybe cut the end off, and mend the outer checksums so that it gets further."""
    data = bytearray(frame)
    if at < len(data):
        data[at] = byte
    inner = bytes(data[34:])[: max(8, len(data) - 34 - cut)]
    return ether(ip4(icmp(inner[0], inner[1], inner[4:8], inner[8:]), ICMP))


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(frames=st.lists(hostile, max_size=6))
def test_no_frame_harms_the_stack(host: Host, frames: list[bytes]) -> None:
    host.inject(*[frame for frame in frames if len(frame) <= 1514])
    host.advance(10**7)
    host.take()
    host.learn()
    assert parse_ip(host.answer(ether(GOOD))[-1]).payload == icmp(0, data=b"hello")


def test_far_source_is_answered_through_the_gateway(host: Host) -> None:
    assert host.route("0.0.0.0", 0, PEER) == 0
    host.learn()
    (reply,) = host.answer(ether(ip4(ECHO, ICMP, src=FAR)))
    assert (reply[:6], parse_ip(reply).dst) == (PEER_MAC, FAR)
    assert struct.unpack("!H", reply[16:18])[0] == len(reply) - 14


def test_other_end_of_a_31_is_a_host(native: Any) -> None:
    """RFC 3021 2.1: there is no broadcast address where two have room for themselves only."""
    host = Host(native, address="10.0.0.2", prefix=31)
    host.learn("10.0.0.3")
    (reply,) = host.answer(ether(ip4(ECHO, ICMP, src="10.0.0.3", dst="10.0.0.2")))
    assert parse_ip(reply).dst == "10.0.0.3"
    host.close()
