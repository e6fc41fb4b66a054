"""Neighbour discovery: who is asked, who is answered, what is believed (RFC 4861 7). Read by pytest."""
from __future__ import annotations

import errno
from typing import Any

import pytest
from frames import OTHER_MAC, OUR_MAC, PEER_MAC, SECOND, Host, Socket, mapped
from frames6 import (
    ADVERT,
    AF_INET6,
    FAR6,
    GATEWAY6,
    ICMP6,
    OUR_LINK,
    PEER6,
    SOLICIT,
    US6,
    Host6,
    Ip6,
    O,
    R,
    S,
    advert,
    ether6,
    icmp6,
    ip6,
    mac_option,
    on_link,
    parse_ip6,
    solicit,
    solicited,
    udp6,
)  # fmt: skip

NEIGHBOUR = "2001:db8::77"


def ask(host6: Host6, to: str = NEIGHBOUR) -> Socket:
    """Send a datagram to who is not known yet."""
    sock = Socket(host6, domain=AF_INET6)
    assert sock.sendto(b"x", to, 7) == 1
    return sock


def kinds(packets: list[Ip6]) -> list[int | str]:
    return [packet.payload[0] if packet.next == ICMP6 else "udp" for packet in packets]


def reachable(host6: Host6) -> None:
    """Make NEIGHBOUR reachable at PEER_MAC."""
    ask(host6)
    host6.sent6()
    assert kinds(host6.answers6(advert(NEIGHBOUR, S))) == ["udp"]


def mac_used(host6: Host6) -> bytes:
    ask(host6)
    return host6.sent6()[0].frame[:6]


# ---- asking ----------------------------------------------------------------------------------


def test_neighbour_is_asked_in_its_own_group(host6: Host6) -> None:
    ask(host6)
    (question,) = host6.sent6()
    assert question.frame[:6] == bytes.fromhex("3333ff000077")
    assert (question.src, question.dst, question.hops) == (US6, solicited(NEIGHBOUR), 255)
    assert question.payload[0] == SOLICIT and question.payload[8:] == mapped(NEIGHBOUR) + mac_option(1, OUR_MAC)


def test_packets_wait_for_the_answer(host6: Host6) -> None:
    ask(host6)
    host6.sent6()
    (packet,) = host6.answers6(advert(NEIGHBOUR, S | O))
    assert packet.frame[:6] == PEER_MAC and packet.next == 17 and not host6.dropped()


def test_silent_neighbour_is_asked_three_times_and_given_up(host6: Host6) -> None:
    ask(host6)
    host6.sent6(), host6.moved()
    host6.advance(10 * SECOND)
    assert kinds(host6.sent6()) == [SOLICIT] * 2
    assert host6.dropped() == {"neigh_drop_unreachable": 1}


def test_link_local_neighbour_is_asked_from_our_link_local_address(host6: Host6) -> None:
    sock = Socket(host6, domain=AF_INET6)
    assert host6.lib.gd_sock_sendto(sock.c, b"x", 1, 0, on_link("fe80::77", host6), 7) == 1
    (question,) = host6.sent6()
    assert (question.src, question.dst) == (OUR_LINK, "ff02::1:ff00:77")
    assert question.payload[8:24] == mapped("fe80::77")
    (packet,) = host6.answers6(advert("fe80::77", S | O, OUR_LINK))
    assert packet.dst == "fe80::77" and packet.next == 17


def test_stale_neighbour_is_probed_by_unicast(host6: Host6) -> None:
    reachable(host6)
    host6.advance(60 * SECOND)
    assert mac_used(host6) == PEER_MAC
    host6.advance(6 * SECOND)
    (probe,) = [packet for packet in host6.sent6() if packet.next == ICMP6]
    assert (probe.frame[:6], probe.dst, probe.payload[0]) == (PEER_MAC, NEIGHBOUR, SOLICIT)
    assert host6.answers6(advert(NEIGHBOUR, S)) == []
    host6.advance(10 * SECOND)
    assert host6.take() == []


# ---- answering -------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [US6, OUR_LINK])
def test_question_for_our_address_is_answered(host6: Host6, target: str) -> None:
    (answer,) = host6.answers6(solicit(target))
    assert (answer.frame[:6], answer.src, answer.dst, answer.hops) == (PEER_MAC, target, PEER6, 255)
    assert answer.payload[0] == ADVERT and answer.payload[4] == S | O
    assert answer.payload[8:] == mapped(target) + mac_option(2, OUR_MAC)


def test_who_asks_is_remembered(host6: Host6) -> None:
    host6.answers6(solicit(US6, NEIGHBOUR, options=mac_option(1, OTHER_MAC)))
    assert mac_used(host6) == OTHER_MAC


def test_unicast_question_of_a_known_neighbour_needs_no_option(host6: Host6) -> None:
    """RFC 4861 4.3: a probe may leave the sender's MAC out."""
    reachable(host6)
    (answer,) = host6.answers6(solicit(US6, NEIGHBOUR, US6, options=b""))
    assert answer.frame[:6] == PEER_MAC


def test_stranger_without_option_is_not_asked_for_his_mac(host6: Host6) -> None:
    """Each would cost an entry that nobody can evict while it waits."""
    before = host6.stack.neigh_count
    assert host6.answers6(*(solicit(US6, f"2001:db8::1:{i}", options=b"") for i in range(1, 20))) == []
    assert host6.stack.neigh_count == before and host6.dropped() == {"nd_drop_stranger": 19}


def test_who_is_not_on_our_link_is_answered_but_not_remembered(host6: Host6) -> None:
    """RFC 5942 4: a solicitation proves nothing about where its sender is."""
    before = host6.stack.neigh_count
    assert len(host6.answers6(solicit(US6, FAR6))) == 1
    assert host6.stack.neigh_count == before


def test_flood_of_questions_does_not_push_out_who_is_in_use(host6: Host6) -> None:
    reachable(host6)
    for high in range(20):
        host6.answer(*(ether6(solicit(US6, f"2001:db8::{high + 1:x}:{i:x}")) for i in range(100)))
    host6.moved()
    assert mac_used(host6) == PEER_MAC and host6.take() == []


def test_somebody_about_to_take_our_address_hears_that_it_is_ours(host6: Host6) -> None:
    """RFC 4861 7.2.4: a probe has no source, so everybody is told, and the S flag is not set."""
    (answer,) = host6.answers6(solicit(US6, "::", options=b""))
    assert (answer.src, answer.dst, answer.payload[4]) == (US6, "ff02::1", O)


@pytest.mark.parametrize("option", [b"\x0e\x01abcdef", b"\x63\x02" + bytes(14)])
def test_unknown_options_are_skipped(host6: Host6, option: bytes) -> None:
    assert len(host6.answers6(solicit(US6, options=option + mac_option(1)))) == 1


@pytest.mark.parametrize(
    ("packet", "counter"),
    [
        (solicit(US6, hops=254), "nd_drop_malformed"),
        (solicit(US6, code=1), "nd_drop_malformed"),
        (solicit(US6, options=b"\1\0" + bytes(6)), "nd_drop_malformed"),
        (solicit(US6, options=b"\1\2" + bytes(6)), "nd_drop_malformed"),
        (solicit(US6, options=b"\1\1\0"), "nd_drop_malformed"),
        (solicit(US6, "::"), "nd_drop_malformed"),
        (solicit(US6, "::", US6, b""), "nd_drop_malformed"),
        (solicit("ff02::1", dst=US6), "nd_drop_malformed"),
        (solicit("fe80:2::9", dst=US6), "nd_drop_malformed"),
        (solicit("::ffff:10.0.0.1", dst=US6), "nd_drop_malformed"),
        (solicit("2001:db8::9", dst=US6), "nd_drop_not_ours"),
        (advert(NEIGHBOUR, S, hops=64), "nd_drop_malformed"),
        (advert(NEIGHBOUR, S, "ff02::1"), "nd_drop_malformed"),
        (advert(NEIGHBOUR, S), "nd_drop_not_ours"),
        (ip6(icmp6(137, 0, bytes(4), bytes(32)), ICMP6, hops=255), "nd_drop_redirect"),
        (ip6(icmp6(133), ICMP6, hops=255), "nd_drop_not_ours"),
        (ip6(icmp6(SOLICIT, 0, bytes(4), bytes(15)), ICMP6, hops=255), "nd_drop_malformed"),
    ],
)
def test_what_rfc_4861_says_to_discard_is_discarded(host6: Host6, packet: bytes, counter: str) -> None:
    assert host6.answers6(packet) == [] and host6.dropped() == {counter: 1}


# ---- RFC 4861 7.2.5, flag by flag ------------------------------------------------------------


def test_advertisement_alone_makes_no_entry(host6: Host6) -> None:
    before = host6.stack.neigh_count
    host6.answers6(advert(NEIGHBOUR, O, "ff02::1"))
    assert host6.stack.neigh_count == before


def test_first_answer_without_a_mac_is_no_answer(host6: Host6) -> None:
    ask(host6)
    host6.sent6()
    assert host6.answers6(advert(NEIGHBOUR, S, options=b"")) == []


def test_another_mac_without_override_does_not_replace_the_known_one(host6: Host6) -> None:
    reachable(host6)
    host6.answers6(advert(NEIGHBOUR, S, options=mac_option(2, OTHER_MAC)))
    assert mac_used(host6) == PEER_MAC
    host6.advance(6 * SECOND)  # but it is suspect now: probed
    assert kinds(host6.sent6()) == [SOLICIT]


def test_another_mac_with_override_does(host6: Host6) -> None:
    reachable(host6)
    host6.answers6(advert(NEIGHBOUR, O, options=mac_option(2, OTHER_MAC)))
    assert mac_used(host6) == OTHER_MAC
    host6.advance(6 * SECOND)
    assert kinds(host6.sent6()) == [SOLICIT]


def test_unsolicited_advertisement_does_not_make_reachable(host6: Host6) -> None:
    ask(host6)
    host6.sent6()
    assert kinds(host6.answers6(advert(NEIGHBOUR, O))) == ["udp"]
    host6.advance(6 * SECOND)
    assert kinds(host6.sent6()) == [SOLICIT]


def test_group_mac_is_no_neighbours(host6: Host6) -> None:
    ask(host6)
    host6.sent6()
    assert host6.answers6(advert(NEIGHBOUR, S, options=mac_option(2, bytes.fromhex("333300000001")))) == []


def test_pinned_neighbour_is_not_overridden(host6: Host6) -> None:
    host6.answers6(advert(PEER6, S | O, options=mac_option(2, OTHER_MAC)))
    Socket(host6, domain=AF_INET6).sendto(b"x", PEER6, 7)
    assert host6.sent6()[0].frame[:6] == PEER_MAC


def test_connect_to_a_dead_neighbour_fails(host6: Host6) -> None:
    sock = Socket(host6, 1, AF_INET6)
    assert sock.connect(NEIGHBOUR, 80) == -errno.EINPROGRESS
    host6.advance(4 * SECOND)
    assert sock.connect(NEIGHBOUR, 80) == -errno.EHOSTUNREACH


def test_far_router_is_asked_by_its_link_local_address(host6: Host6) -> None:
    assert host6.route("::", 0, GATEWAY6) == 0
    ask(host6, FAR6)
    (question,) = host6.sent6()
    assert question.payload[8:24] == mapped(GATEWAY6)
    (packet,) = host6.answers6(advert(GATEWAY6, R | S | O, OUR_LINK))
    assert packet.dst == FAR6 and packet.src == US6


def test_answer_goes_by_the_frames_own_addresses(host6: Host6) -> None:
    host6.inject(ether6(ip6(udp6(b"x", dport=9))))
    assert parse_ip6(host6.take()[0]).frame[:6] == PEER_MAC


def test_addresses_that_nobody_has_push_out_each_other_only(host6: Host6) -> None:
    """RFC 6583: a peer can make us ask for as many neighbours as the subnet has addresses, by forged SYNs for one."""
    known = [f"2001:db8::5:{number:x}" for number in range(800)]
    for address in known:
        host6.inject(ether6(solicit(US6, address)))
    host6.take()
    for number in range(3000):
        ask(host6, f"2001:db8::6:{number:x}").close()
        host6.poll()
        host6.take()
    assert host6.moved()["neigh_drop_asking"] == 3000 - 128
    for address in known:
        assert mac_of(host6, address) == PEER_MAC
    host6.advance(5 * SECOND)
    host6.take()
    ask(host6)
    assert kinds(host6.sent6()) == [SOLICIT]


def mac_of(host6: Host6, address: str) -> bytes:
    sock = ask(host6, address)
    sock.close()
    return host6.sent6()[0].frame[:6]


def test_link_too_short_for_ipv6_gets_no_address(native: Any) -> None:
    """RFC 8200 5: every link carries 1,280."""
    host = Host(native, mtu=1279)
    add = host.lib.gd_stack_add_address
    assert add(host.stack, host.index, mapped(US6), 64) == -errno.EINVAL
    assert host.lib.gd_stack_autoconf(host.stack, host.index) == -errno.EINVAL
    host.close()
