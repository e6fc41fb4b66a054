"""Invariant: fragments give the datagram that was cut up, or nothing, in whatever order and number they come; what they
hold while they wait stays within its caps, and all of it comes back.
"""
from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import pytest
from frames import (
    ICMP,
    MS,
    OTHER,
    OTHER_MAC,
    PEER,
    SECOND,
    TCP,
    UDP,
    Host,
    Socket,
    checksum,
    ether,
    icmp,
    ip4,
    parse_ip,
    udp,
)
from hypothesis import given, settings
from hypothesis import strategies as st

MORE = 0x2000
CAP = 4 << 20
SLOTS, SHARE = 256, 64


def piece(data: bytes, offset: int, more: bool, ident: int = 7, proto: int = UDP, src: str = PEER,
          tos: int = 0) -> bytes:
    """One fragment's frame; offset in bytes."""
    return ether(ip4(data, proto, src=src, ident=ident, fragment=offset // 8 | (MORE if more else 0), tos=tos))


def cut(payload: bytes, sizes: Sequence[int] = (1480,), ident: int = 7, src: str = PEER) -> list[bytes]:
    """A datagram's fragments; the last size goes on to the end."""
    frames, at, sizes = [], 0, list(sizes)
    while at < len(payload):
        size = sizes.pop(0) if len(sizes) > 1 else sizes[0]
        frames.append(piece(payload[at : at + size], at, at + size < len(payload), ident, src=src))
        at += size
    return frames


def blob(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


@pytest.fixture
def sock(host: Host) -> Socket:
    """A socket bound to our port 7; its peers' MAC addresses are known."""
    host.learn()
    host.learn(OTHER, OTHER_MAC)
    made = Socket(host)
    assert made.bind(port=7) == 0
    return made


def held(host: Host) -> int:
    return int(host.lib.gd_stack_buffer_bytes(host.stack))


def fragment_counters(host: Host) -> dict[str, int]:
    return {name: count for name, count in host.moved().items() if name.startswith("fragment_drop")}


@pytest.mark.parametrize("size", [1473, 8000, 60000, 65507])
@pytest.mark.parametrize("order", ["in order", "backwards", "shuffled"])
def test_datagram_is_put_together(host: Host, sock: Socket, size: int, order: str) -> None:
    data = blob(size)
    frames = cut(udp(data))
    if order == "backwards":
        frames.reverse()
    elif order == "shuffled":
        random.Random(size).shuffle(frames)
    host.inject(*frames[:-1])
    assert sock.recvfrom(70000) == -11
    host.inject(frames[-1])
    assert sock.recvfrom(70000) == (data, PEER, 5000)
    moved = host.moved()
    assert (moved["fragment_in"], moved["fragment_whole"]) == (len(frames), 1)
    assert held(host) == 0 and fragment_counters(host) == {}


def test_interleaved_datagrams_are_told_apart(host: Host, sock: Socket) -> None:
    one, two, three = blob(3000, 1), blob(3000, 2), blob(3000, 3)
    others = cut(udp(three, src=OTHER), ident=1, src=OTHER)
    rows = zip(cut(udp(one), ident=1), cut(udp(two), ident=2), others, strict=True)
    host.inject(*[frame for row in rows for frame in row])
    got = [sock.recvfrom(4000) for _ in range(3)]
    assert got == [(one, PEER, 5000), (two, PEER, 5000), (three, OTHER, 5000)]


def test_checksum_is_checked_over_the_whole(host: Host, sock: Socket) -> None:
    frames = cut(udp(blob(3000)))
    host.inject(frames[0], frames[1][:-1] + bytes([frames[1][-1] ^ 1]), frames[2])
    assert sock.recvfrom(4000) == -11
    assert host.dropped() == {"udp_drop_checksum": 1}


def test_exact_duplicates_do_no_harm(host: Host, sock: Socket) -> None:
    data = blob(5000)
    frames = cut(udp(data))
    host.inject(frames[1], frames[1], frames[3], frames[0], frames[3], frames[0], frames[2])
    assert sock.recvfrom(6000) == (data, PEER, 5000)
    assert fragment_counters(host) == {"fragment_drop_duplicate": 3}


BASE = udp(blob(2960 - 8))
OVERLAPS = {
    "teardrop: inside the first": piece(BASE[24:40], 24, True),
    "a byte of another content": piece(bytes([BASE[0] ^ 1]) + BASE[1:1440], 0, True),
    "the same bytes cut otherwise": piece(BASE[:1432], 0, True),
    "over the end of the first": piece(BASE[1432:1448], 1432, True),
    "over all of the first and more": piece(BASE[:1448], 0, True),
}


@pytest.mark.parametrize("name", OVERLAPS)
def test_overlap_kills_the_datagram(host: Host, sock: Socket, name: str) -> None:
    first, *others = cut(BASE, [1440])
    host.inject(first, OVERLAPS[name])
    assert host.dropped() == {"fragment_drop_overlap": 1}
    assert held(host) == 0
    host.inject(*others)
    assert sock.recvfrom(4000) == -11


LENGTHS = {
    "a fragment beyond the last": [piece(BASE[1480:2000], 1480, False), piece(BASE[2000:2080], 2000, True)],
    "a last one before the end": [piece(BASE[1480:2000], 1480, True), piece(BASE[800:1480], 800, False)],
    "two ends": [piece(BASE[1480:2000], 1480, False), piece(BASE[1480:2001], 1480, False)],
    "a middle one beyond the last": [piece(BASE[1480:2000], 1480, False), piece(BASE[1480:2008], 1480, True)],
}


@pytest.mark.parametrize("name", LENGTHS)
def test_lengths_that_disagree_kill_the_datagram(host: Host, sock: Socket, name: str) -> None:
    host.inject(*LENGTHS[name])
    assert host.dropped() == {"fragment_drop_length": 1}
    assert held(host) == 0


TCP_HEADER = struct.pack("!HHIIBBHHH", 5000, 7, 1, 0, 0x50, 2, 65535, 0, 0)
REFUSED = {
    "empty": (piece(b"", 1480, True), "malformed"),
    "not of 8-byte units": (piece(blob(1476), 0, True), "malformed"),
    "ping of death": (piece(blob(1480), 65528 - 1000 + 8, False), "oversize"),
    "a byte too long": (piece(blob(8), 65512, False), "oversize"),
    "TCP header cut": (piece(TCP_HEADER[:16], 0, True, proto=TCP), "tiny"),
    "TCP options cut": (piece(TCP_HEADER[:12] + b"\xf0" + TCP_HEADER[13:] + bytes(12), 0, True, proto=TCP), "tiny"),
    "TCP at offset 8 (RFC 3128)": (piece(TCP_HEADER[8:16], 8, True, proto=TCP), "tiny"),
    "TCP at offset 16": (piece(bytes(8), 16, False, proto=TCP), "tiny"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_fragment_is_counted_once_and_holds_nothing(host: Host, sock: Socket, name: str) -> None:
    frame, counter = REFUSED[name]
    assert host.answer(frame) == []
    assert host.moved() == {"eth_in": 1, "ip4_in": 1, "fragment_in": 1, f"fragment_drop_{counter}": 1}
    assert held(host) == 0


def test_tcp_goes_over_fragments(host: Host) -> None:
    host.learn()
    listener = Socket(host, kind=1)
    assert listener.bind(port=7) == 0 and host.lib.gd_sock_listen(listener.c, 1) == 0
    options = b"\x02\x04\x05\xb4" + b"\x01" * 32  # MSS, then NOPs: a header of 56 bytes
    header = struct.pack("!HHIIBBHHH", 5000, 7, 1, 0, 56 // 4 << 4, 2, 65535, 0, 0) + options + bytes(8)
    pseudo = bytes([10, 0, 0, 2, 10, 0, 0, 1]) + struct.pack("!HH", TCP, len(header))
    whole = header[:16] + struct.pack("!H", checksum(pseudo + header)) + header[18:]
    (reply,) = host.answer(piece(whole[56:], 56, False, proto=TCP), piece(whole[:56], 0, True, proto=TCP))
    assert parse_ip(reply).payload[13] == 0x12  # SYN, ACK


def test_timeout_after_30_s_tells_the_sender_if_the_first_came(host: Host, sock: Socket) -> None:
    frames = cut(udp(blob(4000)))
    host.inject(*frames[:2])
    host.advance(30 * SECOND - 10 * MS)
    assert host.take() == [] and held(host) > 0
    host.advance(20 * MS)
    (reply,) = host.ips()
    quoted = frames[0][14:]
    assert reply.proto == ICMP and reply.dst == PEER
    assert reply.payload == icmp(11, 1, data=quoted[: 576 - 28])
    assert held(host) == 0 and host.moved()["fragment_drop_timeout"] == 1
    host.inject(frames[2])
    assert sock.recvfrom(5000) == -11


def test_timeout_without_the_first_is_silent(host: Host, sock: Socket) -> None:
    host.inject(cut(udp(blob(4000)))[1])
    host.advance(31 * SECOND)
    assert host.take() == [] and held(host) == 0
    assert host.dropped() == {"fragment_drop_timeout": 1}


@pytest.mark.parametrize(
    ("codes", "result"),
    [((0, 0, 0), 0), ((2, 2, 2), 2), ((2, 3, 2), 3), ((3, 2, 2), 3), ((0, 3, 0), None), ((0, 2, 0), None)],
)
def test_congestion_marks_are_joined(host: Host, sock: Socket, codes: tuple[int, ...], result: int | None) -> None:
    """RFC 3168 5.3: seen by the quoted TOS of the port unreachable."""
    payload = udp(blob(2960), dport=9)
    rows = zip((0, 1480, 2960), codes, strict=True)
    frames = [piece(payload[at : at + 1480], at, at < 1488, tos=code) for at, code in rows]
    replies = host.answer(*frames)
    if result is None:
        assert replies == [] and host.dropped() == {"fragment_drop_ecn": 1}
    else:
        assert parse_ip(replies[0]).payload[8 + 1] == result


def test_error_about_a_whole_datagram_quotes_it_as_one(host: Host, sock: Socket) -> None:
    payload = udp(blob(3000), dport=9)
    (reply,) = host.answer(*cut(payload))
    assert parse_ip(reply).payload == icmp(3, 3, data=ip4(payload, ident=7)[: 576 - 28])


def test_flood_of_one_source_leaves_the_others_alone(host: Host, sock: Socket) -> None:
    data = blob(8000)
    honest = cut(udp(data, src=OTHER), src=OTHER, ident=9)
    host.inject(*honest[:-1])
    for ident in range(2000):
        host.inject(piece(blob(1480, ident), 0, True, ident))
    counters = host.dropped()
    assert counters == {"fragment_drop_evicted": 2000 - SHARE}
    host.inject(honest[-1])
    assert sock.recvfrom(9000) == (data, OTHER, 5000)


def test_flood_of_large_datagrams_stays_within_a_source_s_share(host: Host, sock: Socket) -> None:
    for ident in range(100):
        host.inject(*cut(bytes(60000), ident=ident)[:-1])
        assert held(host) <= CAP // 4
    host.advance(31 * SECOND)
    assert held(host) == 0


def test_flood_of_many_sources_is_capped_and_an_honest_datagram_gets_through(host: Host, sock: Socket) -> None:
    for number in range(1000):
        src = f"10.1.{number // 250}.{number % 250 + 1}"
        host.inject(*cut(bytes(40000), ident=number, src=src)[:-1])
        assert held(host) <= CAP
    data = blob(8000)
    host.inject(*cut(udp(data)))
    assert sock.recvfrom(9000) == (data, PEER, 5000)
    host.advance(31 * SECOND)
    assert held(host) == 0


def test_sparse_crumbs_cost_no_more_than_their_share(host: Host, sock: Socket) -> None:
    """8 bytes in each chunk of 4 KiB: what they hold is what counts, not what they carry."""
    for ident in range(100):
        host.inject(*[piece(bytes(8), 64 + at * 4096, True, ident) for at in range(15)])
        assert held(host) <= CAP // 4


def test_stack_that_ends_with_fragments_leaks_nothing(host: Host, sock: Socket) -> None:
    host.inject(*cut(udp(blob(8000)))[:-1])
    assert host.lib.gd_stack_detach(host.stack, host.index) == 0
    assert held(host) == 0


def delivered(host: Host, frames: list[bytes]) -> list[bytes]:
    """What a socket gets of them; everything they held has come back half a minute later."""
    host.learn()
    sock, got = Socket(host), []
    assert sock.bind(port=7) == 0
    host.inject(*frames)
    while not isinstance(datagram := sock.recvfrom(4000), int):
        assert datagram[1:] == (PEER, 5000)
        got.append(datagram[0])
    host.advance(31 * SECOND)
    assert held(host) == 0
    return got


sizes = st.lists(st.integers(1, 40).map(lambda units: 8 * units), min_size=1, max_size=12)
orders = st.randoms(use_true_random=False)


@settings(max_examples=150)
@given(size=st.integers(0, 3000), sizes=sizes, order=orders, copies=st.integers(0, 8))
def test_any_order_with_any_duplicates_gives_the_datagram(native: Any, size: int, sizes: list[int],
                                                         order: random.Random, copies: int) -> None:
    data = blob(size, size)
    frames = cut(udp(data), sizes)
    frames += [order.choice(frames) for _ in range(copies if len(frames) > 1 else 0)]
    order.shuffle(frames)
    with closing(Host(native)) as host:
        assert set(delivered(host, frames)) == {data}


hostile = st.builds(
    lambda offset, size, more, ident, seed: piece(blob(size, seed), offset * 8, more, ident),
    st.integers(0, 64), st.integers(0, 64).map(lambda units: units * 8) | st.integers(0, 400), st.booleans(),
    st.integers(1, 2), st.integers(1, 3),
)


@settings(max_examples=300)
@given(frames=st.lists(hostile, max_size=10), order=orders)
def test_hostile_fragments_give_the_datagram_or_nothing(native: Any, frames: list[bytes], order: random.Random) -> None:
    """Among others' fragments of the same identification, what is delivered is the datagram that was sent, whole."""
    data = blob(300, 4)
    mixed = cut(udp(data), [64], ident=1) + frames
    order.shuffle(mixed)
    with closing(Host(native)) as host:
        assert set(delivered(host, mixed)) <= {data}


def test_timeout_of_what_was_for_everybody_is_silent(host: Host, sock: Socket) -> None:
    """RFC 1122 3.2.2"""
    first = piece(blob(1480), 0, True)
    host.inject(b"\xff" * 6 + first[6:])
    host.advance(31 * SECOND)
    assert host.take() == [] and host.dropped() == {"fragment_drop_timeout": 1}
