"""Urgent data as Linux has it: one byte beside the stream (tcp(7)), or in line (SO_OOBINLINE); mark and POLLPRI."""
from __future__ import annotations

import errno
import fcntl
import select as std_select
import socket as std
import struct

import gevent
import pytest

from greendpdk import fcntl as ours

OOB, PEEK, WAITALL = std.MSG_OOB, std.MSG_PEEK, std.MSG_WAITALL
SIOCATMARK, FIONREAD = 0x8905, 0x541B


def ask(net, sock, request):
    """Return ioctl(2)'s number."""
    call = fcntl.ioctl if net.kind == "kernel" else ours.ioctl
    return struct.unpack("i", call(sock.fileno(), request, bytes(4)))[0]


def exceptional(net, sock, seconds=5.0):
    """Wait until a byte is urgent; gevent's own select looks at the exceptional set only once."""
    with gevent.Timeout(seconds):
        while not net.select.select([], [], [sock], 0)[2]:
            gevent.sleep(0.001)


def is_exceptional(net, sock):
    return net.select.select([], [], [sock], 0)[2] == [sock]


def refused(call, *args):
    """Return the errno that a call fails with."""
    with pytest.raises(OSError) as caught:
        call(*args)
    return caught.value.errno


def test_the_last_byte_is_urgent_and_leaves_the_stream(pair, net):
    client, server = pair
    assert refused(server.recv, 1, OOB) == errno.EINVAL
    assert client.send(b"abc!", OOB) == 4
    exceptional(net, server)
    client.sendall(b"def")
    assert server.recv(1, OOB | PEEK) == b"!"
    assert server.recvmsg(10, 0, OOB)[::2] == (b"!", OOB)
    assert refused(server.recv, 1, OOB) == errno.EINVAL
    assert not is_exceptional(net, server)
    assert server.recv(3, WAITALL) == b"abc"
    assert server.recv(3, WAITALL) == b"def"


def test_reads_stop_at_the_mark(pair, net):
    client, server = pair
    client.sendall(b"ab!", OOB)
    exceptional(net, server)
    client.sendall(b"cd")
    assert ask(net, server, FIONREAD) == 2
    assert not ask(net, server, SIOCATMARK)
    assert server.recv(100, WAITALL) == b"ab"
    assert ask(net, server, SIOCATMARK) == 1
    assert server.recv(2, WAITALL) == b"cd"
    assert not ask(net, server, SIOCATMARK)


def test_reading_on_loses_the_urgent_byte(pair, net):
    client, server = pair
    client.sendall(b"!", OOB)
    exceptional(net, server)
    assert net.select.select([server], [], [], 0)[0] == []
    server.setblocking(False)
    assert refused(server.recv, 1) == errno.EAGAIN
    assert refused(server.recv, 1, OOB) == errno.EINVAL
    assert not is_exceptional(net, server)


def test_urgent_data_is_not_waited_for(pair):
    client, server = pair
    server.settimeout(5)
    client.sendall(b"ab", OOB)
    while True:  # until it is here
        try:
            assert server.recv(1, OOB) == b"b"
            break
        except OSError as error:
            assert error.errno == errno.EINVAL
            gevent.sleep(0.001)


def test_in_line_the_byte_is_one_of_the_stream(pair, net):
    client, server = pair
    server.setsockopt(std.SOL_SOCKET, std.SO_OOBINLINE, 1)
    client.sendall(b"ab!", OOB)
    exceptional(net, server)
    client.sendall(b"cd")
    assert refused(server.recv, 1, OOB) == errno.EINVAL
    assert server.recv(100) == b"ab"
    assert ask(net, server, SIOCATMARK) == 1
    assert server.recv(3, WAITALL) == b"!cd"


def test_in_line_can_be_put_off_again(pair, net):
    client, server = pair
    for value in (1, 0):
        server.setsockopt(std.SOL_SOCKET, std.SO_OOBINLINE, value)
        assert server.getsockopt(std.SOL_SOCKET, std.SO_OOBINLINE) == value
    client.sendall(b"!", OOB)
    exceptional(net, server)
    assert server.recv(1, OOB) == b"!"


def test_a_listeners_in_line_is_its_connections_too(listener, net):
    listener.setsockopt(std.SOL_SOCKET, std.SO_OOBINLINE, 1)
    with net.socket.create_connection(listener.getsockname()), listener.accept()[0] as server:
        assert server.getsockopt(std.SOL_SOCKET, std.SO_OOBINLINE) == 1


def test_a_second_urgent_byte_overtakes_the_first(pair, net):
    client, server = pair
    client.sendall(b"a1", OOB)
    exceptional(net, server)
    client.sendall(b"b2", OOB)
    client.sendall(b"c")
    with gevent.Timeout(5):
        while ask(net, server, FIONREAD) != 3:
            gevent.sleep(0.001)
    assert server.recv(1, OOB) == b"2"
    assert server.recv(100) == b"a1b"
    assert ask(net, server, SIOCATMARK) == 1
    assert server.recv(1) == b"c"


def test_the_byte_that_was_reached_is_gone_when_a_new_one_comes(pair, net):
    client, server = pair
    client.sendall(b"a1", OOB)
    exceptional(net, server)
    assert server.recv(100) == b"a"
    assert server.recv(1, OOB) == b"1"
    client.sendall(b"b2", OOB)
    exceptional(net, server)
    assert server.recv(100) == b"b"
    assert server.recv(1, OOB) == b"2"
    client.sendall(b"c")
    assert server.recv(1) == b"c"


def test_an_urgent_byte_is_read_after_the_peers_end(pair, net):
    client, server = pair
    client.sendall(b"ab!", OOB)
    exceptional(net, server)
    client.close()
    assert server.recv(100) == b"ab"
    assert server.recv(1, OOB) == b"!"
    assert server.recv(100) == b""


def test_a_listener_has_no_urgent_data(listener):
    assert refused(listener.recv, 1, OOB) == errno.ENOTCONN


def test_a_datagram_is_not_urgent(udp):
    a, b = udp
    assert refused(a.sendto, b"x", OOB, b.getsockname()) == errno.EOPNOTSUPP
    b.setsockopt(std.SOL_SOCKET, std.SO_OOBINLINE, 1)
    assert b.getsockopt(std.SOL_SOCKET, std.SO_OOBINLINE) == 1


def select_of(net):
    """Return a select module that knows the exceptional set; gevent's does not wait for it."""
    return std_select if net.kind == "kernel" else net.select


def test_select_poll_and_epoll_tell_of_an_urgent_byte(pair, net):
    client, server = pair
    select = select_of(net)
    poll = select.poll()
    poll.register(server, select.POLLIN | select.POLLPRI)
    with select.epoll() as epoll:
        epoll.register(server, select.EPOLLPRI)
        assert poll.poll(0) == epoll.poll(0) == []
        client.sendall(b"!", OOB)
        assert select.select([server], [], [server], 5) == ([], [], [server])
        assert poll.poll(0) == [(server.fileno(), select.POLLPRI)]
        assert epoll.poll(0) == [(server.fileno(), select.EPOLLPRI)]
        client.sendall(b"more")
        assert select.select([server], [], [], 5)[0] == [server]
        assert poll.poll(0) == [(server.fileno(), select.POLLIN | select.POLLPRI)]
        assert server.recv(1, OOB) == b"!"
        assert select.select([server], [], [server], 0) == ([server], [], [])
        assert poll.poll(0) == [(server.fileno(), select.POLLIN)]
        assert epoll.poll(0) == []


@pytest.mark.parametrize("how", ["select", "poll", "epoll"])
def test_who_waits_for_an_urgent_byte_wakes(stack, how):
    from greendpdk import select, socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with socket.create_connection(listener.getsockname()) as client, listener.accept()[0] as server:
            if how == "select":
                waiting = gevent.spawn(select.select, [], [], [server], 5)
            else:
                waiter = getattr(select, how)()
                waiter.register(server, select.POLLPRI)
                waiting = gevent.spawn(waiter.poll, 5 if how == "epoll" else 5000)
            gevent.sleep(0)
            assert not waiting.ready()
            client.sendall(b"x!", OOB)
            found = waiting.get()
            assert found == (([], [], [server]) if how == "select" else [(server.fileno(), select.POLLPRI)])
            assert server.recv(1, OOB) == b"!"
            if how == "epoll":
                waiter.close()
