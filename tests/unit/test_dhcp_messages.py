"""Invariant: no byte of a DHCP message leads outside of it; what is granted is what RFC 2132 says, or nothing."""
from __future__ import annotations

import struct
from typing import Any

import pytest
from dhcp_server import COOKIE, OFFERED, ROUTER, SERVER, Options, dotted, encode, usual
from frames import OUR_MAC, four
from hypothesis import given, settings
from hypothesis import strategies as st

ACK = 5


def message(
    options: Options, yiaddr: str = OFFERED, sname: bytes = b"", file: bytes = b"", end: bytes = b"\xff"
) -> bytes:
    """Spell a server's message."""
    head = b"\2\1\6\0" + b"xid." + bytes(8) + four(yiaddr) + bytes(8) + OUR_MAC + bytes(10)
    return head + sname.ljust(64, b"\0") + file.ljust(128, b"\0") + COOKIE + encode([(53, b"\5"), *options]) + end


def parse(native: Any, data: bytes) -> Any:
    """Return the lease, None if it grants none, False if it is no message."""
    ffi, lib = native.ffi, native.lib
    memory = ffi.new("uint8_t[]", max(len(data), 1))  # exact, so that ASan sees a byte too many
    ffi.memmove(memory, data, len(data))
    parsed, lease = ffi.new("struct gd_dhcp_message *"), ffi.new("struct gd_dhcp_lease *")
    if not lib.gd_dhcp_parse(memory, len(data), parsed):
        return False
    return lease if lib.gd_dhcp_parse_lease(parsed, lease) else None


def routes(lease: Any) -> list[str]:
    """Spell its routes."""
    return [f"{dotted(bytes(way.prefix.b)[12:])}/{way.bits} {dotted(bytes(way.gateway.b)[12:])}"
            for way in lease.routes[0 : lease.nroutes]]


def test_usual_message_is_understood(native: Any) -> None:
    more = [(6, four("9.9.9.9") * 6), (26, b"\x05\xdc"), (77, b"unknown")]
    lease = parse(native, message([*usual(1000), *more]))
    assert [dotted(bytes(addr.b)[12:]) for addr in (lease.address, lease.server)] == [OFFERED, SERVER]
    assert (lease.prefix_length, lease.seconds, lease.renew, lease.rebind) == (24, 1000, 500, 875)
    assert (lease.ndns, lease.mtu) == (4, 1500)
    assert routes(lease) == [f"0.0.0.0/0 {ROUTER}"]


def test_every_cut_of_a_message_is_safe(native: Any) -> None:
    data = message([*usual(), (121, b"\x18\xc0\0\2" + four(ROUTER)), (52, b"\3")], sname=b"\xff", file=b"\xff")
    for length in range(len(data)):
        lease = parse(native, data[:length])
        assert lease in (False, None) or length > 240
    assert parse(native, data)


@settings(max_examples=500)
@given(options=st.binary(max_size=80), sname=st.binary(max_size=64), file=st.binary(max_size=128),
       overload=st.sampled_from([b"", b"\x34\1\1", b"\x34\1\2", b"\x34\1\3"]))  # fmt: skip
def test_no_option_leads_astray(native: Any, options: bytes, sname: bytes, file: bytes, overload: bytes) -> None:
    raw = overload + options
    lease = parse(native, message(usual(), sname=sname, file=file, end=raw))
    if lease not in (False, None):
        assert 0 < lease.prefix_length <= 32
        assert lease.nroutes <= 16 and lease.ndns <= 4
        assert lease.renew > 0 and lease.rebind <= lease.seconds
        assert lease.mtu == 0 or lease.mtu >= 576


@settings(max_examples=300)
@given(data=st.binary(max_size=400))
def test_noise_is_no_message(native: Any, data: bytes) -> None:
    assert parse(native, data) in (False, None)


def test_options_go_on_in_file_and_sname(native: Any) -> None:
    server, lease, mask, router = usual()
    data = message([server, lease, (52, b"\3")], file=encode([mask]) + b"\xff", sname=encode([router]) + b"\xff")
    assert routes(parse(native, data)) == [f"0.0.0.0/0 {ROUTER}"]
    hidden = message([server, lease, mask], sname=encode([router]) + b"\xff")
    assert routes(parse(native, hidden)) == []
    astray = message([server, lease, mask, (52, b"\1")], file=b"\x03\xff")
    assert parse(native, astray) is False


WAYS = b"\x00" + four(ROUTER) + b"\x10\xac\x10" + four("10.0.0.253") + b"\x20\x08\x08\x08\x08" + four("0.0.0.0")


def test_classless_routes_go_before_the_router(native: Any) -> None:
    lease = parse(native, message([*usual(router=four("10.0.0.1")), (121, WAYS)]))
    assert routes(lease) == [f"0.0.0.0/0 {ROUTER}", "172.16.0.0/16 10.0.0.253", "8.8.8.8/32 0.0.0.0"]


@pytest.mark.parametrize("cut", [1, 5, 6, 11, 14])
def test_long_option_comes_in_pieces(native: Any, cut: int) -> None:
    lease = parse(native, message([(121, WAYS[:cut]), *usual(), (121, WAYS[cut:])]))
    assert len(routes(lease)) == 3


@pytest.mark.parametrize("ways", [b"\x21" + bytes(9), b"\x18\xc0\0\2\x0a\0\0", b"\x00\x0a"])
def test_routes_that_are_cut_off_spoil_the_lease(native: Any, ways: bytes) -> None:
    assert parse(native, message([*usual(), (121, ways)])) is None


def test_more_routes_than_fit_are_left_out(native: Any) -> None:
    ways = b"".join(b"\x18" + bytes([10, number, 0]) + four(ROUTER) for number in range(30))
    assert len(routes(parse(native, message([(121, ways[:248]), *usual(), (121, ways[248:])])))) == 16


@pytest.mark.parametrize(("mask", "bits"), [
    (four("255.255.255.0"), 24), (four("255.255.255.255"), 32), (four("128.0.0.0"), 1), (None, 8),
    (four("255.0.255.0"), None), (four("0.0.0.0"), None), (b"\xff\xff", 8),
])  # fmt: skip
def test_mask_is_a_prefix_or_the_class_or_no_lease(native: Any, mask: bytes | None, bits: int | None) -> None:
    lease = parse(native, message(usual(mask=mask)))
    assert (lease.prefix_length if lease else None) == bits


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.9", "224.0.0.9", "255.255.255.255", "10.0.0.0", "10.0.0.255"])
def test_address_that_no_host_has_is_no_lease(native: Any, address: str) -> None:
    assert parse(native, message(usual(), address)) is None


@pytest.mark.parametrize(("t1", "t2", "renew", "rebind"), [
    (10, 20, 10, 20), (0, 0, 50, 87), (90, 0, 50, 87), (10, 200, 10, 87), (30, 20, 20, 20), (99, 99, 50, 99),
])  # fmt: skip
def test_times_that_cannot_be_are_the_usual_ones(native: Any, t1: int, t2: int, renew: int, rebind: int) -> None:
    times = [(58, struct.pack("!I", t1)), (59, struct.pack("!I", t2))]
    lease = parse(native, message([*usual(100), *times]))
    assert (lease.renew, lease.rebind) == (renew, rebind)


@pytest.mark.parametrize(("mtu", "taken"), [(1400, 1400), (576, 576), (575, 0), (68, 0), (0, 0), (65535, 65535)])
def test_mtu_has_a_floor(native: Any, mtu: int, taken: int) -> None:
    assert parse(native, message([*usual(), (26, struct.pack("!H", mtu))])).mtu == taken


def test_name_server_that_no_host_can_be_is_left_out(native: Any) -> None:
    lease = parse(native, message([*usual(), (6, four("0.0.0.0") + four("9.9.9.9") + four("127.0.0.1"))]))
    assert lease.ndns == 1


@pytest.mark.parametrize(("said", "taken"), [
    (b"corp.test", b"corp.test"), (b"a-b_c.test.\0\0", b"a-b_c.test."), (b"", b""), (b"\0", b""), (b"two words", b""),
    (b"line\nbreak", b""), (b"nul\0inside", b""), (b"\xc3\xbc.test", b""), (b"a" * 253, b"a" * 253),
])  # fmt: skip
def test_domain_is_a_name_or_nothing(native: Any, said: bytes, taken: bytes) -> None:
    assert b"".join(parse(native, message([*usual(), (15, said)])).domain).rstrip(b"\0") == taken


def test_domain_that_is_longer_than_a_name_is_not_taken(native: Any) -> None:
    for length in (254, 255):
        assert b"".join(parse(native, message([*usual(), (15, b"a" * length)])).domain) == bytes(254)
