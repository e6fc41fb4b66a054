"""tcp(7)'s and socket(7)'s options of streams: what is set, what is shown, what a connection inherits, as on Linux."""
from __future__ import annotations

import errno
import socket as std

import gevent
import pytest

TCP, SOL = std.IPPROTO_TCP, std.SOL_SOCKET
DEFER, LINGER2, CLAMP, LOWAT = std.TCP_DEFER_ACCEPT, std.TCP_LINGER2, std.TCP_WINDOW_CLAMP, std.TCP_NOTSENT_LOWAT
THIN_LINEAR, THIN_DUPACK, TIMESTAMP = 16, 17, 24
SHOWN = [  # (level, name, set to, shown)
    (TCP, DEFER, -1, 0), (TCP, DEFER, 1, 1), (TCP, DEFER, 5, 7), (TCP, DEFER, 100, 127), (TCP, DEFER, 2**31 - 1, 29887),
    (TCP, LINGER2, -5, -1), (TCP, LINGER2, 0, 60), (TCP, LINGER2, 5, 5), (TCP, LINGER2, 1000, 120),
    (TCP, CLAMP, -1, 1152), (TCP, CLAMP, 0, 0), (TCP, CLAMP, 1, 1152), (TCP, CLAMP, 65536, 65536),
    (TCP, LOWAT, -1, -1), (TCP, LOWAT, 0, 0), (TCP, LOWAT, 16384, 16384),
    (TCP, THIN_LINEAR, 0, 0), (TCP, THIN_LINEAR, 1, 1), (TCP, THIN_DUPACK, 0, 0), (TCP, THIN_DUPACK, 1, 0),
    (TCP, std.TCP_USER_TIMEOUT, 5000, 5000), (TCP, std.TCP_SYNCNT, 3, 3), (TCP, std.TCP_MAXSEG, 1000, 1000),
    (SOL, std.SO_RCVLOWAT, 0, 1), (SOL, std.SO_RCVLOWAT, 5, 5), (SOL, std.SO_PRIORITY, 6, 6),
    (SOL, std.SO_OOBINLINE, 1, 1),
]  # fmt: skip
REFUSED = [
    (TCP, THIN_LINEAR, 2, "EINVAL"), (TCP, THIN_DUPACK, -1, "EINVAL"), (TCP, TIMESTAMP, 1, "EPERM"),
    (TCP, std.TCP_USER_TIMEOUT, -1, "EINVAL"), (TCP, std.TCP_SYNCNT, 0, "EINVAL"), (TCP, std.TCP_SYNCNT, 128, "EINVAL"),
    (TCP, std.TCP_MAXSEG, 87, "EINVAL"), (TCP, std.TCP_MAXSEG, 32768, "EINVAL"),
    (SOL, std.SO_SNDLOWAT, 1, "ENOPROTOOPT"),
]  # fmt: skip
DEFAULTS = [(TCP, std.TCP_SYNCNT, 6), (TCP, DEFER, 0), (TCP, LINGER2, 60), (TCP, CLAMP, 0), (TCP, LOWAT, 0),
            (SOL, std.SO_RCVLOWAT, 1), (SOL, std.SO_SNDLOWAT, 1), (SOL, std.SO_PRIORITY, 0)]  # fmt: skip
INHERITED = [(TCP, LINGER2, 5, 5), (TCP, CLAMP, 65536, 65536), (TCP, LOWAT, 4096, 4096), (TCP, THIN_LINEAR, 1, 1),
             (TCP, std.TCP_USER_TIMEOUT, 5000, 5000), (TCP, std.TCP_SYNCNT, 3, 3), (SOL, std.SO_RCVLOWAT, 5, 5),
             (TCP, DEFER, 1, 0), (SOL, std.SO_PRIORITY, 3, 0)]  # fmt: skip


@pytest.mark.parametrize("level, name, value, shown", SHOWN)
def test_what_is_set_is_shown_as_linux_shows_it(sock, level, name, value, shown):
    sock.setsockopt(level, name, value)
    assert sock.getsockopt(level, name) == shown


@pytest.mark.parametrize("level, name, value, error", REFUSED)
def test_what_linux_refuses_is_refused(sock, level, name, value, error):
    with pytest.raises(OSError) as caught:
        sock.setsockopt(level, name, value)
    assert errno.errorcode[caught.value.errno] == error


@pytest.mark.parametrize("level, name, value", DEFAULTS)
def test_the_default_is_linux_s(sock, level, name, value):
    assert sock.getsockopt(level, name) == value


@pytest.mark.parametrize("level, name, value, shown", INHERITED)
def test_a_connection_has_its_listener_s_except_what_is_the_listener_s_own(net, listener, level, name, value, shown):
    listener.setsockopt(level, name, value)
    with net.socket.create_connection(listener.getsockname()) as client:
        client.sendall(b"x")  # TCP_DEFER_ACCEPT waits for it
        server, _ = listener.accept()
        with server:
            assert server.getsockopt(level, name) == shown


def test_timestamps_run(pair):
    first = pair[0].getsockopt(TCP, TIMESTAMP)
    gevent.sleep(0.02)
    assert 10 <= (pair[0].getsockopt(TCP, TIMESTAMP) - first) % 2**32 < 5000


def test_accept_waits_for_text_where_it_is_told_to(net, listener):
    listener.setsockopt(TCP, DEFER, 30)
    listener.settimeout(0.05)
    with net.socket.create_connection(listener.getsockname()) as client:
        with pytest.raises(TimeoutError):
            listener.accept()
        listener.settimeout(5)
        client.sendall(b"now")
        server, _ = listener.accept()
        with server:
            assert server.recv(10) == b"now"


def test_select_waits_for_as_many_bytes_as_it_is_told_to(net, pair):
    client, server = pair
    server.setsockopt(SOL, std.SO_RCVLOWAT, 4)
    client.sendall(b"abc")
    assert net.select.select([server], [], [], 0.05)[0] == []
    client.sendall(b"d")
    assert net.select.select([server], [], [], 5)[0] == [server]
    assert server.recv(10) == b"abcd"
