"""IPv6 packets in: what is taken, what is dropped and counted, extension headers and their limits. Read by pytest."""
from __future__ import annotations

import struct

import pytest
from frames import BROADCAST, OUR_MAC, PEER_MAC, Host, Socket, ether, mapped, udp
from frames6 import AF_INET6, FAR6, ICMP6, PEER6, US6, Host6, ether6, extension, icmp6, ip6, on_link, udp6

HOP_BY_HOP, ROUTING, FRAGMENT, NONE, DESTINATION, UDP = 0, 43, 44, 59, 60, 17
PARAMETER, ROUTER_ALERT = 4, bytes([5, 2, 0, 0])


def listener(host: Host6) -> Socket:
    sock = Socket(host, domain=AF_INET6)
    assert sock.bind("::", 7) == 0
    return sock


def got(sock: Socket) -> bytes | None:
    result = sock.recvfrom()
    return None if isinstance(result, int) else result[0]


def problem(host6: Host6, packet: bytes) -> tuple[int, int, int]:
    """Type, code and pointer of the error that comes back; it quotes the packet."""
    (answer,) = host6.answers6(packet)
    assert (answer.src, answer.dst, answer.next) == (US6, PEER6, ICMP6)
    assert answer.payload[8:] == packet
    return answer.payload[0], answer.payload[1], struct.unpack("!I", answer.payload[4:8])[0]


def test_datagram_is_delivered(host6: Host6) -> None:
    sock = listener(host6)
    host6.inject(ether6(ip6(udp6(b"hello"))))
    assert got(sock) == b"hello" and not host6.dropped() and not host6.take()


def test_padding_of_the_frame_is_cut_off(host6: Host6) -> None:
    sock = listener(host6)
    host6.inject(ether6(ip6(udp6(b"hello")) + bytes(30)))
    assert got(sock) == b"hello"


@pytest.mark.parametrize(
    ("packet", "counter"),
    [
        (b"", "ip6_drop_malformed"),
        (ip6(udp6(b"x"))[:39], "ip6_drop_malformed"),
        (ip6(udp6(b"x"), version=4), "ip6_drop_malformed"),
        (ip6(udp6(b"x"), length=100), "ip6_drop_malformed"),
        (ip6(udp6(b"x", src="ff02::1"), src="ff02::1"), "ip6_drop_source"),
        (ip6(udp6(b"x", src="::1"), src="::1"), "ip6_drop_source"),
        (ip6(udp6(b"x", src="::"), src="::"), "ip6_drop_source"),
        (ip6(udp6(b"x", src=US6), src=US6), "ip6_drop_source"),
        (ip6(udp6(b"x", src="::ffff:10.0.0.2"), src="::ffff:10.0.0.2"), "ip6_drop_source"),
        (ip6(udp6(b"x", src="fe80:2::2"), src="fe80:2::2"), "ip6_drop_source"),
        (ip6(udp6(b"x", dst=FAR6), dst=FAR6), "ip6_drop_not_ours"),
        (ip6(udp6(b"x", dst="::1"), dst="::1"), "ip6_drop_not_ours"),
        (ip6(udp6(b"x", dst="ff02::99"), dst="ff02::99"), "ip6_drop_not_ours"),
        (ip6(udp6(b"x", dst="ff01::1"), dst="ff01::1"), "ip6_drop_not_ours"),
        (ip6(udp6(b"x", dst="ff00::1"), dst="ff00::1"), "ip6_drop_not_ours"),
        (ip6(udp6(b"x", dst="::ffff:10.0.0.1"), dst="::ffff:10.0.0.1"), "ip6_drop_not_ours"),
        (ip6(udp6(b"x", checksum=0)), "udp_drop_checksum"),
        (ip6(b"", NONE), "ip6_drop_empty"),
        (ip6(bytes([UDP, 0, 0]), DESTINATION), "ip6_drop_malformed"),
        (ip6(bytes([UDP, 9]) + bytes(14), DESTINATION), "ip6_drop_malformed"),
        (ip6(bytes([UDP, 0, 0, 1, 0, 0, 0]), FRAGMENT), "ip6_drop_malformed"),
    ],
)  # fmt: skip
def test_what_no_host_sends_is_dropped_and_counted(host6: Host6, packet: bytes, counter: str) -> None:
    sock = listener(host6)
    assert host6.answers6(packet) == []
    assert host6.dropped() == {counter: 1} and got(sock) is None


def test_v4_mapped_source_is_no_way_past_an_ipv4_rule(host6: Host6) -> None:
    """An IPv4 socket of ours must not hear what came as IPv6."""
    sock = Socket(host6)
    assert sock.bind("0.0.0.0", 7) == 0
    host6.inject(ether6(ip6(udp6(b"x", src="::ffff:10.0.0.2", dst="::ffff:10.0.0.1"), 17, "::ffff:10.0.0.2",
                            "::ffff:10.0.0.1")))  # fmt: skip
    assert got(sock) is None


def test_link_local_address_is_ours_on_its_own_link_only(host6: Host6) -> None:
    assert host6.lib.gd_stack_is_local(host6.stack, on_link("fe80::1", host6)) == 0
    assert host6.lib.gd_stack_add_address(host6.stack, host6.index, mapped("fe80::1"), 64) == 0
    host6.advance(3 * 10**9)
    host6.settle6()
    sock = listener(host6)
    host6.inject(ether6(ip6(udp6(b"x", src="fe80::2", dst="fe80::1"), src="fe80::2", dst="fe80::1")))
    assert got(sock) == b"x"
    assert host6.lib.gd_stack_is_local(host6.stack, on_link("fe80::1", host6)) == 1
    assert host6.lib.gd_stack_is_local(host6.stack, mapped("fe80::1")) == 0


# ---- extension headers -----------------------------------------------------------------------


def test_chain_of_known_headers_is_walked(host6: Host6) -> None:
    chain = extension(DESTINATION, ROUTER_ALERT) + extension(ROUTING, bytes([1, 4, 9, 9, 9, 9]))
    chain += extension(FRAGMENT, bytes([4, 0])) + bytes([UDP, 0, 0, 0, 1, 2, 3, 4]) + udp6(b"hello")
    sock = listener(host6)
    assert host6.answers6(ip6(chain, HOP_BY_HOP)) == []
    assert got(sock) == b"hello" and not host6.dropped()


def test_hop_by_hop_header_comes_first_or_not_at_all(host6: Host6) -> None:
    chain = extension(HOP_BY_HOP, b"") + extension(UDP, b"") + udp6(b"x")
    assert problem(host6, ip6(chain, DESTINATION)) == (PARAMETER, 1, 40)
    assert host6.dropped() == {"ip6_drop_protocol": 1}


@pytest.mark.parametrize(
    ("option", "told", "taken"), [(0x1E, False, True), (0x5E, False, False), (0x9E, True, False), (0xDE, True, False)]
)
def test_unknown_option_is_treated_as_its_high_bits_say(host6: Host6, option: int, told: bool, taken: bool) -> None:
    """RFC 8200 4.2: 00 skip, 01 discard, 10 and 11 discard and tell."""
    sock = listener(host6)
    packet = ip6(extension(UDP, bytes([1, 0, option, 2, 7, 7])) + udp6(b"x"), DESTINATION)
    if told:
        assert problem(host6, packet) == (PARAMETER, 2, 44)
    else:
        assert host6.answers6(packet) == []
    assert (got(sock) == b"x") is taken
    assert host6.dropped() == ({} if taken else {"ip6_drop_options": 1})


@pytest.mark.parametrize(("option", "told"), [(0x9E, True), (0xDE, False)])
def test_unknown_option_to_a_group_is_told_of_only_if_it_asks_for_that(host6: Host6, option: int, told: bool) -> None:
    packet = ip6(extension(UDP, bytes([option, 0])) + udp6(b"x", dst="ff02::1"), DESTINATION, dst="ff02::1")
    assert len(host6.answers6(packet)) == told


def test_jumbogram_is_refused(host6: Host6) -> None:
    """RFC 2675 3: to who knows it not, it is an unknown option with the high bits 11."""
    packet = ip6(extension(UDP, bytes([0xC2, 4, 0, 1, 0, 0])) + udp6(b"x"), HOP_BY_HOP)
    assert problem(host6, packet) == (PARAMETER, 2, 42)


@pytest.mark.parametrize("kind", [0, 1, 2, 4, 253])
def test_source_route_with_segments_left_is_refused(host6: Host6, kind: int) -> None:
    """RFC 5095 3, RFC 8200 4.4: type 0 as any that is not known."""
    body = bytes([kind, 1, 0, 0, 0, 0]) + mapped(FAR6)
    assert problem(host6, ip6(extension(UDP, body) + udp6(b"x"), ROUTING)) == (PARAMETER, 0, 42)
    assert host6.dropped() == {"ip6_drop_routing": 1}


def test_source_route_without_segments_left_is_skipped(host6: Host6) -> None:
    sock = listener(host6)
    host6.inject(ether6(ip6(extension(UDP, bytes([0, 0, 0, 0, 0, 0]) + mapped(FAR6)) + udp6(b"x"), ROUTING)))
    assert got(sock) == b"x"


@pytest.mark.parametrize("body", [bytes([0x1E, 5]), bytes([0x1E, 200, 0, 0]), bytes([1, 5])])
def test_option_beyond_its_header_is_dropped(host6: Host6, body: bytes) -> None:
    assert host6.answers6(ip6(extension(UDP, body) + udp6(b"x"), DESTINATION)) == []
    assert host6.dropped() == {"ip6_drop_options": 1}


def test_many_options_are_an_attack(host6: Host6) -> None:
    """RFC 8504 5.3: eight are enough."""
    sock = listener(host6)
    host6.inject(ether6(ip6(extension(UDP, bytes([0x1E, 0]) * 8) + udp6(b"x"), DESTINATION)))
    assert got(sock) == b"x"
    host6.inject(ether6(ip6(extension(UDP, bytes([0x1E, 0]) * 9) + udp6(b"x"), DESTINATION)))
    assert got(sock) is None and host6.dropped() == {"ip6_drop_options": 1}


def test_many_headers_are_an_attack(host6: Host6) -> None:
    sock = listener(host6)
    chain = extension(DESTINATION, b"") * 6 + extension(UDP, b"") + udp6(b"x")
    host6.inject(ether6(ip6(chain, DESTINATION)))
    assert got(sock) == b"x"
    host6.inject(ether6(ip6(extension(DESTINATION, b"") + chain, DESTINATION)))
    assert got(sock) is None and host6.dropped() == {"ip6_drop_headers": 1}


def test_fragment_that_is_all_of_its_packet_is_taken(host6: Host6) -> None:
    """RFC 6946 4"""
    sock = listener(host6)
    host6.inject(ether6(ip6(bytes([UDP, 0, 0, 0, 1, 2, 3, 4]) + udp6(b"x"), FRAGMENT)))
    assert got(sock) == b"x"


def test_unknown_next_header_is_told_of(host6: Host6) -> None:
    assert problem(host6, ip6(bytes(8), 200)) == (PARAMETER, 1, 6)
    assert problem(host6, ip6(extension(200, b"") + bytes(8), DESTINATION)) == (PARAMETER, 1, 40)
    assert host6.dropped() == {"ip6_drop_protocol": 2}


def test_frame_to_everybody_gets_no_error(host6: Host6) -> None:
    """RFC 4443 2.4 (e.4): nor does a group, nor a source that is nobody."""
    packets = [
        ether6(ip6(bytes(8), 200), to=BROADCAST),
        ether6(ip6(bytes(8), 200, dst="ff02::1"), to=bytes.fromhex("333300000001")),
        ether6(ip6(udp6(b"x", dport=9, dst="ff02::1"), dst="ff02::1")),
        ether6(ip6(bytes(8), 200, src="::")),
    ]
    assert host6.answer(*packets) == []


def test_packet_of_nobody_gets_no_error_though_a_router_would_take_it(host6: Host6) -> None:
    """RFC 4443 2.4 (e.6)."""
    host6.learn(PEER6)
    assert host6.route("::", 0, PEER6) == 0
    packet = extension(UDP, bytes([0x9E, 0])) + udp6(b"x")  # an option that asks for an error
    assert len(host6.answers6(ip6(packet, DESTINATION))) == 1
    assert host6.answer(ether6(ip6(packet, DESTINATION, src="::"))) == []


def test_packet_of_one_family_in_a_frame_of_the_other_is_dropped(host6: Host6) -> None:
    host6.inject(ether(ip6(udp6(b"x")), 0x0800), ether(bytes([0x45]) + bytes(40), 0x86DD))
    assert host6.dropped() == {"ip4_drop_malformed": 1, "ip6_drop_malformed": 1}


def test_any_bytes_do_no_harm(host6: Host6) -> None:
    """Whatever follows a good header, the next datagram is delivered."""
    sock = listener(host6)
    good = ip6(extension(DESTINATION, ROUTER_ALERT) + extension(UDP, b"") + udp6(b"hello"), HOP_BY_HOP)
    for at in range(40, len(good)):
        for value in (0, 1, 7, 43, 44, 59, 60, 127, 255):
            host6.inject(ether6(good[:at] + bytes([value]) + good[at + 1 :]), ether6(good[:at]))
    host6.take()
    while got(sock) is not None:
        pass
    host6.inject(ether6(good))
    assert got(sock) == b"hello"


def test_mac_of_another_host_is_not_ours(host6: Host6) -> None:
    host6.inject(ether6(ip6(udp6(b"x")), to=PEER_MAC, source=OUR_MAC))
    assert host6.dropped() == {"eth_drop_other_host": 1}


def test_stack_without_ipv6_address_takes_none(host: Host) -> None:
    host.inject(ether6(ip6(udp6(b"x"))))
    assert host.moved()["ip6_drop_not_ours"] == 1
    host.inject(ether(udp(b"x"), 0x86DD))
    assert host.take() == []


def test_icmp_of_the_other_family_is_unknown(host6: Host6) -> None:
    assert problem(host6, ip6(icmp6(128), 1)) == (PARAMETER, 1, 6)
