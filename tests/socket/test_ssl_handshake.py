"""What a TLS handshake agrees on: names, protocols, sessions, certificates, callbacks; on both kinds of socket."""
from __future__ import annotations

import functools
import ssl as std_ssl
import sys
import threading

import gevent
import pytest
from certificate import certificate

V12, V13 = std_ssl.TLSVersion.TLSv1_2, std_ssl.TLSVersion.TLSv1_3


@pytest.fixture
def shake(net, listener, contexts):
    """Give a call that connects and shakes hands: (client, server), or the exception of each in its place."""
    made = []

    def attempt(wrap, sock, **options):
        try:
            made.append(wrap(sock, **options))
        except OSError as error:
            sock.close()
            return error
        return made[-1]

    def do(session=None):
        sock = net.socket.create_connection(listener.getsockname())
        accepting = gevent.spawn(attempt, contexts.server.wrap_socket, listener.accept()[0], server_side=True)
        client = attempt(contexts.client.wrap_socket, sock, server_hostname="localhost", session=session)
        return client, accepting.get()

    yield do
    for sock in made:
        sock.close()


def pin(contexts, version):
    contexts.server.minimum_version = contexts.server.maximum_version = version


@pytest.mark.parametrize("version", [V12, V13])
def test_alpn_picks_the_servers_first(contexts, shake, version):
    pin(contexts, version)
    contexts.server.set_alpn_protocols(["h2", "http/1.1"])
    contexts.client.set_alpn_protocols(["http/1.1", "h2"])
    client, server = shake()
    assert client.selected_alpn_protocol() == server.selected_alpn_protocol() == "h2"
    assert client.version() == server.version() == version.name.replace("_", ".")
    assert server.shared_ciphers() and client.shared_ciphers() is None and client.compression() is None


def test_the_name_callback_swaps_the_context(net, contexts, shake):
    other = net.ssl.SSLContext(std_ssl.PROTOCOL_TLS_SERVER)
    other.load_cert_chain(*certificate())
    other.set_alpn_protocols(["other"])
    contexts.client.set_alpn_protocols(["other"])

    def choose(sock, name, context):
        assert context is contexts.server and name == "localhost" and type(sock) is net.ssl.SSLSocket
        sock.context = other

    contexts.server.sni_callback = choose
    client, server = shake()
    assert server.context is other and client.selected_alpn_protocol() == "other"
    assert contexts.server.sni_callback is choose


def test_the_name_callback_may_refuse_by_an_alert(contexts, shake):
    contexts.server.sni_callback = lambda *_: std_ssl.ALERT_DESCRIPTION_ACCESS_DENIED
    client, server = shake()
    assert client.reason == "TLSV1_ALERT_ACCESS_DENIED" and isinstance(server, std_ssl.SSLError)


def test_a_name_callback_that_raises_fails_the_handshake(contexts, shake, monkeypatch):
    seen = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: seen.append(what.exc_type))
    contexts.server.sni_callback = lambda *_: 1 / 0
    client, server = shake()
    assert client.reason == "SSLV3_ALERT_HANDSHAKE_FAILURE" and isinstance(server, std_ssl.SSLError)
    assert seen == [ZeroDivisionError]


@pytest.mark.parametrize(("version", "tickets"), [(V12, False), (V12, True), (V13, True)])
def test_a_session_is_resumed(contexts, shake, version, tickets):
    pin(contexts, version)
    if not tickets:
        contexts.server.options |= std_ssl.OP_NO_TICKET
    session = None
    for resumed in (False, True, True):
        client, server = shake(session)
        server.sendall(b"x")  # the tickets of TLS 1.3 come after the handshake
        assert client.recv(1) == b"x"
        assert client.session_reused is server.session_reused is resumed
        session = client.session
        assert session.has_ticket is tickets
        ending = gevent.spawn(client.unwrap)  # a server forgets sessions that do not end well
        assert server.recv(1) == b""
        server.unwrap()
        ending.get()


def test_a_client_without_the_certificate_that_is_asked_for_is_refused(contexts, shake):
    contexts.server.verify_mode = std_ssl.CERT_REQUIRED
    contexts.server.load_verify_locations(certificate()[0])
    client, server = shake()
    assert server.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE"
    with pytest.raises(std_ssl.SSLError, match="CERTIFICATE_REQUIRED"):  # TLS 1.3: the client is done before
        client.recv(1)


@pytest.mark.parametrize("version", [V12, V13])
def test_a_client_certificate_is_seen(contexts, shake, version):
    pin(contexts, version)
    contexts.server.verify_mode = std_ssl.CERT_REQUIRED
    contexts.server.load_verify_locations(certificate()[0])
    contexts.client.load_cert_chain(*certificate())
    client, server = shake()
    assert server.getpeercert()["subject"] == ((("commonName", "localhost"),),)


def test_a_client_certificate_is_asked_for_after_the_handshake(contexts, shake):
    contexts.server.verify_mode = std_ssl.CERT_REQUIRED
    contexts.server.post_handshake_auth = contexts.client.post_handshake_auth = True
    contexts.server.load_verify_locations(certificate()[0])
    contexts.client.load_cert_chain(*certificate())
    client, server = shake()
    assert server.getpeercert() is None
    server.verify_client_post_handshake()
    server.sendall(b"show it")
    assert client.recv(100) == b"show it"
    client.sendall(b"here")
    assert server.recv(100) == b"here"
    assert server.getpeercert()["subject"] == ((("commonName", "localhost"),),)


def test_channel_binding_is_the_same_at_both_ends(contexts, shake):
    pin(contexts, V12)
    client, server = shake()
    assert client.get_channel_binding("tls-unique") == server.get_channel_binding("tls-unique") != b""
    with pytest.raises(ValueError, match="channel binding"):
        client.get_channel_binding("tls-other")


@pytest.mark.parametrize("net", ["stack"], indirect=True)  # gevent's puts its class into ssl, patched or not
def test_messages_and_keys_are_told(net, contexts, shake, tmp_path):
    seen = []
    contexts.client._msg_callback = lambda sock, direction, *_: seen.append((type(sock), direction))
    contexts.client.keylog_filename = str(tmp_path / "keys")
    client, _ = shake()
    contexts.client._msg_callback = None
    assert std_ssl.SSLContext is not net.ssl.SSLContext
    assert {kind for kind, _ in seen} == {net.ssl.SSLSocket} and {way for _, way in seen} == {"read", "write"}
    assert "CLIENT_TRAFFIC_SECRET_0" in (tmp_path / "keys").read_text()


def test_a_subclass_of_the_socket_is_what_comes_out(net, contexts, shake):
    contexts.client.sslsocket_class = type("Mine", (net.ssl.SSLSocket,), {})
    client, server = shake()
    assert type(client) is contexts.client.sslsocket_class and type(server) is net.ssl.SSLSocket


def test_both_ends_shake_hands_by_select_in_one_greenlet(net, pair, contexts):
    wrap = functools.partial(contexts.server.wrap_socket, server_side=True)
    with wrap(pair[1], do_handshake_on_connect=False) as server, contexts.client.wrap_socket(
        pair[0], server_hostname="localhost", do_handshake_on_connect=False
    ) as client:
        left = {client, server}
        for sock in (client, server):
            sock.setblocking(False)
        while left:
            for sock in list(left):
                try:
                    sock.do_handshake()
                    left.remove(sock)
                except std_ssl.SSLWantReadError:
                    assert left != {sock} or net.select.select([sock], [], [], 5)[0]
        assert client.version() == server.version() == "TLSv1.3"


@pytest.mark.parametrize("net", ["stack"], indirect=True)  # gevent's leaves the socket open
def test_nonblocking_and_a_handshake_on_connect_exclude_each_other(pair, contexts):
    pair[0].setblocking(False)
    with pytest.raises(ValueError, match="non-blocking"):
        contexts.client.wrap_socket(pair[0], server_hostname="localhost")
    assert pair[1].recv(1) == b""  # it was closed


@pytest.mark.parametrize(("options", "what"), [
    ({"server_side": True, "server_hostname": "localhost"}, "in client mode"),
    ({"server_side": False}, "requires server_hostname"),
])  # fmt: skip
def test_refused_arguments_leave_the_socket_alone(pair, contexts, options, what):
    with pytest.raises(ValueError, match=what):
        contexts.client.wrap_socket(pair[0], **options)
    pair[0].sendall(b"still mine")
    assert pair[1].recv(100) == b"still mine"


def test_starttls_begins_in_the_middle_of_a_connection(pair, contexts):
    client, server = pair

    def serve():
        assert server.recv(100) == b"STARTTLS\r\n"
        server.sendall(b"220 go ahead\r\n")
        with contexts.server.wrap_socket(server, server_side=True) as wrapped:
            wrapped.sendall(wrapped.recv(100).upper())
            assert wrapped.recv(1) == b""
            wrapped.unwrap()
            wrapped.sendall(b"bye")

    serving = gevent.spawn(serve)
    client.sendall(b"STARTTLS\r\n")
    assert client.recv(100) == b"220 go ahead\r\n"
    with contexts.client.wrap_socket(client, server_hostname="localhost") as wrapped:
        wrapped.sendall(b"secret")
        assert wrapped.recv(100) == b"SECRET"
        assert wrapped.unwrap().recv(100) == b"bye"
    serving.get()


@pytest.mark.parametrize("net", ["stack"], indirect=True)  # gevent's callback finds no socket
def test_memory_objects_get_the_name_callback_too(contexts):
    seen = []
    contexts.server.sni_callback = lambda conn, name, context: seen.append((type(conn), name))
    wires = [std_ssl.MemoryBIO(), std_ssl.MemoryBIO()]
    client = contexts.client.wrap_bio(wires[0], wires[1], server_hostname="localhost")
    server = contexts.server.wrap_bio(wires[1], wires[0], server_side=True)
    with pytest.raises(std_ssl.SSLWantReadError):
        client.do_handshake()
    with pytest.raises(std_ssl.SSLWantReadError):
        server.do_handshake()
    assert seen == [(std_ssl.SSLObject, "localhost")]


@pytest.mark.parametrize("net", ["stack"], indirect=True)
def test_a_context_serves_kernel_sockets_in_other_native_threads(net, contexts):
    """A socketpair is the kernel's; its TLS goes the same way as the stack's."""
    ours, theirs = net.socket.socketpair()
    echoing = gevent.get_hub().threadpool.spawn(_echo_once, theirs.detach(), contexts.server)
    with contexts.client.wrap_socket(ours, server_hostname="localhost") as client:
        client.sendall(b"x" * 100_000)
        got = b""
        while len(got) < 100_000:
            got += client.recv(100_000)
        assert client.recv(1) == b""
    assert echoing.get() != threading.get_ident()


def _echo_once(fd, context):
    from greendpdk import socket

    with context.wrap_socket(socket.socket(fileno=fd), server_side=True) as server:
        left = 100_000
        while left:
            data = server.recv(left)
            server.sendall(data)
            left -= len(data)
    return threading.get_ident()
