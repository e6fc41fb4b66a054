"""A DHCP server made by hand: what a client sent, taken apart, and what a server might answer.

Called by test_dhcp.py and test_dhcp_messages.py; calls frames.py.
"""
from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from frames import BROADCAST, MS, OUR_MAC, PEER_MAC, Host, arp, ether, four, ip4, mapped, parse_ip, udp

DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE = range(1, 8)
SERVER, OFFERED, ROUTER, DNS = "10.0.0.2", "10.0.0.9", "10.0.0.254", "10.0.0.53"
COOKIE = bytes.fromhex("63825363")
MASK_24 = b"\xff\xff\xff\0"
Options = list[tuple[int, bytes]]
CHECKED = 605 * MS  # three probes, 200 ms each, and a tick of the wheel for each


@dataclass
class Message:
    """A client's message."""

    kind: int
    src: str
    dst: str
    to_all: bool
    xid: bytes
    secs: int
    flags: int
    ciaddr: str
    options: dict[int, bytes]
    length: int


def dotted(data: bytes) -> str:
    """Spell an address."""
    return ".".join(map(str, data))


def parse(frame: bytes) -> Message:
    """Take a client's frame apart, and insist on what all of them have in common."""
    packet = parse_ip(frame)
    source, destination, length, _ = struct.unpack("!4H", packet.payload[:8])
    data = packet.payload[8:]
    assert (packet.proto, source, destination, length) == (17, 68, 67, len(packet.payload))
    assert data[:4] == b"\1\1\6\0" and data[28:44] == OUR_MAC + bytes(10) and data[236:240] == COOKIE
    assert data[44:236] == bytes(192) and data[16:28] == bytes(12)
    options, at = {}, 240
    while data[at] != 255:
        options[data[at]] = data[at + 2 : at + 2 + data[at + 1]]
        at += 2 + data[at + 1]
    return Message(options[53][0], packet.src, packet.dst, frame[:6] == BROADCAST, data[4:8],
                   int.from_bytes(data[8:10], "big"), int.from_bytes(data[10:12], "big"), dotted(data[12:16]),
                   options, len(data))


def encode(options: Options) -> bytes:
    """Spell options, without an end."""
    return b"".join(bytes([code, len(data)]) + data for code, data in options)


def usual(seconds: int = 3600, **change: bytes | None) -> Options:
    """What a server grants; mask, router, lease, server may be changed, or left out by None."""
    given = {"server": four(SERVER), "lease": struct.pack("!I", seconds), "mask": MASK_24, "router": four(ROUTER)}
    codes = {"server": 54, "lease": 51, "mask": 1, "router": 3}
    return [(codes[name], data) for name, data in (given | change).items() if data is not None]


def reply(xid: bytes, kind: int, options: Options, yiaddr: str = OFFERED, **fields: Any) -> bytes:
    """A server's frame; fields: mac, op, cookie, sname, file, sport, src, dst, to, raw (instead of options)."""
    bootp = bytes([fields.get("op", 2), 1, 6, 0]) + xid + bytes(8) + four(yiaddr) + bytes(8)
    bootp += fields.get("mac", OUR_MAC) + bytes(10)
    bootp += fields.get("sname", b"").ljust(64, b"\0") + fields.get("file", b"").ljust(128, b"\0")
    raw = fields.get("raw", encode([(53, bytes([kind])), *options]) + b"\xff")
    src, dst = fields.get("src", SERVER), fields.get("dst", "255.255.255.255")
    data = udp(bootp + fields.get("cookie", COOKIE) + raw, fields.get("sport", 67), 68, src, dst)
    return ether(ip4(data, src=src, dst=dst), to=fields.get("to", BROADCAST))


class Client:
    """A stack whose interface has no address, and a DHCP client on it."""

    def __init__(self, host: Host, hostname: bytes | None = None) -> None:
        self.host, self.ffi, self.lib = host, host.ffi, host.lib
        self.others: list[bytes] = []
        remove = host.lib.gd_stack_del_address
        assert remove(host.stack, host.index, bytes(10) + b"\xff\xff" + four(host.address)) == 0
        name = self.ffi.new("char[]", hostname) if hostname else self.ffi.NULL
        assert self.lib.gd_dhcp_start(host.stack, host.index, name) == 0
        host.advance(2 * MS)  # a tick of the wheel

    def sent(self) -> list[Message]:
        """Take what the client has sent; frames that are not DHCP's go to `others`."""
        found = []
        self.others = []
        for frame in self.host.take():
            if frame[12:14] == b"\x08\x00":
                found.append(parse(frame))
            else:
                self.others.append(frame)
        return found

    def one(self) -> Message:
        """Take the one message that was sent."""
        (message,) = self.sent()
        return message

    def status(self) -> Any:
        """Ask the engine."""
        out = self.ffi.new("struct gd_dhcp_status *")
        assert self.lib.gd_dhcp_status(self.host.stack, self.host.index, out) == 0
        return out

    @property
    def state(self) -> str:
        """Name the state."""
        names = ("OFF", "INIT", "SELECTING", "REQUESTING", "CHECKING", "BOUND", "RENEWING", "REBINDING")
        return names[self.status().state]

    def address(self) -> str | None:
        """Return the interface's only address, with its prefix length."""
        addr, bits = self.ffi.new("uint8_t[16]"), self.ffi.new("int *")
        if self.lib.gd_stack_address(self.host.stack, self.host.index, 0, addr, bits):
            return None
        assert self.lib.gd_stack_address(self.host.stack, self.host.index, 1, addr, bits) < 0
        return f"{dotted(bytes(addr)[12:])}/{bits[0]}"

    def offer(self, options: Options | None = None, **fields: Any) -> Message:
        """Answer the DISCOVER that was sent; return the REQUEST that comes."""
        discover = self.one()
        assert discover.kind == DISCOVER
        self.host.inject(reply(discover.xid, OFFER, usual() if options is None else options, **fields))
        return self.one()

    def bind(self, options: Options | None = None, **fields: Any) -> Message:
        """Go through the exchange until the lease is in force; return the REQUEST."""
        options = usual() if options is None else options
        request = self.offer(options, **fields)
        self.host.inject(reply(request.xid, ACK, options, **fields))
        self.host.advance(CHECKED)
        assert self.sent() == [] and self.state == "BOUND"
        return request

    def renewed(self, message: Message, options: Options | None = None, **fields: Any) -> None:
        """Grant a renewal, by unicast."""
        fields = {"dst": message.ciaddr, "to": OUR_MAC, **fields}
        options = usual() if options is None else options
        self.host.inject(reply(message.xid, ACK, options, message.ciaddr, **fields))


def claims(address: str) -> bytes:
    """An ARP packet of another host that has the address."""
    return ether(arp(2, address, "0.0.0.0", PEER_MAC, OUR_MAC), 0x0806)


def probes(address: str) -> bytes:
    """An ARP packet of another host that is about to take it."""
    return ether(arp(1, "0.0.0.0", address), 0x0806, to=BROADCAST)


def leads(host: Host, to: str) -> str | int:
    """Ask which source address leads there."""
    src = host.ffi.new("uint8_t[16]")
    index = host.lib.gd_stack_route(host.stack, mapped(to), src)
    return dotted(bytes(src)[12:]) if index > 0 else int(index)
