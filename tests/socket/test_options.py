"""setsockopt and getsockopt: Linux's values, defaults and errors, in each form of the arguments."""
from __future__ import annotations

import errno
import socket as std
import struct

import pytest

SWITCHES = [
    ("SOL_SOCKET", "SO_REUSEADDR"), ("SOL_SOCKET", "SO_KEEPALIVE"), ("IPPROTO_TCP", "TCP_NODELAY"),
]  # fmt: skip
NUMBERS = [
    ("IPPROTO_TCP", "TCP_KEEPIDLE", 120), ("IPPROTO_TCP", "TCP_KEEPINTVL", 10), ("IPPROTO_TCP", "TCP_KEEPCNT", 9),
    ("IPPROTO_IP", "IP_TTL", 33), ("IPPROTO_IP", "IP_TOS", 0x10), ("IPPROTO_TCP", "TCP_QUICKACK", 0),
]  # fmt: skip
DEFAULTS = [
    ("SOL_SOCKET", "SO_REUSEADDR", 0), ("SOL_SOCKET", "SO_KEEPALIVE", 0), ("SOL_SOCKET", "SO_ERROR", 0),
    ("SOL_SOCKET", "SO_ACCEPTCONN", 0), ("SOL_SOCKET", "SO_TYPE", std.SOCK_STREAM),
    ("SOL_SOCKET", "SO_DOMAIN", std.AF_INET), ("SOL_SOCKET", "SO_PROTOCOL", std.IPPROTO_TCP),
    ("IPPROTO_TCP", "TCP_NODELAY", 0), ("IPPROTO_TCP", "TCP_KEEPIDLE", 7200), ("IPPROTO_TCP", "TCP_KEEPINTVL", 75),
    ("IPPROTO_TCP", "TCP_KEEPCNT", 9), ("IPPROTO_IP", "IP_TTL", 64), ("IPPROTO_IP", "IP_TOS", 0),
]  # fmt: skip


def pick(level: str, name: str) -> tuple[int, int]:
    return getattr(std, level), getattr(std, name)


@pytest.mark.parametrize("level, name", SWITCHES)
def test_a_switch_goes_on_and_off(sock, level, name):
    option = pick(level, name)
    sock.setsockopt(*option, 1)
    assert sock.getsockopt(*option) == 1
    sock.setsockopt(*option, 0)
    assert sock.getsockopt(*option) == 0


@pytest.mark.parametrize("level, name, value", NUMBERS)
def test_a_number_is_kept(sock, level, name, value):
    sock.setsockopt(*pick(level, name), value)
    assert sock.getsockopt(*pick(level, name)) == value


@pytest.mark.parametrize("level, name, value", DEFAULTS)
def test_the_default_is_linux_s(sock, level, name, value):
    assert sock.getsockopt(*pick(level, name)) == value


def test_buffers_show_twice_what_was_set(sock):
    for name in (std.SO_SNDBUF, std.SO_RCVBUF):
        sock.setsockopt(std.SOL_SOCKET, name, 65536)
        assert sock.getsockopt(std.SOL_SOCKET, name) == 131072


def test_linger_is_two_ints(sock):
    value = struct.pack("ii", 1, 7)
    sock.setsockopt(std.SOL_SOCKET, std.SO_LINGER, value)
    assert sock.getsockopt(std.SOL_SOCKET, std.SO_LINGER, 8) == value


def test_bytes_do_for_an_int(sock):
    sock.setsockopt(std.IPPROTO_TCP, std.TCP_NODELAY, struct.pack("i", 1))
    assert sock.getsockopt(std.IPPROTO_TCP, std.TCP_NODELAY, 4) == struct.pack("i", 1)
    sock.setsockopt(std.IPPROTO_TCP, std.TCP_NODELAY, bytearray(4))
    assert sock.getsockopt(std.IPPROTO_TCP, std.TCP_NODELAY) == 0


def test_maxseg_of_a_connection_is_its_mss(pair):
    assert 536 <= pair[0].getsockopt(std.IPPROTO_TCP, std.TCP_MAXSEG) <= 65535


def test_a_connection_inherits_its_listener_s_options(net, listener):
    listener.setsockopt(std.SOL_SOCKET, std.SO_KEEPALIVE, 1)
    listener.setsockopt(std.IPPROTO_TCP, std.TCP_NODELAY, 1)
    with net.socket.create_connection(listener.getsockname()):
        server, _ = listener.accept()
        with server:
            assert server.getsockopt(std.SOL_SOCKET, std.SO_KEEPALIVE) == 1
            assert server.getsockopt(std.IPPROTO_TCP, std.TCP_NODELAY) == 1


@pytest.mark.parametrize("level, name", [("SOL_SOCKET", 9999), ("IPPROTO_TCP", 9999), ("IPPROTO_IP", 9999)])
def test_an_unknown_option_is_enoprotoopt(sock, level, name):
    with pytest.raises(OSError) as caught:
        sock.setsockopt(getattr(std, level), name, 1)
    assert caught.value.errno == errno.ENOPROTOOPT
    with pytest.raises(OSError) as caught:
        sock.getsockopt(getattr(std, level), name)
    assert caught.value.errno == errno.ENOPROTOOPT


@pytest.mark.parametrize("args, error", [
    ((std.SOL_SOCKET, std.SO_KEEPALIVE, "1"), TypeError),
    ((std.SOL_SOCKET, std.SO_KEEPALIVE, 1 << 40), TypeError),
    ((std.SOL_SOCKET, std.SO_KEEPALIVE), TypeError),
    ((std.SOL_SOCKET, std.SO_LINGER, 1), OSError),
    ((std.SOL_SOCKET, std.SO_KEEPALIVE, b"x"), OSError),
])  # fmt: skip
def test_wrong_values_raise_what_cpython_and_linux_raise(sock, args, error):
    with pytest.raises(error):
        sock.setsockopt(*args)


@pytest.mark.parametrize("buflen", [-1, 1025])
def test_a_buffer_length_out_of_range_is_refused(sock, buflen):
    with pytest.raises(OSError, match="getsockopt buflen out of range"):
        sock.getsockopt(std.SOL_SOCKET, std.SO_KEEPALIVE, buflen)


def test_type_and_protocol_of_a_datagram_socket(net):
    with net.socket.socket(type=std.SOCK_DGRAM) as dgram:
        assert dgram.getsockopt(std.SOL_SOCKET, std.SO_TYPE) == std.SOCK_DGRAM
        assert dgram.getsockopt(std.SOL_SOCKET, std.SO_PROTOCOL) == std.IPPROTO_UDP
        dgram.setsockopt(std.SOL_SOCKET, std.SO_BROADCAST, 1)
        assert dgram.getsockopt(std.SOL_SOCKET, std.SO_BROADCAST) == 1


def test_ipv6_only(net):
    with net.socket.socket(std.AF_INET6) as six:
        for value in (1, 0):
            six.setsockopt(std.IPPROTO_IPV6, std.IPV6_V6ONLY, value)
            assert six.getsockopt(std.IPPROTO_IPV6, std.IPV6_V6ONLY) == value


@pytest.mark.parametrize("level, name, length, error", [
    ("SOL_SOCKET", "SO_RCVBUF", 4, errno.EFAULT), ("SOL_SOCKET", "SO_LINGER", 8, errno.EFAULT),
    ("SOL_SOCKET", "SO_BINDTODEVICE", 4, errno.EFAULT), ("SOL_SOCKET", "SO_RCVBUF", 2, errno.EINVAL),
    ("SOL_SOCKET", "SO_RCVBUF", 0, errno.EINVAL), ("IPPROTO_IP", "IP_TOS", 1, errno.EFAULT),
    ("IPPROTO_IP", "IP_ADD_MEMBERSHIP", 12, errno.EFAULT), ("IPPROTO_IP", "IP_ADD_MEMBERSHIP", 0, errno.EINVAL),
    ("IPPROTO_IP", "IP_ADD_SOURCE_MEMBERSHIP", 12, errno.EFAULT),
])  # fmt: skip
def test_a_null_pointer_is_a_bad_address(net, level, name, length, error):
    with net.socket.socket(type=std.SOCK_DGRAM) as dgram, pytest.raises(OSError) as raised:
        dgram.setsockopt(getattr(std, level), getattr(std, name, 39), None, length)
    assert raised.value.errno == error


@pytest.mark.parametrize("bound, other, error", [
    ("::ffff:127.0.0.1", "::1", errno.EAFNOSUPPORT), ("::1", "::ffff:127.0.0.1", errno.ENETUNREACH),
])  # fmt: skip
def test_nothing_goes_from_one_family_to_the_other(net, bound, other, error):
    for kind in (std.SOCK_STREAM, std.SOCK_DGRAM):
        with net.socket.socket(std.AF_INET6, kind) as six:
            six.bind((bound, 0))
            with pytest.raises(OSError) as raised:
                six.connect((other, 9))
            assert raised.value.errno == error
            if kind == std.SOCK_DGRAM:
                with pytest.raises(OSError) as raised:
                    six.sendto(b"x", (other, 9))
                assert raised.value.errno == error
