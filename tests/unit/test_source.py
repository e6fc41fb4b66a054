"""Invariant: the IPv6 source address is the one that RFC 6724 5's rules, asked in their order, prefer."""
from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network
from typing import Any

import pytest
from frames import OUR_MAC, PEER_MAC, Host, pipe
from hypothesis import given, settings
from hypothesis import strategies as st

# RFC 6724 2.1
LABELS = {
    "::1/128": 0, "::/0": 1, "::ffff:0:0/96": 4, "2002::/16": 2, "2001::/32": 5, "fc00::/7": 13, "::/96": 3,
    "fec0::/10": 11, "3ffe::/16": 12,
}  # fmt: skip
Own = tuple[str, int, bool]  # address, prefix length, deprecated


def scope(address: IPv6Address) -> int:
    if address.is_multicast:
        return address.packed[1] & 15
    if address.is_link_local or address.is_loopback:
        return 2
    return 5 if address.is_site_local else 14


def label(address: IPv6Address) -> int:
    holding = [(IPv6Network(prefix).prefixlen, value) for prefix, value in LABELS.items()
               if address in IPv6Network(prefix)]
    return max(holding)[1]


def common(a: IPv6Address, b: IPv6Address, most: int) -> int:
    return min(128 - (int(a) ^ int(b)).bit_length(), most)


def prefers(to: IPv6Address, a: tuple[Own, bool], b: tuple[Own, bool]) -> bool:
    """The rules of RFC 6724 5, as it words them: is a preferred to b? The bool says: on the outgoing interface."""
    (address_a, length_a, old_a), out_a = a
    (address_b, length_b, old_b), out_b = b
    x, y = IPv6Address(address_a), IPv6Address(address_b)
    if (x == to) != (y == to):
        return x == to
    if scope(x) != scope(y):
        return scope(x) >= scope(to) if scope(x) < scope(y) else scope(y) < scope(to)
    if old_a != old_b:
        return old_b
    if out_a != out_b:
        return out_a
    if (label(x) == label(to)) != (label(y) == label(to)):
        return label(x) == label(to)
    return common(x, to, length_a) > common(y, to, length_b)


class Multihomed:
    """A stack of two interfaces whose addresses are set by hand; the second leads everywhere."""

    def __init__(self, native: Any, host: Host) -> None:
        self.host, self.ffi, self.lib = host, native.ffi, native.lib
        port, self.end = pipe(native, 1500, OUR_MAC, PEER_MAC)
        self.out = self.lib.gd_stack_attach(host.stack, port, b"test1")
        route = self.ffi.new("struct gd_route *", {"bits": 0, "netif": host.stack.netifs[self.out - 1]})
        assert self.lib.gd_route_add(host.stack, route) == 0

    def close(self) -> None:
        self.lib.gd_stack_detach(self.host.stack, self.out)
        self.lib.gd_port_close(self.end)

    def set(self, index: int, owns: list[Own]) -> None:
        netif = self.host.stack.netifs[index - 1]
        netif.naddrs = len(owns)
        for at, (address, length, deprecated) in enumerate(owns):
            own = {"addr": {"b": list(IPv6Address(address).packed)}, "prefix_length": length, "deprecated": deprecated}
            netif.addrs[at] = self.ffi.new("struct gd_ifaddr *", own)[0]

    def source(self, to: str) -> str | None:
        src = self.ffi.new("struct gd_addr *")
        addr = self.ffi.new("struct gd_addr *", [list(IPv6Address(to).packed)])
        return str(IPv6Address(bytes(src.b))) if self.lib.gd_ip_source(self.host.stack, addr, 0, src) == 0 else None


@pytest.fixture
def both(native: Any, host: Host) -> Any:
    made = Multihomed(native, host)
    yield made
    made.close()


# RFC 6724 10.1, and a case for each rule.
CASES: list[tuple[str, list[str], str]] = [
    ("2001:db8:1::1", ["2001:db8:3::1", "fe80::1"], "2001:db8:3::1"),
    ("ff05::1", ["2001:db8:3::1", "fe80::1"], "2001:db8:3::1"),
    ("2001:db8:1::1", ["2001:db8:1::1:7", "2001:db8:3::2"], "2001:db8:1::1:7"),
    ("fe80::1", ["2001:db8::2", "fe80::2"], "fe80::2"),
    ("2002:c633:6401::1", ["2001:db8::2", "2002:c633:6401::7953:13eb:22e8"], "2002:c633:6401::7953:13eb:22e8"),
    ("2001:db8:1::d5e3:0:0:1", ["2001:db8:1::2", "2001:db8:3::2"], "2001:db8:1::2"),
    ("fd00:1::1", ["2001:db8::2", "fd77::2"], "fd77::2"),
    ("2001:db8:9::1", ["fd77::2", "2001:db8::2"], "2001:db8::2"),
]


@pytest.mark.parametrize(("to", "owns", "expected"), CASES)
def test_examples_of_rfc_6724_10_1(both: Multihomed, to: str, owns: list[str], expected: str) -> None:
    for order in (owns, owns[::-1]):
        both.set(both.out, [(own, 64, False) for own in order])
        assert both.source(to) == str(IPv6Address(expected))


def test_deprecated_address_is_used_only_if_there_is_no_other(both: Multihomed) -> None:
    both.set(both.out, [("2001:db8:1::2", 64, True), ("2001:db8:3::2", 64, False)])
    assert both.source("2001:db8:1::1") == "2001:db8:3::2"
    both.set(both.out, [("2001:db8:1::2", 64, True)])
    assert both.source("2001:db8:1::1") == "2001:db8:1::2"


def test_youngest_of_equals_is_used_as_on_linux(both: Multihomed) -> None:
    both.set(both.out, [("2001:db8:1::2", 64, False), ("2001:db8:1::3", 64, False)])
    assert both.source("2001:db8:1::9") == "2001:db8:1::3"


def test_tentative_address_is_no_source(both: Multihomed) -> None:
    both.set(both.out, [("2001:db8:1::2", 64, False)])
    both.host.stack.netifs[both.out - 1].addrs[0].tentative = True
    assert both.source("2001:db8:1::1") is None


def test_outgoing_interface_goes_before_a_longer_prefix(both: Multihomed) -> None:
    both.set(both.host.index, [("2001:db8:1::2", 64, False)])
    both.set(both.out, [("2001:db8:3::2", 64, False)])
    assert both.source("2001:db8:1::1") == "2001:db8:3::2"
    both.set(both.out, [])
    assert both.source("2001:db8:1::1") == "2001:db8:1::2"  # as Linux: another interface's serves too


def test_group_of_a_link_gets_an_address_of_that_link_only(both: Multihomed) -> None:
    both.set(both.host.index, [("fe80::1", 64, False), ("2001:db8:1::2", 64, False)])
    both.set(both.out, [])
    assert both.source("ff0e::1") is None
    both.set(both.out, [("2001:db8:3::2", 64, False)])
    assert both.source("ff0e::1") == "2001:db8:3::2"


PREFIXES = ["2001:db8::", "2001:db8:1::", "fd00::", "fd00:1::", "2002:100::", "2001::", "fec0::", "3ffe::"]
addresses = st.builds(
    lambda prefix, host: str(IPv6Address(int(IPv6Address(prefix)) + host)), st.sampled_from(PREFIXES),
    st.integers(1, 2**64 - 1) | st.integers(1, 9),
)  # fmt: skip
owns = st.lists(st.tuples(addresses, st.sampled_from([48, 64, 128]), st.booleans()), max_size=4,
                unique_by=lambda own: own[0])


@settings(max_examples=200)
@given(to=addresses, here=owns, there=owns)
def test_no_other_address_is_preferred_to_the_one_that_is_chosen(
    native: Any, to: str, here: list[Own], there: list[Own]
) -> None:
    host = Host(native)
    both = Multihomed(native, host)
    there = [own for own in there if own[0] not in [other[0] for other in here]]
    both.set(host.index, there)
    both.set(both.out, here)
    chosen, wanted = both.source(to), IPv6Address(to)
    pool = [(own, True) for own in here] + [(own, False) for own in there]
    if to in [own[0] for own, _ in pool]:
        assert chosen == to
    elif not pool:
        assert chosen is None
    else:
        best = next(entry for entry in pool if str(IPv6Address(entry[0][0])) == chosen)
        assert [other for other in pool if other is not best and prefers(wanted, other, best)] == []
    both.close()
    host.close()


def test_source_of_a_route_is_not_for_what_needs_no_route(both: Multihomed) -> None:
    """A link and its groups are no part of ::/0, whose source is for who is behind a router; as on Linux."""
    everywhere, named = bytes(16), IPv6Address("2001:db8:1::2").packed
    owns = ["2001:db8:1::2", "2001:db8:3::2", f"fe80:{both.out:x}::2"]
    both.set(both.out, [(own, 64, False) for own in owns])
    assert both.lib.gd_stack_route_source(both.host.stack, everywhere, 0, both.out, named) == 0
    assert both.source("2001:db8:3::9") == "2001:db8:1::2"
    assert both.source(f"fe80:{both.out:x}::9") == f"fe80:{both.out:x}::2"
    assert both.source(f"ff02:{both.out:x}::fb") == f"fe80:{both.out:x}::2"
