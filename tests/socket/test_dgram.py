"""Datagrams: borders, addresses, connected and not, and the errors that come back."""
from __future__ import annotations

import errno
import socket as std

import gevent
import pytest

GROUP, LOOPBACK = bytes([239, 1, 2, 3]), bytes([127, 0, 0, 1])


def test_a_datagram_arrives_whole_with_its_sender(udp):
    a, b = udp
    assert a.sendto(b"one", b.getsockname()) == 3
    a.sendto(b"two", 0, b.getsockname())
    assert b.recvfrom(100) == (b"one", a.getsockname())
    assert b.recvfrom(100) == (b"two", a.getsockname())


def test_an_empty_datagram_arrives(udp):
    a, b = udp
    a.sendto(b"", b.getsockname())
    assert b.recvfrom(100) == (b"", a.getsockname())


def test_what_does_not_fit_is_cut_off(udp):
    a, b = udp
    a.sendto(b"0123456789", b.getsockname())
    a.sendto(b"next", b.getsockname())
    assert b.recv(4) == b"0123"
    assert b.recv(100) == b"next"


def test_recvmsg_tells_that_it_was_cut_off(udp):
    a, b = udp
    a.sendto(b"0123456789", b.getsockname())
    data, ancillary, flags, address = b.recvmsg(4)
    assert (data, ancillary, address) == (b"0123", [], a.getsockname())
    assert flags & std.MSG_TRUNC


def test_recvfrom_into(udp):
    a, b = udp
    a.sendto(b"abc", b.getsockname())
    buffer = bytearray(10)
    assert b.recvfrom_into(buffer) == (3, a.getsockname())
    assert buffer[:3] == b"abc"


def test_a_connected_socket_sends_and_hears_its_peer_only(udp, net):
    a, b = udp
    a.connect(b.getsockname())
    assert a.getpeername() == b.getsockname()
    a.send(b"to b")
    assert b.recv(100) == b"to b"
    with net.socket.socket(type=std.SOCK_DGRAM) as stranger:
        stranger.sendto(b"from a stranger", a.getsockname())
    b.sendto(b"from b", a.getsockname())
    assert a.recv(100) == b"from b"
    a.settimeout(0.02)
    with pytest.raises(TimeoutError):
        a.recv(100)


def test_recv_waits(udp):
    a, b = udp
    reader = gevent.spawn(b.recv, 100)
    gevent.sleep(0)
    assert not reader.ready()
    a.sendto(b"late", b.getsockname())
    assert reader.get() == b"late"


def test_recvfrom_times_out_or_raises_eagain(udp):
    _, b = udp
    b.settimeout(0.02)
    with pytest.raises(TimeoutError, match="timed out"):
        b.recvfrom(1)
    b.setblocking(False)
    with pytest.raises(BlockingIOError):
        b.recvfrom(1)


def test_send_without_a_peer_is_edestaddrreq(udp):
    with pytest.raises(OSError) as caught:
        udp[0].send(b"x")
    assert caught.value.errno == errno.EDESTADDRREQ


def test_a_datagram_that_is_too_long_is_emsgsize(udp):
    a, b = udp
    with pytest.raises(OSError) as caught:
        a.sendto(bytes(65508), b.getsockname())
    assert caught.value.errno == errno.EMSGSIZE


def test_a_closed_port_is_refused_at_the_next_call(net):
    with net.socket.socket(type=std.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        address = gone.getsockname()
    with net.socket.socket(type=std.SOCK_DGRAM) as a:
        a.connect(address)
        a.send(b"x")
        with pytest.raises(ConnectionRefusedError):
            a.recv(1)


def test_sendto_binds_an_ephemeral_port(net, udp):
    with net.socket.socket(type=std.SOCK_DGRAM) as fresh:
        fresh.sendto(b"hi", udp[0].getsockname())
        assert udp[0].recvfrom(10) == (b"hi", ("127.0.0.1", fresh.getsockname()[1]))


def test_sendmsg_joins_its_buffers(udp):
    a, b = udp
    assert a.sendmsg([b"ab", b"cd"], [], 0, b.getsockname()) == 4
    assert b.recv(100) == b"abcd"


def test_port_in_use_is_eaddrinuse(udp, net):
    with net.socket.socket(type=std.SOCK_DGRAM) as other, pytest.raises(OSError) as caught:
        other.bind(udp[0].getsockname())
    assert caught.value.errno == errno.EADDRINUSE


def test_listen_is_eopnotsupp(udp):
    with pytest.raises(OSError) as caught:
        udp[0].listen()
    assert caught.value.errno == errno.EOPNOTSUPP


def test_peek_leaves_the_datagram(udp):
    a, b = udp
    a.sendto(b"abc", b.getsockname())
    assert b.recvfrom(2, std.MSG_PEEK)[0] == b"ab"
    assert b.recv(10) == b"abc"


@pytest.fixture
def group(net):
    """Make a member of 239.1.2.3 on the loopback, and a sender to groups there."""
    sock = net.socket
    with sock.socket(type=sock.SOCK_DGRAM) as member, sock.socket(type=sock.SOCK_DGRAM) as sender:
        member.setsockopt(sock.SOL_SOCKET, sock.SO_REUSEADDR, 1)
        member.bind(("", 0))
        member.setsockopt(sock.IPPROTO_IP, sock.IP_ADD_MEMBERSHIP, GROUP + LOOPBACK)
        sender.setsockopt(sock.IPPROTO_IP, sock.IP_MULTICAST_IF, LOOPBACK)
        member.settimeout(5)
        yield member, sender


def test_member_of_a_group_hears_it(group):
    member, sender = group
    sender.sendto(b"all", ("239.1.2.3", member.getsockname()[1]))
    assert member.recv(10) == b"all"


def test_what_goes_by_the_loopback_comes_back_even_without_the_loop(net, group):
    member, sender = group
    sender.setsockopt(net.socket.IPPROTO_IP, net.socket.IP_MULTICAST_LOOP, 0)
    sender.sendto(b"others", ("239.1.2.3", member.getsockname()[1]))
    assert member.recv(10) == b"others"


def test_socket_bound_to_the_group_hears_it_too(net, group):
    member, sender = group
    port = member.getsockname()[1]
    with net.socket.socket(type=net.socket.SOCK_DGRAM) as bound:
        bound.setsockopt(net.socket.SOL_SOCKET, net.socket.SO_REUSEADDR, 1)
        bound.bind(("239.1.2.3", port))
        bound.settimeout(5)
        sender.sendto(b"all", ("239.1.2.3", port))
        assert (bound.recv(10), member.recv(10)) == (b"all", b"all")
        assert bound.getsockname() == ("239.1.2.3", port)


def test_errors_of_memberships(net, group):
    member, _ = group
    ip, join, leave = net.socket.IPPROTO_IP, net.socket.IP_ADD_MEMBERSHIP, net.socket.IP_DROP_MEMBERSHIP
    for option, value, error in (
        (join, GROUP + LOOPBACK, errno.EADDRINUSE),
        (join, LOOPBACK + LOOPBACK, errno.EINVAL),
        (join, GROUP, errno.EINVAL),
        (join, GROUP + bytes([10, 9, 8, 7]), errno.ENODEV),
        (leave, bytes([239, 9, 9, 9]) + LOOPBACK, errno.EADDRNOTAVAIL),
        (net.socket.IP_MULTICAST_IF, bytes([10, 9, 8, 7]), errno.EADDRNOTAVAIL),
    ):
        with pytest.raises(OSError) as caught:
            member.setsockopt(ip, option, value)
        assert caught.value.errno == error
    member.setsockopt(ip, leave, GROUP + LOOPBACK)


def test_options_of_groups_read_as_they_were_set(net, group):
    _, sender = group
    sock = net.socket
    assert sender.getsockopt(sock.IPPROTO_IP, sock.IP_MULTICAST_IF, 4) == LOOPBACK
    for option, first, second in ((sock.IP_MULTICAST_TTL, 1, 7), (sock.IP_MULTICAST_LOOP, 1, 0)):
        assert sender.getsockopt(sock.IPPROTO_IP, option) == first
        sender.setsockopt(sock.IPPROTO_IP, option, second)
        assert sender.getsockopt(sock.IPPROTO_IP, option) == second


def test_longest_datagram_crosses(udp):
    a, b = udp
    b.settimeout(5)
    a.sendto(bytes(65507), b.getsockname())
    assert b.recv(70000) == bytes(65507)
    with pytest.raises(OSError) as caught:
        a.sendto(bytes(65508), b.getsockname())
    assert caught.value.errno == errno.EMSGSIZE
