"""Routers, prefixes and the addresses made of them (RFC 4861 6.3, RFC 4862 5.5, RFC 4191, RFC 8106). Read by pytest."""
from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from frames import MS, OTHER_MAC, OUR_MAC, PEER_MAC, SECOND, Host, Socket, mapped
from frames6 import (
    AF_INET6,
    FAR6,
    ICMP6,
    OUR_LINK,
    ROUTER_ADVERT,
    ROUTER_SOLICIT,
    SOLICIT,
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
    solicited,
)  # fmt: skip

ROUTER, SECOND_ROUTER = "fe80::a", "fe80::b"
OURS, PREFIX = "2001:db8:5::ff:fe00:1", "2001:db8:5::"
HOUR = 3600 * SECOND
DUPLICATE, DEPRECATED, MADE = 2, 4, 8
ON_LINK, AUTO = 0x80, 0x40


class Auto(Host):
    """A host that listens to routers, its link-local address its own."""

    def __post_init__(self) -> None:
        super().__post_init__()
        assert self.lib.gd_stack_autoconf(self.stack, self.index) == 0
        self.advance(1100 * MS)
        self.take()
        self.moved()

    def hear(self, *options: bytes, src: str = ROUTER, settle: bool = True, **fields: int) -> None:
        """Receive an advertisement, and let time pass for what comes of it."""
        self.inject(ether6(router_advert(*options, src=src, **fields)))
        if settle:
            self.advance(2200 * MS)

    def addresses(self) -> dict[str, int]:
        """IPv6 addresses and their states, without the link's own."""
        found = {}
        sixteen, length = self.ffi.new("uint8_t[16]"), self.ffi.new("int *")
        at = 0
        while self.lib.gd_stack_address(self.stack, self.index, at, sixteen, length) == 0:
            address = ipaddress.IPv6Address(bytes(sixteen))
            if not address.ipv4_mapped and not address.is_link_local:
                found[str(address)] = self.lib.gd_stack_address_state(self.stack, self.index, at)
            at += 1
        return found

    def servers(self) -> list[str]:
        """What RDNSS options told."""
        found: list[str] = []
        sixteen = self.ffi.new("uint8_t[16]")
        while self.lib.gd_stack_nameserver(self.stack, self.index, len(found), sixteen) == 0:
            found.append(str(ipaddress.IPv6Address(bytes(sixteen))))
        return found

    def gateway(self) -> str | None:
        """The router that a packet to the world is given to; it says what it asks."""
        self.take()
        if Socket(self, domain=AF_INET6).sendto(b"x", FAR6, 7) != 1:
            return None
        self.poll()
        packet = parse_ip6(self.take()[-1])
        if packet.payload[0] == SOLICIT and packet.next == ICMP6:
            return str(ipaddress.IPv6Address(packet.payload[8:24]))
        return packet.frame[:6].hex()


def router_advert(*options: bytes, src: str = ROUTER, **fields: int) -> bytes:
    """A router advertisement's packet; fields: lifetime, hops, flags, reachable, retrans, ttl, code."""
    rest = struct.pack("!BBH", fields.get("hops", 64), fields.get("flags", 0), fields.get("lifetime", 1800))
    body = struct.pack("!II", fields.get("reachable", 0), fields.get("retrans", 0)) + b"".join(options)
    message = icmp6(ROUTER_ADVERT, fields.get("code", 0), rest, body, src=src, dst="ff02::1")
    return ip6(message, ICMP6, src, "ff02::1", hops=fields.get("ttl", 255))


def prefix(flags: int = ON_LINK | AUTO, valid: int = 86400, preferred: int = 14400, at: str = PREFIX,
           bits: int = 64) -> bytes:  # fmt: skip
    """A prefix information option."""
    return struct.pack("!BBBBIII", 3, 4, bits, flags, valid, preferred, 0) + mapped(at)


def rdnss(lifetime: int, *servers: str) -> bytes:
    """A recursive DNS server option."""
    return struct.pack("!BBHI", 25, 1 + 2 * len(servers), 0, lifetime) + b"".join(map(mapped, servers))


@pytest.fixture
def auto(native: Any) -> Iterator[Auto]:
    made = Auto(native)
    yield made
    made.close()


# ---- asking ----------------------------------------------------------------------------------


def test_routers_are_asked_by_an_address_of_the_link_later_and_later(auto: Auto) -> None:
    """RFC 4861 6.3.7, RFC 7559 2: after 4 s, 8 s, 16 s and so on, give or take a tenth."""
    times = []
    for _ in range(200):
        auto.advance(SECOND)
        for frame in auto.take():
            packet = parse_ip6(frame)
            assert (packet.src, packet.dst, packet.hops) == (OUR_LINK, "ff02::2", 255)
            assert packet.payload[0] == ROUTER_SOLICIT and packet.payload[8:] == mac_option(1, OUR_MAC)
            times.append(auto.now // SECOND)
    gaps = [after - before for before, after in zip(times, times[1:], strict=False)]
    assert len(gaps) >= 5
    assert all(3 * 2**n <= gap <= 5 * 2**n for n, gap in enumerate(gaps))


def test_router_that_speaks_ends_the_asking(auto: Auto) -> None:
    auto.advance(3 * SECOND)
    auto.hear()
    auto.take()
    auto.advance(HOUR // 4)
    assert [frame for frame in auto.take() if parse_ip6(frame).payload[0] == ROUTER_SOLICIT] == []


def test_host_that_was_not_told_to_listens_to_no_router(host6: Any) -> None:
    host6.inject(ether6(router_advert(prefix())))
    assert host6.dropped() == {"nd_drop_unasked": 1}


# ---- addresses -------------------------------------------------------------------------------


def test_address_is_made_of_prefix_and_identifier_after_a_question(auto: Auto) -> None:
    auto.hear(prefix())
    assert auto.addresses() == {OURS: MADE}
    asked = [parse_ip6(frame) for frame in auto.take()]
    assert any(packet.src == "::" and packet.dst == solicited(OURS) for packet in asked)
    assert auto.gateway() == ROUTER


def test_address_is_deprecated_and_goes(auto: Auto) -> None:
    auto.hear(prefix(valid=20000, preferred=10000))
    auto.advance(10000 * SECOND)
    assert auto.addresses() == {OURS: MADE | DEPRECATED}
    auto.advance(10000 * SECOND)
    assert auto.addresses() == {} and not auto.lib.gd_stack_is_local(auto.stack, mapped(OURS))


def test_advertisement_again_prolongs_it(auto: Auto) -> None:
    auto.hear(prefix(valid=20000, preferred=100))
    auto.advance(200 * SECOND)
    assert auto.addresses() == {OURS: MADE | DEPRECATED}
    auto.hear(prefix(valid=20000, preferred=20000))
    assert auto.addresses() == {OURS: MADE}
    auto.advance(19000 * SECOND)
    assert auto.addresses() == {OURS: MADE}


@pytest.mark.parametrize(
    ("first", "told", "left"),
    [(86400, 0, 7200), (86400, 7000, 7200), (86400, 8000, 8000), (5000, 0, 5000), (5000, 9, 5000), (5000, 6000, 6000)],
)
def test_nobody_shortens_a_life_to_less_than_two_hours(auto: Auto, first: int, told: int, left: int) -> None:
    """RFC 4862 5.5.3 e"""
    auto.hear(prefix(valid=first, preferred=0), settle=False)
    auto.hear(prefix(valid=told, preferred=0), settle=False)
    auto.advance((left - 2) * SECOND)
    assert OURS in auto.addresses()
    auto.advance(4 * SECOND)
    assert auto.addresses() == {}


def test_infinite_lifetime_does_not_end(auto: Auto) -> None:
    auto.hear(prefix(valid=2**32 - 1, preferred=2**32 - 1), lifetime=0)
    auto.advance(1000 * 24 * HOUR)
    assert auto.addresses() == {OURS: MADE}


@pytest.mark.parametrize(
    "option",
    [
        prefix(bits=63), prefix(bits=129), prefix(bits=0), prefix(at="fe80::"), prefix(at="ff02::"),
        prefix(at="::ffff:0:0"), prefix(valid=10, preferred=20), prefix()[:1] + b"\5" + prefix()[2:] + bytes(8),
        b"\3\1\x40\xc0\xff\xff\xff\xff",
    ],
)  # fmt: skip
def test_prefix_that_makes_no_address_is_counted(auto: Auto, option: bytes) -> None:
    auto.hear(option)
    assert auto.addresses() == {} and auto.dropped() == {"nd_drop_prefix": 1}


def test_prefix_without_the_flag_or_a_life_makes_no_address(auto: Auto) -> None:
    auto.hear(prefix(ON_LINK), prefix(valid=0, preferred=0))
    assert auto.addresses() == {} and auto.dropped() == {}


def test_duplicate_of_a_made_address_is_not_used(auto: Auto) -> None:
    auto.hear(prefix(), settle=False)
    auto.inject(ether6(advert(OURS, O, "ff02::1")))
    auto.advance(3 * SECOND)
    assert auto.addresses() == {OURS: MADE | DUPLICATE}


def test_address_set_by_hand_is_not_made_again(auto: Auto) -> None:
    assert auto.lib.gd_stack_add_address(auto.stack, auto.index, mapped(OURS), 64) == 0
    auto.hear(prefix(valid=100, preferred=100))
    auto.advance(200 * SECOND)
    assert auto.addresses() == {OURS: 0}


def test_flood_of_prefixes_fills_small_tables_only(auto: Auto) -> None:
    auto.hear(prefix(), settle=False)
    for number in range(100):
        auto.hear(prefix(at=f"2001:db8:{number + 16:x}::"), settle=False)
    auto.advance(3 * SECOND)
    assert len(auto.addresses()) == 8 and OURS in auto.addresses()
    assert auto.stack.nroutes < 20 and auto.dropped()["nd_drop_table_full"] > 90
    assert auto.lib.gd_stack_add_address(auto.stack, auto.index, mapped("2001:db8::1"), 64) == 0


# ---- routers ---------------------------------------------------------------------------------


def answers(auto: Auto, router: str, mac: bytes) -> None:
    auto.inject(ether6(advert(router, R | S | O, OUR_LINK, mac_option(2, mac))))
    auto.take()


def test_router_goes_with_its_lifetime(auto: Auto) -> None:
    auto.hear(prefix(valid=99999, preferred=99999), lifetime=100)
    assert auto.gateway() == ROUTER
    auto.advance(100 * SECOND)
    assert auto.gateway() is None


def test_router_that_says_zero_goes_at_once(auto: Auto) -> None:
    auto.hear(prefix())
    auto.hear(lifetime=0)
    assert auto.gateway() is None and OURS in auto.addresses()


def test_mac_in_an_advertisement_saves_the_question(auto: Auto) -> None:
    auto.hear(prefix(), mac_option(1, OTHER_MAC))
    assert auto.gateway() == OTHER_MAC.hex()


@pytest.mark.parametrize(("first", "second", "best"), [(0, 1, 1), (3, 0, 1), (1, 0, 0), (0, 0, 0), (0, 3, 0)])
def test_preferred_router_is_used(auto: Auto, first: int, second: int, best: int) -> None:
    """RFC 4191 2.1: 1 high, 0 medium, 3 low; the first of equals stays."""
    auto.hear(prefix(), flags=first << 3)
    auto.hear(src=SECOND_ROUTER, flags=second << 3)
    assert auto.gateway() == (ROUTER, SECOND_ROUTER)[best]


def test_silent_router_gives_way_to_one_that_answers(auto: Auto) -> None:
    """RFC 4861 6.3.6"""
    auto.hear(prefix())
    auto.hear(src=SECOND_ROUTER)
    assert auto.gateway() == ROUTER
    auto.advance(5 * SECOND)
    assert auto.gateway() == SECOND_ROUTER
    answers(auto, SECOND_ROUTER, PEER_MAC)
    auto.advance(30 * SECOND)
    assert auto.gateway() == PEER_MAC.hex()


def test_router_that_died_later_is_noticed_by_its_probe(auto: Auto) -> None:
    auto.hear(prefix(), mac_option(1, OTHER_MAC), lifetime=9000)
    auto.hear(mac_option(1, PEER_MAC), src=SECOND_ROUTER, lifetime=9000)
    assert auto.gateway() == OTHER_MAC.hex()
    auto.advance(9 * SECOND)
    assert auto.gateway() == PEER_MAC.hex()
    auto.hear(lifetime=9000)  # it speaks again, but who answers stays
    assert auto.gateway() == PEER_MAC.hex()
    auto.hear(src=SECOND_ROUTER, lifetime=0)
    assert auto.gateway() == ROUTER


def test_router_that_becomes_a_host_is_none(auto: Auto) -> None:
    """RFC 4861 7.2.5: the R flag goes."""
    auto.hear(prefix(), mac_option(1, OTHER_MAC))
    auto.inject(ether6(advert(ROUTER, O, "ff02::1", mac_option(2, OTHER_MAC))))
    assert auto.gateway() is None


def test_flood_of_routers_does_not_push_out_the_first(auto: Auto) -> None:
    auto.hear(prefix(), mac_option(1, OTHER_MAC))
    for number in range(200):
        auto.hear(src=f"fe80::1:{number:x}", settle=False)
    auto.hear(src="fe80::2:1", flags=1 << 3)
    assert auto.gateway() == OTHER_MAC.hex() and auto.dropped()["nd_drop_table_full"] == 198


def test_route_by_hand_goes_before_a_routers(auto: Auto) -> None:
    assert auto.route("::", 0, "fe80::77") == 0
    auto.hear(prefix())
    assert auto.gateway() == "fe80::77"


@pytest.mark.parametrize(
    ("packet", "counter"),
    [
        (router_advert(prefix(), ttl=254), "nd_drop_malformed"),
        (router_advert(prefix(), code=1), "nd_drop_malformed"),
        (router_advert(prefix(), src="2001:db8::2"), "nd_drop_malformed"),
        (router_advert(prefix(), b"\3\0" + bytes(6)), "nd_drop_malformed"),
        (router_advert(prefix()[:16]), "nd_drop_malformed"),
    ],
)
def test_what_rfc_4861_6_1_2_says_to_discard_is_discarded(auto: Auto, packet: bytes, counter: str) -> None:
    auto.inject(ether6(packet))
    auto.advance(3 * SECOND)
    assert auto.addresses() == {} and auto.dropped() == {counter: 1}


# ---- the interface's numbers -----------------------------------------------------------------


def test_on_link_prefix_needs_no_router(auto: Auto) -> None:
    auto.hear(prefix(ON_LINK, 300, 300, "2001:db8:6::"), prefix(AUTO))
    sock = Socket(auto, domain=AF_INET6)
    auto.take()
    assert sock.sendto(b"x", "2001:db8:6::9", 7) == 1
    auto.poll()
    assert parse_ip6(auto.take()[-1]).dst == solicited("2001:db8:6::9")
    auto.advance(300 * SECOND)
    auto.take()
    sock.sendto(b"x", "2001:db8:6::a", 7)
    auto.poll()
    assert parse_ip6(auto.take()[-1]).dst == solicited(ROUTER)


def test_on_link_prefix_with_no_life_is_withdrawn(auto: Auto) -> None:
    auto.hear(prefix(ON_LINK))
    routes = auto.stack.nroutes
    auto.hear(prefix(ON_LINK, valid=0, preferred=0), prefix(ON_LINK, at="::", bits=0))
    assert auto.stack.nroutes == routes - 1 and auto.gateway() == ROUTER  # nor is all the world on the link


def first_sent(auto: Auto) -> Any:
    peer = on_link("fe80::77", auto)
    assert auto.lib.gd_stack_set_neighbour(auto.stack, auto.index, peer, PEER_MAC) == 0
    sock = Socket(auto, domain=AF_INET6)
    auto.take()
    sent = auto.lib.gd_sock_sendto(sock.c, bytes(1400), 1400, 0, peer, 7)
    auto.poll()
    return sent, [parse_ip6(frame) for frame in auto.take()]


def test_hop_limit_is_the_routers(auto: Auto) -> None:
    auto.hear(hops=33)
    auto.hear(hops=0)  # unspecified by this one
    assert first_sent(auto)[1][0].hops == 33


@pytest.mark.parametrize(("mtu", "fits"), [(1300, False), (1279, True), (9000, True), (1480, True)])
def test_mtu_is_the_routers_within_reason(auto: Auto, mtu: int, fits: bool) -> None:
    auto.hear(b"\5\1\0\0" + struct.pack("!I", mtu))
    packets = first_sent(auto)[1]
    assert (len(packets) == 1 and len(packets[0].frame) == 14 + 48 + 1400) is fits


def test_times_are_the_routers_within_reason(auto: Auto) -> None:
    auto.hear(prefix(), retrans=200)
    auto.hear(retrans=1)  # would have us flood the link
    assert auto.gateway() == ROUTER
    auto.advance(150 * MS)
    assert auto.take() == []
    auto.advance(150 * MS)
    assert len(auto.take()) == 1


def test_name_servers_are_kept_as_long_as_they_live(auto: Auto) -> None:
    """RFC 8106 5.1"""
    auto.hear(rdnss(100, "2001:db8::53", "2001:db8::54"), rdnss(50, "2001:db8::55", "2001:db8::56"))
    assert auto.servers() == ["2001:db8::53", "2001:db8::54", "2001:db8::55"]
    auto.advance(60 * SECOND)
    assert auto.servers() == ["2001:db8::53", "2001:db8::54"]
    auto.hear(rdnss(0, "2001:db8::53"))
    assert auto.servers() == ["2001:db8::54"]


def test_name_server_that_is_no_host_is_not_taken(auto: Auto) -> None:
    """As of DHCP's: a group, nobody, or what would be asked on the loopback."""
    auto.hear(rdnss(100, "::", "::1", "ff02::fb", "::ffff:127.0.0.1", "2001:db8::53"))
    assert auto.servers() == ["2001:db8::53"]
