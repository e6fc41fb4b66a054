"""epoll over the stack's sockets, kernel sockets and pipes: what epoll(7) says, and CPython's errors."""
from __future__ import annotations

import errno
import os
import socket as std
import time

import gevent
import pytest

from greendpdk.select import EPOLLERR as ERR
from greendpdk.select import EPOLLET as ET
from greendpdk.select import EPOLLEXCLUSIVE as EXCLUSIVE
from greendpdk.select import EPOLLHUP as HUP
from greendpdk.select import EPOLLIN as IN
from greendpdk.select import EPOLLONESHOT as ONESHOT
from greendpdk.select import EPOLLOUT as OUT
from greendpdk.select import EPOLLRDHUP as RDHUP
from greendpdk.select import epoll, poll, select


@pytest.fixture
def ep():
    with epoll() as made:
        yield made


def arrived(net, sock):
    net.socket.wait_read(sock.fileno(), timeout=5)


def test_an_edge_from_before_the_registration_is_told_of_once(net, listener, ep):
    with net.socket.socket() as client:
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.connect(listener.getsockname())
        server, _ = listener.accept()
        with server:
            ep.register(client, IN | OUT | ET)
            assert ep.poll(5) == [(client.fileno(), OUT)]
            assert ep.poll(0) == []


def test_readable_and_writable_are_told_at_once(pair, ep, net):
    client, server = pair
    ep.register(client, IN | OUT)
    assert ep.poll(0) == [(client.fileno(), OUT)]
    server.sendall(b"x")
    arrived(net, client)
    assert ep.poll(5) == [(client.fileno(), IN | OUT)]
    assert ep.poll(5) == [(client.fileno(), IN | OUT)]  # level-triggered
    client.recv(1)
    assert ep.poll(0) == [(client.fileno(), OUT)]
    ep.modify(client, IN)
    assert ep.poll(0.01) == []


def test_a_wait_ends_with_the_event_and_other_greenlets_go_on(pair, ep):
    client, server = pair
    ep.register(client.fileno(), IN)
    waiting = gevent.spawn(ep.poll, 5)
    gevent.sleep(0.01)
    assert not waiting.ready()
    server.sendall(b"x")
    assert waiting.get() == [(client.fileno(), IN)]


def test_two_greenlets_wait_on_one_epoll(pair, ep):
    client, server = pair
    ep.register(client, IN)
    waiting = [gevent.spawn(ep.poll, 5) for _ in range(2)]
    gevent.sleep(0.01)
    server.sendall(b"x")
    assert [one.get() for one in waiting] == [[(client.fileno(), IN)]] * 2


def test_the_timeout_is_in_seconds_and_minus_one_is_for_ever(pair, ep):
    client, server = pair
    ep.register(client, IN)
    begun = time.monotonic()
    assert ep.poll(0.05) == []
    assert 0.04 < time.monotonic() - begun < 2
    gevent.spawn_later(0.02, server.sendall, b"x")
    assert ep.poll(-1) == [(client.fileno(), IN)]


def test_stack_and_kernel_sockets_and_pipes_are_in_one_set(pair, ep, net):
    client, server = pair
    a, b = std.socketpair()
    reading, writing = os.pipe()
    with a, b, os.fdopen(reading), os.fdopen(writing, "wb", 0) as pipe:
        for one in (client, a, reading):
            ep.register(one, IN)
        assert ep.poll(0.01) == []
        gevent.spawn_later(0.01, pipe.write, b"x")
        assert ep.poll(5) == [(reading, IN)]
        b.send(b"x")
        server.sendall(b"x")
        arrived(net, client)
        assert sorted(ep.poll(5)) == sorted([(client.fileno(), IN), (a.fileno(), IN), (reading, IN)])
        seen = set()
        for _ in range(6):
            found = ep.poll(5, 1)
            assert len(found) == 1
            seen.add(found[0][0])
        assert client.fileno() in seen and len(seen) > 1  # maxevents starves nobody
        for one in (client, a, reading):
            ep.unregister(one)
        assert ep.poll(0) == []


def test_the_peers_end_is_rdhup_and_both_ends_are_hup(pair, ep, net):
    client, server = pair
    ep.register(client, IN | OUT | RDHUP)
    server.shutdown(std.SHUT_WR)
    arrived(net, client)
    assert ep.poll(5) == [(client.fileno(), IN | OUT | RDHUP)]
    client.shutdown(std.SHUT_WR)
    gevent.sleep(0.01)
    assert ep.poll(5) == [(client.fileno(), IN | OUT | RDHUP | HUP)]


def test_hang_up_is_told_unasked(pair, ep):
    client, server = pair
    ep.register(client, 0)
    assert ep.poll(0) == []
    server.setsockopt(std.SOL_SOCKET, std.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    gevent.spawn_later(0.01, server.close)
    assert ep.poll(5) == [(client.fileno(), ERR | HUP)]
    assert client.getsockopt(std.SOL_SOCKET, std.SO_ERROR) == errno.ECONNRESET
    assert ep.poll(5) == [(client.fileno(), HUP)]


def test_a_refused_connect_is_an_error(net, ep, listener):
    address = listener.getsockname()
    listener.close()
    with net.socket.socket() as sock:
        sock.setblocking(False)
        sock.connect_ex(address)
        ep.register(sock, OUT)
        [(fd, events)] = ep.poll(5)
        assert fd == sock.fileno() and events == OUT | ERR | HUP


def test_edge_triggered_tells_once_and_again_for_new_data(pair, ep, net):
    client, server = pair
    ep.register(client, IN | ET)
    server.sendall(b"x")
    assert ep.poll(5) == [(client.fileno(), IN)]
    assert ep.poll(0.01) == []
    server.sendall(b"y")  # the first byte is unread yet
    assert ep.poll(5) == [(client.fileno(), IN)]
    assert ep.poll(0) == []
    ep.modify(client, IN | ET)  # looks anew
    assert ep.poll(0) == [(client.fileno(), IN)]


def test_oneshot_is_off_until_it_is_modified(pair, ep):
    client, server = pair
    ep.register(client, IN | ONESHOT)
    server.sendall(b"x")
    assert ep.poll(5) == [(client.fileno(), IN)]
    server.close()
    assert ep.poll(0.01) == []
    ep.modify(client, IN | ONESHOT)
    assert ep.poll(5)[0][1] & IN


def test_a_listener_is_readable_while_connections_wait(listener, ep, net):
    ep.register(listener, IN | EXCLUSIVE)
    assert ep.poll(0) == []
    with net.socket.create_connection(listener.getsockname()):
        assert ep.poll(5) == [(listener.fileno(), IN)]
        listener.accept()[0].close()
    assert ep.poll(0) == []


def test_errors_are_those_of_epoll_ctl(pair, ep):
    client, _ = pair
    with pytest.raises(FileNotFoundError):
        ep.modify(client, IN)
    with pytest.raises(FileNotFoundError):
        ep.unregister(client)
    ep.register(client, IN)
    with pytest.raises(FileExistsError):
        ep.register(client, IN)
    ep.unregister(client)
    with pytest.raises(OSError) as caught:
        ep.register(client, IN | ONESHOT | EXCLUSIVE)
    assert caught.value.errno == errno.EINVAL
    ep.register(client, IN | EXCLUSIVE)
    with pytest.raises(OSError) as caught:
        ep.modify(client, IN)
    assert caught.value.errno == errno.EINVAL
    with pytest.raises(OSError) as caught:
        ep.register(10_000, IN)
    assert caught.value.errno == errno.EBADF
    with open(os.devnull) as regular, pytest.raises(PermissionError):
        ep.register(regular, IN)
    for wrong in (object(), "1"):
        with pytest.raises(TypeError):
            ep.register(wrong, IN)
    with pytest.raises(ValueError):
        ep.register(-1, IN)
    with pytest.raises(TypeError):
        ep.poll("1")
    for maxevents in (0, -2):
        with pytest.raises(ValueError, match="maxevents must be greater than 0"):
            ep.poll(0, maxevents)


def test_a_closed_epoll_raises(pair):
    ep = epoll()
    ep.register(pair[0], IN)
    assert not ep.closed and ep.fileno() >= 0
    ep.close()
    ep.close()
    assert ep.closed
    for call in (ep.fileno, lambda: ep.poll(0), lambda: ep.register(pair[0]), lambda: ep.unregister(pair[0])):
        with pytest.raises(ValueError, match="closed epoll"):
            call()
    with pytest.raises(ValueError):
        epoll(sizehint=-2)
    with pytest.raises(OSError):
        epoll(flags=12356)


def test_close_ends_a_wait(pair):
    ep = epoll()
    ep.register(pair[0], IN)
    waiting = gevent.spawn(ep.poll, 5)
    gevent.sleep(0.01)
    ep.close()
    assert waiting.get(timeout=5) == []


def test_a_closed_socket_leaves_the_set_and_its_number_is_free_again(pair, ep, net):
    client, server = pair
    fd = client.fileno()
    ep.register(client, IN)
    server.sendall(b"x")
    arrived(net, client)
    client.close()
    assert ep.poll(0) == []
    a, b = std.socketpair()
    with a, b:
        if a.fileno() != fd:
            os.dup2(a.fileno(), fd)
        ep.register(fd, OUT)
        assert ep.poll(5) == [(fd, OUT)]
        ep.unregister(fd)
        if a.fileno() != fd:
            os.close(fd)


def test_an_epoll_in_an_epoll(pair, ep):
    client, server = pair
    with epoll() as outer:
        ep.register(client, IN)
        outer.register(ep, IN)
        assert outer.poll(0) == []
        gevent.spawn_later(0.01, server.sendall, b"x")
        assert outer.poll(5) == [(ep.fileno(), IN)]
        assert select([ep], [], [], 0) == ([ep], [], [])
        assert ep.poll(0) == [(client.fileno(), IN)]
        client.recv(1)
        assert ep.poll(0) == [] and outer.poll(0) == []


def test_fromfd_is_the_same_set(pair):
    client, _ = pair
    ep = epoll()
    other = epoll.fromfd(ep.fileno())
    other.register(client, OUT)
    assert ep.poll(0) == [(client.fileno(), OUT)]
    ep.close()
    with pytest.raises(OSError) as caught:
        other.poll(0)
    assert caught.value.errno == errno.EBADF


def test_a_socket_that_becomes_the_kernels_stays_in_the_set(net, ep, stack):
    """Registered before anyone knows whose it will be: bound to the wildcard it is of both."""
    from greendpdk import socket

    with socket.socket() as listener, socket.socket() as client:
        ep.register(listener, IN)
        listener.bind(("0.0.0.0", 0))
        listener.listen()
        ep.modify(listener, IN)
        ep.poll(0)
        with std.socket() as kernel:
            kernel.connect(("127.0.0.1", listener.getsockname()[1]))
            assert ep.poll(5) == [(listener.fileno(), IN)]
            listener.accept()[0].close()
        assert ep.poll(0) == []
        client.connect(("127.0.0.1", listener.getsockname()[1]))
        assert ep.poll(5) == [(listener.fileno(), IN)]
        listener.accept()[0].close()


def test_poll_costs_what_is_ready_not_what_is_registered(stack, monkeypatch):
    from greendpdk import _interest, socket

    looks = []
    look = _interest.Entry.look
    monkeypatch.setattr(_interest.Entry, "look", lambda entry: looks.append(entry) or look(entry))
    socks = [socket.socket(type=std.SOCK_DGRAM) for _ in range(50)]
    with epoll() as ep:
        for sock in socks:
            sock.bind(("127.0.0.1", 0))
            ep.register(sock, IN)
        assert ep.poll(0) == []
        looks.clear()
        socks[0].sendto(b"x", socks[1].getsockname())
        assert ep.poll(5) == [(socks[1].fileno(), IN)] and len(looks) == 1
    for sock in socks:
        sock.close()


def test_poll_tells_hang_up_and_closed_numbers(pair, net):
    client, server = pair
    polling = poll()
    polling.register(client, IN | OUT)
    polling.register(10_000, IN)
    assert sorted(polling.poll(0)) == [(client.fileno(), OUT), (10_000, 0x20)]
    polling.unregister(10_000)
    server.close()
    client.shutdown(std.SHUT_WR)
    arrived(net, client)
    gevent.sleep(0.01)
    assert polling.poll(0) == [(client.fileno(), IN | OUT | HUP)]
    polling.modify(client, 0)
    assert polling.poll(1000) == [(client.fileno(), HUP)]
    with pytest.raises(FileNotFoundError):
        polling.modify(10_000, IN)


def test_an_error_in_send_lets_go_of_a_bytearray(pair, net):
    client, server = pair
    server.setsockopt(std.SOL_SOCKET, std.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    server.close()
    gevent.sleep(0.01)
    for call in (client.send, client.sendall if net.kind == "stack" else client.send):  # gevent's holds on to it
        data = bytearray(100_000)
        try:
            while True:
                call(data)
        except OSError:
            data.clear()  # BufferError while something points into it
