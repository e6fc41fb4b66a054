"""Invariant: a socket that asks for errors (IP_RECVERR) gets each in its queue as Linux lays it out, bounded, and no
byte of an ICMP packet is read beyond its end; one that does not ask hears what it heard before.
"""
from __future__ import annotations

import errno
import socket
import struct
from typing import Any

import pytest
from frames import OTHER, PEER, US, Host, Socket, ether, four, icmp, ip4, mapped, tcp
from frames6 import AF_INET6, PEER6, Host6, ether6, icmp6, ip6

RECVERR, RECVTTL, STAMPNS = 11, 12, 35
ERRQUEUE, CTRUNC, TRUNC = 0x2000, 8, 0x20
PORT, HOST, TOO_BIG = (3, 3), (3, 1), (3, 4)


@pytest.fixture
def sock(host: Host) -> Socket:
    """A socket bound to our port 7 that asks for errors, and has sent to the peer's port 9."""
    host.learn()
    made = Socket(host)
    assert made.bind(port=7) == 0
    assert made.setsockopt(0, RECVERR, 1) == 0
    assert made.sendto(b"hello", PEER, 9) == 5
    host.poll()
    return made


def quote(host: Host) -> bytes:
    """The packet that was sent last, from its IP header on."""
    return host.take()[-1][14:]


def error(host: Host, about: bytes, kind: tuple[int, int] = PORT, rest: bytes = bytes(4), src: str = PEER) -> None:
    """Let a host say what became of a packet."""
    host.inject(ether(ip4(icmp(*kind, rest, about), 1, src, US, ttl=33)))


def recvmsg(sock: Socket, flags: int = ERRQUEUE, room: int = 200, size: int = 100) -> Any:
    """recvmsg(2): (data, control, msg_flags, address, port), or -errno."""
    ffi = sock.ffi
    data, control = ffi.new("char[]", max(size, 1)), ffi.new("char[]", max(room, 1))
    part = ffi.new("struct gd_iovec *", {"base": data, "len": size})
    message = ffi.new("struct gd_message *", {"parts": part, "nparts": 1, "control": control, "control_len": room})
    got = sock.lib.gd_sock_recvmsg(sock.c, message, flags)
    if got < 0:
        return got
    assert message.control_len <= room
    address = socket.inet_ntoa(bytes(message.addr)[12:]) if message.named else None
    return ffi.buffer(data)[:got], ffi.buffer(control)[: message.control_len], message.flags, address, message.port


def entry(
    number: int, kind: tuple[int, int] = PORT, info: int = 0, offender: str | None = PEER, origin: int = 2
) -> bytes:
    """The control message of one error."""
    body = struct.pack("=IBBBBII", number, origin, *kind, 0, info, 0)
    body += struct.pack("=HH4s8x", 2, 0, four(offender)) if offender else bytes(16)
    return struct.pack("@Nii", 16 + len(body), 0, RECVERR) + body


def test_error_is_queued_with_the_packet_and_who_said_so(host: Host, sock: Socket) -> None:
    assert recvmsg(sock) == -errno.EAGAIN
    error(host, quote(host))
    assert sock.ready() & host.lib.GD_ERR
    assert recvmsg(sock) == (b"hello", entry(errno.ECONNREFUSED), ERRQUEUE, PEER, 9)
    assert recvmsg(sock) == -errno.EAGAIN
    assert not sock.ready() & host.lib.GD_ERR


def test_so_error_is_that_of_the_oldest_left_in_the_queue(host: Host, sock: Socket) -> None:
    about = quote(host)
    error(host, about)
    error(host, about, HOST, src=OTHER)
    assert recvmsg(sock)[1] == entry(errno.ECONNREFUSED)
    assert sock.recvfrom() == -errno.EHOSTUNREACH
    assert sock.recvfrom() == -errno.EAGAIN  # told once
    assert recvmsg(sock)[1] == entry(errno.EHOSTUNREACH, HOST, offender=OTHER)


def test_taking_the_last_one_clears_so_error(host: Host, sock: Socket) -> None:
    error(host, quote(host))
    assert len(recvmsg(sock)) == 5
    assert sock.recvfrom() == -errno.EAGAIN


def test_recv_takes_one_too(host: Host, sock: Socket) -> None:
    error(host, quote(host))
    got = sock.recvfrom(flags=ERRQUEUE)
    assert got == (b"hello", PEER, 9)
    assert sock.msg_flags == ERRQUEUE


def test_path_mtu_comes_along(host: Host, sock: Socket) -> None:
    error(host, quote(host), TOO_BIG, struct.pack("!HH", 0, 900))
    assert recvmsg(sock)[1] == entry(errno.EMSGSIZE, TOO_BIG, 900)


def test_what_is_too_long_for_the_path_is_told_by_ourselves(host: Host, sock: Socket) -> None:
    assert sock.setsockopt(0, 10, 2) == 0  # IP_MTU_DISCOVER, IP_PMTUDISC_DO
    assert sock.sendto(bytes(3000), PEER, 9) == -errno.EMSGSIZE
    assert recvmsg(sock) == (b"", entry(errno.EMSGSIZE, (0, 0), 1500, None, 1), ERRQUEUE, PEER, 9)
    assert sock.recvfrom() == -errno.EAGAIN


def test_ttl_of_the_icmp_packet_is_told_to_who_asks(host: Host, sock: Socket) -> None:
    assert sock.setsockopt(0, RECVTTL, 1) == 0
    error(host, quote(host))
    ttl = struct.pack("@Niii4x", 20, 0, 2, 33)
    assert recvmsg(sock)[1] == ttl + entry(errno.ECONNREFUSED)


def test_silent_neighbour_is_an_error_of_its_own(host: Host) -> None:
    sock = Socket(host)
    assert sock.setsockopt(0, RECVERR, 1) == 0
    assert sock.sendto(b"x", OTHER, 9) == 1
    host.advance(4_000_000_000)
    assert recvmsg(sock) == (b"x", entry(errno.EHOSTUNREACH, HOST, offender=US), ERRQUEUE, OTHER, 9)


def test_short_room_cuts_and_says_so(host: Host, sock: Socket) -> None:
    about = quote(host)
    for room, size, flags in ((0, 5, CTRUNC), (20, 5, CTRUNC), (200, 2, TRUNC)):
        error(host, about)
        data, control, got, *_ = recvmsg(sock, ERRQUEUE, room, size)
        assert (len(data), got) == (size, ERRQUEUE | flags)
        assert len(control) == min(room, 48)


def test_queue_is_bounded_and_what_finds_no_room_is_counted(host: Host, sock: Socket) -> None:
    about = quote(host)
    assert sock.setsockopt(1, 8, 1) == 0  # SO_RCVBUF: the least
    host.moved()
    for _ in range(200):
        error(host, about)
    dropped = host.dropped()["sock_drop_errors"]
    kept = 0
    while recvmsg(sock) != -errno.EAGAIN:
        kept += 1
    assert kept + dropped == 200
    assert 0 < kept < 100


def test_queue_goes_with_the_option_and_with_the_socket(host: Host, sock: Socket) -> None:
    about = quote(host)
    error(host, about)
    assert sock.setsockopt(0, RECVERR, 0) == 0
    assert recvmsg(sock) == -errno.EAGAIN
    assert sock.setsockopt(0, RECVERR, 1) == 0
    error(host, about)
    sock.close()
    host.poll()
    assert host.lib.gd_stack_buffer_bytes(host.stack) == 0


def test_unconnected_socket_that_does_not_ask_hears_nothing(host: Host, sock: Socket) -> None:
    about = quote(host)
    assert sock.setsockopt(0, RECVERR, 0) == 0
    error(host, about)
    assert sock.recvfrom() == -errno.EAGAIN
    assert not sock.ready() & host.lib.GD_ERR


@pytest.mark.parametrize("length", range(20, 34))
def test_quote_cut_short_at_any_byte_is_no_harm(host: Host, sock: Socket, length: int) -> None:
    error(host, quote(host)[:length])
    if length < 28:
        assert recvmsg(sock) == -errno.EAGAIN
    else:
        assert recvmsg(sock)[0] == b"hello"[: length - 28]


def test_connection_that_asks_is_told_at_once(host: Host) -> None:
    host.learn()
    sock = Socket(host, 1)
    assert sock.setsockopt(0, RECVERR, 1) == 0
    assert sock.connect(PEER, 80) == -errno.EINPROGRESS
    host.poll()
    error(host, quote(host), HOST)
    data, control, flags, address, port = recvmsg(sock)
    assert (control, flags, address, port) == (entry(errno.EHOSTUNREACH, HOST), ERRQUEUE, PEER, 80)
    assert struct.unpack("!HH", data[:4])[1] == 80
    assert recvmsg(sock) == -errno.EAGAIN


def kept(sock: Socket) -> int:
    """Take all that is queued; return how many."""
    count = 0
    while recvmsg(sock) != -errno.EAGAIN:
        count += 1
    return count


def test_entry_that_does_not_fit_as_a_whole_is_not_queued(host: Host, sock: Socket) -> None:
    about = quote(host)
    assert sock.sendto(bytes(1200), PEER, 9) == 1200
    host.poll()
    long = quote(host)[:600]
    assert sock.setsockopt(1, 8, 1) == 0
    for _ in range(200):
        error(host, about)
    short = kept(sock)
    for _ in range(short - 1):
        error(host, about)
    host.moved()
    error(host, long)
    assert host.dropped() == {"sock_drop_errors": 1}
    error(host, about)
    assert kept(sock) == short


def test_entry_whose_quote_finds_no_memory_leaves_none_behind(native: Any) -> None:
    host = Host(native, mtu=9000)
    host.learn()
    sock, heap = Socket(host), native.lib.gd_allocations
    assert sock.setsockopt(0, RECVERR, 1) == 0
    assert sock.sendto(bytes(8000), PEER, 9) == 8000
    host.poll()
    about = quote(host)
    host.moved()
    heap.seen, heap.failed, heap.fail_from, heap.fail_to = 0, 0, 3, 4  # 1 is the wire's, 2 the head's, 3 the quote's
    error(host, about)
    heap.fail_from = heap.fail_to = 0
    assert heap.failed == 1 and heap.seen == 3 and host.dropped() == {"sock_drop_errors": 1}
    assert host.lib.gd_stack_buffer_bytes(host.stack) == 0
    error(host, about)
    assert recvmsg(sock, size=9000)[0] == bytes(8000)
    host.close()


def test_error_of_ipv6_names_who_said_so(host6: Host6) -> None:
    sock = Socket(host6, domain=AF_INET6)
    assert sock.setsockopt(41, 25, 1) == 0
    assert sock.sendto(b"hello", PEER6, 9) == 5
    host6.poll()
    sent = host6.take()[-1][14:]
    host6.inject(ether6(ip6(icmp6(1, 4, data=sent), 58)))
    ffi = sock.ffi
    data, control = ffi.new("char[100]"), ffi.new("char[200]")
    part = ffi.new("struct gd_iovec *", {"base": data, "len": 100})
    message = ffi.new("struct gd_message *", {"parts": part, "nparts": 1, "control": control, "control_len": 200})
    assert sock.lib.gd_sock_recvmsg(sock.c, message, ERRQUEUE) == 5
    body = struct.pack("=IBBBBII", errno.ECONNREFUSED, 3, 1, 4, 0, 0, 0)
    body += struct.pack("=HHI16sI", AF_INET6, 0, 0, mapped(PEER6), 0)
    whole = struct.pack("@Nii", 16 + len(body), 41, 25) + body
    assert ffi.buffer(control, message.control_len)[: len(whole)] == whole
    assert message.control_len - len(whole) in range(8)


def test_other_options_and_asking_again_leave_the_queue(host: Host, sock: Socket) -> None:
    error(host, quote(host))
    for option, value in ((RECVTTL, 1), (RECVTTL, 0), (RECVERR, 1)):
        assert sock.setsockopt(0, option, value) == 0
    assert recvmsg(sock)[0] == b"hello"


def test_silence_of_a_neighbour_is_told_as_our_own_interfaces(host: Host) -> None:
    sock = Socket(host)
    assert sock.setsockopt(0, RECVERR, 1) == sock.setsockopt(0, 8, 1) == 0  # IP_PKTINFO
    assert sock.sendto(b"x", OTHER, 9) == 1
    host.advance(4_000_000_000)
    info = struct.pack("@Nii", 28, 0, 8) + struct.pack("=i4s4s4x", (1 << 30) + host.index, four(US), four(US))
    assert recvmsg(sock)[1] == info + entry(errno.EHOSTUNREACH, HOST, offender=US)


def test_attempt_that_its_user_has_closed_queues_nothing(host: Host) -> None:
    """In SYN-RECEIVED, where an error still ends it."""
    host.learn()
    sock = Socket(host, 1)
    assert sock.setsockopt(0, RECVERR, 1) == 0
    assert sock.connect(PEER, 80) == -errno.EINPROGRESS
    host.poll()
    own = struct.unpack("!H", quote(host)[20:22])[0]
    (answer,) = host.answer(ether(tcp(2, 80, own, PEER, US)))
    sock.close()
    host.poll()
    error(host, answer[14:], HOST)
    assert host.lib.gd_stack_buffer_bytes(host.stack) == 0
    host.take()
    (reset,) = host.answer(ether(tcp(16, 80, own, PEER, US, 2, 1)))
    assert reset[14 + 20 + 13] & 4  # nobody is there any more
