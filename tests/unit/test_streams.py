"""Invariant: a shaper's packets of one flow meet numbers of their own, whatever other flows and acknowledgements do."""
from __future__ import annotations

import struct
from typing import Any

import pytest
from frames import PEER, US, ether, four, ip4, mapped
from frames6 import PEER6, US6, ether6, ip6, udp6

TCP, UDP = 6, 17
SYN, ACK, FIN = 2, 16, 1
OLDER, OTHERS = 0x80000000, 0x40000000
Key = tuple[int, int, int]  # the flow's number, the how manieth, whether it carries anything


class Streams:
    """What the packets of one way meet."""

    def __init__(self, native: Any) -> None:
        self.ffi, self.lib = native.ffi, native.lib
        self.c = self.ffi.new("struct gd_streams *")
        self.lib.gd_streams_reset(self.c)

    def __call__(self, frame: bytes) -> Key:
        key = self.lib.gd_streams_next(self.c, 7, frame, len(frame)).key
        assert key.k0 == 7
        return key.k1 >> 32, (key.k1 & 0xFFFFFFFF) >> 1, key.k1 & 1


@pytest.fixture
def streams(native: Any) -> Streams:
    return Streams(native)


def segment(flags: int, port: int, text: bytes = b"", options: bytes = b"", six: bool = False) -> bytes:
    header = struct.pack("!HHIIBBHHH", port, 80, 1, 1, 0x50 + len(options) * 4, flags, 1000, 0, 0) + options
    if six:
        return ether6(ip6(header + text, TCP, PEER6, US6))
    return ether(ip4(header + text, TCP, PEER, US))


@pytest.mark.parametrize("six", [False, True])
def test_connections_are_numbered_and_their_segments_counted_by_kind(streams: Streams, six: bool) -> None:
    assert streams(segment(SYN, 1000, six=six)) == (0, 0, 1)
    assert streams(segment(SYN, 1001, six=six)) == (1, 0, 1)
    assert streams(segment(ACK, 1000, six=six)) == (0, 0, 0)
    assert streams(segment(ACK, 1000, six=six)) == (0, 1, 0)
    assert streams(segment(ACK, 1000, b"text", six=six)) == (0, 1, 1)
    assert streams(segment(ACK | FIN, 1000, six=six)) == (0, 2, 1)
    assert streams(segment(ACK, 1001, six=six)) == (1, 0, 0)


@pytest.mark.parametrize("six", [False, True])
def test_flows_are_told_apart_by_addresses_ports_and_protocol(streams: Streams, six: bool) -> None:
    assert streams(segment(SYN, 1000, six=six))[0] == 0
    frame = segment(SYN, 1000, six=six)
    for at in (26, 33) if not six else (22, 53):  # the first byte of the source, the last of the destination
        other = bytearray(frame)
        other[at] ^= 1
        assert streams(bytes(other))[0] > 0
    plain = ip6(udp6(b"x", 1000, 80), UDP, PEER6, US6) if six else ip4(udp4(b"x", 1000, 80), UDP, PEER, US)
    assert streams((ether6 if six else ether)(plain)) == (OTHERS, 0, 1)


def udp4(data: bytes, sport: int, dport: int) -> bytes:
    return struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data


def test_connection_that_was_there_before_has_a_number_apart(streams: Streams) -> None:
    assert streams(segment(ACK, 1000, b"midway")) == (OLDER, 0, 1)
    assert streams(segment(SYN, 1001)) == (0, 0, 1)
    assert streams(segment(ACK, 1002)) == (OLDER + 1, 0, 0)


def test_padding_and_options_are_no_text(streams: Streams) -> None:
    assert streams(segment(ACK, 1000).ljust(60, b"\0")) == (OLDER, 0, 0)
    assert streams(segment(ACK, 1000, six=True).ljust(90, b"\0"))[2] == 0
    options = bytes(4)
    header = struct.pack("!HHIIBBHHH", 1000, 80, 1, 1, 0x60, ACK, 1000, 0, 0) + options
    assert streams(ether(ip4(header, TCP, PEER, US))) == (OLDER, 1, 0)
    assert streams(ether(ip4(header + b"x", TCP, PEER, US))) == (OLDER, 0, 1)


def test_later_fragments_and_what_is_cut_short_belong_to_no_connection(streams: Streams) -> None:
    whole = segment(SYN, 1000)
    fragment = bytearray(whole)
    fragment[14 + 7] = 1  # not the first: what stands there is text
    assert streams(bytes(fragment))[0] == OTHERS
    for length in (0, 13, 14, 33):
        assert streams(whole[:length])[0] >= OTHERS
    assert streams(whole) == (0, 0, 1)


def test_order_is_the_same_after_a_reset(streams: Streams) -> None:
    frames = [segment(SYN, port) for port in range(50)]
    first = [streams(frame) for frame in frames]
    assert [number for number, *_ in first] == list(range(50))
    streams.lib.gd_streams_reset(streams.c)
    assert [streams(frame) for frame in frames] == first


def test_flows_beyond_those_that_are_told_apart_are_one(streams: Streams) -> None:
    numbers = {streams(segment(SYN, port))[0] for port in range(1, 6000)}
    told = numbers - {0xFFFFFFFF}
    assert 0xFFFFFFFF in numbers and told == set(range(len(told))) and 3000 < len(told) <= 4096


def test_addresses_are_as_they_stand_in_the_header(streams: Streams) -> None:
    """And nothing of one frame is left for the next."""
    assert four(PEER) in segment(SYN, 1) and mapped(PEER6) in segment(SYN, 1, six=True)
    six, again = segment(SYN, 1000, six=True), segment(SYN, 1000)
    first = streams(six)[0], streams(again)[0]
    assert (streams(six)[0], streams(again)[0]) == first == (0, 1)
