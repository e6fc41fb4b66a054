"""How TLS ends, is interrupted, and is told to come again: on both kinds of socket."""
from __future__ import annotations

import contextlib
import os
import pickle
import socket as std
import ssl as std_ssl

import gevent
import pytest


def drain(sock, size):
    got = bytearray()
    while len(got) < size:
        got += sock.recv(100_000)
    return got


def test_what_follows_the_close_notify_is_for_the_plain_socket(tls):
    client, server = tls
    ending = gevent.spawn(client.unwrap)
    assert server.recv(1) == b""
    server.unwrap().sendall(b"in the clear")  # is there before the client looks
    assert ending.get().recv(100) == b"in the clear"
    ending.get().sendall(b"and back")
    assert server.recv(100) == b"and back"
    assert client.version() is None and client.pending() == 0


def test_unwrap_refuses_data_in_flight(tls):
    client, server = tls
    server.sendall(b"x" * 50_000)
    with pytest.raises(std_ssl.SSLError, match="APPLICATION_DATA_AFTER_CLOSE_NOTIFY"):
        client.unwrap()


@pytest.mark.parametrize("net", ["stack"], indirect=True)  # gevent's makes b"" of it
def test_after_both_close_notifies_there_is_nothing_to_read(tls):
    client, server = tls
    client.setblocking(False)
    with pytest.raises(std_ssl.SSLWantReadError):
        client.unwrap()
    server.unwrap()
    client.settimeout(5)
    with pytest.raises(std_ssl.SSLZeroReturnError):
        client.recv(1)


@pytest.mark.parametrize("suppress", [True, False])
def test_an_end_without_close_notify_is_ragged(pair, contexts, suppress):
    accepting = gevent.spawn(contexts.server.wrap_socket, pair[1], server_side=True)
    client = contexts.client.wrap_socket(pair[0], server_hostname="localhost", suppress_ragged_eofs=suppress)
    with client, accepting.get() as server:
        server.sendall(b"last")
        server.shutdown(std.SHUT_WR)
        assert client.recv(100) == b"last"
        if suppress:
            assert client.recv(100) == b"" and client.recv_into(bytearray(10)) == 0
        else:
            with pytest.raises(std_ssl.SSLEOFError):
                client.recv(100)


def test_timeouts_say_what_was_late(net, pair, contexts, tls):
    client, server = tls
    client.settimeout(0.02)
    with pytest.raises(TimeoutError, match="The read operation timed out"):
        client.recv(1)
    with pytest.raises(TimeoutError, match="The write operation timed out"):
        client.write(bytes(64 << 20))
    with pytest.raises(TimeoutError):
        client.unwrap()


def test_a_handshake_times_out_and_closes(pair, contexts):
    pair[0].settimeout(0.02)
    with pytest.raises(TimeoutError, match="The handshake operation timed out"):
        contexts.client.wrap_socket(pair[0], server_hostname="localhost")
    assert pair[1].recv(1000) and pair[1].recv(1000) == b""


@pytest.mark.parametrize("net", ["stack"], indirect=True)  # gevent's leaves the socket to the garbage collector
def test_an_interrupted_handshake_closes(pair, contexts):
    with gevent.Timeout(0.02, False):
        contexts.client.wrap_socket(pair[0], server_hostname="localhost")
    assert pair[1].recv(1000) and pair[1].recv(1000) == b""


@pytest.mark.parametrize("net", ["stack"], indirect=True)  # gevent's says so at the handshake only
def test_a_name_that_is_none_is_refused_and_the_socket_closed(pair, contexts):
    with pytest.raises(UnicodeError):
        contexts.client.wrap_socket(pair[0], server_hostname=".localhost")
    assert pair[1].recv(1) == b""


@pytest.mark.parametrize("net", ["stack"], indirect=True)  # gevent's timeout is for each wait
def test_a_timeout_is_for_the_whole_call(pair, contexts):
    def drip():
        with contextlib.suppress(OSError):
            while True:
                gevent.sleep(0.01)
                pair[1].sendall(record.pop(0))

    record = [bytes([byte]) for byte in b"\x16\x03\x03\x40\x00" + bytes(1000)]
    dripping = gevent.spawn(drip)
    pair[0].settimeout(0.05)
    with pytest.raises(TimeoutError, match="The handshake operation timed out"):
        contexts.client.wrap_socket(pair[0], server_hostname="localhost")
    dripping.kill()


def test_a_write_that_was_told_to_come_again_goes_on(net, tls):
    client, server = tls
    data = os.urandom(1 << 20) * 8
    client.setblocking(False)
    with pytest.raises(std_ssl.SSLWantWriteError):
        client.write(data)
    reading = gevent.spawn(drain, server, len(data))
    while True:
        net.socket.wait_write(client.fileno(), timeout=5)
        try:
            assert client.write(data) == len(data)
            break
        except std_ssl.SSLWantWriteError:
            pass
    assert reading.get() == data


def test_a_write_that_was_told_to_come_again_wants_the_same_data(tls):
    tls[0].setblocking(False)
    with pytest.raises(std_ssl.SSLWantWriteError):
        tls[0].write(bytes(64 << 20))
    with pytest.raises(std_ssl.SSLError, match="BAD_LENGTH|BAD_WRITE_RETRY"):
        tls[0].write(b"x")


def test_an_interrupted_recv_leaves_the_socket_usable(tls):
    client, server = tls
    with gevent.Timeout(0.01, False):
        client.recv(1)
    server.sendall(b"late")
    assert client.recv(100) == b"late"


@pytest.mark.parametrize("net", ["stack"], indirect=True)  # OpenSSL over an fd would go on with the old data
def test_an_interrupted_sendall_has_sent_a_beginning(tls):
    client, server = tls
    data = os.urandom(1 << 20) * 32
    with gevent.Timeout(0.05, False):
        client.sendall(data)
    sending = gevent.spawn(lambda: (client.sendall(b"the end"), client.unwrap()))
    got = bytearray()
    while part := server.recv(100_000):
        got += part
    server.unwrap()
    sending.get()
    assert got.endswith(b"the end") and data.startswith(got[:-7])


@pytest.mark.parametrize("net", ["stack"], indirect=True)  # gevent's says ConcurrentObjectUseError
def test_two_greenlets_write_whole_records(tls):
    client, server = tls
    senders = [gevent.spawn(client.sendall, byte * (1 << 20)) for byte in (b"a", b"b")]
    got = drain(server, 2 << 20)
    gevent.joinall(senders, raise_error=True)
    assert got.count(b"a") == got.count(b"b") == 1 << 20


def test_close_by_another_greenlet_ends_a_read(tls):
    reading = gevent.spawn(tls[0].recv, 1)
    gevent.sleep(0.01)
    tls[0].close()
    with pytest.raises(OSError):
        reading.get()


@pytest.mark.parametrize("net", ["stack"], indirect=True)  # gevent's returns 0
def test_send_without_room_wants_to_write(tls):
    tls[0].setblocking(False)
    with pytest.raises(std_ssl.SSLWantWriteError):
        while True:
            tls[0].send(bytes(8192))


@pytest.mark.parametrize("net", ["stack"], indirect=True)  # gevent's reads nothing
def test_recv_into_of_no_given_size_fills_the_buffer(tls):
    client, server = tls
    server.sendall(b"abcdef")
    buffer = bytearray(4)
    assert client.recv_into(buffer, 0) == 4 and buffer == b"abcd"
    assert client.pending() == 2
    assert client.recv_into(buffer) == 2 and buffer[:2] == b"ef"


def test_nothing_is_no_end(tls):
    client, server = tls
    assert client.write(b"") == 0 and client.recv(0) == b"" and client.send(b"") == 0
    client.sendall(b"")
    client.sendall(b"x")
    assert server.recv(10) == b"x"


def test_what_tls_has_no_meaning_for_is_refused(tls):
    client, _ = tls
    for call in (client.dup, lambda: client.recvmsg(1), lambda: client.recvmsg_into([]),
                 lambda: client.sendmsg([b"x"])):  # fmt: skip
        with pytest.raises(NotImplementedError):
            call()
    for call in (lambda: client.sendto(b"x", ("127.0.0.1", 1)), lambda: client.recvfrom(1),
                 lambda: client.recvfrom_into(bytearray(1)), lambda: client.recv(1, std.MSG_PEEK),
                 lambda: client.send(b"x", std.MSG_OOB), lambda: client.sendall(b"x", std.MSG_MORE)):  # fmt: skip
        with pytest.raises(ValueError, match="not allowed"):
            call()
    with pytest.raises(TypeError):
        pickle.dumps(client)
    with pytest.raises(ValueError, match="already-connected"):
        client.connect(("127.0.0.1", 1))


@pytest.mark.parametrize("net", ["stack"], indirect=True)  # gevent's has a public constructor
def test_only_a_context_makes_tls_sockets(net, sock):
    with pytest.raises(TypeError, match="public constructor"):
        net.ssl.SSLSocket(sock)


@pytest.mark.parametrize("net", ["stack"], indirect=True)
def test_answers_that_the_peer_does_not_read_end_the_reading(tls):
    """Key updates ask for answers (RFC 8446 4.6.3): OpenSSL's of many megabytes of them, without the handshakes."""
    client, server = tls
    server.setblocking(False)
    server._sslobj._out.write(bytes(16 << 20))
    client.sendall(b"x" * 1000)
    with pytest.raises(std_ssl.SSLWantWriteError):
        server.recv(10)
    server.settimeout(0.1)
    with pytest.raises(TimeoutError, match="read operation"):
        server.recv(10)
    server._sslobj._out.read()
    server._sslobj._sealed = memoryview(b"")
    assert server.recv(10) == b"x" * 10
