"""Source filters that change, are dropped twice, find no memory, or meet those of another socket (RFC 3376 3.2)."""
from __future__ import annotations

import errno

import pytest
from frames import Host, Socket
from test_multicast import IP, JOIN, LEAVE, got, listening, mreq, setraw, to_group
from test_source_filters import (
    ADD,
    ALLOW,
    DROP,
    EXCLUDE,
    M_MSFILTER,
    MSFILTER,
    TO_EX,
    A,
    B,
    filter4,
    filter_any,
    record,
    source,
    told,
)


@pytest.fixture
def sock(host: Host) -> Socket:
    return listening(host)


def test_source_is_dropped_once(host: Host, sock: Socket) -> None:
    for src in (A, B):
        assert setraw(sock, IP, ADD, source(src)) == 0
    assert setraw(sock, IP, DROP, source(B)) == 0
    assert setraw(sock, IP, DROP, source(B)) == -errno.EADDRNOTAVAIL
    assert setraw(sock, IP, DROP, source(A)) == 0


def test_filter_of_no_sources_is_as_long_as_its_head(host: Host, sock: Socket) -> None:
    assert setraw(sock, IP, ADD, source(A)) == 0
    assert told(host) == [record(ALLOW, A)]
    whole = filter_any(EXCLUDE)
    assert setraw(sock, IP, M_MSFILTER, whole[:-1]) == -errno.EINVAL
    assert setraw(sock, IP, M_MSFILTER, whole) == 0
    assert told(host) == [record(TO_EX)]


def test_source_that_one_wants_is_let_through_to_who_does_not(host: Host) -> None:
    """Whichever of the two sockets came first (RFC 3376 3.2)."""
    for first in (0, 1):
        socks = [listening(host), listening(host)]
        shy, keen = socks[first], socks[1 - first]
        assert setraw(shy, IP, JOIN, mreq()) == 0
        told(host)
        assert setraw(shy, IP, MSFILTER, filter4(EXCLUDE, A, B)) == 0
        told(host)
        assert setraw(keen, IP, ADD, source(A)) == 0
        assert told(host) == [record(ALLOW, A)]
        host.inject(to_group(b"x", src=A))
        assert got(keen, shy) == [b"x", None]
        for each in socks:
            each.close()
            told(host)


def test_join_that_finds_no_memory_leaves_no_membership(host: Host, sock: Socket) -> None:
    assert setraw(sock, IP, ADD, source(A, "239.9.9.9")) == 0  # the table of memberships is there
    heap = host.lib.gd_allocations
    heap.seen, heap.failed, heap.fail_from, heap.fail_to = 0, 0, 1, 2
    assert setraw(sock, IP, ADD, source(A)) == -errno.ENOMEM
    heap.fail_from = heap.fail_to = 0
    assert heap.failed == 1
    assert setraw(sock, IP, LEAVE, mreq()) == -errno.EADDRNOTAVAIL
    assert setraw(sock, IP, JOIN, mreq()) == 0
    assert setraw(sock, IP, LEAVE, mreq()) == 0
