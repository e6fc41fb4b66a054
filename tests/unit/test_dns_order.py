"""Destination address selection: RFC 6724 10.2's examples and the table's, with sources that the test chooses."""
from __future__ import annotations

import ipaddress

import pytest

from greendpdk import _dns_order
from greendpdk._dns_files import parse_gai_conf

DEFAULT = parse_gai_conf("")


def order(monkeypatch, pairs, policy=DEFAULT):
    """Sort destinations, each with its source: "address" or "address/prefix", "!" behind a deprecated one."""
    def source(text, to, stack):
        own = pairs[text]
        if own is None:
            return None, 0, False
        interface = ipaddress.ip_interface(own.rstrip("!") if "/" in own else own.rstrip("!") + "/64")
        return interface.ip, interface.network.prefixlen, own.endswith("!")

    monkeypatch.setattr(_dns_order, "_source", source)
    return _dns_order.ordered(list(pairs), str, None, policy)


@pytest.mark.parametrize("pairs", [  # the first one wins
    {"2001:db8:1::1": "2001:db8:1::2", "198.51.100.121": "169.254.13.78/16"},  # rule 2: matching scope
    {"198.51.100.121": "198.51.100.117/24", "2001:db8:1::1": "fe80::1"},
    {"2001:db8:1::1": "2001:db8:1::2", "10.1.2.3": "10.1.2.4/24"},  # rule 6: precedence
    {"fe80::1": "fe80::2", "2001:db8:1::1": "2001:db8:1::2"},  # rule 8: smaller scope
    {"2001:db8:1::1": "2001:db8:1::2", "fe80::1": "fe80::2!"},  # rule 3: not deprecated
    {"2001:db8:1::1": "2001:db8:1::2", "2001:db8:3ffe::1": "2001:db8:3f44::2"},  # rule 9: longest prefix
    {"2002:c633:6401::1": "2002:c633:6401::2", "2001:db8:1::1": "2002:c633:6401::2"},  # rule 5: label
    {"198.51.100.1": "198.51.100.2/24", "2001:db8:1::1": None},  # rule 1: no IPv6 here, so IPv4 first
    {"10.0.0.7": "10.0.0.2/24", "192.0.2.7": "10.0.0.2/24"},  # rule 9: a neighbour
], ids=str)  # fmt: skip
def test_the_better_one_comes_first(monkeypatch, pairs):
    best = next(iter(pairs))
    assert order(monkeypatch, pairs)[0] == best
    assert order(monkeypatch, dict(reversed(pairs.items())))[0] == best


def test_what_the_server_shuffles_stays_shuffled(monkeypatch):
    for addresses in (["192.0.2.1", "198.51.100.1", "192.0.2.200"], ["192.0.2.200", "192.0.2.1", "198.51.100.1"]):
        assert order(monkeypatch, dict.fromkeys(addresses, "10.0.0.2/24")) == addresses


def test_gai_conf_may_prefer_ipv4(monkeypatch):
    pairs = {"2001:db8:1::1": "2001:db8:1::2", "10.1.2.3": "10.1.2.4/24"}
    policy = parse_gai_conf("# text\nprecedence ::ffff:0:0/96 100\nnonsense\nlabel x 1\nscopev4 ::ffff:0:0/96 14\n")
    assert order(monkeypatch, pairs, policy) == ["10.1.2.3", "2001:db8:1::1"]
    assert policy.label == DEFAULT.label


def test_gai_conf_may_say_what_an_ipv4_scope_is(monkeypatch):
    pairs = {"192.0.2.1": "192.0.2.9/24", "10.1.2.3": "10.1.2.4/24"}
    assert order(monkeypatch, pairs)[0] == "192.0.2.1"  # rule 10: as it came
    policy = parse_gai_conf("scopev4 ::ffff:10.0.0.0/104 5\n")
    assert order(monkeypatch, pairs, policy)[0] == "10.1.2.3"  # rule 8: the smaller scope


def test_what_no_line_of_gai_conf_speaks_of_is_as_in_glibc(monkeypatch):
    pairs = {"2001:db8:1::1": "2001:db8:1::2", "fd00::1": "fd00::2"}
    policy = parse_gai_conf("precedence fd00::/8 39\nlabel fd00::/8 0\n")
    assert order(monkeypatch, pairs, policy) == ["2001:db8:1::1", "fd00::1"]  # 40 and 39
