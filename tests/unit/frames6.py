"""IPv6 packets made and taken apart by hand, as frames.py does for IPv4.

Called by the tests of net/ip6.c and what stands on it; calls nothing of the engine's.
"""
from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

from frames import OUR_MAC, PEER_MAC, checksum, ether, mapped

IP6 = 0x86DD
ICMP6 = 58
US6, PEER6, FAR6, GATEWAY6 = "2001:db8::1", "2001:db8::2", "2001:db8:ffff::9", "fe80::fe"


def pseudo(src: str, dst: str, proto: int, length: int) -> bytes:
    """RFC 8200 8.1"""
    return mapped(src) + mapped(dst) + struct.pack("!II", length, proto)


@dataclass
class Ip6:
    """A packet that the stack sent, taken apart."""

    frame: bytes
    src: str
    dst: str
    next: int
    hops: int
    tclass: int
    label: int
    payload: bytes


def parse_ip6(frame: bytes) -> Ip6:
    """Take one apart; its lengths are right, and its transport checksum."""
    assert frame[12:14] == b"\x86\xdd", frame.hex()
    packet = frame[14:]
    first, length, following, hops = struct.unpack("!IHBB", packet[:8])
    assert first >> 28 == 6 and length == len(packet) - 40
    src, dst = (str(ipaddress.IPv6Address(packet[at : at + 16])) for at in (8, 24))
    payload = packet[40:]
    if following in (6, 17, ICMP6):
        assert checksum(pseudo(src, dst, following, length) + payload) == 0
    return Ip6(frame, src, dst, following, hops, first >> 20 & 255, first & 0xFFFFF, payload)


def ip6(payload: bytes, following: int = 17, src: str = PEER6, dst: str = US6, **fields: int) -> bytes:
    """An IPv6 packet; fields: version, tclass, label, length, hops."""
    first = fields.get("version", 6) << 28 | fields.get("tclass", 0) << 20 | fields.get("label", 0)
    header = struct.pack("!IHBB", first, fields.get("length", len(payload)), following, fields.get("hops", 64))
    return header + mapped(src) + mapped(dst) + payload


def ether6(packet: bytes, to: bytes = OUR_MAC, source: bytes = PEER_MAC) -> bytes:
    """An Ethernet frame."""
    return ether(packet, IP6, to, source)
