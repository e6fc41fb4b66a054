"""recvmsg and sendmsg: several buffers, and what control messages say, on the kernel's sockets and on ours."""

from __future__ import annotations

import errno
import struct
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

IP, IPV6, SOL = 0, 41, 1
PKTINFO, TTL, TOS, RECVTTL, RECVTOS, ORIGDST = 8, 2, 1, 12, 13, 20
PKTINFO6, RECVPKTINFO6, HOPLIMIT, RECVHOPLIMIT, TCLASS, RECVTCLASS = 50, 49, 52, 51, 67, 66
STAMP, STAMPNS, RXQ_OVFL, RIGHTS = 29, 35, 40, 1
LO = bytes((127, 0, 0, 1))
LO6 = bytes(15) + b"\1"


@pytest.fixture
def udp6(net: SimpleNamespace) -> Iterator[tuple[Any, Any]]:
    """Make two bound datagram sockets of IPv6."""
    make = net.socket.socket
    with make(net.socket.AF_INET6, net.socket.SOCK_DGRAM) as a, make(net.socket.AF_INET6, net.socket.SOCK_DGRAM) as b:
        a.bind(("::1", 0))
        b.bind(("::1", 0))
        yield a, b


def refused(sock: Any, *args: Any) -> int:
    """Return the errno of what sendmsg says."""
    with pytest.raises(OSError) as caught:
        sock.sendmsg([b"x"], *args)
    return caught.value.errno or 0


def number(value: int) -> bytes:
    return struct.pack("i", value)


# -- several buffers ---------------------------------------------------------------------------------


def test_datagram_is_gathered_and_scattered(udp: tuple[Any, Any]) -> None:
    a, b = udp
    assert a.sendmsg([b"ab", b"", bytearray(b"cde"), memoryview(b"f")], [], 0, b.getsockname()) == 6
    first, second = bytearray(4), bytearray(4)
    assert b.recvmsg_into([first, bytearray(0), second]) == (6, [], 0, a.getsockname())
    assert (bytes(first), bytes(second)) == (b"abcd", b"ef\0\0")


def test_datagram_longer_than_its_buffers_says_trunc(udp: tuple[Any, Any], net: SimpleNamespace) -> None:
    a, b = udp
    a.sendto(b"abcdef", b.getsockname())
    assert b.recvmsg(4, 0, net.socket.MSG_PEEK)[:3] == (b"abcd", [], net.socket.MSG_TRUNC)
    assert b.recvmsg_into([bytearray(2), bytearray(1)], 0, net.socket.MSG_TRUNC)[0] in (3, 6)


def test_large_datagram_of_odd_parts_arrives_whole(udp: tuple[Any, Any]) -> None:
    a, b = udp
    parts = [bytes([i]) * (2 * i + 1) for i in range(200)]
    a.sendmsg(parts, [], 0, b.getsockname())
    assert b.recvmsg(65536)[0] == b"".join(parts)


def test_too_many_buffers_are_refused(udp: tuple[Any, Any]) -> None:
    with pytest.raises(OSError) as caught:
        udp[0].sendmsg([b"x"] * 1025, [], 0, udp[1].getsockname())
    assert caught.value.errno == errno.EMSGSIZE


def test_stream_takes_several_buffers_and_fills_several(pair: tuple[Any, Any], net: SimpleNamespace) -> None:
    client, server = pair
    assert client.sendmsg([b"one", b"", b"two", b"three"]) == 11
    peeked = [bytearray(4), bytearray(4), bytearray(20)]
    got = 0
    while got < 11:  # the segments may come one by one
        got = server.recvmsg_into(peeked, 0, net.socket.MSG_PEEK)[0]
    assert b"".join(map(bytes, peeked)).rstrip(b"\0") == b"onetwothree"
    first, second = bytearray(2), bytearray(3)
    assert server.recvmsg_into([first, second]) == (5, [], 0, None)
    assert (first, second) == (b"on", b"etw")
    assert server.recvmsg(100) == (b"othree", [], 0, None)
    client.close()
    assert server.recvmsg(100, 100) == (b"", [], 0, None)


# -- what came with a datagram -----------------------------------------------------------------------


def test_ttl_tos_and_destination_come_along(udp: tuple[Any, Any]) -> None:
    a, b = udp
    for option in (PKTINFO, RECVTTL, RECVTOS, ORIGDST):
        b.setsockopt(IP, option, 1)
        assert b.getsockopt(IP, option) == 1
    a.setsockopt(IP, TTL, 9)
    a.setsockopt(IP, TOS, 0x28)
    a.sendto(b"x", b.getsockname())
    data, control, flags, source = b.recvmsg(10, 200)
    assert (data, flags, source) == (b"x", 0, a.getsockname())
    where = struct.pack("=HH4s8x", 2, int.from_bytes(b.getsockname()[1].to_bytes(2, "big"), "little"), LO)
    assert control == [
        (IP, PKTINFO, number(1) + LO + LO), (IP, TTL, number(9)), (IP, TOS, b"\x28"), (IP, ORIGDST, where),
    ]  # fmt: skip


def test_what_was_not_asked_for_does_not_come(udp: tuple[Any, Any]) -> None:
    a, b = udp
    b.setsockopt(IP, RECVTTL, 1)
    b.setsockopt(IP, RECVTTL, 0)
    a.sendto(b"x", b.getsockname())
    assert b.recvmsg(10, 100)[1:3] == ([], 0)


def test_hop_limit_class_and_destination_come_along(udp6: tuple[Any, Any]) -> None:
    a, b = udp6
    for option in (RECVPKTINFO6, RECVHOPLIMIT, RECVTCLASS):
        b.setsockopt(IPV6, option, 1)
        assert b.getsockopt(IPV6, option) == 1
    a.setsockopt(IPV6, 16, 7)  # IPV6_UNICAST_HOPS
    a.setsockopt(IPV6, TCLASS, 0x28)
    a.sendto(b"x", b.getsockname())
    assert b.recvmsg(10, 200)[1] == [
        (IPV6, PKTINFO6, LO6 + number(1)), (IPV6, HOPLIMIT, number(7)), (IPV6, TCLASS, number(0x28)),
    ]  # fmt: skip


def test_v4_on_a_v6_socket_tells_of_both_families(net: SimpleNamespace) -> None:
    with (
        net.socket.socket(net.socket.AF_INET6, net.socket.SOCK_DGRAM) as b,
        net.socket.socket(type=net.socket.SOCK_DGRAM) as a,
    ):
        b.bind(("::ffff:127.0.0.1", 0))
        b.setsockopt(IPV6, RECVPKTINFO6, 1)
        b.setsockopt(IPV6, RECVHOPLIMIT, 1)
        b.setsockopt(IP, RECVTTL, 1)
        a.sendto(b"x", ("127.0.0.1", b.getsockname()[1]))
        mapped = bytes(10) + b"\xff\xff" + LO
        assert b.recvmsg(10, 200)[1] == [(IPV6, PKTINFO6, mapped + number(1)), (IP, TTL, number(64))]


def test_control_messages_without_room_say_ctrunc(udp: tuple[Any, Any], net: SimpleNamespace) -> None:
    a, b = udp
    b.setsockopt(IP, RECVTTL, 1)
    b.setsockopt(IP, RECVTOS, 1)
    space = net.socket.CMSG_SPACE
    expected = [
        (0, [], net.socket.MSG_CTRUNC),
        (15, [], net.socket.MSG_CTRUNC),
        (16, [(IP, TTL, b"")], net.socket.MSG_CTRUNC),
        (18, [(IP, TTL, number(64)[:2])], net.socket.MSG_CTRUNC),
        (20, [(IP, TTL, number(64))], net.socket.MSG_CTRUNC),
        (space(4), [(IP, TTL, number(64))], net.socket.MSG_CTRUNC),
        (space(4) + 17, [(IP, TTL, number(64)), (IP, TOS, b"\0")], 0),
    ]
    for room, control, flags in expected:
        a.sendto(b"x", b.getsockname())
        assert b.recvmsg(10, room)[1:3] == (control, flags), room


@pytest.mark.parametrize(("option", "layout", "unit"), [(STAMP, "ll", 1e-6), (STAMPNS, "ll", 1e-9)])
def test_time_stamps_are_real_time(udp: tuple[Any, Any], option: int, layout: str, unit: float) -> None:
    a, b = udp
    b.setsockopt(SOL, option, 1)
    before = time.time()
    a.sendto(b"x", b.getsockname())
    _, control, _, _ = b.recvmsg(10, 100)
    ((level, kind, data),) = control
    seconds, part = struct.unpack(layout, data)
    assert (level, kind) == (SOL, option)
    assert before - 1 <= seconds + part * unit <= time.time() + 0.001


def test_one_kind_of_time_stamp_at_a_time(udp: tuple[Any, Any]) -> None:
    sock = udp[0]
    sock.setsockopt(SOL, STAMP, 1)
    sock.setsockopt(SOL, STAMPNS, 1)
    assert (sock.getsockopt(SOL, STAMP), sock.getsockopt(SOL, STAMPNS)) == (0, 1)
    sock.setsockopt(SOL, STAMP, 0)
    assert (sock.getsockopt(SOL, STAMP), sock.getsockopt(SOL, STAMPNS)) == (0, 0)


def test_stream_tells_when_its_bytes_came(pair: tuple[Any, Any]) -> None:
    client, server = pair
    server.setsockopt(SOL, STAMPNS, 1)
    control: list[Any] = []
    while not control:  # Linux begins to stamp a little after it is asked to
        client.sendall(b"x")
        data, control, _, _ = server.recvmsg(10, 100)
        assert data == b"x"
    assert [message[:2] for message in control] == [(SOL, STAMPNS)]
    assert abs(struct.unpack("ll", control[0][2])[0] - time.time()) < 10


def test_dropped_datagrams_are_counted(udp: tuple[Any, Any]) -> None:
    a, b = udp
    b.setsockopt(SOL, RXQ_OVFL, 1)
    b.setsockopt(SOL, 8, 1)  # SO_RCVBUF: the least
    for _ in range(20):
        a.sendto(bytes(1000), b.getsockname())
    assert b.recvmsg(2000, 100)[1] == []  # by now the others have been looked at
    b.setblocking(False)
    kept = 1
    with pytest.raises(BlockingIOError):
        while True:
            assert b.recvmsg(2000, 100)[1] == []
            kept += 1
    a.sendto(b"x", b.getsockname())
    b.setblocking(True)
    assert b.recvmsg(10, 100)[1] == [(SOL, RXQ_OVFL, struct.pack("I", 20 - kept))]


# -- how one datagram is to go -----------------------------------------------------------------------


def test_ttl_and_tos_of_one_datagram(udp: tuple[Any, Any]) -> None:
    a, b = udp
    b.setsockopt(IP, RECVTTL, 1)
    b.setsockopt(IP, RECVTOS, 1)
    a.sendmsg([b"x"], [(IP, TTL, number(5)), (IP, TOS, number(0x10))], 0, b.getsockname())
    assert b.recvmsg(10, 100)[1] == [(IP, TTL, number(5)), (IP, TOS, b"\x10")]
    a.sendmsg([b"x"], [(IP, TOS, b"\x08")], 0, b.getsockname())
    assert b.recvmsg(10, 100)[1] == [(IP, TTL, number(64)), (IP, TOS, b"\x08")]


def test_hop_limit_and_class_of_one_datagram(udp6: tuple[Any, Any]) -> None:
    a, b = udp6
    b.setsockopt(IPV6, RECVHOPLIMIT, 1)
    b.setsockopt(IPV6, RECVTCLASS, 1)
    a.sendmsg([b"x"], [(IPV6, HOPLIMIT, number(5)), (IPV6, TCLASS, number(0x10))], 0, b.getsockname())
    assert b.recvmsg(10, 100)[1] == [(IPV6, HOPLIMIT, number(5)), (IPV6, TCLASS, number(0x10))]
    a.sendmsg([b"x"], [(IPV6, HOPLIMIT, number(-1))], 0, b.getsockname())
    assert b.recvmsg(10, 100)[1] == [(IPV6, HOPLIMIT, number(64)), (IPV6, TCLASS, number(0))]


def test_source_address_of_one_datagram(net: SimpleNamespace, udp: tuple[Any, Any]) -> None:
    b = udp[1]
    with net.socket.socket(type=net.socket.SOCK_DGRAM) as a:
        a.sendmsg([b"x"], [(IP, PKTINFO, number(1) + bytes((127, 0, 0, 9)) + bytes(4))], 0, b.getsockname())
        assert b.recvfrom(10)[1][0] == "127.0.0.9"
        a.sendmsg([b"x"], [(IP, PKTINFO, number(0) + bytes((127, 0, 0, 8)) + bytes(4))], 0, b.getsockname())
        assert b.recvfrom(10)[1][0] == "127.0.0.8"
        a.sendto(b"x", b.getsockname())
        assert b.recvfrom(10)[1][0] == "127.0.0.1"


def test_answer_comes_from_the_address_that_was_asked(net: SimpleNamespace) -> None:
    with (
        net.socket.socket(type=net.socket.SOCK_DGRAM) as server,
        net.socket.socket(type=net.socket.SOCK_DGRAM) as client,
    ):
        server.bind(("0.0.0.0", 0))
        server.setsockopt(IP, PKTINFO, 1)
        client.bind(("127.0.0.1", 0))
        client.sendto(b"ask", ("127.0.0.7", server.getsockname()[1]))
        _, control, _, peer = server.recvmsg(10, 100)
        server.sendmsg([b"answer"], control, 0, peer)
        assert client.recvfrom(10) == (b"answer", ("127.0.0.7", server.getsockname()[1]))


@pytest.mark.parametrize(
    ("control", "number_of_error"),
    [
        ([(IP, TTL, number(0))], errno.EINVAL),
        ([(IP, TTL, number(256))], errno.EINVAL),
        ([(IP, TTL, b"\1")], errno.EINVAL),
        ([(IP, TOS, number(256))], errno.EINVAL),
        ([(IP, PKTINFO, bytes(8))], errno.EINVAL),
        ([(IP, PKTINFO, number(0) + bytes((192, 0, 2, 1)) + bytes(4))], errno.ENETUNREACH),
        ([(IP, PKTINFO, number(12345) + bytes(8))], errno.ENODEV),
        ([(IP, 99, b"")], errno.EINVAL),
        ([(SOL, 99, b"")], errno.EINVAL),
    ],
)
def test_control_messages_that_linux_refuses(udp: tuple[Any, Any], control: list[Any], number_of_error: int) -> None:
    assert refused(udp[0], control, 0, udp[1].getsockname()) == number_of_error


@pytest.mark.parametrize(
    ("control", "number_of_error"),
    [
        ([(IPV6, HOPLIMIT, number(256))], errno.EINVAL),
        ([(IPV6, TCLASS, number(-2))], errno.EINVAL),
        ([(IPV6, PKTINFO6, bytes(16))], errno.EINVAL),
        ([(IPV6, PKTINFO6, b"\x20\1\x0d\xb8" + bytes(16))], errno.EINVAL),
        ([(IPV6, PKTINFO6, bytes(16) + number(12345))], errno.ENODEV),
        ([(IPV6, PKTINFO6, bytes(10) + b"\xff\xff\x7f\0\0\1" + number(0))], errno.EINVAL),
        ([(IPV6, 99, b"")], errno.EINVAL),
    ],
)
def test_control_messages_that_linux_refuses_in_ipv6(
    udp6: tuple[Any, Any], control: list[Any], number_of_error: int
) -> None:
    assert refused(udp6[0], control, 0, udp6[1].getsockname()) == number_of_error


def test_control_messages_of_other_levels_are_passed_over(udp: tuple[Any, Any], pair: tuple[Any, Any]) -> None:
    a, b = udp
    others = [(IPV6, HOPLIMIT, number(3)), (123, 4, b"x"), (SOL, RIGHTS, number(0))]
    assert a.sendmsg([b"x"], others, 0, b.getsockname()) == 1
    assert b.recv(10) == b"x"
    assert pair[0].sendmsg([b"y"], [*others, (IP, 99, b"")]) == 1
    assert refused(pair[0], [(SOL, 99, b"")]) == errno.EINVAL


def test_malformed_arguments_are_type_errors(udp: tuple[Any, Any]) -> None:
    for wrong in (1, [1], [(1, 2)], [(1, 2, "text")]):
        with pytest.raises(TypeError):
            udp[0].sendmsg([b"x"], wrong, 0, udp[1].getsockname())
    for level, kind in ((2**31, 0), (0, -(2**31) - 1)):
        with pytest.raises(OverflowError):
            udp[0].sendmsg([b"x"], [(level, kind, b"")], 0, udp[1].getsockname())
    with pytest.raises(ValueError):
        udp[0].recvmsg(-1)
    with pytest.raises(ValueError):
        udp[0].recvmsg(1, -1)


def test_what_is_no_buffer_or_no_address_is_a_type_error(pair):
    client, server = pair
    for buffers in ([object()], [b"not writable"], [bytearray(1), object()]):
        with pytest.raises(TypeError):
            server.recvmsg_into(buffers)
    with pytest.raises(TypeError):
        client.sendmsg([b"x"], [], 0, object())
    with pytest.raises(TypeError):
        client.sendmsg([object()])


def test_a_control_message_that_is_none_is_a_type_error_on_unix_sockets_too(net):
    one, other = net.socket.socketpair()
    with one, other, pytest.raises(TypeError):
        one.sendmsg([b"x"], [(0, 0)])


# -- parts of a stream -------------------------------------------------------------------------------


def test_peeked_parts_end_where_the_last_one_does(pair: tuple[Any, Any]) -> None:
    client, server = pair
    client.sendall(b"abcdefgh")
    for flags, expected in ((2, b"abcde"), (2, b"abcde"), (0, b"abcde"), (2, b"fgh"), (0, b"fgh")):  # MSG_PEEK
        parts = [bytearray(2), bytearray(0), bytearray(3)]
        assert server.recvmsg_into(parts, 0, flags)[0] == len(expected)
        assert b"".join(parts)[: len(expected)] == expected


def test_first_part_may_be_empty(pair: tuple[Any, Any]) -> None:
    client, server = pair
    server.setblocking(False)
    with pytest.raises(BlockingIOError):
        server.recvmsg_into([bytearray(0), bytearray(5)])
    server.settimeout(5)
    client.sendall(b"abc")
    for flags in (2, 0):
        part = bytearray(5)
        assert server.recvmsg_into([bytearray(0), part], 0, flags)[0] == 3
        assert part[:3] == b"abc"
    client.shutdown(1)
    assert server.recvmsg_into([bytearray(0), bytearray(5)])[0] == 0


def test_urgent_byte_that_finds_no_room_is_gone_and_told_of(pair: tuple[Any, Any], net: SimpleNamespace) -> None:
    client, server = pair
    client.send(b"!", 1)  # MSG_OOB
    net.select.select([], [], [server], 5)
    assert server.recvmsg(0, 0, 1 | 2)[::2] == (b"", 1 | 0x20)  # MSG_PEEK; MSG_TRUNC
    assert server.recvmsg(0, 0, 1)[::2] == (b"", 1 | 0x20)
    with pytest.raises(OSError) as caught:
        server.recvmsg(1, 0, 1)
    assert caught.value.errno == errno.EINVAL
    client.send(b"?", 1)
    net.select.select([], [], [server], 5)
    assert server.recvmsg_into([bytearray(0), part := bytearray(1)], 0, 1)[0] == 1
    assert part == b"?"
