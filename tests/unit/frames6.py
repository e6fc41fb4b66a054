"""IPv6 packets made and taken apart by hand, as frames.py does for IPv4.

Called by the tests of net/ip6.c and what stands on it; calls nothing of the engine's.
"""
from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

from frames import OUR_MAC, PEER_MAC, SECOND, Host, checksum, ether, mapped

AF_INET6 = 10
IP6 = 0x86DD
ICMP6 = 58
US6, PEER6, FAR6, GATEWAY6 = "2001:db8::1", "2001:db8::2", "2001:db8:ffff::9", "fe80::fe"
OUR_LINK = "fe80::ff:fe00:1"  # of OUR_MAC
SOLICIT, ADVERT, ROUTER_SOLICIT, ROUTER_ADVERT = 135, 136, 133, 134
R, S, O = 0x80, 0x40, 0x20  # noqa: E741


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


def udp6(data: bytes, sport: int = 5000, dport: int = 7, src: str = PEER6, dst: str = US6, **fields: int) -> bytes:
    """A UDP datagram with its checksum; fields: length, checksum."""
    length = fields.get("length", 8 + len(data))
    header = struct.pack("!HHH", sport, dport, length)
    value = checksum(pseudo(src, dst, 17, 8 + len(data)) + header + b"\0\0" + data) or 0xFFFF
    return header + struct.pack("!H", fields.get("checksum", value)) + data


def icmp6(kind: int, code: int = 0, rest: bytes = bytes(4), data: bytes = b"", **ends: str) -> bytes:
    """An ICMPv6 message with its checksum; ends: src, dst."""
    body = bytes([kind, code, 0, 0]) + rest + data
    value = checksum(pseudo(ends.get("src", PEER6), ends.get("dst", US6), ICMP6, len(body)) + body)
    return body[:2] + struct.pack("!H", value) + body[4:]


def extension(following: int, body: bytes) -> bytes:
    """An extension header with its length, its body filled up with Pad1."""
    body += bytes(-(len(body) + 2) % 8)
    return bytes([following, (len(body) + 2) // 8 - 1]) + body


def on_link(address: str, host: Host) -> bytes:
    """A link-local address on the host's wire, as the engine has it."""
    packed = mapped(address)
    return packed[:2] + struct.pack("!H", host.index) + packed[4:]


def solicited(address: str) -> str:
    """The group of those whose address ends likewise (RFC 4291 2.7.1)."""
    return str(ipaddress.IPv6Address(mapped("ff02::1:ff00:0")[:13] + mapped(address)[13:]))


def mac_option(kind: int, mac: bytes = PEER_MAC) -> bytes:
    """Source (1) or target (2) link-layer address."""
    return bytes([kind, 1]) + mac


def solicit(target: str, src: str = PEER6, dst: str = "", options: bytes | None = None, **fields: int) -> bytes:
    """A neighbour solicitation's packet."""
    dst = dst or solicited(target)
    tail = mac_option(1) if options is None else options
    message = icmp6(SOLICIT, fields.pop("code", 0), bytes(4), mapped(target) + tail, src=src, dst=dst)
    return ip6(message, ICMP6, src, dst, **{"hops": 255, **fields})


def advert(target: str, flags: int, dst: str = US6, options: bytes | None = None, **fields: int) -> bytes:
    """A neighbour advertisement's packet."""
    tail = mac_option(2) if options is None else options
    message = icmp6(ADVERT, 0, bytes([flags, 0, 0, 0]), mapped(target) + tail, src=target, dst=dst)
    return ip6(message, ICMP6, target, dst, **{"hops": 255, **fields})


@dataclass
class Host6(Host):
    """A stack that has an IPv6 address too, and knows its neighbour's."""

    def __post_init__(self) -> None:
        super().__post_init__()
        assert self.lib.gd_stack_add_address(self.stack, self.index, mapped(US6), 64) == 0
        self.learn(PEER6)
        self.settle6()

    def settle6(self) -> None:
        """Let the addresses become ours, and forget what was said on the way."""
        self.advance(3 * SECOND)
        self.take()
        self.moved()

    def sent6(self) -> list[Ip6]:
        """Take what was sent, all of it IPv6."""
        self.poll()
        return [parse_ip6(frame) for frame in self.take()]

    def answers6(self, *packets: bytes) -> list[Ip6]:
        """Inject packets, and return what comes back."""
        self.inject(*(ether6(packet) for packet in packets))
        return self.sent6()
