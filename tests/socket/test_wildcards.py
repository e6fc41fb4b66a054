"""A socket bound to the wildcard is the stack's and the kernel's: fair to both, and one socket to its program."""
from __future__ import annotations

import errno
import select as kernel_select
import socket as standard

import gevent
import gevent.socket
import pytest

from greendpdk import select, socket

KERNEL = standard.socket  # not patched in this process
DGRAM, STREAM, V6, V4 = standard.SOCK_DGRAM, standard.SOCK_STREAM, standard.AF_INET6, standard.AF_INET
pytestmark = pytest.mark.usefixtures("stack")


def is_stack(sock):
    return type(sock._sock).__name__ == "RawSocket"


@pytest.fixture
def listener():
    with socket.create_server(("", 0)) as made:
        yield made


@pytest.fixture
def udp():
    with socket.socket(type=DGRAM) as made:
        made.bind(("", 0))
        yield made


def test_a_busy_half_does_not_starve_the_other(listener):
    address = "127.0.0.1", listener.getsockname()[1]
    clients = [socket.create_connection(address) for _ in range(6)]
    clients += [gevent.socket.create_connection(address) for _ in range(6)]
    accepted = [listener.accept()[0] for _ in range(12)]
    kinds = [is_stack(one) for one in accepted]
    assert kinds == [True, False] * 6
    for sock in clients + accepted:
        sock.close()


def test_datagrams_of_both_halves_take_turns(udp):
    address = "127.0.0.1", udp.getsockname()[1]
    with socket.socket(type=DGRAM) as mine, KERNEL(type=DGRAM) as kernels:
        for _ in range(4):
            mine.sendto(b"stack", address)
            kernels.sendto(b"kernel", address)
        gevent.sleep(0.01)  # the stack's own loopback turns with the loop
        assert [udp.recv(9) for _ in range(8)] == [b"stack", b"kernel"] * 4


def test_an_answer_goes_out_by_the_half_that_the_question_came_in_by(udp):
    address = "127.0.0.1", udp.getsockname()[1]
    for question in (lambda: udp.recvfrom(9), lambda: udp.recvmsg(9), lambda: udp.recvfrom_into(bytearray(9))):
        with socket.socket(type=DGRAM) as mine, KERNEL(type=DGRAM) as kernels:
            kernels.settimeout(5)
            for asker in (kernels, mine, kernels):
                asker.sendto(b"?", address)
                udp.sendto(b"!", question()[-1])
                assert asker.recv(9) == b"!"


def test_peers_of_the_kernel_s_half_are_remembered_within_a_bound(udp, monkeypatch):
    monkeypatch.setattr("greendpdk._endpoint._PEERS", 2)
    end = udp._sock.end
    for last in (1, 2, 3, 1):
        end.hear((f"192.0.2.{last}", 9))
    assert [peer[-1] for peer, _ in end.peers_by_kernel] == [3, 1]


def test_a_dual_stack_listener_takes_both_families_on_both_halves():
    with socket.create_server(("::", 0), family=V6, dualstack_ipv6=True) as listener:
        assert listener.getsockname()[0] == "::"
        assert listener.getsockopt(standard.IPPROTO_IPV6, standard.IPV6_V6ONLY) == 0
        port = listener.getsockname()[1]
        for make in (socket.create_connection, gevent.socket.create_connection):
            for host, seen in (("127.0.0.1", "::ffff:127.0.0.1"), ("::1", "::1")):
                with make((host, port)) as client:
                    server, peer = listener.accept()
                    with server:
                        assert peer[0] == seen and peer[1] == client.getsockname()[1]
                        assert is_stack(server) == (make is socket.create_connection)


def test_a_v6only_wildcard_leaves_the_ipv4_port_free_on_both():
    for _ in range(50):  # the kernel's IPv4 port may be another program's, or in TIME-WAIT: then another one
        with socket.create_server(("::", 0), family=V6) as six:
            try:
                four = socket.create_server(("", six.getsockname()[1]))
            except OSError as error:
                assert error.errno == errno.EADDRINUSE
                continue
            with four:
                assert six.getsockname()[1] == four.getsockname()[1]
                return
    raise AssertionError("no port is free")


def test_reuse_port_shares_both_halves():
    with socket.create_server(("", 0), reuse_port=True) as first:
        port = first.getsockname()[1]
        with socket.create_server(("", port), reuse_port=True) as second, pytest.raises(OSError) as caught:
            assert second.getsockname()[1] == port
            socket.create_server(("", port))
    assert caught.value.errno == errno.EADDRINUSE


@pytest.mark.parametrize("kind", [STREAM, DGRAM])
def test_a_port_that_only_the_kernel_uses_is_in_use_and_nothing_stays_bound(kind):
    with KERNEL(type=kind) as holder:
        holder.bind(("0.0.0.0", 0))
        if kind == STREAM:
            holder.listen()
        port = holder.getsockname()[1]
        with socket.socket(type=kind) as sock:
            with pytest.raises(OSError) as caught:
                sock.bind(("", port))
            assert caught.value.errno == errno.EADDRINUSE
            sock.bind(("127.0.0.1", port))  # the stack's half was given back, and the socket can be bound still
            assert sock.getsockname() == ("127.0.0.1", port)


def test_a_port_that_only_the_stack_uses_is_in_use():
    with socket.create_server(("127.0.0.1", 0)) as holder, socket.socket() as sock, pytest.raises(OSError) as caught:
        sock.bind(("", holder.getsockname()[1]))
    assert caught.value.errno == errno.EADDRINUSE


def test_neither_half_listens_if_another_listens_in_the_kernel():
    with socket.socket() as sock, KERNEL() as holder:
        for one in (sock, holder):
            one.setsockopt(standard.SOL_SOCKET, standard.SO_REUSEADDR, 1)
        sock.bind(("", 0))
        address = "127.0.0.1", sock.getsockname()[1]
        holder.bind(address)
        holder.listen()
        with pytest.raises(OSError) as caught:
            sock.listen()
        assert caught.value.errno == errno.EADDRINUSE
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)


def test_options_that_are_set_later_hold_in_both(listener):
    listener.setsockopt(standard.SOL_SOCKET, standard.SO_KEEPALIVE, 1)
    listener.setsockopt(standard.IPPROTO_TCP, standard.TCP_KEEPIDLE, 33)
    address = "127.0.0.1", listener.getsockname()[1]
    for make in (socket.create_connection, gevent.socket.create_connection):
        with make(address), listener.accept()[0] as server:
            assert server.getsockopt(standard.SOL_SOCKET, standard.SO_KEEPALIVE) == 1
            assert server.getsockopt(standard.IPPROTO_TCP, standard.TCP_KEEPIDLE) == 33


@pytest.mark.parametrize("make", [socket.create_connection, gevent.socket.create_connection])
def test_select_sees_either_half(listener, make):
    assert select.select([listener], [], [], 0) == ([], [], [])
    with make(("127.0.0.1", listener.getsockname()[1])) as client:
        assert select.select([listener], [], [], 5)[0] == [listener]
        fd = listener.fileno()
        gevent.sleep(0.01)  # the stand-in follows with the loop
        assert kernel_select.select([fd], [], [], 5)[0] == [fd]
        listener.accept()[0].close()
        assert client.recv(1) == b""
    assert select.select([listener], [], [], 0) == ([], [], [])


def test_close_refuses_on_both_and_wakes_who_accepts(listener):
    port = listener.getsockname()[1]
    waiting = gevent.spawn(listener.accept)
    gevent.sleep(0.01)
    listener.close()
    with pytest.raises(OSError) as caught:
        waiting.get()
    assert caught.value.errno == errno.EBADF
    for make in (socket.create_connection, gevent.socket.create_connection):
        with pytest.raises(ConnectionRefusedError):
            make(("127.0.0.1", port))


def test_a_bound_datagram_socket_that_connects_is_one_half_s():
    with socket.socket(type=DGRAM) as peer, socket.socket(type=DGRAM) as sock:
        peer.bind(("127.0.0.1", 0))
        sock.bind(("", 0))
        port = sock.getsockname()[1]
        with KERNEL(type=DGRAM) as kernels:
            kernels.sendto(b"x", ("127.0.0.1", port))
            assert sock.recv(9) == b"x"
            sock.connect(peer.getsockname())
            peer.sendto(b"y", ("127.0.0.1", port))
            assert sock.recv(9) == b"y" and sock.getsockopt(standard.SOL_SOCKET, standard.SO_ERROR) == 0


def test_the_loopback_of_the_stack_is_all_of_127_and_both_families(stack):
    for host, family in (("127.0.0.1", V4), ("127.255.3.4", V4), ("::1", V6)):
        with (
            socket.create_server((host, 0), family=family) as listener,
            socket.create_connection(listener.getsockname()[:2]) as client,
            listener.accept()[0] as server,
        ):
            assert is_stack(client) and is_stack(server)
            assert client.getpeername()[0] == host
        with socket.socket(family, DGRAM) as a, socket.socket(family, DGRAM) as b:
            a.bind((host, 0))
            b.sendto(b"x", a.getsockname())
            assert a.recvfrom(9)[0] == b"x"
