"""Invariant: the buffers of one sendmsg leave as if they were one, whatever their lengths: in one segment, in one
datagram or its fragments, under a right checksum.
"""
from __future__ import annotations

import socket
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from greendpdk._native import ffi, lib
from greendpdk.testing import Endpoint, Wire
from greendpdk.testing.endpoint import address_to_c


def sendmsg(sock: Endpoint, parts: list[bytes], to: tuple[str, int] | None = None) -> int:
    """sendmsg(2)"""
    held: list[Any] = [ffi.from_buffer(part) for part in parts]
    vector = ffi.new("struct gd_iovec[]", [(cdata, len(cdata)) for cdata in held])
    message = ffi.new("struct gd_message *", {"parts": vector, "nparts": len(parts)})
    if to:
        message.addr, message.port, message.named = address_to_c(to[0]), to[1], 1
    return int(lib.gd_sock_sendmsg(sock.c, message, 0))


def test_one_segment_holds_several_buffers() -> None:
    with Wire() as wire:
        client, server = wire.connection()
        before = wire.a.counters()["tcp_out"]
        assert sendmsg(client, [b"GET ", b"/", b"", b" HTTP/1.1\r\n"]) == 16
        wire.turn()
        assert wire.a.counters()["tcp_out"] == before + 1
        assert server.recv(100) == b"GET / HTTP/1.1\r\n"


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.binary(max_size=700), max_size=12))
def test_datagram_of_parts_of_any_lengths_arrives(parts: list[bytes]) -> None:
    whole = b"".join(parts)
    with Wire() as wire:
        server, client = wire.b.socket(socket.SOCK_DGRAM), wire.a.socket(socket.SOCK_DGRAM)
        server.bind(("0.0.0.0", 7))
        client.connect((wire.b.address, 7))
        client.send(b"first")  # whose answer is the neighbour's: a long datagram does not wait for it
        wire.turn()
        assert server.recv(10) == b"first"
        assert sendmsg(client, parts) == len(whole)
        wire.turn()
        assert server.recv(10000) == whole
