"""A socket's life: fds, dup and detach, close, waiters, garbage collection, repr."""
from __future__ import annotations

import errno
import gc
import os
import socket as std

import gevent
import pytest
from gevent.exceptions import ConcurrentObjectUseError


def test_fileno_is_a_real_fd_and_unique(pair):
    numbers = {end.fileno() for end in pair}
    assert len(numbers) == 2
    for number in numbers:
        os.fstat(number)
        assert not os.get_inheritable(number)


def test_fileno_stays_the_same(sock, listener):
    before = sock.fileno()
    sock.connect(listener.getsockname())
    assert sock.fileno() == before


def test_fileno_of_a_closed_socket_is_minus_one(sock):
    sock.fileno()
    sock.close()
    assert sock.fileno() == -1


def test_set_inheritable(sock):
    sock.set_inheritable(True)
    assert sock.get_inheritable() is True
    sock.set_inheritable(False)
    assert sock.get_inheritable() is False


def test_a_dup_is_the_same_connection_and_each_is_closed_by_itself(pair):
    client, server = pair
    with client.dup() as other:
        assert other.fileno() != client.fileno()
        assert other.getpeername() == client.getpeername()
        client.close()
        other.sendall(b"still open")
        assert server.recv(100) == b"still open"
    assert server.recv(100) == b""


def test_detach_gives_the_fd_and_fileno_takes_it(pair, net):
    client, server = pair
    fd = client.detach()
    assert client.fileno() == -1
    with pytest.raises(OSError) as caught:
        client.send(b"x")
    assert caught.value.errno == errno.EBADF
    with net.socket.socket(fileno=fd) as again:
        assert again.fileno() == fd
        assert (again.family, again.type) == (std.AF_INET, std.SOCK_STREAM)
        again.sendall(b"from the same fd")
        assert server.recv(100) == b"from the same fd"
    assert server.recv(100) == b""


def test_fromfd_makes_a_duplicate(pair, net):
    client, server = pair
    with net.socket.fromfd(client.fileno(), std.AF_INET, std.SOCK_STREAM) as other:
        client.close()
        other.sendall(b"dup")
        assert server.recv(100) == b"dup"
    assert server.recv(100) == b""


def test_a_dup_that_the_kernel_made_is_found(pair, net):
    client, server = pair
    with net.socket.socket(fileno=os.dup(client.fileno())) as other:
        client.close()
        other.sendall(b"os.dup")
        assert server.recv(100) == b"os.dup"


def test_socket_close_closes_by_number(pair, net):
    client, server = pair
    net.socket.close(client.detach())
    assert server.recv(100) == b""


def test_close_twice_is_legal(sock):
    sock.close()
    sock.close()


@pytest.mark.parametrize("call", [
    lambda s: s.recv(1), lambda s: s.send(b"x"), lambda s: s.getsockname(), lambda s: s.listen(),
    lambda s: s.setsockopt(std.SOL_SOCKET, std.SO_KEEPALIVE, 1), lambda s: s.bind(("127.0.0.1", 0)),
    lambda s: s.accept(), lambda s: s.recvfrom(1), lambda s: s.recv_into(bytearray(1)),
])  # fmt: skip
def test_a_closed_socket_is_ebadf(pair, call):
    pair[0].close()
    with pytest.raises(OSError) as caught:
        call(pair[0])
    assert caught.value.errno == errno.EBADF


@pytest.mark.parametrize("wait", [lambda s: s.recv(1), lambda s: s.recv_into(bytearray(1)), lambda s: s.recvfrom(1)])
def test_close_wakes_who_waits_with_ebadf(pair, wait):
    reader = gevent.spawn(wait, pair[0])
    gevent.sleep(0)
    pair[0].close()
    with pytest.raises(OSError) as caught:
        reader.get()
    assert caught.value.errno == errno.EBADF


def test_close_wakes_accept_with_ebadf(listener):
    waiting = gevent.spawn(listener.accept)
    gevent.sleep(0)
    listener.close()
    with pytest.raises(OSError) as caught:
        waiting.get()
    assert caught.value.errno == errno.EBADF


def test_several_greenlets_may_wait_first_come_first_served(pair, net):
    client, server = pair
    readers = [gevent.spawn(server.recv, 1) for _ in range(4)]
    gevent.sleep(0)
    if net.kind == "kernel":  # what gevent allows; docs/compat.md
        gevent.sleep(0.01)
        assert [type(reader.exception) for reader in readers[1:]] == [ConcurrentObjectUseError] * 3
        client.sendall(b"a")
        readers[0].get()
        return
    for letter in (b"a", b"b", b"cd"):
        client.sendall(letter)
        gevent.sleep(0.005)
    assert [reader.get() for reader in readers] == [b"a", b"b", b"c", b"d"]


def test_a_waiter_that_is_killed_does_not_take_the_event_with_it(pair, net):
    client, server = pair
    first, second = gevent.spawn(server.recv, 1), gevent.spawn(server.recv, 1)
    gevent.sleep(0)
    first.kill()
    client.sendall(b"x")
    assert second.get() == b"x"


def test_close_wakes_every_waiter(pair, net):
    readers = [gevent.spawn(pair[0].recv, 1) for _ in range(3)]
    gevent.sleep(0)
    pair[0].close()
    gevent.joinall(readers)
    assert [reader.exception.errno for reader in readers] == [errno.EBADF] * 3


def test_collection_closes_and_warns(net, listener):
    client = net.socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    with server:
        with pytest.warns(ResourceWarning, match="unclosed"):
            del client
            gc.collect()
        assert server.recv(1) == b""


def test_the_context_manager_closes(net):
    with net.socket.socket() as made:
        assert not made.closed
    assert made.closed and made.fileno() == -1


def test_repr_names_the_state(pair, net):
    client, _ = pair
    text, names = repr(client), f"laddr={client.getsockname()}, raddr={client.getpeername()}>"
    assert "socket" in text and "family=" in text
    if net.kind == "stack":  # as CPython's; gevent's has an address instead of the names
        start = "<greendpdk.socket.socket fd="
        assert text == f"{start}stack, family=2, type=1, proto=6, {names}"
        number = client.fileno()
        assert repr(client) == f"{start}{number}, family=2, type=1, proto=6, {names}"
    client.close()
    assert "[closed]" in repr(client)


def test_a_socket_cannot_be_pickled(sock):
    import pickle

    with pytest.raises(TypeError):
        pickle.dumps(sock)


def test_timeouts_are_kept_and_checked(sock):
    assert sock.gettimeout() is None and sock.getblocking()
    sock.settimeout(1.5)
    assert sock.gettimeout() == 1.5 and sock.getblocking()
    sock.setblocking(False)
    assert sock.gettimeout() == 0.0 and not sock.getblocking()
    with pytest.raises(ValueError):
        sock.settimeout(-1)
    with pytest.raises(TypeError):
        sock.settimeout("soon")


def test_the_default_timeout_holds_for_new_sockets(net):
    std.setdefaulttimeout(3)
    try:
        with net.socket.socket() as made:
            assert made.gettimeout() == 3
    finally:
        std.setdefaulttimeout(None)


def test_other_families_are_the_kernel_s(net):
    a, b = net.socket.socketpair()
    with a, b:
        assert a.family == std.AF_UNIX and isinstance(a, net.socket.socket)
        a.sendall(b"unix")
        assert b.recv(10) == b"unix"


@pytest.mark.parametrize("arguments", [(99,), (std.AF_INET, 99), (std.AF_INET, std.SOCK_STREAM, 99)])
def test_what_linux_does_not_have_raises(net, arguments):
    with pytest.raises(OSError):
        net.socket.socket(*arguments)


def test_a_connection_leaves_nothing_behind(net, listener, request):
    stack = request.getfixturevalue("stack")
    from greendpdk import _fds

    gevent.sleep(0.01)
    before = len(stack.sockets), len(_fds._table), len(_fds._inodes), len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        client = net.socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
        client.fileno()
        client.close()
        assert server.recv(1) == b""
        server.close()
    after = len(stack.sockets), len(_fds._table), len(_fds._inodes), len(os.listdir("/proc/self/fd"))
    assert after == before


def test_what_a_server_keeps_of_a_socket_outlives_the_socket(net):
    listener = net.socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    address, kept = listener.getsockname(), listener._sock  # as gevent.server does
    del listener
    net.socket.create_connection(address).close()
    kept.close()
