"""AF_INET6 sockets over the loopback: streams, datagrams, names of four, both families on one listener.

Uses the fixtures of conftest.py: each test runs on kernel sockets and on ours.
"""
from __future__ import annotations

import errno
import socket as std

import gevent
import pytest

IPV6 = std.IPPROTO_IPV6


@pytest.fixture
def listener6(net):
    """Make a listener on ::1."""
    with net.socket.socket(std.AF_INET6) as made:
        made.bind(("::1", 0))
        made.listen()
        yield made


def test_stream_goes_both_ways(net, listener6):
    with net.socket.create_connection(listener6.getsockname()[:2]) as client:
        server, address = listener6.accept()
        with server:
            assert address == client.getsockname() and client.getpeername() == listener6.getsockname()
            assert len(address) == 4 and address[0] == "::1" and address[2:] == (0, 0)
            client.sendall(b"there")
            assert server.recv(100) == b"there"
            sending = gevent.spawn(server.sendall, b"and back" * 100_000)
            got = b""
            while len(got) < 800_000 and (part := client.recv(65536)):
                got += part
            assert got == b"and back" * 100_000
            sending.get()


def test_datagrams_go_both_ways(net):
    with net.socket.socket(std.AF_INET6, std.SOCK_DGRAM) as a, net.socket.socket(std.AF_INET6, std.SOCK_DGRAM) as b:
        a.bind(("::1", 0))
        b.bind(("::1", 0))
        a.sendto(b"there", b.getsockname())
        assert b.recvfrom(100) == (b"there", a.getsockname())
        b.connect(a.getsockname())
        b.send(b"and back")
        assert a.recvfrom(100) == (b"and back", b.getsockname())


def test_unbound_socket_shows_the_wildcard(net):
    with net.socket.socket(std.AF_INET6) as six:
        assert six.getsockname() == ("::", 0, 0, 0)


def test_listener_on_the_wildcard_hears_both_families(net):
    with net.socket.create_server(("", 0), family=std.AF_INET6, dualstack_ipv6=True) as both:
        port = both.getsockname()[1]
        for host, seen in (("::1", "::1"), ("127.0.0.1", "::ffff:127.0.0.1")):
            with net.socket.create_connection((host, port)) as client:
                server, address = both.accept()
                with server:
                    assert address[0] == seen == server.getsockname()[0] and len(address) == 4
                    client.sendall(b"x")
                    assert server.recv(1) == b"x"


def test_listener_for_ipv6_only_refuses_ipv4(net):
    with net.socket.create_server(("", 0), family=std.AF_INET6) as six:  # the standard library's default
        assert six.getsockopt(IPV6, std.IPV6_V6ONLY) == 1
        with pytest.raises(ConnectionRefusedError):
            net.socket.create_connection(("127.0.0.1", six.getsockname()[1]))


def test_both_families_have_a_port_each_if_ipv6_stands_alone(net):
    with net.socket.create_server(("127.0.0.1", 0)) as four:
        address = "::1", four.getsockname()[1]
        with net.socket.create_server(address, family=std.AF_INET6), net.socket.create_connection(address) as client:
            assert client.family == std.AF_INET6


def test_mapped_address_is_ipv4(net):
    with net.socket.create_server(("127.0.0.1", 0)) as four, net.socket.socket(std.AF_INET6) as six:
        six.connect((f"::ffff:{four.getsockname()[0]}", four.getsockname()[1]))
        server, address = four.accept()
        with server:
            assert address[0] == "127.0.0.1" and six.getsockname()[0] == "::ffff:127.0.0.1"


def test_ipv4_on_a_socket_for_ipv6_only_is_unreachable(net):
    with net.socket.socket(std.AF_INET6) as six:
        six.setsockopt(IPV6, std.IPV6_V6ONLY, 1)
        with pytest.raises(OSError) as caught:
            six.connect(("::ffff:127.0.0.1", 9))
        assert caught.value.errno == errno.ENETUNREACH


def test_ipv6_only_is_settled_by_bind(net):
    with net.socket.socket(std.AF_INET6) as six:
        six.bind(("::1", 0))
        with pytest.raises(OSError) as caught:
            six.setsockopt(IPV6, std.IPV6_V6ONLY, 1)
        assert caught.value.errno == errno.EINVAL


def test_closed_port_refuses(net, listener6):
    address = listener6.getsockname()
    listener6.close()
    with net.socket.socket(std.AF_INET6) as six, pytest.raises(ConnectionRefusedError):
        six.connect(address)
    with net.socket.socket(std.AF_INET6, std.SOCK_DGRAM) as six:
        six.connect(address)
        six.send(b"anybody?")
        with pytest.raises(ConnectionRefusedError):
            six.recv(100)


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [(std.IPV6_UNICAST_HOPS, 7, 7), (std.IPV6_UNICAST_HOPS, -1, 64), (std.IPV6_TCLASS, 0xB8, 0xB8)],
)
def test_options_of_the_header_are_kept(net, name, value, shown):
    with net.socket.socket(std.AF_INET6) as six:
        six.setsockopt(IPV6, name, value)
        assert six.getsockopt(IPV6, name) == shown


def test_ipv4_socket_has_no_ipv6_options(net):
    with net.socket.socket() as four:
        with pytest.raises(OSError) as caught:
            four.setsockopt(IPV6, std.IPV6_UNICAST_HOPS, 7)
        assert caught.value.errno in (errno.ENOPROTOOPT, errno.EOPNOTSUPP)


@pytest.mark.parametrize("kind", [std.SOCK_STREAM, std.SOCK_DGRAM])
def test_link_local_address_without_its_link_is_invalid(net, kind):
    with net.socket.socket(std.AF_INET6, kind) as six:
        with pytest.raises(OSError) as caught:
            six.bind(("fe80::1", 0))
        assert caught.value.errno in (errno.EINVAL, errno.ENODEV)  # the second: a host without IPv6 on any link


def test_address_of_nobody_cannot_be_bound(net):
    with net.socket.socket(std.AF_INET6) as six:
        with pytest.raises(OSError) as caught:
            six.bind(("2001:db8::1", 0))
        assert caught.value.errno == errno.EADDRNOTAVAIL

