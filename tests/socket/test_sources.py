"""Multicast source filters: whose datagrams to a group a socket hears (ip(7), RFC 3678), on addresses of lo."""
from __future__ import annotations

import errno
import socket as std
import struct
from ipaddress import ip_address

import pytest

IP = std.IPPROTO_IP
UNBLOCK, BLOCK, ADD, DROP, MSFILTER = 37, 38, 39, 40, 41  # <netinet/in.h>; Python has names for some from 3.12 on
MCAST_BLOCK, MCAST_UNBLOCK, MCAST_JOIN, MCAST_LEAVE = 43, 44, 46, 47
GROUP, LOOPBACK = "239.1.2.7", "127.0.0.1"
A, B = "127.0.0.2", "127.0.0.3"
EXCLUDE, INCLUDE = 0, 1


def packed(*addresses):
    return b"".join(ip_address(address).packed for address in addresses)


def source(src, group=GROUP, interface=LOOPBACK):
    """Make a struct ip_mreq_source."""
    return packed(group, interface, src)


def source_filter(mode, *sources):
    """Make a struct ip_msfilter."""
    return packed(GROUP, LOOPBACK) + struct.pack("=II", mode, len(sources)) + packed(*sources)


@pytest.fixture
def member(net):
    """A socket on a port of the wildcard, which hears what it joins only."""
    with net.socket.socket(type=std.SOCK_DGRAM) as made:
        made.bind(("", 0))
        made.setsockopt(IP, 49, 0)  # IP_MULTICAST_ALL
        made.settimeout(5)
        yield made


def heard(net, member):
    """Return which of A and B are heard; what comes in the end by another way says that there is no more."""
    for src in (A, B):
        with net.socket.socket(type=std.SOCK_DGRAM) as sender:
            sender.bind((src, 0))
            sender.setsockopt(IP, std.IP_MULTICAST_IF, packed(LOOPBACK))
            sender.sendto(src.encode(), (GROUP, member.getsockname()[1]))
            sender.sendto(b"", (LOOPBACK, member.getsockname()[1]))
    got = []
    for _ in (A, B):
        while data := member.recv(100):
            got.append(data.decode())
    return got


def test_only_the_sources_that_were_named_are_heard(net, member):
    assert heard(net, member) == []
    member.setsockopt(IP, ADD, source(A))
    assert heard(net, member) == [A]
    member.setsockopt(IP, ADD, source(B))
    assert heard(net, member) == [A, B]
    member.setsockopt(IP, DROP, source(A))
    assert heard(net, member) == [B]
    member.setsockopt(IP, DROP, source(B))
    assert heard(net, member) == []


def test_sources_that_are_blocked_are_not_heard(net, member):
    member.setsockopt(IP, std.IP_ADD_MEMBERSHIP, packed(GROUP, LOOPBACK))
    assert heard(net, member) == [A, B]
    member.setsockopt(IP, BLOCK, source(A))
    assert heard(net, member) == [B]
    member.setsockopt(IP, UNBLOCK, source(A))
    assert heard(net, member) == [A, B]


def test_whole_filter_is_set_at_once(net, member):
    member.setsockopt(IP, std.IP_ADD_MEMBERSHIP, packed(GROUP, LOOPBACK))
    member.setsockopt(IP, MSFILTER, source_filter(INCLUDE, A))
    assert heard(net, member) == [A]
    member.setsockopt(IP, MSFILTER, source_filter(EXCLUDE, A))
    assert heard(net, member) == [B]
    member.setsockopt(IP, MSFILTER, source_filter(EXCLUDE))
    assert heard(net, member) == [A, B]
    member.setsockopt(IP, MSFILTER, source_filter(INCLUDE))
    assert heard(net, member) == []


def test_errors_of_source_filters(member):
    def expect(error, name, value):
        with pytest.raises(OSError) as caught:
            member.setsockopt(IP, name, value)
        assert caught.value.errno == error

    for name in (UNBLOCK, BLOCK, DROP):
        expect(errno.EINVAL, name, source(A))
    for name in (UNBLOCK, BLOCK, ADD, DROP):
        expect(errno.EINVAL, name, source(A)[:11])
        expect(errno.EINVAL, name, source(A) + b"x")
        expect(errno.EINVAL, name, source(A, A))
        expect(errno.ENODEV, name, source(A, interface="10.9.8.7"))
    expect(errno.EINVAL, MSFILTER, source_filter(EXCLUDE, A))
    expect(errno.EADDRNOTAVAIL, MSFILTER, source_filter(INCLUDE))
    member.setsockopt(IP, ADD, source(A))
    expect(errno.EADDRNOTAVAIL, ADD, source(A))
    expect(errno.EADDRNOTAVAIL, DROP, source(B))
    expect(errno.EINVAL, BLOCK, source(B))
    expect(errno.EADDRINUSE, std.IP_ADD_MEMBERSHIP, packed(GROUP, LOOPBACK))
    for last in range(10, 19):
        member.setsockopt(IP, ADD, source(f"127.0.0.{last}"))
    expect(errno.ENOBUFS, ADD, source(B))
    expect(errno.ENOBUFS, MSFILTER, source_filter(INCLUDE, *[A] * 11))
    expect(errno.EINVAL, MSFILTER, source_filter(2, A))
    expect(errno.EINVAL, MSFILTER, source_filter(INCLUDE, A)[:-1])
    expect(errno.EINVAL, MCAST_JOIN, bytes(10))
    expect(errno.EADDRNOTAVAIL, MCAST_JOIN, bytes(264))  # of no family
    member.setsockopt(IP, std.IP_DROP_MEMBERSHIP, packed(GROUP, LOOPBACK))
    expect(errno.EADDRNOTAVAIL, std.IP_DROP_MEMBERSHIP, packed(GROUP, LOOPBACK))


def test_mode_changes_while_nothing_was_ever_listed(net, member):
    member.setsockopt(IP, std.IP_ADD_MEMBERSHIP, packed(GROUP, LOOPBACK))
    member.setsockopt(IP, ADD, source(A))
    assert heard(net, member) == [A]
    member.setsockopt(IP, DROP, source(A))
    member.setsockopt(IP, std.IP_ADD_MEMBERSHIP, packed(GROUP, LOOPBACK))
    member.setsockopt(IP, BLOCK, source(A))
    member.setsockopt(IP, UNBLOCK, source(A))
    with pytest.raises(OSError, match="Invalid argument"):
        member.setsockopt(IP, ADD, source(A))
