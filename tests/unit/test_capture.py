"""A capture holds every frame once, in order, with its direction, and says why one was dropped."""
from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from greendpdk import _capture
from greendpdk._capture import Capture, Filter, FilterError
from greendpdk._native import ffi, lib
from greendpdk.testing import Wire
from greendpdk.testing.clock import MS

OUT, IN = 2, 1


@dataclass
class Block:
    """An enhanced packet block, taken apart."""

    interface: int
    time: int
    frame: bytes
    length: int
    options: dict[int, bytes]

    @property
    def direction(self) -> int:
        return int.from_bytes(self.options[2], "little")

    @property
    def comment(self) -> str:
        return self.options.get(1, b"").decode()


def blocks(data: bytes) -> Iterator[Block]:
    """Take a stream of blocks apart, and see that each is whole."""
    at = 0
    while at < len(data):
        kind, length = struct.unpack_from("=II", data, at)
        assert length % 4 == 0 and struct.unpack_from("=I", data, at + length - 4)[0] == length
        if kind == 6:
            interface, high, low, kept, whole = struct.unpack_from("=IIIII", data, at + 8)
            options, where = {}, at + 28 + (kept + 3) // 4 * 4
            while code := struct.unpack_from("=H", data, where)[0]:
                size = struct.unpack_from("=H", data, where + 2)[0]
                options[code] = data[where + 4 : where + 4 + size]
                where += 4 + (size + 3) // 4 * 4
            assert where + 8 == at + length
            yield Block(interface, high << 32 | low, data[at + 28 : at + 28 + kept], whole, options)
        at += length


def capture_of(host: Any, text: str = "", snaplen: int = 0) -> Capture:
    return Capture(host.c, [(1, "lo"), (host.ifindex, "wire0")], text, snaplen, offset_ns=10**18)


@pytest.fixture
def wire() -> Iterator[Wire]:
    with Wire() as made:
        made.connection(81)  # MAC addresses are known
        yield made


def test_a_handshake_is_there_in_order_with_directions_and_times(wire: Wire) -> None:
    capture, now = capture_of(wire.b), wire.clock.now
    wire.connection(80)
    found = list(blocks(capture.header() + capture.read()))
    flags = [block.frame[14 + 20 + 13] for block in found]
    assert flags[:3] == [0x02, 0x12, 0x10]  # SYN, SYN-ACK, ACK
    assert [block.direction for block in found[:3]] == [IN, OUT, IN]
    assert {block.interface for block in found} == {wire.b.ifindex - 1}
    assert found[0].time == now + 10**18 and capture.counts() == (len(found), 0)
    assert capture.read() == b""


def test_a_dropped_frame_has_the_counters_name_as_comment(wire: Wire) -> None:
    capture = capture_of(wire.b)
    frame = bytes.fromhex("020000000002020000000001") + b"\x08\x00" + bytes([0x45]) + bytes(30)
    mac = ffi.new("uint8_t[6]")
    lib.gd_port_mac(wire.b.port, mac)
    lib.gd_pipe_inject(wire.a.port, bytes(mac) + frame[6:], len(frame), wire.clock.now)
    wire.advance(MS)
    (block,) = blocks(capture.read())
    assert block.comment.startswith("ip4_drop_") and wire.b.counters()[block.comment] == 1


def test_the_answer_stands_behind_what_it_answers(wire: Wire) -> None:
    capture = capture_of(wire.b)
    wire.a.connect((wire.b.address, 1))  # nobody listens: RST
    wire.advance(MS)
    question, answer = blocks(capture.read())
    assert (question.direction, answer.direction) == (IN, OUT) and answer.frame[14 + 20 + 13] & 0x04


def test_only_what_fits_the_filter_is_kept(wire: Wire) -> None:
    capture = capture_of(wire.b, "tcp[tcpflags] & tcp-syn != 0 and dst port 80")
    wire.connection(80)
    wire.connection(82)
    assert [block.frame[14 + 20 + 13] for block in blocks(capture.read())] == [0x02]


def test_snaplen_cuts_and_keeps_the_length(wire: Wire) -> None:
    capture = capture_of(wire.b, snaplen=60)
    client, _ = wire.connection(80)
    client.send(bytes(1000))
    wire.advance(MS)
    block = max(blocks(capture.read()), key=lambda block: block.length)
    assert len(block.frame) == 60 and block.length > 1000


def test_what_nobody_reads_is_counted_and_the_rest_is_whole(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_capture, "ROOM", 4096)
    capture = capture_of(wire.b)
    client, _ = wire.connection(80)
    client.send(bytes(50_000))
    wire.advance(100 * MS)
    frames, dropped = capture.counts()
    assert dropped > 10 and len(list(blocks(capture.read()))) == frames


def test_a_ring_that_wraps_loses_nothing(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_capture, "ROOM", 5000)
    capture, data, (client, server) = capture_of(wire.b, "port 80"), b"", wire.connection(80)
    for _ in range(100):
        client.send(bytes(700))
        wire.run_until(lambda: server.unread)
        server.recv(1000)
        data += capture.read()
    frames, dropped = capture.counts()
    assert dropped == 0 and len(list(blocks(data))) == frames > 100


def test_frames_of_the_loopback_are_seen_once(wire: Wire) -> None:
    capture = capture_of(wire.a)
    sock = wire.a.socket(2)
    sock.sendto(b"x", ("127.0.0.1", 9))
    wire.a.poll(), wire.a.poll()
    found = list(blocks(capture.read()))
    assert [block.interface for block in found] == [0, 0]  # the datagram, and the ICMP error that answers it


def test_one_capture_at_a_time_and_a_new_one_after_it(wire: Wire) -> None:
    capture = capture_of(wire.a)
    with pytest.raises(OSError, match="captured already"):
        capture_of(wire.a)
    capture.stop()
    capture_of(wire.a).stop()


def test_a_wrong_filter_says_what_is_wrong() -> None:
    with pytest.raises(FilterError, match="syntax error"):
        Filter("tcp porto")


def test_frames_that_one_frame_let_go_stand_behind_it_in_order() -> None:
    """Three datagrams have waited for one ARP reply."""
    with Wire() as wire:
        capture = capture_of(wire.a)
        sock, far = wire.a.socket(socket.SOCK_DGRAM), wire.b.socket(socket.SOCK_DGRAM)
        far.bind((wire.b.address, 9))
        for size in (1, 30, 2):
            sock.sendto(bytes(size), (wire.b.address, 9))
        wire.advance(MS)
        seen = [(block.direction, block.frame[12:14], len(block.frame)) for block in blocks(capture.read())]
        assert seen == [(OUT, b"\x08\x06", 42), (IN, b"\x08\x06", 42)] + [
            (OUT, b"\x08\x00", 42 + size) for size in (1, 30, 2)
        ]
        for size in (3, 4):
            sock.sendto(bytes(size), (wire.b.address, 9))
            wire.a.poll()  # and nothing comes in
            assert [len(block.frame) for block in blocks(capture.read())] == [42 + size]
        capture.stop()
