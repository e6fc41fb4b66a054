"""Invariant: IPv6 fragments give the packet that was cut up, or nothing (RFC 8200 4.5), and any overlap gives nothing
(RFC 5722). The parts that both families share are tested in test_reassembly.py.
"""
from __future__ import annotations

import random
import struct
from typing import Any

import pytest
from frames import MS, SECOND, TCP, UDP, Socket
from frames6 import AF_INET6, ICMP6, US6, Host6, ether6, extension, icmp6, ip6, solicit, solicited, udp6

FRAGMENT, DESTINATION, HOP_BY_HOP = 44, 60, 0


def blob(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def header(following: int, offset: int, more: bool, ident: int = 7) -> bytes:
    return struct.pack("!BBHI", following, 0, offset | more, ident)


def piece(data: bytes, offset: int, more: bool, following: int = UDP, before: bytes = b"", **fields: int) -> bytes:
    """One fragment's packet; before: a hop-by-hop or destination header that names the fragment header."""
    ident = fields.pop("ident", 7)
    return ip6(before + header(following, offset, more, ident) + data, HOP_BY_HOP if before else FRAGMENT, **fields)


def cut(payload: bytes, size: int = 1232, **fields: Any) -> list[bytes]:
    ends = range(0, len(payload), size)
    return [piece(payload[at : at + size], at, at + size < len(payload), **fields) for at in ends]


@pytest.fixture
def sock(host6: Host6) -> Socket:
    made = Socket(host6, domain=AF_INET6)
    assert made.bind("::", 7) == 0
    return made


def got(sock: Socket) -> bytes | None:
    result = sock.recvfrom(70000)
    return None if isinstance(result, int) else result[0]


def send(host: Host6, *packets: bytes) -> None:
    host.inject(*map(ether6, packets))


@pytest.mark.parametrize("size", [1233, 8000, 65535 - 8])
def test_datagram_is_put_together_in_any_order(host6: Host6, sock: Socket, size: int) -> None:
    packets = cut(udp6(blob(size)))
    random.Random(size).shuffle(packets)
    send(host6, *packets)
    assert got(sock) == blob(size)
    assert host6.dropped() == {} and host6.lib.gd_stack_buffer_bytes(host6.stack) == 0


def test_headers_before_and_behind_the_fragment_header(host6: Host6, sock: Socket) -> None:
    before = extension(FRAGMENT, b"\x05\x02\0\0")
    send(host6, *cut(extension(UDP, b"") + udp6(blob(3000)), following=DESTINATION, before=before))
    assert got(sock) == blob(3000)


def test_exact_duplicate_is_ignored(host6: Host6, sock: Socket) -> None:
    first, *others = cut(udp6(blob(3000)))
    send(host6, first, first, *others)
    assert got(sock) == blob(3000)
    assert host6.dropped() == {"fragment_drop_duplicate": 1}


def test_overlap_kills_all_of_it_even_what_comes_later(host6: Host6, sock: Socket) -> None:
    payload = udp6(blob(3000))
    good = cut(payload)
    send(host6, good[0], piece(payload[1224:1232], 1224, True), *good)
    assert got(sock) is None
    assert host6.dropped() == {"fragment_drop_overlap": 1 + len(good)}
    assert host6.lib.gd_stack_buffer_bytes(host6.stack) == 0
    host6.advance(61 * SECOND)
    assert host6.sent6() == []
    send(host6, *good)
    assert got(sock) == blob(3000)


def test_timeout_after_60_s_quotes_the_first_fragment(host6: Host6, sock: Socket) -> None:
    first, second, _ = cut(udp6(blob(3000)))
    send(host6, second, first)
    host6.advance(60 * SECOND - 10 * MS)
    assert host6.sent6() == []
    host6.advance(20 * MS)
    (reply,) = host6.sent6()
    assert reply.payload[:2] == b"\x03\x01"
    assert reply.payload[8:] == first[: 1280 - 48]


PROBLEMS = {
    "not of 8-byte units (RFC 8200 4.5)": (piece(blob(1231), 0, True), (4, 0, 4), "malformed"),
    "beyond the longest (RFC 8200 4.5)": (piece(blob(1232), 64528, False), (4, 0, 42), "oversize"),
    "chain not whole (RFC 7112 5)": (piece(extension(UDP, blob(30))[:16], 0, True, DESTINATION), (4, 3, 0), "tiny"),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_sender_is_told_what_is_wrong(host6: Host6, sock: Socket, name: str) -> None:
    packet, (kind, code, pointer), counter = PROBLEMS[name]
    (reply,) = host6.answers6(packet)
    assert reply.payload[:2] == bytes([kind, code]) and struct.unpack("!I", reply.payload[4:8])[0] == pointer
    assert host6.dropped() == {f"fragment_drop_{counter}": 1}


@pytest.mark.parametrize(
    "packet",
    [
        piece(blob(16), 0, True, TCP),
        piece(extension(TCP, b"") + blob(16), 0, True, DESTINATION),
        piece(blob(8), 8, True, TCP),
    ],
)
def test_tiny_first_fragment_is_refused(host6: Host6, sock: Socket, packet: bytes) -> None:
    assert host6.answers6(packet) == []
    assert host6.dropped() == {"fragment_drop_tiny": 1}


def test_fragments_within_fragments_are_refused(host6: Host6, sock: Socket) -> None:
    inner = header(UDP, 0, True, 8) + udp6(blob(1400))
    send(host6, *cut(inner, following=FRAGMENT))
    assert got(sock) is None
    assert "fragment_drop_malformed" in host6.dropped()


def test_echo_comes_by_fragments(host6: Host6) -> None:
    """What the whole is for: ICMPv6 over two fragments."""
    (reply,) = host6.answers6(*cut(icmp6(128, data=blob(1200)), 600, following=ICMP6))
    assert reply.payload[0] == 129 and reply.payload[8:] == blob(1200)


def test_neighbour_discovery_in_fragments_is_refused(host6: Host6) -> None:
    """RFC 6980 5"""
    message = icmp6(135, data=bytes(16) + bytes([1, 1]) + bytes(6))
    assert host6.answers6(*cut(message, 16, following=ICMP6, hops=255)) == []
    assert host6.dropped() == {"nd_drop_fragmented": 1}


def test_neighbour_discovery_in_one_fragment_that_is_all_of_it_is_refused_too(host6: Host6) -> None:
    """RFC 6980 5: whatever the fragment header says; taken on its own, it hides from a link's guards all the same."""
    whole = solicit(US6)
    assert host6.answers6(piece(whole[40:], 0, False, ICMP6, dst=solicited(US6), hops=255)) == []
    assert host6.dropped() == {"nd_drop_fragmented": 1}
    assert len(host6.answers6(whole)) == 1


def test_packet_whose_headers_make_it_too_long_is_refused(host6: Host6, sock: Socket) -> None:
    """RFC 8200 4.5: the payload length counts the first fragment's headers, which the later ones need not have."""
    packets = cut(udp6(blob(65535 - 8)))
    send(host6, *packets[1:], piece(udp6(blob(65535 - 8))[:1232], 0, True, before=extension(FRAGMENT, b"")))
    assert got(sock) is None
    assert host6.dropped() == {"fragment_drop_oversize": 1}


def test_flood_from_all_addresses_of_a_network_pushes_out_its_own_only(host6: Host6, sock: Socket) -> None:
    """Who has one has its /64 full of them."""
    first, second = cut(udp6(blob(2000)))
    send(host6, first)
    for number in range(1, 400):
        src = f"2001:db8:9::{number:x}"
        send(host6, piece(udp6(blob(1300), src=src)[:1232], 0, True, src=src))
    send(host6, second)
    assert got(sock) == blob(2000)
    assert set(host6.dropped()) == {"fragment_drop_evicted"}
