"""Captured frames as lines that people read, as tcpdump's: when, which way, who to whom, what.

Called by _pytest_network.py; calls segment.py. Sequence numbers begin at 0 in each direction of a connection.

    +0.0403 in  peer0  198.19.0.2:80 > 198.19.0.1:40000  P. 1:14(13) ack 6 win 65535  'hello, world\\n'
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from greendpdk.testing.segment import ACK, SYN, Arp, Frame, Ip, Tcp, Udp, parse

PACKET_BLOCK = 6  # pcapng's enhanced packet block
_COMMENT, _FLAGS, _OUTBOUND = 1, 2, 2
_SHOWN = 40  # bytes of a payload
_LOOPBACK = 0  # interface id, whose checksums are left out


@dataclass(frozen=True)
class Captured:
    """One frame of a capture."""

    interface: int  # of the file: the stack's index - 1
    at_ns: int
    data: bytes
    out: bool
    comment: str


def split(stream: bytes) -> tuple[list[bytes], bytes]:
    """Cut a stream of pcapng blocks at their borders; return the whole ones and the rest."""
    blocks, at = [], 0
    while len(stream) - at >= 8:
        length = int.from_bytes(stream[at + 4 : at + 8], "little")
        if len(stream) - at < length:
            break
        blocks.append(stream[at : at + length])
        at += length
    return blocks, stream[at:]


def read(block: bytes) -> Captured | None:
    """Read an enhanced packet block; None: it is another."""
    kind, _, interface, high, low, kept, _ = struct.unpack_from("<IIIIIII", block)
    if kind != PACKET_BLOCK:
        return None
    out, comment = False, ""
    at = 28 + kept + -kept % 4
    while at + 4 <= len(block) - 4:
        code, length = struct.unpack_from("<HH", block, at)
        value = block[at + 4 : at + 4 + length]
        if code == _FLAGS:
            out = value[0] & 3 == _OUTBOUND
        elif code == _COMMENT:
            comment = value.decode(errors="replace")
        elif code == 0:
            break
        at += 4 + length + -length % 4
    return Captured(interface, high << 32 | low, block[28 : 28 + kept], out, comment)


def lines(blocks: Iterable[bytes], names: Mapping[int, str]) -> Iterator[str]:
    """Show the frames of these blocks; names: of interfaces, by their id."""
    first: int | None = None
    begins: dict[tuple[str, int, str, int], int] = {}
    for captured in filter(None, map(read, blocks)):
        first = captured.at_ns if first is None else first
        after = (captured.at_ns - first) / 1e9
        name = names.get(captured.interface, str(captured.interface))
        comment = f"  [{captured.comment}]" if captured.comment else ""
        yield f"{after:+9.4f} {'out' if captured.out else 'in ':3} {name:<6} {_what(captured, begins)}{comment}"


def _what(captured: Captured, begins: dict[tuple[str, int, str, int], int]) -> str:
    try:
        frame = parse(captured.data)
    except (struct.error, IndexError, ValueError):
        return f"{len(captured.data)} bytes that make no packet: {captured.data[:_SHOWN].hex()}"
    wrong = f"  ({', '.join(frame.errors)} wrong)" if frame.errors and not _unfinished(captured) else ""
    return _frame(frame, begins) + wrong


def _unfinished(captured: Captured) -> bool:
    """Checksums are left to the device on the way out, and left out on the loopback."""
    return captured.out or captured.interface == _LOOPBACK


def _frame(frame: Frame, begins: dict[tuple[str, int, str, int], int]) -> str:
    body = frame.body
    if isinstance(body, Arp):
        return str(body)
    if not isinstance(body, Ip):
        return f"ethertype {frame.ethertype:#06x} ({len(body)})"
    layer = body.layer
    if isinstance(layer, Tcp):
        shown = _relative(layer, body.src, body.dst, begins)
        return f"{_end(body.src, layer.sport)} > {_end(body.dst, layer.dport)}  {shown}{_text(layer.payload)}"
    if isinstance(layer, Udp):
        return f"{_end(body.src, layer.sport)} > {_end(body.dst, layer.dport)}  {layer}{_text(layer.payload)}"
    what = f"protocol {body.proto} ({len(layer)})" if isinstance(layer, bytes) else str(layer)
    return f"{body.src} > {body.dst}  {what}"


def _end(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _relative(tcp: Tcp, src: str, dst: str, begins: dict[tuple[str, int, str, int], int]) -> Tcp:
    ours, theirs = (src, tcp.sport, dst, tcp.dport), (dst, tcp.dport, src, tcp.sport)
    if tcp.flags & SYN or ours not in begins:
        begins[ours] = tcp.seq if tcp.flags & SYN else tcp.seq - 1
    if tcp.flags & ACK and theirs not in begins:
        begins[theirs] = tcp.ack - 1
    ack = (tcp.ack - begins[theirs]) % 2**32 if tcp.flags & ACK else tcp.ack
    return replace(tcp, seq=(tcp.seq - begins[ours]) % 2**32, ack=ack)


def _text(payload: bytes) -> str:
    """Show how a payload begins, if it is text."""
    start = payload[:_SHOWN]
    if not start or any(byte < 32 and byte not in b"\r\n\t" or byte > 126 for byte in start):
        return ""
    return f"  {start.decode()!r}" + ("..." if len(payload) > _SHOWN else "")
