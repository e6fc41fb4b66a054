"""TLS on both kinds of socket: handshake, data, ends, SNI, non-blocking, select between records."""
from __future__ import annotations

import os
import socket as std
import ssl as std_ssl
import tempfile

import gevent
import pytest
from certificate import certificate


def test_data_goes_both_ways(tls):
    client, server = tls
    client.sendall(b"ping")
    assert server.recv(100) == b"ping"
    server.sendall(b"pong")
    assert client.recv(100) == b"pong"


def test_sendfile_encrypts(tls):
    client, server = tls
    with tempfile.TemporaryFile() as file:
        file.write(b"0123456789")
        file.flush()
        assert client.sendfile(file, 2, 5) == 5
    assert server.recv(100) == b"23456"


def test_the_wrapped_socket_is_detached(pair, contexts):
    accepting = gevent.spawn(contexts.server.wrap_socket, pair[1], server_side=True)
    with contexts.client.wrap_socket(pair[0], server_hostname="localhost"), accepting.get():
        assert pair[0].fileno() == -1


def test_what_was_agreed_on_can_be_asked_for(tls, net):
    client, server = tls
    assert client.version() == server.version() == "TLSv1.3"
    assert client.cipher()[0] == server.cipher()[0]
    assert client.getpeercert()["subject"] == ((("commonName", "localhost"),),)
    assert client.getpeercert(True).startswith(b"0")
    assert isinstance(client, net.ssl.SSLSocket) and isinstance(client, net.socket.socket)
    assert client.pending() == 0 and client.session is not None and not client.session_reused
    assert client.get_channel_binding() == server.get_channel_binding()
    assert "TLS" in repr(client)


def test_megabytes_arrive_byte_exact_both_ways_at_once(tls):
    client, server = tls
    data = os.urandom(1 << 20) * 3

    def read(sock):
        got = bytearray()
        while len(got) < len(data):
            got += sock.recv(100_000)
        return got

    senders = [gevent.spawn(sock.sendall, data) for sock in tls]
    readers = [gevent.spawn(read, sock) for sock in tls]
    gevent.joinall([*senders, *readers], raise_error=True)
    assert [reader.value for reader in readers] == [data, data]


def test_recv_into_and_makefile(tls):
    client, server = tls
    client.sendall(b"abc")
    buffer = bytearray(10)
    assert server.recv_into(buffer, 10) == 3
    with server.makefile("rb") as lines, client.makefile("wb") as out:
        out.write(b"line\n")
        out.flush()
        assert lines.readline() == b"line\n"


def test_close_of_the_peer_is_the_end(tls):
    client, server = tls
    server.sendall(b"first")
    assert client.recv(100) == b"first"  # and the session tickets before it: who closes with bytes unread resets
    client.sendall(b"last")
    client.close()
    assert server.recv(100) == b"last"
    assert server.recv(100) == b""


def test_a_reader_waits_and_times_out(tls):
    client, server = tls
    reader = gevent.spawn(server.recv, 10)
    gevent.sleep(0)
    client.sendall(b"x")
    assert reader.get() == b"x"
    server.settimeout(0.02)
    with pytest.raises(TimeoutError, match="The read operation timed out"):
        server.recv(1)


def test_nonblocking_recv_wants_read(tls):
    tls[0].setblocking(False)
    with pytest.raises(std_ssl.SSLWantReadError):
        tls[0].recv(1)


def test_unwrap_ends_tls_and_keeps_the_connection(tls):
    client, server = tls
    ending = gevent.spawn(server.unwrap)
    plain = client.unwrap()
    other = ending.get()
    plain.sendall(b"in the clear")
    assert other.recv(100) == b"in the clear"


def test_wrapping_before_connect(net, listener, contexts):
    def serve():
        server, _ = listener.accept()
        with contexts.server.wrap_socket(server, server_side=True) as wrapped:
            wrapped.sendall(wrapped.recv(100).upper())

    serving = gevent.spawn(serve)
    with contexts.client.wrap_socket(net.socket.socket(), server_hostname="localhost") as client:
        client.connect(listener.getsockname())
        client.sendall(b"hello")
        assert client.recv(100) == b"HELLO"
    serving.get()


def test_a_handshake_of_its_own_call_without_blocking(net, pair, contexts):
    accepting = gevent.spawn(contexts.server.wrap_socket, pair[1], server_side=True)
    client = contexts.client.wrap_socket(pair[0], server_hostname="localhost", do_handshake_on_connect=False)
    with client:
        client.setblocking(False)
        rounds = 0
        while True:
            rounds += 1
            try:
                client.do_handshake()
                break
            except std_ssl.SSLWantReadError:
                net.socket.wait_read(client.fileno(), timeout=5)
        assert rounds > 1
        accepting.get().close()


def test_an_accepting_tls_socket(net, listener, contexts):
    with contexts.server.wrap_socket(listener, server_side=True) as server:
        address = server.getsockname()

        def call():
            with net.socket.create_connection(address) as sock, \
                    contexts.client.wrap_socket(sock, server_hostname="localhost") as client:
                return client.recv(100)

        calling = gevent.spawn(call)
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"welcome")
            assert calling.get() == b"welcome"


def test_an_untrusted_certificate_is_refused_by_both_ends(net, pair, contexts):
    strict = net.ssl.SSLContext(std_ssl.PROTOCOL_TLS_CLIENT)
    accepting = gevent.spawn(contexts.server.wrap_socket, pair[1], server_side=True)
    with pytest.raises(std_ssl.SSLCertVerificationError):
        strict.wrap_socket(pair[0], server_hostname="localhost")
    with pytest.raises(std_ssl.SSLError, match="alert"):
        accepting.get()


def test_plain_text_to_a_tls_server_is_an_ssl_error(pair, contexts):
    accepting = gevent.spawn(contexts.server.wrap_socket, pair[1], server_side=True)
    pair[0].sendall(b"GET / HTTP/1.0\r\n\r\n")
    with pytest.raises(std_ssl.SSLError, match="HTTP_REQUEST|WRONG_VERSION"):
        accepting.get()


def test_a_peer_that_goes_away_in_the_handshake_is_an_eof(pair, contexts):
    accepting = gevent.spawn(contexts.server.wrap_socket, pair[1], server_side=True)
    gevent.sleep(0)
    pair[0].close()
    with pytest.raises(OSError):
        accepting.get()


def test_select_does_not_say_silent_while_a_record_waits(net, tls):
    """A reader that asks select() before each recv, as poplib's and ftplib's test servers do, must not hang."""
    client, server = tls
    for part in (b"one", b"two", b"three"):
        server.sendall(part)
    gevent.sleep(0.01)
    got = b""
    while len(got) < 11:
        assert net.select.select([client], [], [], 5)[0] == [client]
        got += client.recv(100)
    assert got == b"onetwothree"


def test_sendall_goes_on_when_the_peer_reads_slowly(tls):
    client, server = tls
    client.setsockopt(std.SOL_SOCKET, std.SO_SNDBUF, 8192)
    data = os.urandom(300_000)
    sender = gevent.spawn(client.sendall, data)
    got = bytearray()
    while len(got) < len(data):
        got += server.recv(3000)
    sender.get()
    assert got == data


@pytest.mark.parametrize("net", ["stack"], indirect=True)  # gevent's has neither timeout nor server name
def test_get_server_certificate(net, listener, contexts):
    def serve():
        server, _ = listener.accept()
        with contexts.server.wrap_socket(server, server_side=True) as wrapped:
            wrapped.recv(1)

    serving = gevent.spawn(serve)
    pem = net.ssl.get_server_certificate(listener.getsockname(), ca_certs=certificate()[0], timeout=5)
    with open(certificate()[0]) as file:
        assert pem.strip() == file.read().strip()
    serving.get()
