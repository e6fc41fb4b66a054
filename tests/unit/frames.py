"""Frames made and taken apart by hand, and a stack at the end of a wire in memory, its clock moved by hand.

Called by the tests of net/ and of datagram sockets; calls the engine through internals.py's module.
"""
from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

SECOND = 10**9
MS = 10**6
NEVER = 2**64 - 1
OUR_MAC = bytes.fromhex("020000000001")
PEER_MAC = bytes.fromhex("020000000002")
OTHER_MAC = bytes.fromhex("020000000003")
BROADCAST = b"\xff" * 6
US, PEER, OTHER, GATEWAY, FAR = "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.254", "192.0.2.9"
ICMP, TCP, UDP = 1, 6, 17


def four(address: str) -> bytes:
    """Four bytes of a dotted address."""
    return bytes(int(part) for part in address.split("."))


def mapped(address: str) -> bytes:
    """Sixteen bytes as the engine has them: IPv4 v4-mapped."""
    if ":" in address:
        return ipaddress.IPv6Address(address).packed
    return bytes(10) + b"\xff\xff" + four(address)


def checksum(data: bytes) -> int:
    """RFC 1071, the slow way."""
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ether(payload: bytes, kind: int = 0x0800, to: bytes = OUR_MAC, source: bytes = PEER_MAC) -> bytes:
    """An Ethernet frame."""
    return to + source + struct.pack("!H", kind) + payload


def arp(operation: int, sender: str, target: str, sender_mac: bytes = PEER_MAC, target_mac: bytes = bytes(6)) -> bytes:
    """An ARP packet's 28 bytes."""
    return struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + sender_mac + four(sender) + target_mac + four(target)


def ip4(payload: bytes, proto: int = UDP, src: str = PEER, dst: str = US, **fields: Any) -> bytes:
    """An IPv4 packet; fields: version_ihl, tos, total, ident, fragment, ttl, checksum, options."""
    options = fields.get("options", b"")
    header = struct.pack(
        "!BBHHHBBH4s4s", fields.get("version_ihl", 0x45 + len(options) // 4), fields.get("tos", 0),
        fields.get("total", 20 + len(options) + len(payload)), fields.get("ident", 1), fields.get("fragment", 0),
        fields.get("ttl", 64), proto, 0, four(src), four(dst),
    ) + options
    value = fields.get("checksum", checksum(header))
    return header[:10] + struct.pack("!H", value) + header[12:] + payload


def tcp(flags: int, sport: int, dport: int, src: str, dst: str, seq: int = 1, ack: int = 0) -> bytes:
    """An IP packet with a segment without text."""
    header = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, 0x50, flags, 1000, 0, 0)
    pseudo = four(src) + four(dst) + struct.pack("!HH", TCP, len(header))
    return ip4(header[:16] + struct.pack("!H", checksum(pseudo + header)) + header[18:], TCP, src, dst)


def udp(data: bytes, sport: int = 5000, dport: int = 7, src: str = PEER, dst: str = US, **fields: Any) -> bytes:
    """A UDP datagram with its checksum; fields: length, checksum."""
    length = fields.get("length", 8 + len(data))
    header = struct.pack("!HHH", sport, dport, length)
    pseudo = four(src) + four(dst) + struct.pack("!HH", UDP, 8 + len(data))
    value = fields.get("checksum", checksum(pseudo + header + b"\0\0" + data) or 0xFFFF)
    return header + struct.pack("!H", value) + data


def icmp(kind: int, code: int = 0, rest: bytes = bytes(4), data: bytes = b"") -> bytes:
    """An ICMP message with its checksum."""
    body = bytes([kind, code, 0, 0]) + rest + data
    return body[:2] + struct.pack("!H", checksum(body)) + body[4:]


@dataclass
class Ip:
    """A packet that the stack sent, taken apart; its IP checksum was right."""

    frame: bytes
    src: str
    dst: str
    proto: int
    ttl: int
    tos: int
    fragment: int
    payload: bytes


def parse_ip(frame: bytes) -> Ip:
    """Take one apart."""
    assert frame[12:14] == b"\x08\x00", frame.hex()
    packet = frame[14:]
    assert packet[0] == 0x45 and checksum(packet[:20]) == 0
    total = struct.unpack("!H", packet[2:4])[0]
    assert total == len(packet)
    src, dst = (".".join(str(byte) for byte in packet[at : at + 4]) for at in (12, 16))
    return Ip(frame, src, dst, packet[9], packet[8], packet[1], struct.unpack("!H", packet[6:8])[0], packet[20:])


@dataclass
class Host:
    """A stack with one address, and the other end of its wire in the test's hand."""

    native: Any
    address: str = US
    prefix: int = 24
    mtu: int = 1500
    now: int = 1000 * SECOND
    mac: bytes = OUR_MAC
    wire: tuple[Any, Any] | None = None
    last: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ffi, self.lib = self.native.ffi, self.native.lib
        out = self.ffi.new("struct gd_stack **")
        config = self.ffi.new("struct gd_config *", {"seed": bytes(range(32))})
        assert self.lib.gd_stack_new(config, self.now, out) == 0
        self.stack = out[0]
        self.port, self.end = self.wire or pipe(self.native, self.mtu, self.mac, PEER_MAC)
        self.index = self.lib.gd_stack_attach(self.stack, self.port, b"test0")
        assert self.index > 0
        assert self.lib.gd_stack_add_address(self.stack, self.index, mapped(self.address), self.prefix) == 0
        if not self.wire:
            self.poll()
            self.announcement = self.take()
            self.moved()

    def close(self) -> None:
        """Free the stack, and with it its end of the wire."""
        self.lib.gd_stack_free(self.stack)
        if not self.wire:
            self.lib.gd_port_close(self.end)

    def poll(self) -> int:
        """Let it have its turns now, until it has no work left; return its deadline."""
        for _ in range(100):
            deadline = int(self.lib.gd_stack_poll(self.stack, self.now))
            if deadline > self.now:
                return deadline
        raise AssertionError("the stack never comes to rest")

    def advance(self, nanoseconds: int) -> None:
        """Move the clock, with a turn at every deadline on the way."""
        target = self.now + nanoseconds
        deadline = self.poll()
        while deadline <= target:
            self.now = deadline
            deadline = self.poll()
        self.now = target
        self.poll()

    def inject(self, *frames: bytes) -> None:
        """Put frames on the wire and let the stack have a turn."""
        for frame in frames:
            assert self.lib.gd_pipe_inject(self.end, frame, len(frame), self.now) == 0
        self.poll()

    def take(self) -> list[bytes]:
        """Take what the stack has sent."""
        frames, memory = [], self.ffi.new("uint8_t[]", 70000)
        while (length := self.lib.gd_pipe_take(self.end, memory, 70000, self.now)) > 0:
            frames.append(bytes(self.ffi.buffer(memory, length)))
        return frames

    def answer(self, *frames: bytes) -> list[bytes]:
        """Inject, and return what comes back."""
        self.inject(*frames)
        return self.take()

    def ips(self) -> list[Ip]:
        """Take what was sent, all of it IP."""
        return [parse_ip(frame) for frame in self.take()]

    def learn(self, address: str = PEER, mac: bytes = PEER_MAC) -> None:
        """Make a neighbour known for good."""
        assert self.lib.gd_stack_set_neighbour(self.stack, self.index, mapped(address), mac) == 0

    def route(self, prefix: str, bits: int, gateway: str | None) -> int:
        """Add a route."""
        via = mapped(gateway) if gateway else self.ffi.NULL
        return int(self.lib.gd_stack_add_route(self.stack, mapped(prefix), bits, via, self.index))

    def counters(self) -> dict[str, int]:
        """All counters that are not zero."""
        lib = self.lib
        names = (self.ffi.string(lib.gd_stack_counter_name(i)).decode() for i in range(lib.gd_stack_counter_count()))
        values = {name: lib.gd_stack_counter(self.stack, i) for i, name in enumerate(names)}
        return {name: value for name, value in values.items() if value}

    def moved(self) -> dict[str, int]:
        """What has moved since the last call."""
        now, before = self.counters(), self.last
        self.last = now
        return {name: value - before.get(name, 0) for name, value in now.items() if value != before.get(name, 0)}

    def dropped(self) -> dict[str, int]:
        """The drops among what has moved since the last call."""
        return {name: count for name, count in self.moved().items() if "_drop_" in name}


@contextmanager
def no_frames(host: Host) -> Iterator[None]:
    """Leave the port without a frame to give; of what it sent nothing may be taken meanwhile."""
    heap, sock = host.lib.gd_allocations, Socket(host)
    host.learn()
    assert sock.bind() == 0
    heap.seen, heap.fail_from, heap.fail_to = 0, 1, 1 << 40
    try:
        while sock.sendto(b"x", PEER, 9) == 1:
            host.poll()
        yield
    finally:
        heap.fail_from = heap.fail_to = 0
    host.take()


def pipe(native: Any, mtu: int, mac_a: bytes, mac_b: bytes) -> tuple[Any, Any]:
    """Make a wire."""
    a, b = native.ffi.new("struct gd_port **"), native.ffi.new("struct gd_port **")
    assert native.lib.gd_pipe_pair(mtu, mac_a, mac_b, a, b) == 0
    return a[0], b[0]


@dataclass
class Socket:
    """A socket of the engine's, with results as they come: counts, bytes, -errno."""

    host: Host
    kind: int = 2  # SOCK_DGRAM
    domain: int = 2  # AF_INET

    def __post_init__(self) -> None:
        self.ffi, self.lib = self.host.ffi, self.host.lib
        out = self.ffi.new("struct gd_sock **")
        assert self.lib.gd_sock_new(self.host.stack, self.domain, self.kind, out) == 0
        self.c = out[0]

    def bind(self, address: str = "0.0.0.0", port: int = 0) -> int:
        """bind(2)"""
        return int(self.lib.gd_sock_bind(self.c, mapped(address), port))

    def connect(self, address: str | None, port: int = 0) -> int:
        """connect(2); None: AF_UNSPEC"""
        return int(self.lib.gd_sock_connect(self.c, mapped(address) if address else self.ffi.NULL, port))

    def sendto(self, data: bytes, address: str, port: int, flags: int = 0) -> int:
        """sendto(2)"""
        return int(self.lib.gd_sock_sendto(self.c, data, len(data), flags, mapped(address), port))

    def send(self, data: bytes, flags: int = 0) -> int:
        """send(2)"""
        return int(self.lib.gd_sock_send(self.c, data, len(data), flags))

    def recvfrom(self, room: int = 2000, flags: int = 0) -> tuple[bytes, str, int] | int:
        """recvfrom(2): data, address, port; or -errno"""
        data, address = self.ffi.new("uint8_t[]", room + 1), self.ffi.new("uint8_t[16]")
        port, out = self.ffi.new("uint16_t *"), self.ffi.new("int *")
        got = int(self.lib.gd_sock_recvfrom(self.c, data, room, flags, address, port, out))
        self.msg_flags = out[0]
        if got < 0:
            return got
        self.returned = got
        dotted = ".".join(str(byte) for byte in bytes(address)[12:])
        return bytes(self.ffi.buffer(data, min(got, room))), dotted, port[0]

    def name(self) -> tuple[str, int]:
        """getsockname(2)"""
        address, port = self.ffi.new("uint8_t[16]"), self.ffi.new("uint16_t *")
        assert self.lib.gd_sock_getsockname(self.c, address, port) == 0
        return ".".join(str(byte) for byte in bytes(address)[12:]), port[0]

    def setsockopt(self, level: int, option: int, value: int) -> int:
        """setsockopt(2) with an int"""
        return int(self.lib.gd_sock_setsockopt(self.c, level, option, self.ffi.new("int *", value), 4))

    def ready(self) -> int:
        """GD_ bits"""
        return int(self.lib.gd_sock_ready(self.c))

    def shutdown(self, how: int) -> int:
        """shutdown(2)"""
        return int(self.lib.gd_sock_shutdown(self.c, how))

    def close(self) -> None:
        """close(2)"""
        self.lib.gd_sock_close(self.c)
