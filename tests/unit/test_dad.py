"""IPv6 addresses from tentative to ours (RFC 4862 5.4). Read by pytest."""
from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Any

import pytest
from frames import MS, OTHER_MAC, SECOND, Host, Socket, mapped
from frames6 import (
    ADVERT,
    AF_INET6,
    ICMP6,
    OUR_LINK,
    SOLICIT,
    US6,
    Host6,
    Ip6,
    O,
    advert,
    ether6,
    icmp6,
    ip6,
    on_link,
    parse_ip6,
    solicit,
    solicited,
    udp6,
)  # fmt: skip

TENTATIVE, DUPLICATE, DEPRECATED, MADE = 1, 2, 4, 8


class Young(Host6):
    """A host whose IPv6 address was added just now."""

    def settle6(self) -> None:
        """Not yet: the question has just gone out."""
        self.advance(2 * MS)


@pytest.fixture
def young(native: Any) -> Iterator[Young]:
    made = Young(native)
    yield made
    made.close()


def questions(host: Host) -> list[Ip6]:
    packets = [parse_ip6(frame) for frame in host.take() if frame[12:14] == b"\x86\xdd"]
    return [packet for packet in packets if packet.payload[0] in (SOLICIT, ADVERT)]


def states(host: Host) -> list[int]:
    """Of the interface's addresses: IPv4's, ours, the one of the link."""
    states = []
    while (state := host.lib.gd_stack_address_state(host.stack, host.index, len(states))) >= 0:
        states.append(state)
    return states


def by_target(packets: list[Ip6]) -> dict[str, Ip6]:
    return {str(packet.payload[8:24].hex()): packet for packet in packets}


def test_new_address_is_asked_for_in_its_group(young: Young) -> None:
    found = by_target(questions(young))
    assert set(found) == {mapped(US6).hex(), mapped(OUR_LINK).hex()}
    question = found[mapped(US6).hex()]
    assert (question.src, question.dst, question.hops) == ("::", solicited(US6), 255)
    assert question.payload[24:26] == bytes([14, 1]) and len(question.payload) == 32  # a nonce, no MAC
    assert states(young) == [0, TENTATIVE, TENTATIVE | MADE]


def test_tentative_address_is_neither_ours_nor_a_source(young: Young) -> None:
    sock = Socket(young, domain=AF_INET6)
    assert sock.bind(US6, 7) == -errno.EADDRNOTAVAIL
    assert sock.sendto(b"x", "2001:db8::2", 7) == -errno.ENETUNREACH
    young.moved()
    young.answer(ether6(ip6(udp6(b"x"))))
    assert young.dropped() == {"ip6_drop_not_ours": 1}


def test_tentative_address_is_not_answered_for(young: Young) -> None:
    young.take()
    young.inject(ether6(solicit(US6)))
    assert questions(young) == []
    young.advance(2 * SECOND)
    assert states(young)[1] == 0


def test_after_a_silent_second_it_is_ours_and_announced(young: Young) -> None:
    young.take()
    young.advance(990 * MS)
    assert states(young)[1] == TENTATIVE
    young.advance(20 * MS)
    announcement = by_target(questions(young))[mapped(US6).hex()]
    assert (announcement.src, announcement.dst, announcement.payload[0]) == (US6, "ff02::1", ADVERT)
    assert announcement.payload[4] == O and states(young) == [0, 0, MADE]
    assert Socket(young, domain=AF_INET6).bind(US6, 7) == 0


@pytest.mark.parametrize("how", ["advertisement", "question"])
def test_address_of_somebody_else_is_never_used(young: Young, how: str) -> None:
    young.take()
    message = advert(US6, O, "ff02::1") if how == "advertisement" else solicit(US6, "::", options=b"")
    young.inject(ether6(message))
    young.advance(60 * SECOND)
    assert states(young)[1] == DUPLICATE and young.moved()["nd_duplicate"] == 1
    assert mapped(US6).hex() not in by_target(questions(young))
    assert Socket(young, domain=AF_INET6).bind(US6, 7) == -errno.EADDRNOTAVAIL
    young.inject(ether6(solicit(US6)))
    assert questions(young) == []


def test_own_question_that_comes_back_is_no_duplicate(young: Young) -> None:
    """RFC 7527 4.2: a bridge that loops; the nonce tells."""
    question = by_target(questions(young))[mapped(US6).hex()]
    young.inject(question.frame)
    young.advance(2 * SECOND)
    assert states(young)[1] == 0 and young.moved()["nd_drop_looped"] == 1


def test_conflict_about_an_address_that_stands_is_counted_and_answered_rarely(host6: Host6) -> None:
    claims = [ether6(advert(US6, O, "ff02::1"), source=OTHER_MAC) for _ in range(5)]
    host6.inject(*claims)
    (defence,) = host6.sent6()
    assert defence.payload[0] == ADVERT and defence.payload[8:24] == mapped(US6)
    assert host6.moved()["nd_conflict"] == 5 and host6.lib.gd_stack_is_local(host6.stack, mapped(US6))
    host6.advance(11 * SECOND)
    host6.take()
    host6.inject(claims[0])
    assert len(host6.sent6()) == 1


def test_group_of_an_address_is_left_with_its_last_address(host6: Host6) -> None:
    other = "2001:db8:1::1"  # ends as US6 does: the same group
    assert host6.lib.gd_stack_add_address(host6.stack, host6.index, mapped(other), 64) == 0
    host6.settle6()
    echo = ip6(icmp6(200, dst=solicited(US6)), ICMP6, dst=solicited(US6))
    assert host6.lib.gd_stack_del_address(host6.stack, host6.index, mapped(US6)) == 0
    host6.inject(ether6(echo))
    assert host6.dropped() == {"icmp_drop_unknown": 1}
    assert host6.lib.gd_stack_del_address(host6.stack, host6.index, mapped(other)) == 0
    assert host6.lib.gd_stack_del_address(host6.stack, host6.index, on_link(OUR_LINK, host6)) == 0
    host6.inject(ether6(echo))
    assert host6.dropped() == {"ip6_drop_not_ours": 1}


def test_link_local_address_set_by_hand_is_enough(host: Host) -> None:
    assert host.lib.gd_stack_add_address(host.stack, host.index, mapped("fe80::1"), 64) == 0
    host.advance(2 * MS)
    assert [packet.dst for packet in questions(host)] == [solicited("fe80::1")]


def test_wrong_interface_is_refused(host: Host) -> None:
    lib, stack, sixteen = host.lib, host.stack, host.ffi.new("uint8_t[16]")
    assert lib.gd_stack_autoconf(stack, 77) == -errno.ENODEV
    assert lib.gd_stack_address_state(stack, 77, 0) == -errno.ENODEV
    assert lib.gd_stack_nameserver(stack, 77, 0, sixteen) == -errno.ENODEV
    assert lib.gd_stack_nameserver(stack, host.index, 0, sixteen) == -errno.ENOENT


def test_detached_interface_asks_no_more(young: Young) -> None:
    assert young.lib.gd_stack_detach(young.stack, young.index) == 0
    young.now += 10 * SECOND
    young.poll()


def test_address_that_would_leave_no_room_for_the_links_is_refused_whole(host: Host) -> None:
    """RFC 4291 2.8: no IPv6 without an address of the link. What is refused has changed nothing."""
    for last in range(2, 16):
        assert host.lib.gd_stack_add_address(host.stack, host.index, mapped(f"10.0.0.{last}"), 24) == 0
    assert host.lib.gd_stack_add_address(host.stack, host.index, mapped(US6), 64) == -errno.ENOSPC
    assert host.lib.gd_stack_address_state(host.stack, host.index, 15) == -errno.ENOENT
    assert host.lib.gd_stack_add_address(host.stack, host.index, mapped("10.0.0.16"), 24) == 0
    assert host.lib.gd_stack_autoconf(host.stack, host.index) == -errno.ENOSPC
    assert host.lib.gd_stack_del_address(host.stack, host.index, mapped("10.0.0.16")) == 0
    assert host.lib.gd_stack_autoconf(host.stack, host.index) == 0
    assert states(host)[-1] == TENTATIVE | MADE


def test_question_of_another_is_no_echo_of_one_that_was_not_asked_yet(native: Any) -> None:
    """RFC 7527 4.2: whatever its nonce; the address of a prefix waits up to a second before it asks."""
    from test_router import OURS, Auto, prefix

    host = Auto(native)
    host.hear(prefix(), settle=False)
    host.inject(ether6(solicit(OURS, "::", options=bytes([14, 1]) + bytes(6))))
    host.advance(3 * SECOND)
    assert host.addresses() == {OURS: MADE | DUPLICATE}
    host.close()
