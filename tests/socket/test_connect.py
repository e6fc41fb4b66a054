"""Opening connections: connect, accept, listen, bind, and their errors."""
from __future__ import annotations

import errno
import socket as std
import struct

import gevent
import pytest


def free_port(net) -> int:
    with net.socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_both_ends_agree_on_the_names(pair):
    client, server = pair
    assert client.getsockname() == server.getpeername()
    assert client.getpeername() == server.getsockname()
    assert client.getsockname()[0] == "127.0.0.1"


def test_accept_returns_the_class_and_the_address(listener, net):
    with net.socket.create_connection(listener.getsockname()) as client:
        server, address = listener.accept()
        with server:
            assert address == client.getsockname()
            assert isinstance(server, net.socket.socket)
            assert (server.family, server.type) == (std.AF_INET, std.SOCK_STREAM)


def test_accept_blocks_until_a_connection_comes(listener, net):
    waiting = gevent.spawn(listener.accept)
    gevent.sleep(0)
    assert not waiting.ready()
    with net.socket.create_connection(listener.getsockname()):
        waiting.get()[0].close()


def test_accept_times_out(listener):
    listener.settimeout(0.02)
    with pytest.raises(TimeoutError, match="timed out"):
        listener.accept()


def test_nonblocking_accept_raises_eagain(listener):
    listener.setblocking(False)
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_accept_of_a_socket_that_does_not_listen_is_einval(sock):
    sock.bind(("127.0.0.1", 0))
    with pytest.raises(OSError) as caught:
        sock.accept()
    assert caught.value.errno == errno.EINVAL


def test_refused(net, sock):
    with pytest.raises(ConnectionRefusedError) as caught:
        sock.connect(("127.0.0.1", free_port(net)))
    assert caught.value.errno == errno.ECONNREFUSED


def test_connect_ex_returns_the_error(net, sock, listener):
    assert sock.connect_ex(("127.0.0.1", free_port(net))) == errno.ECONNREFUSED
    with net.socket.socket() as other:
        assert other.connect_ex(listener.getsockname()) == 0


def test_nonblocking_connect_is_einprogress_then_writable(net, listener, sock):
    sock.setblocking(False)
    with pytest.raises(BlockingIOError) as caught:
        sock.connect(listener.getsockname())
    assert caught.value.errno == errno.EINPROGRESS
    net.socket.wait_write(sock.fileno(), timeout=5)
    assert sock.getsockopt(std.SOL_SOCKET, std.SO_ERROR) == 0
    assert sock.getpeername() == listener.getsockname()


def test_nonblocking_connect_that_is_refused_tells_by_so_error_once(net, sock):
    sock.setblocking(False)
    assert sock.connect_ex(("127.0.0.1", free_port(net))) == errno.EINPROGRESS
    net.socket.wait_write(sock.fileno(), timeout=5)
    assert sock.getsockopt(std.SOL_SOCKET, std.SO_ERROR) == errno.ECONNREFUSED
    assert sock.getsockopt(std.SOL_SOCKET, std.SO_ERROR) == 0


def test_connect_of_a_connected_socket_is_eisconn(pair, listener):
    pair[0].setblocking(False)
    assert pair[0].connect_ex(listener.getsockname()) == errno.EISCONN


def test_connect_of_a_listener_is_eisconn(listener):
    listener.setblocking(False)
    assert listener.connect_ex(("127.0.0.1", 9)) == errno.EISCONN


def test_getpeername_of_an_unconnected_socket_is_enotconn(sock):
    with pytest.raises(OSError) as caught:
        sock.getpeername()
    assert caught.value.errno == errno.ENOTCONN


def test_getpeername_after_a_reset_is_enotconn(pair, net):
    client, server = pair
    address = client.getsockname()
    assert server.getpeername() == address
    client.setsockopt(std.SOL_SOCKET, std.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    with pytest.raises(ConnectionResetError):
        server.recv(1)
    with pytest.raises(OSError) as caught:
        server.getpeername()
    assert caught.value.errno == errno.ENOTCONN


def test_getsockname_of_a_fresh_socket_is_zero(sock, net):
    assert sock.getsockname() == ("0.0.0.0", 0)
    with net.socket.socket(std.AF_INET6) as six:
        assert six.getsockname() == ("::", 0, 0, 0)


def test_create_connection_from_a_source_address(net, listener):
    port = free_port(net)
    with net.socket.create_connection(listener.getsockname(), source_address=("127.0.0.1", port)) as client:
        assert client.getsockname() == ("127.0.0.1", port)


def test_create_connection_sets_the_timeout(net, listener):
    with net.socket.create_connection(listener.getsockname(), timeout=7) as client:
        assert client.gettimeout() == 7


def test_create_connection_raises_the_error(net):
    with pytest.raises(ConnectionRefusedError):
        net.socket.create_connection(("127.0.0.1", free_port(net)))
    with pytest.raises(ExceptionGroup) as caught:
        net.socket.create_connection(("127.0.0.1", free_port(net)), all_errors=True)
    assert [type(error) for error in caught.value.exceptions] == [ConnectionRefusedError]


def test_create_connection_resolves_a_name(net, listener):
    with net.socket.create_connection(("localhost", listener.getsockname()[1])) as client:
        assert client.getpeername() == listener.getsockname()


def test_an_unknown_name_is_a_gaierror(sock):
    with pytest.raises(std.gaierror):
        sock.connect(("no-such-host.invalid", 1))


def test_port_in_use_is_eaddrinuse(sock, listener):
    with pytest.raises(OSError) as caught:
        sock.bind(listener.getsockname())
    assert caught.value.errno == errno.EADDRINUSE


def test_a_foreign_address_is_eaddrnotavail(sock):
    with pytest.raises(OSError) as caught:
        sock.bind(("192.0.2.1", 0))
    assert caught.value.errno == errno.EADDRNOTAVAIL


def test_bind_twice_is_einval(sock):
    sock.bind(("127.0.0.1", 0))
    with pytest.raises(OSError) as caught:
        sock.bind(("127.0.0.1", 0))
    assert caught.value.errno == errno.EINVAL


def test_a_listener_can_be_bound_again_after_its_close(net):
    with net.socket.socket() as first:
        first.bind(("127.0.0.1", 0))
        first.listen()
        address = first.getsockname()
    with net.socket.socket() as second:
        second.bind(address)
        second.listen()


def test_reuseaddr_binds_beside_time_wait(net):
    with net.socket.socket() as first:
        first.setsockopt(std.SOL_SOCKET, std.SO_REUSEADDR, 1)
        first.bind(("127.0.0.1", 0))
        first.listen()
        address = first.getsockname()
        client = net.socket.create_connection(address)
        server, _ = first.accept()
        server.close()  # this side closes first, and so keeps TIME-WAIT
        assert client.recv(1) == b""
        client.close()
    with net.socket.socket() as second:
        second.setsockopt(std.SOL_SOCKET, std.SO_REUSEADDR, 1)
        second.bind(address)
        second.listen()


def test_a_closed_listener_refuses(net, sock):
    with net.socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        closed.listen()
        address = closed.getsockname()
    with pytest.raises(ConnectionRefusedError):
        sock.connect(address)


def test_listen_without_bind_takes_an_ephemeral_port(sock):
    sock.listen(1)
    assert sock.getsockname()[1] > 0


def test_the_backlog_holds_connections_until_accept(net, listener):
    clients = [net.socket.create_connection(listener.getsockname()) for _ in range(20)]
    servers = [listener.accept()[0] for _ in clients]
    names = [server.getpeername() for server in servers]
    assert names == [client.getsockname() for client in clients]
    for end in clients + servers:
        end.close()


def test_create_server_listens(net):
    with net.socket.create_server(("127.0.0.1", 0)) as server:
        assert server.getsockopt(std.SOL_SOCKET, std.SO_ACCEPTCONN) == 1
        assert server.getsockopt(std.SOL_SOCKET, std.SO_REUSEADDR) == 1


ADDRESSES = [
    ("127.0.0.1", TypeError, r"(): AF_INET address must be tuple, not str"),
    (("127.0.0.1",), TypeError, "AF_INET address must be a pair (host, port)"),
    (("127.0.0.1", 1, 2), TypeError, "AF_INET address must be a pair (host, port)"),
    ((1, 1), TypeError, "str, bytes or bytearray expected, not int"),
    (("127.0.0.1", "80"), TypeError, "'str' object cannot be interpreted as an integer"),
    (("127.0.0.1", 65536), OverflowError, "(): port must be 0-65535."),
    (("127.0.0.1", -1), OverflowError, "(): port must be 0-65535."),
]


@pytest.mark.parametrize("address, error, text", ADDRESSES)
@pytest.mark.parametrize("call", ["bind", "connect", "connect_ex"])
def test_a_wrong_address_raises_what_cpython_raises(sock, call, address, error, text):
    sock.setblocking(False)  # gevent's own connect looks at the address before CPython does
    with pytest.raises(error) as caught:
        getattr(sock, call)(address)
    assert text in str(caught.value)


@pytest.mark.parametrize("address, error", [
    (("::1",), TypeError), (("::1", 1, 2, 3, 4), TypeError), (("::1", 1, 1 << 20), OverflowError),
])  # fmt: skip
def test_a_wrong_ipv6_address_raises_what_cpython_raises(net, address, error):
    with net.socket.socket(std.AF_INET6) as six:
        six.setblocking(False)
        with pytest.raises(error):
            six.connect(address)


def test_bytes_are_a_host_too(sock):
    sock.bind((b"127.0.0.1", 0))
    assert sock.getsockname()[0] == "127.0.0.1"


def test_five_hundred_connections_at_once(net, listener):
    count = 500
    listener.listen(count)

    def serve():
        for _ in range(count):
            server, _ = listener.accept()
            gevent.spawn(echo, server)

    def echo(server):
        with server:
            server.sendall(server.recv(100))

    def call(number):
        with net.socket.create_connection(listener.getsockname()) as client:
            client.sendall(b"%d" % number)
            return client.recv(100)

    serving = gevent.spawn(serve)
    calls = [gevent.spawn(call, number) for number in range(count)]
    gevent.joinall(calls, raise_error=True)
    serving.get()
    assert [call.value for call in calls] == [b"%d" % number for number in range(count)]


def test_bind_to_localhost_lets_no_other_greenlet_run(net):
    """gevent's servers are listening when start() returns, and so after one sleep(0)."""
    ran = []
    with net.socket.socket() as sock:
        gevent.spawn(ran.append, 1)
        sock.bind(("localhost", 0))
        assert ran == []
