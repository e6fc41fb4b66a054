"""Invariant: a control message is read within its buffer, whatever it claims, and leads to no other device."""
from __future__ import annotations

import errno
import struct

import pytest
from frames import PEER, Host, Socket, mapped
from frames6 import AF_INET6, PEER6, Host6

PKTINFO6, TTL, RIGHTS = (41, 50), (0, 2), (1, 1)


def send(sock: Socket, control: bytes, to: str = PEER) -> int:
    """sendmsg(2) of one byte with control messages as they come."""
    ffi = sock.ffi
    data, held = ffi.from_buffer(b"x"), ffi.new("char[]", max(len(control), 1))
    ffi.memmove(held, control, len(control))
    part = ffi.new("struct gd_iovec *", {"base": data, "len": 1})
    message = ffi.new("struct gd_message *", {"parts": part, "nparts": 1, "control": held, "control_len": len(control)})
    message.addr, message.port, message.named = mapped(to), 9, 1
    return int(sock.lib.gd_sock_sendmsg(sock.c, message, 0))


def header(claims: int, kind: tuple[int, int]) -> bytes:
    return struct.pack("@Nii", claims, *kind)


@pytest.mark.parametrize("claims", [0, 15, 21, 24, 1 << 31, (1 << 64) - 1])
def test_length_that_is_not_there_is_refused(host: Host, claims: int) -> None:
    host.learn()
    sock = Socket(host)
    for kind in (TTL, RIGHTS):  # the second is passed over, once its length is right
        assert send(sock, header(20, kind) + struct.pack("i", 9)) == 1
        assert send(sock, header(claims, kind) + struct.pack("i", 9)) == -errno.EINVAL
    assert send(sock, header(20, TTL) + struct.pack("i4x", 9) + header(claims, TTL)[:15]) == 1  # no header, no message


def test_info_does_not_lead_away_from_the_device(host6: Host6) -> None:
    sock = Socket(host6, domain=AF_INET6)
    info = header(36, PKTINFO6) + bytes(16) + struct.pack("i", 1)
    assert sock.lib.gd_sock_setsockopt(sock.c, 1, 25, b"test0", 5) == 0
    assert send(sock, info, PEER6) == -errno.EINVAL
    assert send(sock, info[:-4] + struct.pack("i", host6.index), PEER6) == 1


def test_datagram_leaves_from_the_address_of_link_scope_that_is_named(host6: Host6) -> None:
    sock = Socket(host6, domain=AF_INET6)
    own = mapped("fe80::ff:fe00:1")
    assert send(sock, header(36, PKTINFO6) + own + struct.pack("i", host6.index), PEER6) == 1
    assert [packet.src for packet in host6.sent6()] == ["fe80::ff:fe00:1"]
    assert send(sock, header(36, PKTINFO6) + own + struct.pack("i", 0), PEER6) == -errno.EINVAL
    assert send(sock, header(36, PKTINFO6) + mapped("fe80::9") + struct.pack("i", host6.index)) == -errno.EINVAL
