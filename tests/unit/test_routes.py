"""Invariant: the longest prefix that holds an address wins, and the first of equals."""
from __future__ import annotations

import errno
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from frames import FAR, GATEWAY, OTHER, PEER, US, Host, four, mapped
from hypothesis import given, settings
from hypothesis import strategies as st

networks = st.builds(
    lambda number, bits: IPv4Network((number, bits), strict=False), st.integers(0, 2**32 - 1), st.integers(0, 32)
)


@settings(max_examples=100)
@given(table=st.lists(networks, max_size=30), near=st.integers(0, 255), pick=st.integers(0, 29))
def test_longest_prefix_wins(native: Any, table: list[IPv4Network], near: int, pick: int) -> None:
    ffi, lib = native.ffi, native.lib
    stack = ffi.new("struct gd_stack *")
    for number, network in enumerate(table):
        route = ffi.new("struct gd_route *", {"bits": 96 + network.prefixlen, "via": True})
        route.prefix.b = mapped(str(network.network_address))
        route.gateway.b = mapped(f"1.1.1.{number}")
        assert lib.gd_route_add(stack, route) == 0
    base = int(table[pick % len(table)].network_address) if table else 0
    to = IPv4Address((base + near) & 0xFFFFFFFF)
    holding = [network for network in table if to in network]
    found = lib.gd_route_find(stack, ffi.new("struct gd_addr *", [list(mapped(str(to)))]), ffi.NULL)
    if not holding:
        assert found == ffi.NULL
        return
    best = max(holding, key=lambda network: network.prefixlen)
    assert found.bits == 96 + best.prefixlen
    assert bytes(found.prefix.b)[12:] == best.network_address.packed


def test_route_of_the_other_family_is_not_found(ffi: Any, lib: Any) -> None:
    stack, route = ffi.new("struct gd_stack *"), ffi.new("struct gd_route *", {"bits": 0})
    assert lib.gd_route_add(stack, route) == 0
    assert lib.gd_route_find(stack, ffi.new("struct gd_addr *", [list(mapped(FAR))]), ffi.NULL) == ffi.NULL


def test_table_is_bounded_and_the_same_route_replaces(host: Host) -> None:
    room = 64 - host.stack.nroutes
    assert all(host.route(f"172.16.{number}.0", 24, GATEWAY) == 0 for number in range(room))
    assert host.route("172.17.0.0", 24, GATEWAY) == -errno.ENOSPC
    assert host.route("172.16.3.0", 24, OTHER) == 0
    assert host.stack.nroutes == 64


def source(host: Host, to: str) -> tuple[int, str]:
    """Ask which interface and source address lead there."""
    src = host.ffi.new("uint8_t[16]")
    index = host.lib.gd_stack_route(host.stack, mapped(to), src)
    return index, ".".join(str(byte) for byte in bytes(src)[12:])


def test_stack_route_names_interface_and_source(host: Host) -> None:
    loopback = host.lib.gd_stack_route(host.stack, mapped("127.0.0.1"), host.ffi.new("uint8_t[16]"))
    assert source(host, PEER) == (host.index, US)
    assert source(host, US) == (loopback, US)
    assert source(host, "127.0.0.9") == (loopback, "127.0.0.1")
    assert source(host, FAR)[0] == -errno.ENETUNREACH
    assert host.route("0.0.0.0", 0, GATEWAY) == 0
    assert source(host, FAR) == (host.index, US)


def test_source_is_the_address_on_the_next_hops_subnet(host: Host) -> None:
    assert host.lib.gd_stack_add_address(host.stack, host.index, mapped("172.16.0.1"), 16) == 0
    assert host.route("0.0.0.0", 0, "172.16.0.254") == 0
    assert source(host, FAR) == (host.index, "172.16.0.1")
    assert source(host, PEER) == (host.index, US)


def test_source_for_a_neighbour_is_the_address_on_the_smallest_subnet_that_holds_it(host: Host) -> None:
    add = host.lib.gd_stack_add_address
    assert add(host.stack, host.index, mapped("172.16.0.1"), 16) == 0
    assert add(host.stack, host.index, mapped("172.16.7.1"), 24) == 0
    assert source(host, "172.16.7.9") == (host.index, "172.16.7.1")
    assert source(host, "172.16.8.9") == (host.index, "172.16.0.1")
    assert host.route("0.0.0.0", 0, "172.16.7.254") == 0
    assert source(host, FAR) == (host.index, "172.16.0.1")  # by a router: the first that holds it, as Linux


def test_wrong_settings_are_refused(host: Host) -> None:
    add, stack = host.lib.gd_stack_add_address, host.stack
    assert add(stack, 77, mapped(PEER), 24) == -errno.ENODEV
    assert add(stack, host.index, mapped(US), 24) == -errno.EEXIST
    assert add(stack, host.index, mapped(PEER), 33) == -errno.EINVAL
    assert add(stack, host.index, mapped("0.0.0.0"), 24) == -errno.EINVAL
    assert add(stack, host.index, mapped("224.0.0.1"), 24) == -errno.EINVAL
    assert add(stack, host.index, mapped("::1"), 64) == -errno.EINVAL
    assert host.route("1.0.0.0", 40, GATEWAY) == -errno.EINVAL
    assert host.route("1.0.0.0", 8, "0.0.0.0") == -errno.EINVAL
    assert host.route("1.0.0.0", 8, US) == -errno.EINVAL
    assert host.lib.gd_stack_set_neighbour(stack, 77, mapped(PEER), bytes(6)) == -errno.ENODEV
    assert host.lib.gd_stack_is_local(stack, mapped(US)) == 1
    assert host.lib.gd_stack_is_local(stack, mapped("127.8.8.8")) == 1
    assert host.lib.gd_stack_is_local(stack, mapped(PEER)) == 0


def test_route_that_is_removed_is_gone_and_only_that_one(host: Host) -> None:
    assert host.route("192.0.2.0", 24, GATEWAY) == 0
    assert host.route("192.0.0.0", 16, GATEWAY) == 0
    remove = host.lib.gd_stack_del_route
    assert remove(host.stack, mapped("192.0.2.77"), 24, host.index) == 0  # the host's bits do not count
    assert remove(host.stack, mapped("192.0.2.0"), 24, host.index) == -errno.ESRCH
    assert remove(host.stack, mapped("192.0.0.0"), 16, 77) == -errno.ENODEV
    assert remove(host.stack, mapped("192.0.0.0"), 33, host.index) == -errno.EINVAL
    assert remove(host.stack, mapped("10.0.0.0"), 24, host.index) == -errno.ESRCH  # an address's, not one by hand
    assert source(host, FAR) == (host.index, US)
    assert remove(host.stack, mapped("192.0.0.0"), 16, host.index) == 0
    assert source(host, FAR)[0] == -errno.ENETUNREACH


def test_route_by_hand_goes_before_a_learnt_one_and_outlives_it(host: Host) -> None:
    learnt = host.ffi.new("struct gd_route *", {"bits": 96, "origin": host.lib.GD_ROUTE_DHCP, "via": True})
    learnt.netif = host.stack.netifs[host.index - 1]
    learnt.prefix.b, learnt.gateway.b = mapped("0.0.0.0"), mapped(OTHER)
    to = host.ffi.new("struct gd_addr *", [list(mapped(FAR))])
    assert host.lib.gd_route_add(host.stack, learnt) == 0
    assert host.route("0.0.0.0", 0, GATEWAY) == 0
    assert bytes(host.lib.gd_route_find(host.stack, to, host.ffi.NULL).gateway.b) == mapped(GATEWAY)
    before = host.stack.generation
    host.lib.gd_route_withdraw(host.stack, learnt.netif, host.lib.GD_ROUTE_DHCP)
    assert host.stack.generation > before
    assert bytes(host.lib.gd_route_find(host.stack, to, host.ffi.NULL).gateway.b) == mapped(GATEWAY)


def test_detached_interface_takes_its_routes_along(host: Host) -> None:
    assert host.route("0.0.0.0", 0, GATEWAY) == 0
    assert host.lib.gd_stack_detach(host.stack, host.index) == 0
    assert source(host, PEER)[0] == -errno.ENETUNREACH
    assert host.stack.nroutes == 0


def test_prefixes_are_compared_bit_by_bit(ffi: Any, lib: Any) -> None:
    for bits in range(33):
        a, b = four(US), bytearray(four(US))
        if bits < 32:
            b[bits // 8] ^= 0x80 >> bits % 8
        left, right = (ffi.new("struct gd_addr *", [list(bytes(10) + b"\xff\xff" + bytes(x))]) for x in (a, b))
        assert lib.gd_ip_within(left, right, 96 + bits)
        assert bits == 32 or not lib.gd_ip_within(left, right, 97 + bits)
