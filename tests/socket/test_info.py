"""TCP_INFO and the ioctls that tell what waits: in Linux's layout, with values that mean what they say."""
from __future__ import annotations

import errno
import fcntl as kernel_fcntl
import socket as std
import struct

import gevent
import pytest

from greendpdk import fcntl
from greendpdk._tcp_info import tcp_info

SIOCINQ, SIOCOUTQ, SIOCOUTQNSD, SIOCATMARK = 0x541B, 0x5411, 0x894B, 0x8905


def ask(sock, request):
    return struct.unpack("i", fcntl.ioctl(sock, request, bytes(4)))[0]


def test_a_fresh_socket_is_closed(sock):
    info = tcp_info(sock)
    assert (info.state, info.snd_cwnd, info.snd_ssthresh, info.snd_mss) == (7, 10, 0x7FFFFFFF, 536)
    assert (info.rto, info.rtt, info.rttvar, info.min_rtt) == (1_000_000, 0, 250_000, 2**32 - 1)


def test_a_listener_tells_of_its_queue(net, listener):
    listener.listen(7)
    with net.socket.create_connection(listener.getsockname()):
        info = tcp_info(listener)
        assert (info.state, info.unacked, info.sacked) == (10, 1, 7)
        listener.accept()[0].close()
        assert tcp_info(listener).unacked == 0


def test_bytes_are_counted_at_both_ends(pair):
    client, server = pair
    client.sendall(b"x" * 10_000)
    left = 10_000
    while left:
        left -= len(server.recv(left))
    server.sendall(b"y")
    assert client.recv(1) == b"y"
    mine, theirs = tcp_info(client), tcp_info(server)
    assert mine.state == theirs.state == 1
    assert mine.bytes_sent == theirs.bytes_received == 10_000
    assert mine.bytes_acked - 10_000 in (0, 1)  # Linux counts the SYN of the active side
    assert mine.options & theirs.options & 7 == 7
    assert 0 < mine.rtt < 1_000_000 and mine.data_segs_out >= 1 and theirs.data_segs_in == mine.data_segs_out
    assert mine.bytes_retrans == mine.total_retrans == mine.unacked == mine.notsent_bytes == 0


@pytest.mark.parametrize("size", [1, 8, 104, 192, 232])
def test_a_short_buffer_gets_the_beginning(pair, size):
    raw = pair[0].getsockopt(std.IPPROTO_TCP, std.TCP_INFO, size)
    assert len(raw) == size and raw[0] == 1


def test_without_a_length_the_first_four_bytes_are_an_int(pair):
    assert pair[0].getsockopt(std.IPPROTO_TCP, std.TCP_INFO) & 0xFF == 1


def test_info_cannot_be_set(pair):
    with pytest.raises(OSError) as caught:
        pair[0].setsockopt(std.IPPROTO_TCP, std.TCP_INFO, 1)
    assert caught.value.errno == errno.ENOPROTOOPT


def test_siocinq_tells_what_is_unread(net, pair):
    client, server = pair
    assert ask(server, SIOCINQ) == 0
    client.sendall(b"twelve bytes")
    server.recv(1, std.MSG_PEEK)
    assert ask(server, SIOCINQ) == ask(server.fileno(), SIOCINQ) == 12
    server.recv(5)
    assert ask(server, SIOCINQ) == 7 and ask(server, SIOCATMARK) == 0


def test_siocoutq_falls_to_zero_when_all_is_acknowledged(pair):
    client, server = pair
    client.sendall(b"z" * 1000)
    assert server.recv(1000, std.MSG_WAITALL) == b"z" * 1000
    server.sendall(b"!")  # carries the ACK
    client.recv(1)
    assert ask(client, SIOCOUTQ) == ask(client, SIOCOUTQNSD) == 0


@pytest.mark.parametrize("request_", [SIOCINQ, SIOCOUTQ, SIOCOUTQNSD])
def test_a_listener_has_no_bytes(listener, request_):
    with pytest.raises(OSError) as caught:
        ask(listener, request_)
    assert caught.value.errno == errno.EINVAL


def test_siocinq_of_datagrams_is_the_first_one_s_length(udp):
    a, b = udp
    a.sendto(b"four", b.getsockname())
    a.sendto(b"longer", b.getsockname())
    b.recv(1, std.MSG_PEEK)
    assert ask(b, SIOCINQ) == 4
    with pytest.raises(OSError) as caught:
        ask(b, SIOCOUTQNSD)
    assert caught.value.errno == errno.ENOTTY


def test_each_form_of_the_argument_works(pair):
    client, server = pair
    client.sendall(b"abc")
    server.recv(1, std.MSG_PEEK)
    room = bytearray(b"\xff" * 6)
    assert fcntl.ioctl(server, SIOCINQ, room) == 0 and room == b"\x03\0\0\0\xff\xff"
    assert fcntl.ioctl(server, SIOCINQ, bytearray(4), False) == b"\x03\0\0\0"
    assert fcntl.ioctl(server, SIOCINQ, b"\xff" * 6) == b"\x03\0\0\0\xff\xff"
    with pytest.raises(OSError) as caught:
        fcntl.ioctl(server, SIOCINQ)
    assert caught.value.errno == errno.EFAULT


def test_what_is_not_the_stack_s_goes_to_the_kernel(tmp_path):
    with open(tmp_path / "file", "w+b") as file:
        file.write(b"12345")
        file.seek(2)
        assert fcntl.ioctl is not kernel_fcntl.ioctl and ask(file, SIOCINQ) == 3


def test_times_are_of_now(pair):
    client, server = pair
    client.sendall(b"x")
    server.recv(1)
    gevent.sleep(0.1)
    assert 50 <= tcp_info(client).last_data_sent <= 5000 and 50 <= tcp_info(server).last_data_recv <= 5000
