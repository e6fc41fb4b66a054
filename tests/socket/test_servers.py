"""What gevent's own tests asked of the class beyond CPython's surface: servers that take it apart, classes put in
its place. Used with the stack's sockets alone.
"""
from __future__ import annotations

import errno
import gc
from typing import Any

import gevent
import gevent.socket
import pytest


@pytest.fixture
def ours(stack: Any) -> Any:
    from greendpdk import socket

    return socket


def test_what_a_server_has_taken_out_of_its_socket_stays_open(ours):
    """gevent's StreamServer keeps the raw socket alone."""
    listener = ours.create_server(("127.0.0.1", 0))
    address, raw = listener.getsockname(), listener._sock
    del listener
    gc.collect()
    ours.create_connection(address).close()
    raw.close()


def test_a_closed_number_takes_no_timeout(ours):
    with ours.socket() as one:
        other = ours.socket(fileno=one.fileno())
    with pytest.raises(OSError) as caught:
        other.setblocking(False)
    assert caught.value.errno == errno.EBADF
    other.detach()


def test_a_class_put_in_place_of_ours_is_what_create_connection_makes(ours, monkeypatch):
    class Proxy:
        def __init__(self, *_):
            raise KeyError("proxied")

    monkeypatch.setattr(gevent.socket, "create_connection", ours.create_connection)
    monkeypatch.setattr(gevent.socket, "socket", Proxy)
    with pytest.raises(KeyError, match="proxied"):
        ours.create_connection(("127.0.0.1", 1))


def test_gethostbyname_ex_asks_the_system_where_no_server_is_reached(ours):
    """gevent's resolver by threads takes the name alone."""
    assert "127.0.0.1" in ours.gethostbyname_ex("localhost")[2]


def test_poll_waits_for_ever_where_it_is_told_less_than_nothing(ours):
    from greendpdk import select

    poller = select.poll()
    with ours.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        poller.register(sock, select.POLLIN)
        with gevent.Timeout(0.05, False):
            poller.poll(-0.1)
            pytest.fail("it did not wait")
