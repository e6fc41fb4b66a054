"""Source filters over IPv6 and by RFC 3678's options, as test_source_filters.py has them over IPv4 (RFC 3810)."""
from __future__ import annotations

import errno

from frames import SECOND, mapped
from frames6 import AF_INET6, Host6, ether6, ip6, udp6
from test_mld import query as query6
from test_multicast import GROUP, GROUP6, IP6, JOIN6, got, listening, mreq6, setraw
from test_source_filters import (
    ALLOW,
    BLOCKED,
    EXCLUDE,
    INCLUDE,
    IS_EX,
    SIX,
    TO_EX,
    TO_IN,
    A,
    Record,
    filter_any,
    records,
    source,
    source6,
    told,
)

M_BLOCK, M_UNBLOCK, M_ADD, M_DROP, M_MSFILTER = 43, 44, 46, 47, 48


def test_filters_of_ipv6(host6: Host6) -> None:
    sock = listening(host6, "::", AF_INET6)
    one, two = f"{SIX}1", f"{SIX}2"

    def six(kind: int, *sources: str) -> list[Record]:
        return [(kind, GROUP6, frozenset(sources))]

    assert setraw(sock, IP6, M_ADD, source6(one)) == 0
    assert told(host6) == six(ALLOW, one)
    assert setraw(sock, IP6, M_ADD, source6(two)) == 0
    assert told(host6) == six(ALLOW, two)
    assert setraw(sock, IP6, M_DROP, source6(one)) == 0
    assert told(host6) == six(BLOCKED, one)
    assert setraw(sock, IP6, M_MSFILTER, filter_any(EXCLUDE, one, group=GROUP6)) == 0
    assert told(host6) == six(TO_EX, one)
    assert setraw(sock, IP6, M_BLOCK, source6(two)) == 0
    assert told(host6) == six(BLOCKED, two)
    host6.inject(query6())
    host6.advance(11 * SECOND)
    assert (IS_EX, GROUP6, frozenset({one, two})) in records(host6)
    assert setraw(sock, IP6, M_UNBLOCK, source6(one)) == 0
    assert told(host6) == six(ALLOW, one)
    assert setraw(sock, IP6, 40, source(A)) == -errno.ENOPROTOOPT
    assert setraw(sock, IP6, M_ADD, source6(A, GROUP)) == -errno.EADDRNOTAVAIL


def test_long_lists_of_ipv6_fit_the_link(host6: Host6) -> None:
    """64 of 16 bytes each are one report; what changes may be twice as much, and goes into two."""
    sock = listening(host6, "::", AF_INET6)
    first, other = ([f"{SIX}{block}:{n:x}" for n in range(1, 65)] for block in (1, 2))
    assert setraw(sock, IP6, M_ADD, source6(f"{SIX}9")) == 0
    host6.advance(5 * SECOND)
    host6.take()
    assert setraw(sock, IP6, M_MSFILTER, filter_any(INCLUDE, *first, group=GROUP6)) == 0
    assert {kind: sources for kind, _, sources in told(host6)} == {ALLOW: {*first}, BLOCKED: {f"{SIX}9"}}
    assert setraw(sock, IP6, M_MSFILTER, filter_any(INCLUDE, *other, group=GROUP6)) == 0
    assert {kind: sources for kind, _, sources in told(host6)} == {ALLOW: {*other}, BLOCKED: {*first}}
    assert setraw(sock, IP6, M_ADD, source6(f"{SIX}9")) == -errno.ENOBUFS


def test_mapped_source_is_none_of_ipv6(host6: Host6) -> None:
    sock = listening(host6, "::", AF_INET6)
    value = bytearray(source6(f"{SIX}1"))
    value[16:32] = mapped("239.1.2.3")
    assert setraw(sock, IP6, M_ADD, bytes(value)) == -errno.EINVAL


def test_source_of_the_link_is_one_like_others(host6: Host6) -> None:
    wants, leaves_out = listening(host6, "::", AF_INET6), listening(host6, "::", AF_INET6)
    near, far = "fe80::2", "fe80::3"
    assert setraw(wants, IP6, M_ADD, source6(near)) == 0
    assert setraw(leaves_out, IP6, JOIN6, mreq6()) == 0
    assert setraw(leaves_out, IP6, M_BLOCK, source6(near)) == 0
    for src, heard in ((near, [b"x", None]), (far, [None, b"x"])):
        packet = ip6(udp6(b"x", src=src, dst=GROUP6), src=src, dst=GROUP6)
        host6.inject(ether6(packet, to=b"\x33\x33" + mapped(GROUP6)[12:]))
        assert got(wants, leaves_out) == heard


def test_changes_too_many_to_be_told_one_by_one_are_told_by_the_list(host6: Host6) -> None:
    sock = listening(host6, "::", AF_INET6)
    lists = [[f"{SIX}{number}:{at:x}" for at in range(64)] for number in range(3)]
    assert setraw(sock, IP6, M_ADD, source6(lists[0][0])) == 0
    for each in lists[:2]:
        assert setraw(sock, IP6, M_MSFILTER, filter_any(INCLUDE, *each, group=GROUP6)) == 0
    assert {kind for kind, *_ in records(host6)} == {ALLOW, BLOCKED}
    assert setraw(sock, IP6, M_MSFILTER, filter_any(INCLUDE, *lists[2], group=GROUP6)) == 0
    assert records(host6) == [(TO_IN, GROUP6, frozenset(lists[2]))]
