"""One test body, two sockets: each test here runs on gevent's kernel sockets and on the stack's.

The stack has no port: 127.0.0.1 is its own loopback, so neither a device nor a privilege is needed.
"""
from __future__ import annotations

import gc
import ssl as std_ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gevent
import gevent.select
import gevent.selectors
import gevent.socket
import gevent.ssl
import pytest
from certificate import certificate
from name_server import ZONE, NameServer

from greendpdk import _stack, loop

loop.install()  # before the first hub of this process


@pytest.fixture(scope="package")
def stack() -> Iterator[Any]:
    """Run one stack for all tests of this folder."""
    started = _stack.start(vdev="none", loopback="stack")
    yield started
    _stack.stop(timeout=1)


@pytest.fixture(autouse=True)
def limit() -> Iterator[None]:
    """Fail, rather than hang, and let no socket of one test be collected in another."""
    with gevent.Timeout(20):
        yield
    gc.collect()


@pytest.fixture(params=["kernel", "stack"])
def net(request: pytest.FixtureRequest) -> SimpleNamespace:
    """Give the modules of one kind."""
    if request.param == "kernel":
        return SimpleNamespace(kind="kernel", socket=gevent.socket, ssl=gevent.ssl, select=gevent.select)
    request.getfixturevalue("stack")
    from greendpdk import select, socket, ssl

    return SimpleNamespace(kind="stack", socket=socket, ssl=ssl, select=select)


@pytest.fixture
def sock(net: SimpleNamespace) -> Iterator[Any]:
    """Make a fresh stream socket."""
    with net.socket.socket() as made:
        yield made


@pytest.fixture
def listener(net: SimpleNamespace) -> Iterator[Any]:
    """Make a listener on an ephemeral port of the loopback."""
    with net.socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        made.listen()
        yield made


@pytest.fixture
def pair(net: SimpleNamespace, listener: Any) -> Iterator[tuple[Any, Any]]:
    """Connect two sockets: (client, server)."""
    client = net.socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    with client, server:
        yield client, server


@pytest.fixture
def udp(net: SimpleNamespace) -> Iterator[tuple[Any, Any]]:
    """Make two bound datagram sockets."""
    with net.socket.socket(type=net.socket.SOCK_DGRAM) as a, net.socket.socket(type=net.socket.SOCK_DGRAM) as b:
        a.bind(("127.0.0.1", 0))
        b.bind(("127.0.0.1", 0))
        yield a, b


@pytest.fixture
def contexts(net: SimpleNamespace) -> SimpleNamespace:
    """Make a server's and a client's TLS context that trust each other."""
    cert, key = certificate()
    server = net.ssl.SSLContext(std_ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key)
    client = net.ssl.SSLContext(std_ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(cert)
    return SimpleNamespace(server=server, client=client)


@pytest.fixture
def tls(pair: tuple[Any, Any], contexts: SimpleNamespace) -> Iterator[tuple[Any, Any]]:
    """Wrap a connected pair: (client, server), both after the handshake."""
    client, server = pair
    accepting = gevent.spawn(contexts.server.wrap_socket, server, server_side=True)
    with contexts.client.wrap_socket(client, server_hostname="localhost") as wrapped, accepting.get() as other:
        yield wrapped, other


@pytest.fixture
def names(stack: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """Give a name server, and the resolver that asks it; files of the test's own."""
    from greendpdk import socket
    from greendpdk.dns import Resolver

    monkeypatch.delenv("RES_OPTIONS", raising=False)
    monkeypatch.delenv("LOCALDOMAIN", raising=False)
    hosts, resolv_conf = tmp_path / "hosts", tmp_path / "resolv.conf"
    hosts.write_text("127.0.0.1 localhost\n")
    resolv_conf.write_text("search corp.test\noptions timeout:1 attempts:1\n")
    monkeypatch.setattr(stack, "settings", replace(stack.settings, dns=("127.0.0.53",)))
    hub = gevent.get_hub()
    resolver = Resolver(hub.resolver.system, str(hosts), str(resolv_conf))
    monkeypatch.setattr(hub, "resolver", resolver)
    with NameServer(socket, zone=dict(ZONE)) as server:
        yield SimpleNamespace(server=server, resolver=resolver, hosts=hosts, resolv_conf=resolv_conf, stack=stack,
                              use=lambda *dns: monkeypatch.setattr(stack, "settings", replace(stack.settings, dns=dns)))
