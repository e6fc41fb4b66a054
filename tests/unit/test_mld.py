"""Invariant: a multicast router knows at any time which groups of IPv6 this host listens to, in MLDv2 or MLDv1
(RFC 3810, RFC 2710). When what is said is tested in test_igmp.py: both share it.
"""
from __future__ import annotations

import errno
import struct

import pytest
from frames import MS, SECOND, Host, Socket, checksum, mapped
from frames6 import AF_INET6, ICMP6, Host6, ether6, extension, icmp6, ip6, parse_ip6, pseudo
from test_multicast import GROUP6, IP6, JOIN6, LEAVE6, listening, mreq6, setraw

IS_MEMBER, LEFT, JOINED = 2, 3, 4
ROUTER, ALL, ROUTERS, MLD2 = "fe80::1", "ff02::1", "ff02::2", "ff02::16"
ALERT = b"\x05\x02\0\0"


def query(version: int = 2, group: str = "::", code: int = 1000, *, src: str = ROUTER, hops: int = 1,
          options: bytes = ALERT) -> bytes:
    dst = ALL if group == "::" else group
    data = mapped(group) + (struct.pack("!BBH", 2, 125, 0) if version == 2 else b"")
    message = icmp6(130, rest=struct.pack("!HH", code, 0), data=data, src=src, dst=dst)
    before = extension(ICMP6, options) if options else b""
    return ether6(ip6(before + message, 0 if options else ICMP6, src=src, dst=dst, hops=hops),
                  to=b"\x33\x33" + mapped(dst)[12:])


def said(host: Host) -> list[tuple[str, int, dict[bytes, int]]]:
    """What was sent since the last call: (to, message type, {group: record type}); each is as RFC 3810 5 wants it."""
    host.poll()
    result = []
    for frame in host.take():
        sent = parse_ip6(frame)
        if sent.next != 0:
            continue  # neighbour discovery's
        message = sent.payload[8:]
        assert sent.payload[:8] == bytes([ICMP6, 0]) + ALERT + b"\x01\0" and sent.hops == 1
        assert sent.src == "::" or sent.src.startswith("fe80:")
        assert checksum(pseudo(sent.src, sent.dst, ICMP6, len(message)) + message) == 0
        assert frame[:6] == b"\x33\x33" + mapped(sent.dst)[12:]
        if message[0] != 143:
            result.append((sent.dst, message[0], {message[8:24]: 0}))
            continue
        count, records = struct.unpack("!H", message[6:8])[0], message[8:]
        assert len(records) == 20 * count
        result.append((sent.dst, 143, {records[at + 4 : at + 20]: records[at] for at in range(0, len(records), 20)}))
    return result


@pytest.fixture
def sock(host6: Host6) -> Socket:
    """A member of GROUP6 that has said so twice."""
    made = listening(host6, "::", AF_INET6)
    assert setraw(made, IP6, JOIN6, mreq6()) == 0
    host6.advance(3 * SECOND)
    host6.take()
    return made


def test_join_and_leave_are_told_twice(host6: Host6) -> None:
    made = listening(host6, "::", AF_INET6)
    host6.advance(3 * SECOND)
    host6.take()
    for option, kind in ((JOIN6, JOINED), (LEAVE6, LEFT)):
        assert setraw(made, IP6, option, mreq6()) == 0
        assert said(host6) == [(MLD2, 143, {mapped(GROUP6): kind})]
        host6.advance(SECOND + 2 * MS)
        assert said(host6) == [(MLD2, 143, {mapped(GROUP6): kind})]
    host6.advance(30 * SECOND)
    assert said(host6) == []


def test_general_query_is_answered_with_the_solicited_node_groups_too(host6: Host6, sock: Socket) -> None:
    host6.inject(query())
    host6.advance(SECOND + 2 * MS)
    ((to, kind, groups),) = said(host6)
    assert (to, kind) == (MLD2, 143)
    assert groups[mapped(GROUP6)] == IS_MEMBER
    assert any(group[:13] == mapped("ff02::1:ff00:0")[:13] for group in groups)
    assert mapped(ALL) not in groups


def test_query_about_a_group(host6: Host6, sock: Socket) -> None:
    host6.inject(query(group=GROUP6))
    host6.advance(SECOND + 2 * MS)
    assert said(host6) == [(MLD2, 143, {mapped(GROUP6): IS_MEMBER})]


def test_router_of_version_1_gets_reports_and_a_done(host6: Host6, sock: Socket) -> None:
    host6.inject(query(1, GROUP6))
    host6.advance(SECOND + 2 * MS)
    assert said(host6) == [(GROUP6, 131, {mapped(GROUP6): 0})]
    sock.close()
    host6.advance(2 * SECOND)
    assert said(host6) == [(ROUTERS, 132, {mapped(GROUP6): 0})]


def test_other_host_s_report_is_enough_in_version_1(host6: Host6, sock: Socket) -> None:
    host6.inject(query(1, GROUP6))
    message = icmp6(131, data=mapped(GROUP6), src="fe80::2", dst=GROUP6)
    host6.inject(ether6(ip6(extension(ICMP6, ALERT) + message, 0, src="fe80::2", dst=GROUP6, hops=1),
                        to=b"\x33\x33" + mapped(GROUP6)[12:]))
    host6.advance(2 * SECOND)
    assert said(host6) == []


@pytest.mark.parametrize(
    "frame",
    [query(hops=2), query(src="2001:db8::2"), query(options=b""), query(options=b"\x01\x02\0\0"),
     query(group="2001:db8::1")],
)
def test_query_that_is_not_of_this_link_is_ignored(host6: Host6, sock: Socket, frame: bytes) -> None:
    host6.moved()
    host6.inject(frame)
    assert host6.dropped() == {"group_drop_malformed": 1}
    host6.advance(30 * SECOND)
    assert said(host6) == []


def test_report_of_many_groups_is_cut_to_what_every_link_carries(host6: Host6) -> None:
    socks = [listening(host6, "::", AF_INET6) for _ in range(4)]
    joined = [setraw(socks[number // 20], IP6, JOIN6, mreq6(f"ff05::{number + 1:x}")) for number in range(64)]
    assert set(joined) == {0, -errno.ENOBUFS}  # an interface has 64 groups, the solicited-node ones among them
    host6.advance(3 * SECOND)
    host6.take()
    host6.inject(query())
    host6.advance(SECOND + 2 * MS)
    frames = [frame for frame in host6.take() if frame[20] == 0]
    assert len(frames) == 2 and max(map(len, frames)) <= 14 + 1280
    assert sum(struct.unpack("!H", frame[68:70])[0] for frame in frames) == 64
