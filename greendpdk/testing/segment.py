"""Build frames from values and take them apart again: Ethernet, ARP, IPv4, IPv6, TCP, UDP, ICMP.

Called by script.py's parts and by tests that speak to a stack in raw frames; calls nothing of greendpdk,
so that the engine's own wire code is checked against other code.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass, field, replace

ETH_IP4 = 0x0800
ETH_ARP = 0x0806
ETH_IP6 = 0x86DD
ICMP, TCP, UDP, ICMP6 = 1, 6, 17, 58
FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << bit for bit in range(8))
FLAG_LETTERS = (("S", SYN), ("F", FIN), ("R", RST), ("P", PSH), (".", ACK), ("U", URG), ("E", ECE), ("W", CWR))
BROADCAST = b"\xff" * 6

# One TCP option: its name and numbers ("mss", 1460), ("TS", 1, 2), ("sack", 1, 11), ("raw", kind, byte, ...).
Option = tuple[str | int, ...]


def checksum(data: bytes) -> int:
    """Return the internet checksum of data (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def address_bytes(text: str) -> bytes:
    """Return the four bytes of a dotted quad, or the sixteen of an IPv6 address."""
    return ipaddress.ip_address(text).packed


def address_text(packed: bytes) -> str:
    """Return the text of four bytes, or of sixteen."""
    return str(ipaddress.ip_address(packed))


@dataclass(frozen=True)
class Tcp:
    """A TCP segment; numbers as they stand on the wire."""

    sport: int
    dport: int
    seq: int = 0
    ack: int = 0
    flags: int = 0
    window: int = 65535
    urgent: int = 0
    options: tuple[Option, ...] = ()
    payload: bytes = b""

    def __str__(self) -> str:
        end = (self.seq + len(self.payload)) % 2**32
        parts = [flags_text(self.flags), f"{self.seq}:{end}({len(self.payload)})"]
        if self.flags & ACK:
            parts.append(f"ack {self.ack}")
        parts.append(f"win {self.window}")
        if self.urgent:
            parts.append(f"urg {self.urgent}")
        if self.options:
            parts.append(f"<{options_text(self.options)}>")
        return " ".join(parts)


@dataclass(frozen=True)
class Udp:
    """A UDP datagram."""

    sport: int
    dport: int
    payload: bytes = b""

    def __str__(self) -> str:
        return f"udp ({len(self.payload)})"


@dataclass(frozen=True)
class Icmp:
    """An ICMP message: rest is the second word of its header."""

    type: int
    code: int = 0
    rest: int = 0
    payload: bytes = b""

    def __str__(self) -> str:
        return f"icmp type {self.type} code {self.code} rest {self.rest:#x} ({len(self.payload)})"


@dataclass(frozen=True)
class Arp:
    """An ARP request (op 1) or reply (op 2)."""

    op: int
    sender_mac: bytes
    sender: str
    target_mac: bytes
    target: str

    def __str__(self) -> str:
        if self.op == 1:
            return f"arp who-has {self.target} tell {self.sender}"
        return f"arp reply {self.sender} is-at {self.sender_mac.hex(':')}"


@dataclass(frozen=True)
class Ip:
    """A packet of either family, as its addresses are. bad_checksum: wrong on purpose, "ip" or "l4".

    In IPv6 ttl is the hop limit, tos the traffic class, ident the flow label, and df always true.
    """

    src: str
    dst: str
    layer: Tcp | Udp | Icmp | bytes
    proto: int = 0  # of a bytes layer
    ttl: int = 64
    tos: int = 0
    ident: int = 0
    df: bool = True
    bad_checksum: str = ""

    @property
    def is_6(self) -> bool:
        """Tell the family."""
        return ":" in self.src


@dataclass(frozen=True)
class Frame:
    """An Ethernet frame."""

    dst: bytes
    src: bytes
    body: Ip | Arp | bytes
    ethertype: int = 0  # of a bytes body
    errors: tuple[str, ...] = field(default=(), compare=False)  # what parse() found wrong


def flags_text(flags: int) -> str:
    """Return flags in packetdrill's letters, "-" for none."""
    return "".join(letter for letter, bit in FLAG_LETTERS if flags & bit) or "-"


def options_text(options: tuple[Option, ...]) -> str:
    """Return options in packetdrill's words."""
    return ",".join(_option_text(option) for option in options)


def _option_text(option: Option) -> str:
    name, *numbers = option
    if name == "TS":
        return f"TS val {numbers[0]} ecr {numbers[1]}"
    if name == "sack":
        edges = zip(numbers[::2], numbers[1::2], strict=True)
        return "sack " + " ".join(f"{left}:{right}" for left, right in edges)
    if name == "raw":
        return "raw " + bytes(int(number) for number in numbers).hex()
    return " ".join([str(name), *map(str, numbers)])


def _build_option(option: Option) -> bytes:
    name, *rest = option
    numbers = [int(number) for number in rest]
    if name == "nop":
        return b"\1"
    if name == "eol":
        return b"\0"
    if name == "mss":
        return struct.pack("!BBH", 2, 4, *numbers)
    if name == "wscale":
        return struct.pack("!BBB", 3, 3, *numbers)
    if name == "sackOK":
        return b"\4\2"
    if name == "sack":
        return struct.pack(f"!BB{len(numbers)}I", 5, 2 + 4 * len(numbers), *numbers)
    if name == "TS":
        return struct.pack("!BBII", 8, 10, *numbers)
    if name == "raw":
        return bytes(numbers)
    raise ValueError(f"unknown TCP option {name!r}")


def build_options(options: tuple[Option, ...]) -> bytes:
    """Return the options' bytes, padded with zeros to whole words."""
    data = b"".join(map(_build_option, options))
    return data + b"\0" * (-len(data) % 4)


def parse_options(data: bytes) -> tuple[Option, ...]:
    """Take options apart; one that is malformed ends the list as "raw"."""
    found: list[Option] = []
    at = 0
    while at < len(data):
        kind = data[at]
        if kind == 0:  # the rest is padding
            break
        if kind == 1:
            found.append(("nop",))
            at += 1
            continue
        length = data[at + 1] if at + 1 < len(data) else 0
        body = data[at + 2 : at + length]
        if length < 2 or len(body) != length - 2:
            found.append(("raw", *data[at:]))
            break
        found.append(_parse_option(kind, body))
        at += length
    return tuple(found)


def _parse_option(kind: int, body: bytes) -> Option:
    if kind == 2 and len(body) == 2:
        return ("mss", int.from_bytes(body, "big"))
    if kind == 3 and len(body) == 1:
        return ("wscale", body[0])
    if kind == 4 and not body:
        return ("sackOK",)
    if kind == 5 and body and len(body) % 8 == 0:
        return ("sack", *struct.unpack(f"!{len(body) // 4}I", body))
    if kind == 8 and len(body) == 8:
        return ("TS", *struct.unpack("!II", body))
    return ("raw", kind, len(body) + 2, *body)


def _pseudo(ip: Ip, proto: int, length: int) -> bytes:
    tail = struct.pack("!II", length, proto) if ip.is_6 else struct.pack("!BBH", 0, proto, length)
    return address_bytes(ip.src) + address_bytes(ip.dst) + tail


def _build_layer(ip: Ip) -> tuple[int, bytes]:
    layer = ip.layer
    if isinstance(layer, Tcp):
        options = build_options(layer.options)
        head = struct.pack(
            "!HHIIBBHHH",
            layer.sport,
            layer.dport,
            layer.seq % 2**32,
            layer.ack % 2**32,
            (20 + len(options)) // 4 << 4,
            layer.flags,
            layer.window,
            0,
            layer.urgent,
        )
        return TCP, _with_checksum(ip, TCP, head + options + layer.payload, 16)
    if isinstance(layer, Udp):
        head = struct.pack("!HHHH", layer.sport, layer.dport, 8 + len(layer.payload), 0)
        return UDP, _with_checksum(ip, UDP, head + layer.payload, 6)
    if isinstance(layer, Icmp):
        data = struct.pack("!BBHI", layer.type, layer.code, 0, layer.rest) + layer.payload
        if ip.is_6:
            return ICMP6, _with_checksum(ip, ICMP6, data, 2)
        value = checksum(data) ^ (0x5555 if ip.bad_checksum == "l4" else 0)
        return ICMP, data[:2] + struct.pack("!H", value) + data[4:]
    return ip.proto, layer


def _with_checksum(ip: Ip, proto: int, data: bytes, at: int) -> bytes:
    value = checksum(_pseudo(ip, proto, len(data)) + data)
    if proto == UDP and value == 0:  # RFC 768: zero means none
        value = 0xFFFF
    if ip.bad_checksum == "l4":
        value ^= 0x5555
    return data[:at] + struct.pack("!H", value) + data[at + 2 :]


def build_ip(ip: Ip) -> bytes:
    """Return the packet's bytes, checksums filled in."""
    proto, data = _build_layer(ip)
    if ip.is_6:
        head = struct.pack("!IHBB", 6 << 28 | ip.tos << 20 | ip.ident, len(data), proto, ip.ttl)
        return head + address_bytes(ip.src) + address_bytes(ip.dst) + data
    head = struct.pack(
        "!BBHHHBBH4s4s",
        0x45,
        ip.tos,
        20 + len(data),
        ip.ident,
        0x4000 if ip.df else 0,
        ip.ttl,
        proto,
        0,
        address_bytes(ip.src),
        address_bytes(ip.dst),
    )
    value = checksum(head) ^ (0x5555 if ip.bad_checksum == "ip" else 0)
    return head[:10] + struct.pack("!H", value) + head[12:] + data


def build(frame: Frame) -> bytes:
    """Return the frame's bytes."""
    body = frame.body
    if isinstance(body, Ip):
        return frame.dst + frame.src + struct.pack("!H", ETH_IP6 if body.is_6 else ETH_IP4) + build_ip(body)
    if isinstance(body, Arp):
        data = struct.pack("!HHBBH", 1, ETH_IP4, 6, 4, body.op)
        data += body.sender_mac + address_bytes(body.sender) + body.target_mac + address_bytes(body.target)
        return frame.dst + frame.src + struct.pack("!H", ETH_ARP) + data
    return frame.dst + frame.src + struct.pack("!H", frame.ethertype) + body


def parse(data: bytes) -> Frame:
    """Take a frame apart; wrong checksums and lengths are named in errors."""
    dst, src, ethertype = data[:6], data[6:12], int.from_bytes(data[12:14], "big")
    errors: list[str] = []
    body: Ip | Arp | bytes = data[14:]
    if ethertype in (ETH_IP4, ETH_IP6):
        body = parse_ip(data[14:], errors)
    elif ethertype == ETH_ARP and len(data) >= 42:
        op = int.from_bytes(data[20:22], "big")
        body = Arp(op, data[22:28], address_text(data[28:32]), data[32:38], address_text(data[38:42]))
    return Frame(dst, src, body, ethertype, tuple(errors))


def parse_ip(data: bytes, errors: list[str], quoted: bool = False) -> Ip:
    """Take a packet apart; quoted: it is what an ICMP error quotes, so it may be cut short."""
    shell, head, total = (_parse_ip6 if data[0] >> 4 == 6 else _parse_ip4)(data, errors)
    if total > len(data) and not quoted:
        errors.append(f"IP length {total} > {len(data)}")
    proto, l4 = shell.proto, data[head:total]
    if not quoted:
        covered = l4 if proto == ICMP else _pseudo(shell, proto, len(l4)) + l4
        none = proto == UDP and l4[6:8] == b"\0\0" and not shell.is_6
        if proto in (ICMP, TCP, UDP, ICMP6) and checksum(covered) != 0 and not none:
            errors.append("transport checksum")
    return replace(shell, layer=_parse_layer(proto, l4))


def _parse_ip4(data: bytes, errors: list[str]) -> tuple[Ip, int, int]:
    """Return the header, its length, and that of the whole."""
    _, tos, total, ident, fragment, ttl, proto, _, src, dst = struct.unpack("!BBHHHBBH4s4s", data[:20])
    head = (data[0] & 15) * 4
    if checksum(data[:head]) != 0:
        errors.append("IP checksum")
    shell = Ip(address_text(src), address_text(dst), b"", proto, ttl, tos, ident, bool(fragment & 0x4000))
    return shell, head, total


def _parse_ip6(data: bytes, errors: list[str]) -> tuple[Ip, int, int]:
    first, length, proto, ttl = struct.unpack("!IHBB", data[:8])
    src, dst = address_text(data[8:24]), address_text(data[24:40])
    return Ip(src, dst, b"", proto, ttl, first >> 20 & 255, first & 0xFFFFF), 40, 40 + length


def _parse_layer(proto: int, l4: bytes) -> Tcp | Udp | Icmp | bytes:
    if proto == TCP and len(l4) >= 20:
        sport, dport, seq, ack, offset, flags, window, _, urgent = struct.unpack("!HHIIBBHHH", l4[:20])
        head = (offset >> 4) * 4
        return Tcp(sport, dport, seq, ack, flags, window, urgent, parse_options(l4[20:head]), l4[head:])
    if proto == TCP and len(l4) >= 8:  # a quote
        sport, dport, seq = struct.unpack("!HHI", l4[:8])
        return Tcp(sport, dport, seq)
    if proto == UDP and len(l4) >= 8:
        sport, dport, length = struct.unpack("!HHH", l4[:6])
        return Udp(sport, dport, l4[8:length])
    if proto in (ICMP, ICMP6) and len(l4) >= 8:
        return Icmp(l4[0], l4[1], int.from_bytes(l4[4:8], "big"), l4[8:])
    return l4
