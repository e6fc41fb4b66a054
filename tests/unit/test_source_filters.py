"""Invariant: a socket hears of a group the sources that it asked for, and a router that follows reports lets through
whatever any socket of the host wants (RFC 3376 3 and 6.4, RFC 3810 4); errors are Linux's.
"""
from __future__ import annotations

import errno
import socket
import struct
from ipaddress import ip_address
from typing import Any

import pytest
from frames import MS, PEER, SECOND, Host, Socket, four
from frames6 import parse_ip6
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_igmp import igmp, packet, query
from test_multicast import (
    GROUP,
    GROUP6,
    IP,
    JOIN,
    LEAVE,
    getraw,
    got,
    group_req,
    listening,
    mreq,
    setraw,
    to_group,
)

UNBLOCK, BLOCK, ADD, DROP, MSFILTER = 37, 38, 39, 40, 41
M_ADD, M_MSFILTER = 46, 48
EXCLUDE, INCLUDE = 0, 1
IS_IN, IS_EX, TO_IN, TO_EX, ALLOW, BLOCKED = 1, 2, 3, 4, 5, 6
SIX = "2001:db8::"
SOURCES = [f"10.0.0.{n}" for n in range(2, 8)]
A, B, C = SOURCES[:3]
Record = tuple[int, str, frozenset[str]]


def source(src: str, group: str = GROUP, address: str = "0.0.0.0") -> bytes:
    return four(group) + four(address) + four(src)


def source6(src: str, group: str = GROUP6, index: int = 0) -> bytes:
    return group_req(group, index) + group_req(src)[8:]


def filter4(mode: int, *sources: str, group: str = GROUP) -> bytes:
    return four(group) + bytes(4) + struct.pack("=II", mode, len(sources)) + b"".join(map(four, sources))


def filter_any(mode: int, *sources: str, group: str = GROUP) -> bytes:
    head = group_req(group) + struct.pack("=II", mode, len(sources))
    return head + b"".join(group_req(src)[8:] for src in sources)


def records(host: Host) -> list[Record]:
    """The records of all reports since the last call."""
    host.poll()
    result = []
    for frame in host.take():
        six = frame[12:14] == b"\x86\xdd"
        if six and parse_ip6(frame).next != 0:
            continue
        message, size = (parse_ip6(frame).payload[8:], 16) if six else (frame[38:], 4)
        count, at = struct.unpack("!H", message[6:8])[0], 8
        for _ in range(count):
            kind, sources = message[at], struct.unpack("!H", message[at + 2 : at + 4])[0]
            names = [str(ip_address(message[at + 4 + size * i : at + 4 + size * (i + 1)])) for i in range(sources + 1)]
            result.append((kind, names[0], frozenset(names[1:])))
            at += 4 + size * (sources + 1)
        assert at == len(message) and len(message) <= 1400
    return result


def record(kind: int, *sources: str) -> Record:
    return kind, GROUP, frozenset(sources)


def told(host: Host) -> list[Record]:
    """What a change is told by: at once, once more within a second, and then no more."""
    first = records(host)
    host.advance(SECOND + 2 * MS)
    assert records(host) == first
    host.advance(10 * SECOND)
    assert records(host) == []
    return first


@pytest.fixture
def sock(host: Host) -> Socket:
    return listening(host)


def test_sources_are_told_by_difference(host: Host, sock: Socket) -> None:
    assert setraw(sock, IP, ADD, source(A)) == 0
    assert told(host) == [record(ALLOW, A)]
    assert setraw(sock, IP, ADD, source(B)) == 0
    assert told(host) == [record(ALLOW, B)]
    assert setraw(sock, IP, DROP, source(A)) == 0
    assert told(host) == [record(BLOCKED, A)]
    assert setraw(sock, IP, MSFILTER, filter4(INCLUDE, A, C)) == 0
    assert told(host) == [record(ALLOW, A, C), record(BLOCKED, B)]
    sock.close()
    assert told(host) == [record(BLOCKED, A, C)]


def test_modes_are_told_by_the_whole_list(host: Host, sock: Socket) -> None:
    assert setraw(sock, IP, JOIN, mreq()) == 0
    assert told(host) == [record(TO_EX)]
    assert setraw(sock, IP, BLOCK, source(A)) == 0
    assert told(host) == [record(BLOCKED, A)]
    assert setraw(sock, IP, UNBLOCK, source(A)) == 0
    assert told(host) == [record(ALLOW, A)]
    assert setraw(sock, IP, MSFILTER, filter4(INCLUDE, B)) == 0
    assert told(host) == [record(TO_IN, B)]
    assert setraw(sock, IP, MSFILTER, filter4(EXCLUDE, C)) == 0
    assert told(host) == [record(TO_EX, C)]
    assert setraw(sock, IP, LEAVE, mreq()) == 0
    assert told(host) == [record(TO_IN)]


def test_change_while_one_is_told_is_merged_with_it(host: Host, sock: Socket) -> None:
    """RFC 3376 5.1."""
    assert setraw(sock, IP, ADD, source(A)) == 0
    assert setraw(sock, IP, ADD, source(B)) == 0
    assert records(host) == [record(ALLOW, A), record(ALLOW, A, B)]
    assert setraw(sock, IP, DROP, source(B)) == 0
    assert records(host) == [record(BLOCKED, B)]
    assert setraw(sock, IP, LEAVE, mreq()) == 0
    assert setraw(sock, IP, JOIN, mreq()) == 0
    records(host)
    assert setraw(sock, IP, BLOCK, source(C)) == 0
    assert records(host) == [record(TO_EX, C)]


def test_filters_of_sockets_are_merged(host: Host, sock: Socket) -> None:
    """RFC 3376 3.2's example: EXCLUDE {a, b, c}, EXCLUDE {b, c, d}, INCLUDE {d} make EXCLUDE {b, c}."""
    a, b, c, d = SOURCES[:4]
    second, third = listening(host), listening(host)
    for one, mode, sources in ((sock, EXCLUDE, (a, b, c)), (second, EXCLUDE, (b, c, d)), (third, INCLUDE, (d,))):
        assert setraw(one, IP, JOIN, mreq()) == 0
        assert setraw(one, IP, MSFILTER, filter4(mode, *sources)) == 0
    host.advance(5 * SECOND)
    host.take()
    host.inject(query())
    host.advance(11 * SECOND)
    assert records(host) == [record(IS_EX, b, c)]
    fourth = listening(host)
    assert setraw(fourth, IP, JOIN, mreq()) == 0
    assert told(host) == [record(ALLOW, b, c)]
    fourth.close()
    assert told(host) == [record(BLOCKED, b, c)]


def test_more_sources_than_an_interface_lists_are_all(host: Host, sock: Socket) -> None:
    """And one less again is a list; each socket hears its own in either case."""
    members = [listening(host) for _ in range(7)]
    for number, member in enumerate(members):
        named = [f"10.{number}.0.{n}" for n in range(1, 11)]
        assert setraw(member, IP, JOIN, mreq()) == 0
        assert setraw(member, IP, MSFILTER, filter4(INCLUDE, *named)) == 0
    host.advance(5 * SECOND)
    host.take()
    host.inject(query())
    host.advance(11 * SECOND)
    assert records(host) == [record(IS_EX)]
    host.inject(to_group(b"x", src="10.3.0.4"))
    assert got(*members) == [None, None, None, b"x", None, None, None]
    members[0].close()
    ((kind, _, sources),) = told(host)
    assert kind == TO_IN and len(sources) == 60


def test_each_socket_hears_its_sources_only(host: Host, sock: Socket) -> None:
    wants, leaves_out, other, shy = sock, listening(host), listening(host), listening(host)
    assert shy.setsockopt(IP, 49, 0) == 0  # IP_MULTICAST_ALL
    assert setraw(wants, IP, ADD, source(A)) == 0
    everybody = wants, leaves_out, other, shy
    for src, heard in ((A, [b"x", b"x", b"x", None]), (B, [None] * 4)):
        host.inject(to_group(b"x", src=src))
        assert got(*everybody) == heard
    assert setraw(leaves_out, IP, JOIN, mreq()) == 0
    assert setraw(leaves_out, IP, BLOCK, source(A)) == 0
    for src, heard in ((A, [b"x", None, b"x", None]), (B, [None, b"x", b"x", None])):
        host.inject(to_group(b"x", src=src))
        assert got(*everybody) == heard


def test_query_of_more_sources_than_a_frame_holds_is_not_gone_through(native: Any) -> None:
    host = Host(native, mtu=9000)
    assert setraw(listening(host), IP, ADD, source(A)) == 0
    host.advance(3 * SECOND)
    host.take()
    for count, answer in ((366, []), (367, [record(IS_IN, A)])):
        rest = struct.pack("!BBH", 2, 125, count) + four(B) * count
        host.inject(packet(igmp(0x11, 10, GROUP, rest), GROUP))
        host.advance(2 * SECOND)
        assert records(host) == answer
    host.close()


def test_query_about_sources_is_answered_by_who_wants_any(host: Host, sock: Socket) -> None:
    assert setraw(sock, IP, ADD, source(A)) == 0
    host.advance(3 * SECOND)
    host.take()

    def ask(*sources: str, count: int = -1) -> list[Record]:
        rest = struct.pack("!BBH", 2, 125, len(sources) if count < 0 else count) + b"".join(map(four, sources))
        host.inject(packet(igmp(0x11, 10, GROUP, rest), GROUP))
        host.advance(2 * SECOND)
        return records(host)

    assert ask(B, A) == [record(IS_IN, A)]
    assert ask(B) == []
    assert ask() == [record(IS_IN, A)]
    assert setraw(sock, IP, MSFILTER, filter4(EXCLUDE, A)) == 0
    told(host)
    assert ask(A) == []
    assert ask(A, B) == [record(IS_EX, A)]
    host.moved()
    assert ask(A, count=2) == []
    assert host.dropped() == {"group_drop_malformed": 1}


def test_old_router_hears_of_members_only(host: Host, sock: Socket) -> None:
    host.inject(query(2))
    host.advance(11 * SECOND)
    host.take()
    assert setraw(sock, IP, ADD, source(A)) == 0
    host.poll()
    assert [frame[38] for frame in host.take()] == [0x16]
    host.advance(2 * SECOND)
    host.take()
    assert setraw(sock, IP, ADD, source(B)) == 0
    host.advance(2 * SECOND)
    assert host.take() == []
    sock.close()
    host.poll()
    assert [frame[38] for frame in host.take()] == [0x17]


def test_errors_of_filters_are_linux_s(host: Host, sock: Socket) -> None:
    def expect(name: int, value: bytes, error: int) -> None:
        assert setraw(sock, IP, name, value) == -error

    for name in (UNBLOCK, BLOCK, DROP):
        expect(name, source(A), errno.EINVAL)  # no member
    expect(MSFILTER, filter4(EXCLUDE), errno.EINVAL)
    expect(MSFILTER, filter4(INCLUDE), errno.EADDRNOTAVAIL)
    for name in (UNBLOCK, BLOCK, ADD, DROP):
        expect(name, source(A)[:11], errno.EINVAL)
        expect(name, source(A) + b"x", errno.EINVAL)
        expect(name, source(A, PEER), errno.EINVAL)
        expect(name, source(A, address="10.9.9.9"), errno.ENODEV)
    expect(ADD, source(A), 0)
    expect(ADD, source(A), errno.EADDRNOTAVAIL)
    expect(BLOCK, source(A), errno.EINVAL)  # of the other mode
    expect(DROP, source(B), errno.EADDRNOTAVAIL)
    expect(JOIN, mreq(), errno.EADDRINUSE)
    for n in range(2, 11):
        expect(ADD, source(f"10.1.0.{n}"), 0)
    expect(ADD, source(B), errno.ENOBUFS)
    expect(MSFILTER, filter4(2, A), errno.EINVAL)
    expect(MSFILTER, filter4(INCLUDE, *[A] * 11), errno.ENOBUFS)
    expect(MSFILTER, filter4(INCLUDE, A)[:-1], errno.EINVAL)
    expect(MSFILTER, filter4(INCLUDE)[:15], errno.EINVAL)
    expect(M_MSFILTER, filter_any(INCLUDE, A)[:-1], errno.EINVAL)
    expect(M_ADD, source6(A, GROUP)[:-1], errno.EINVAL)
    expect(M_ADD, source6(A, GROUP6), errno.EADDRNOTAVAIL)
    expect(M_ADD, source6(f"{SIX}1", GROUP), errno.EADDRNOTAVAIL)
    expect(MSFILTER, filter4(INCLUDE), 0)  # to want nobody is to leave
    expect(LEAVE, mreq(), errno.EADDRNOTAVAIL)
    expect(JOIN, mreq(), 0)
    expect(ADD, source(A), 0)  # the mode of a list that never was
    expect(DROP, source(A), 0)
    expect(LEAVE, mreq(), errno.EADDRNOTAVAIL)
    assert getraw(sock, IP, MSFILTER, 16) == -errno.ENOPROTOOPT
    stream = Socket(host, kind=socket.SOCK_STREAM)
    assert setraw(stream, IP, ADD, source(A)) == -errno.ENOPROTOOPT


class Router:
    """RFC 3376 6.4 with its timers run out at once: a source that may be wanted no more is not."""

    def __init__(self) -> None:
        self.exclude = False
        self.sources: set[str] = set()

    def hear(self, kind: int, sources: frozenset[str]) -> None:
        if kind in (IS_IN, TO_IN):
            self.exclude, self.sources = False, {*sources}
        elif kind in (IS_EX, TO_EX):
            self.exclude, self.sources = True, {*sources}
        elif (kind == ALLOW) != self.exclude:
            self.sources |= sources
        else:
            self.sources -= sources

    def lets_through(self, src: str) -> bool:
        return (src in self.sources) != self.exclude


class Member:
    """A socket with what it has asked for."""

    def __init__(self, host: Host) -> None:
        self.sock = listening(host)
        self.exclude: bool | None = None
        self.sources: set[str] = set()

    def wants(self, src: str) -> bool:
        return self.exclude is not None and (src in self.sources) != self.exclude

    def do(self, name: str, src: str) -> None:
        if name == "join":
            if setraw(self.sock, IP, JOIN, mreq()) == 0:
                self.exclude, self.sources = True, set()
        elif name == "leave":
            if setraw(self.sock, IP, LEAVE, mreq()) == 0:
                self.exclude, self.sources = None, set()
        elif name in ("include", "exclude"):
            sources = [one for n, one in enumerate(SOURCES) if 0b101101100110 >> (int(src[-1]) + n) & 1]
            if setraw(self.sock, IP, MSFILTER, filter4(name == "include", *sources)) == 0:
                self.exclude, self.sources = name == "exclude", {*sources}
                if not sources and name == "include":
                    self.exclude = None
        else:
            option = {"add": ADD, "drop": DROP, "block": BLOCK, "unblock": UNBLOCK}[name]
            if setraw(self.sock, IP, option, source(src)) < 0:
                return
            if name in ("add", "block"):
                self.sources.add(src)
            else:
                self.sources.discard(src)
            self.exclude = name in ("block", "unblock")
            if name == "drop" and not self.sources:
                self.exclude = None


NAMES = ["join", "leave", "include", "exclude", "add", "drop", "block", "unblock", "wait"]
STEPS = st.lists(st.tuples(st.integers(0, 2), st.sampled_from(NAMES), st.sampled_from(SOURCES)), max_size=25)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, lost=st.integers(0, 30))
def test_router_lets_through_what_any_socket_wants(host: Host, steps: list[tuple[int, str, str]], lost: int) -> None:
    """Even if it has missed what was said at once of one change: robustness 2."""
    members, router = [Member(host) for _ in range(3)], Router()
    try:
        for number, (who, name, src) in enumerate(steps):
            if name == "wait":
                host.advance(2 * SECOND)
            else:
                members[who].do(name, src)
            for kind, sources in [(kind, sources) for kind, _, sources in records(host)]:
                if name == "wait" or number != lost:
                    router.hear(kind, sources)
        host.advance(2 * SECOND)
        for kind, _, sources in records(host):
            router.hear(kind, sources)
        wanted = {src for src in SOURCES if any(member.wants(src) for member in members)}
        assert {src for src in SOURCES if router.lets_through(src)} == wanted
        for src in SOURCES:
            host.inject(to_group(b"x", src=src))
            heard = [one is not None for one in got(*(member.sock for member in members))]
            assert heard == [src in wanted if member.exclude is None else member.wants(src) for member in members]
    finally:
        for member in members:
            member.sock.close()
        host.advance(3 * SECOND)
        host.take()
