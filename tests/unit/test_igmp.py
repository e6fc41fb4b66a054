"""Invariant: a multicast router knows at any time which groups this host listens to, whatever version it speaks,
and nobody can make the host say more than that (RFC 3376, RFC 2236, RFC 1112).
"""
from __future__ import annotations

import struct

import pytest
from frames import MS, PEER, PEER_MAC, SECOND, US, Host, Socket, checksum, ether, four, ip4
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_multicast import GROUP, GROUP2, IP, JOIN, LEAVE, group_mac, listening, mreq, setraw

IS_MEMBER, LEFT, JOINED = 2, 3, 4
ALL, ROUTERS, IGMP3 = "224.0.0.1", "224.0.0.2", "224.0.0.22"
ALERT = b"\x94\x04\0\0"


def igmp(kind: int, code: int = 0, group: str = "0.0.0.0", rest: bytes = b"", **fields: int) -> bytes:
    body = bytes([kind, code, 0, 0]) + four(group) + rest
    return body[:2] + struct.pack("!H", fields.get("checksum", checksum(body))) + body[4:]


def packet(message: bytes, dst: str = ALL, options: bytes = ALERT, ttl: int = 1) -> bytes:
    return ether(ip4(message, 2, PEER, dst, options=options, ttl=ttl, tos=0xC0), to=group_mac(dst), source=PEER_MAC)


def query(version: int = 3, group: str = "0.0.0.0", code: int = 100, **fields: int) -> bytes:
    rest = struct.pack("!BBH", 2, 125, 0) if version == 3 else b""
    return packet(igmp(0x11, 0 if version == 1 else code, group, rest), ALL if group == "0.0.0.0" else group, **fields)


def said(host: Host) -> list[tuple[str, int, dict[str, int]]]:
    """What was sent since the last call: (to, message type, {group: record type}); each is as RFC 3376 4 wants it."""
    host.poll()
    result = []
    for frame in host.take():
        header, message = frame[14:38], frame[38:]
        assert header[0] == 0x46 and header[1] == 0xC0 and header[8] == 1 and header[9] == 2
        assert header[20:] == ALERT and checksum(header) == checksum(message) == 0
        assert struct.unpack("!H", header[2:4])[0] == 24 + len(message) and header[12:16] == four(US)
        to = ".".join(map(str, header[16:20]))
        assert frame[:6] == group_mac(to)
        if message[0] != 0x22:
            result.append((to, message[0], {".".join(map(str, message[4:8])): 0}))
            continue
        count, records = struct.unpack("!H", message[6:8])[0], message[8:]
        groups = {".".join(map(str, records[at + 4 : at + 8])): records[at] for at in range(0, len(records), 8)}
        assert len(records) == 8 * count == 8 * len(groups)
        assert all(records[at + 1 : at + 4] == bytes(3) for at in range(0, len(records), 8))
        result.append((to, 0x22, groups))
    return result


@pytest.fixture
def sock(host: Host) -> Socket:
    """A member of GROUP that has said so twice."""
    made = listening(host)
    assert setraw(made, IP, JOIN, mreq()) == 0
    host.advance(3 * SECOND)
    host.take()
    return made


def report(groups: dict[str, int]) -> tuple[str, int, dict[str, int]]:
    return IGMP3, 0x22, groups


def test_join_is_told_at_once_and_again_within_a_second(host: Host) -> None:
    made = listening(host)
    assert setraw(made, IP, JOIN, mreq()) == 0
    assert said(host) == [report({GROUP: JOINED})]
    host.advance(SECOND + 2 * MS)
    assert said(host) == [report({GROUP: JOINED})]
    host.advance(300 * SECOND)
    assert said(host) == []


def test_leave_is_told_twice_and_only_of_the_last_member(host: Host, sock: Socket) -> None:
    other = listening(host)
    assert setraw(other, IP, JOIN, mreq()) == 0
    other.close()
    host.advance(3 * SECOND)
    assert said(host) == []
    sock.close()
    assert said(host) == [report({GROUP: LEFT})]
    host.advance(SECOND + 2 * MS)
    assert said(host) == [report({GROUP: LEFT})]
    assert host.answer(query()) == []
    host.advance(11 * SECOND)
    assert said(host) == []


def test_change_of_mind_is_what_is_repeated(host: Host) -> None:
    """RFC 3376 5.1: the last state counts."""
    made = listening(host)
    assert setraw(made, IP, JOIN, mreq()) == 0
    assert setraw(made, IP, LEAVE, mreq()) == 0
    assert setraw(made, IP, JOIN, mreq()) == 0
    host.take()
    host.advance(SECOND + 2 * MS)
    assert said(host)[-1] == report({GROUP: JOINED})


def test_general_query_is_answered_in_one_report_at_a_random_time(host: Host, sock: Socket) -> None:
    assert setraw(sock, IP, JOIN, mreq(GROUP2)) == 0
    host.advance(3 * SECOND)
    host.take()
    times = set()
    for _ in range(5):
        assert host.answer(query()) == []
        begun = host.now
        while not (answer := said(host)):
            host.advance(50 * MS)
            assert host.now - begun <= 10 * SECOND + 100 * MS
        assert answer == [report({GROUP: IS_MEMBER, GROUP2: IS_MEMBER})]
        times.add(host.now - begun)
    assert len(times) > 1


def test_query_about_a_group_is_answered_by_its_members_only(host: Host, sock: Socket) -> None:
    assert setraw(sock, IP, JOIN, mreq(GROUP2)) == 0
    host.advance(3 * SECOND)
    host.take()
    host.inject(query(group=GROUP, code=10))
    host.advance(SECOND + 2 * MS)
    assert said(host) == [report({GROUP: IS_MEMBER})]
    host.inject(query(group="239.9.9.9", code=10))
    host.advance(2 * SECOND)
    assert said(host) == []


def test_long_response_times_are_understood(host: Host, sock: Socket) -> None:
    """RFC 3376 4.1.1: 0x8f is (15 | 16) << 3 tenths of a second."""
    times = []
    for _ in range(6):
        host.inject(query(code=0x8F))
        begun = host.now
        while not said(host):
            host.advance(100 * MS)
        times.append(host.now - begun)
    assert 10 * SECOND < max(times) <= 25 * SECOND


def test_flood_of_urgent_queries_is_answered_a_few_times(host: Host, sock: Socket) -> None:
    for _ in range(1000):
        host.inject(query(code=0))
    host.advance(20 * MS)
    assert said(host) == [report({GROUP: IS_MEMBER})]


def test_everybody_s_group_is_never_reported(host: Host, sock: Socket) -> None:
    assert setraw(sock, IP, JOIN, mreq(ALL)) == 0
    assert said(host) == []


def test_nothing_is_said_on_the_loopback(host: Host) -> None:
    made = listening(host)
    assert setraw(made, IP, JOIN, mreq(GROUP, "127.0.0.1")) == 0
    assert said(host) == []


def test_old_router_gets_version_2(host: Host, sock: Socket) -> None:
    host.inject(query(2))
    host.advance(10 * SECOND + 2 * MS)
    assert said(host) == [(GROUP, 0x16, {GROUP: 0})]
    assert setraw(sock, IP, JOIN, mreq(GROUP2)) == 0
    host.advance(2 * SECOND)
    assert said(host) == [(GROUP2, 0x16, {GROUP2: 0})] * 2
    assert setraw(sock, IP, LEAVE, mreq(GROUP2)) == 0
    host.advance(2 * SECOND)
    assert said(host) == [(ROUTERS, 0x17, {GROUP2: 0})]
    host.advance(260 * SECOND)
    assert setraw(sock, IP, JOIN, mreq(GROUP2)) == 0
    assert said(host) == [report({GROUP2: JOINED})]


def test_other_host_s_report_is_enough_in_version_2(host: Host, sock: Socket) -> None:
    host.inject(query(2))
    host.inject(packet(igmp(0x16, 0, GROUP), GROUP, b""))
    host.advance(11 * SECOND)
    assert said(host) == []
    sock.close()
    assert said(host) == []


def test_router_of_version_1_gets_reports_and_no_leaves(host: Host, sock: Socket) -> None:
    host.inject(query(1, options=b""))
    host.advance(10 * SECOND + 2 * MS)
    assert said(host) == [(GROUP, 0x12, {GROUP: 0})]
    sock.close()
    assert said(host) == []


@pytest.mark.parametrize(
    ("frame", "counter"),
    [
        (packet(igmp(0x11, 100, rest=bytes(4))[:7]), "malformed"),
        (packet(igmp(0x11, 100, rest=bytes(2))), "malformed"),
        (query(ttl=2), "malformed"),
        (query(options=b""), "malformed"),
        (packet(igmp(0x11, 100, PEER, bytes(4))), "malformed"),
        (packet(igmp(0x11, 100, rest=bytes(4)), GROUP), "malformed"),
        (packet(igmp(0x11, 100, rest=bytes(4), checksum=1)), "checksum"),
        (packet(igmp(0x17, 0, GROUP)), "unknown"),
    ],
)
def test_message_that_is_not_right_is_counted_and_ignored(host: Host, sock: Socket, frame: bytes, counter: str) -> None:
    host.moved()
    host.inject(frame)
    assert host.dropped() == {f"group_drop_{counter}": 1}
    host.advance(30 * SECOND)
    assert said(host) == []


steps = st.lists(st.tuples(st.sampled_from(["join", "leave", "query", "query2", "query1", "wait"]), st.integers(0, 5)),
                 max_size=20)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
def test_router_that_listens_knows_the_groups(host: Host, steps: list[tuple[str, int]]) -> None:
    """A router that takes in what it hears, of version 3, agrees with the host when all has been said."""
    made, known = Socket(host), set()
    joined: set[str] = set()
    host.advance(600 * SECOND)
    host.take()
    for step, number in steps:
        group = f"239.7.7.{number}"
        if step == "join" and setraw(made, IP, JOIN, mreq(group)) == 0:
            joined.add(group)
        elif step == "leave" and setraw(made, IP, LEAVE, mreq(group)) == 0:
            joined.remove(group)
        elif step.startswith("query"):
            host.inject(query(int(step[5:] or 3)))
        else:
            host.advance(number * 300 * MS)
    host.advance(600 * SECOND)
    host.take()
    host.inject(query())
    host.advance(11 * SECOND)
    for _, _, groups in said(host):
        known |= set(groups)
    assert known == joined
    made.close()
    host.advance(2 * SECOND)
    host.take()


def test_query_of_a_switch_that_has_no_address_is_answered(host: Host, sock: Socket) -> None:
    """RFC 4541 2.1.1: it asks from 0.0.0.0, and forgets who does not answer; Linux's ip_mc_validate_source."""
    message = igmp(0x11, 100, "0.0.0.0", struct.pack("!BBH", 2, 125, 0))
    host.inject(ether(ip4(message, 2, "0.0.0.0", ALL, options=ALERT, ttl=1), to=group_mac(ALL), source=PEER_MAC))
    host.advance(10 * SECOND)
    assert said(host) == [report({GROUP: IS_MEMBER})]
    host.moved()
    host.inject(ether(ip4(b"x", 17, "0.0.0.0", GROUP), to=group_mac(GROUP)), ether(ip4(message, 2, "0.0.0.0", US)))
    assert host.dropped() == {"ip4_drop_source": 2}


def test_flood_of_queries_gets_an_answer_each_10_ms_at_most(host: Host, sock: Socket) -> None:
    answers = 0
    for _ in range(100):
        host.inject(*(query(code=code) for code in (0, 1, 0, 100) * 5))
        host.now += MS
        answers += len(said(host))
    assert 5 <= answers <= 10
