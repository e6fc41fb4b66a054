"""select, poll, selectors, wait_read and the kernel's own select on mixed sets."""
from __future__ import annotations

import os
import select as kernel_select
import selectors
import socket as std
import time

import gevent
import gevent.selectors
import pytest
from gevent.monkey import get_original

kernel = get_original("select", "select")


def test_select_tells_readable_and_writable(pair, net):
    client, server = pair
    assert net.select.select([client, server], [client], [], 0) == ([], [client], [])
    server.sendall(b"x")
    assert net.select.select([client, server], [], [], 5) == ([client], [], [])
    client.recv(1)
    assert net.select.select([client], [], [], 0.01) == ([], [], [])


def test_select_waits(pair, net):
    client, server = pair
    waiting = gevent.spawn(net.select.select, [client.fileno()], [], [], 5)
    gevent.sleep(0)
    assert not waiting.ready()
    server.sendall(b"x")
    assert waiting.get() == ([client.fileno()], [], [])


def test_select_takes_kernel_fds_in_the_same_set(pair, net):
    client, server = pair
    a, b = std.socketpair()
    with a, b:
        b.send(b"x")
        assert net.select.select([client, a], [], [], 5)[0] == [a]
        server.sendall(b"x")
        net.socket.wait_read(client.fileno(), timeout=5)
        assert net.select.select([client, a], [], [], 5)[0] == [client, a]


def test_a_listener_is_readable_when_a_connection_waits(listener, net):
    assert net.select.select([listener], [], [], 0)[0] == []
    with net.socket.create_connection(listener.getsockname()):
        assert net.select.select([listener], [], [], 5)[0] == [listener]
        listener.accept()[0].close()
    assert net.select.select([listener], [], [], 0)[0] == []


def test_the_end_of_the_stream_is_readable(pair, net):
    pair[1].close()
    assert net.select.select([pair[0]], [], [], 5)[0] == [pair[0]]


def test_a_full_send_buffer_is_not_writable(pair, net):
    client, server = pair
    client.setblocking(False)
    sent = 0
    for _ in range(10_000):
        try:
            sent += client.send(bytes(65536))
        except BlockingIOError:
            gevent.sleep(0.002)
            if not net.select.select([], [client], [], 0)[1]:
                break
    assert net.select.select([], [client], [], 0)[1] == []
    while sent:
        sent -= len(server.recv(1 << 20))
    assert net.select.select([], [client], [], 5)[1] == [client]


def test_select_of_a_closed_socket_raises(sock, net):
    sock.close()
    with pytest.raises(ValueError):
        net.select.select([sock], [], [], 0)


def test_poll_tells_events(pair, net):
    client, server = pair
    poll = net.select.poll()
    poll.register(client, kernel_select.POLLIN | kernel_select.POLLOUT)
    assert poll.poll(1000) == [(client.fileno(), kernel_select.POLLOUT)]
    server.sendall(b"x")
    net.socket.wait_read(client.fileno(), timeout=5)
    poll.modify(client, kernel_select.POLLIN)
    assert poll.poll(1000) == [(client.fileno(), kernel_select.POLLIN)]
    client.recv(1)
    assert poll.poll(10) == []
    poll.unregister(client)
    with pytest.raises(KeyError):
        poll.unregister(client)


@pytest.mark.parametrize("name", ["DefaultSelector"])
def test_a_selector_serves_many(pair, net, listener, name):
    client, server = pair
    a, b = std.socketpair()
    with getattr(gevent.selectors, name)() as selector, a, b:
        for index, fileobj in enumerate((client, server, listener, a)):
            selector.register(fileobj, selectors.EVENT_READ, index)
        assert selector.select(0.01) == []
        server.sendall(b"x")
        b.send(b"x")
        seen = set()
        for _ in range(10):
            seen |= {key.data for key, _ in selector.select(0.05)}
        assert seen == {0, 3}
        client.recv(1)
        a.recv(1)
        with net.socket.create_connection(listener.getsockname()):
            assert [(key.data, events) for key, events in selector.select(5)] == [(2, selectors.EVENT_READ)]
            listener.accept()[0].close()


def test_wait_read_and_wait_write(pair, net):
    client, server = pair
    net.socket.wait_write(client.fileno(), timeout=5)
    waiting = gevent.spawn(net.socket.wait_read, client.fileno())
    gevent.sleep(0)
    assert not waiting.ready()
    server.sendall(b"x")
    waiting.get()
    net.socket.wait_read(client.fileno(), timeout=5)
    client.recv(1)
    with pytest.raises(TimeoutError):
        net.socket.wait_read(client.fileno(), timeout=0.01)


def in_the_kernel(sock) -> tuple[bool, bool]:
    readable, writable, _ = kernel([sock], [sock], [], 0)
    return bool(readable), bool(writable)


def test_the_kernel_sees_the_same_level(pair, net, listener):
    client, server = pair
    assert in_the_kernel(client) == (False, True)
    assert in_the_kernel(listener) == (False, False)
    server.sendall(b"x")
    net.socket.wait_read(client.fileno(), timeout=5)
    assert in_the_kernel(client) == (True, True)
    client.recv(1)
    assert in_the_kernel(client) == (False, True)
    with net.socket.create_connection(listener.getsockname()):
        net.socket.wait_read(listener.fileno(), timeout=5)
        assert in_the_kernel(listener) == (True, False)
        listener.accept()[0].close()
    assert in_the_kernel(listener) == (False, False)
    server.close()
    net.socket.wait_read(client.fileno(), timeout=5)
    assert in_the_kernel(client) == (True, True)


def test_the_kernel_sees_a_full_send_buffer(pair, net):
    client, server = pair
    client.fileno()
    client.setblocking(False)
    sent = 0
    while in_the_kernel(client)[1]:
        try:
            sent += client.send(bytes(65536))
        except BlockingIOError:
            gevent.sleep(0.002)
    while sent:
        sent -= len(server.recv(1 << 20))
    net.socket.wait_write(client.fileno(), timeout=5)
    while in_the_kernel(client) != (False, True):
        gevent.sleep(0)  # the stand-in fd is brought in step once in each turn of the loop


def test_a_hangup_that_is_not_asked_for_costs_no_cpu(pair, net):
    client, server = pair
    server.close()
    client.shutdown(std.SHUT_WR)
    assert net.select.select([client], [], [], 5)[0] == [client]
    before = time.process_time()
    assert net.select.select([], [], [client], 0.3) == ([], [], [])
    assert time.process_time() - before < 0.1


def test_one_event_wakes_every_greenlet_that_selects(pair, net):
    client, server = pair
    waiting = [gevent.spawn(net.select.select, [client], [], [], 5) for _ in range(3)]
    gevent.sleep(0)
    server.sendall(b"x")
    assert [each.get() for each in waiting] == [([client], [], [])] * 3


def test_a_select_of_sockets_makes_no_number(stack):
    from greendpdk import select, socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert select.select([listener], [listener], [listener], 0) == ([], [], [])
        assert select.select([listener], [], [], 0.001) == ([], [], [])
        assert listener._sock._fd == -1


def test_select_goes_on_with_the_half_that_its_socket_gets_meanwhile(stack):
    from greendpdk import select, socket

    with socket.socket(type=socket.SOCK_DGRAM) as ours, std.socket(type=socket.SOCK_DGRAM) as kernels:
        waiting = gevent.spawn(select.select, [ours], [], [], 5)
        gevent.sleep(0)
        ours.bind(("", 0))
        gevent.sleep(0)
        kernels.sendto(b"x", ("127.0.0.1", ours.getsockname()[1]))
        assert waiting.get() == ([ours], [], [])


def test_a_hangup_of_a_pipe_that_is_not_asked_for_costs_no_cpu(stack):
    from greendpdk import select

    read, write = os.pipe()
    os.close(write)
    before = time.process_time()
    assert select.select([], [read], [], 0.3) == ([], [], [])
    assert time.process_time() - before < 0.1
    os.close(read)
