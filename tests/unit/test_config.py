"""Each setting: keyword over environment over default, and an error that names it, the value and what is allowed."""
from __future__ import annotations

import ipaddress
import os
from typing import Any

import pytest

from greendpdk._config import NAMES, Settings, load
from greendpdk._config_ports import Route
from greendpdk._errors import ConfigError

ip, net = ipaddress.ip_interface, ipaddress.ip_network


def test_defaults_are_net_tap_between_two_test_addresses() -> None:
    assert load({}) == Settings(
        vdev=("net_tap0",), pci=(), address=((ip("198.18.0.2/24"),),), gateway=((),), routes=(), mtu=None,
        mac=None, dns=(), loopback="kernel", poll="adaptive", ecn="answer",
        syn_cookies="full", buffer_cap=256, buffer_max=64, hugepages=False, memory=128, lcore=None,
        eal_args=(), telemetry="auto", blocked=100, metrics=None, tap_address=((ip("198.18.0.1/24"),),))  # fmt: skip


CPU = min(os.sched_getaffinity(0))
GOOD: list[tuple[str, Any, Any]] = [
    ("vdev", "net_tap0,iface=x;net_tap1", ("net_tap0,iface=x", "net_tap1")),
    ("vdev", "none", ()),
    ("vdev", ["net_tap0", "net_null0"], ("net_tap0", "net_null0")),
    ("address", "10.1.2.3/8, 10.9.0.1/16", ((ip("10.1.2.3/8"), ip("10.9.0.1/16")),)),
    ("address", "10.1.2.3/8,fd00::2/64", ((ip("10.1.2.3/8"), ip("fd00::2/64")),)),
    ("address", "dhcp, auto", (("dhcp", "auto"),)),
    ("address", ["10.1.2.3/8", ip("fd00::2/64")], ((ip("10.1.2.3/8"), ip("fd00::2/64")),)),
    ("address", [["10.1.2.3/8", "auto"]], ((ip("10.1.2.3/8"), "auto"),)),
    ("address", ip("10.1.2.3/8"), ((ip("10.1.2.3/8"),),)),
    ("gateway", "198.18.0.1", ((ipaddress.ip_address("198.18.0.1"),),)),
    ("gateway", "198.18.0.1, fe80::1", ((ipaddress.ip_address("198.18.0.1"), ipaddress.ip_address("fe80::1")),)),
    ("routes", "10.1.0.0/16 via 198.18.0.9, 10.2.0.0/16 dev net_tap0", (
        Route(net("10.1.0.0/16"), ipaddress.ip_address("198.18.0.9"), None),
        Route(net("10.2.0.0/16"), None, "net_tap0"))),
    ("routes", "10.1.0.0/16 dev net_tap0 src 198.18.0.2", (
        Route(net("10.1.0.0/16"), None, "net_tap0", ipaddress.ip_address("198.18.0.2")),)),
    ("routes", "default via fe80::1 dev net_tap0", (
        Route(net("::/0"), ipaddress.ip_address("fe80::1"), "net_tap0"),)),
    ("mtu", "9000", 9000),
    ("mac", "02:00:5e:10:00:0a", b"\x02\x00\x5e\x10\x00\x0a"),
    ("mac", b"\x02\0\0\0\0\1", b"\x02\0\0\0\0\1"),
    ("dns", "192.0.2.53,2001:db8::53", ("192.0.2.53", "2001:db8::53")),
    ("loopback", "stack", "stack"),
    ("poll", "busy", "busy"),
    ("telemetry", "off", "off"),
    ("blocked", "0", 0),
    ("metrics", "10.0.0.1:9464", ("10.0.0.1", 9464)),
    ("metrics", ":0", ("127.0.0.1", 0)),
    ("metrics", "[::1]:80", ("::1", 80)),
    ("ecn", "ask", "ask"),
    ("syn_cookies", "always", "always"),
    ("buffer_cap", "1024", 1024),
    ("buffer_max", 512, 512),
    ("hugepages", "on", True),
    ("hugepages", False, False),
    ("memory", "64", 64),
    ("lcore", str(CPU), CPU),
    ("eal_args", "--log-level '*:debug'", ("--log-level", "*:debug")),
    ("tap_address", "198.18.0.77/24", ((ip("198.18.0.77/24"),),)),
    ("tap_address", "fd00::77/64", ((ip("fd00::77/64"), ip("198.18.0.1/24")),)),
]


@pytest.mark.parametrize(("name", "value", "expected"), GOOD)
def test_keyword_is_taken(name: str, value: Any, expected: Any) -> None:
    assert getattr(load({}, **{name: value}), name) == expected


@pytest.mark.parametrize(("name", "value", "expected"), [case for case in GOOD if isinstance(case[1], str)])
def test_environment_is_taken(name: str, value: str, expected: Any) -> None:
    assert getattr(load({f"GREENDPDK_{name.upper()}": value}), name) == expected


def test_keyword_beats_environment_and_empty_is_not_set() -> None:
    settings = load({"GREENDPDK_MTU": "1400", "GREENDPDK_MEMORY": "64", "GREENDPDK_POLL": ""}, mtu=1300)
    assert (settings.mtu, settings.memory, settings.poll) == (1300, 64, "adaptive")


def test_pci_alone_replaces_the_default_tap() -> None:
    settings = load({}, pci="0000:03:00.0;0000:03:00.1,opt=1", address="10.0.0.1/24")
    assert settings.devices == ("0000:03:00.0", "0000:03:00.1,opt=1")
    assert settings.tap_address == ((), ())


@pytest.mark.parametrize(("address", "kernel"), [
    ("10.5.0.9/16", "10.5.0.1/16"), ("10.5.0.1/16", "10.5.0.2/16"), ("10.5.0.0/31", "10.5.0.1/31"),
    ("fd00::2/64", "fd00::1/64"), ("10.5.0.9/16,fd00::1/64", "10.5.0.1/16,fd00::2/64"), ("dhcp,auto", ""),
])  # fmt: skip
def test_kernel_end_of_the_tap_is_the_first_other_host(address: str, kernel: str) -> None:
    (ends,) = load({}, address=address).tap_address
    assert ",".join(map(str, ends)) == kernel


TWO = "net_tap0;net_tap1,iface=two"


def test_lists_of_several_ports_are_parted_in_the_order_of_the_devices() -> None:
    settings = load(
        {}, vdev=TWO, address="10.1.0.2/24;10.2.0.2/24,dhcp", gateway=";10.2.0.9", tap_address=";10.2.0.7/24")
    assert settings.address == ((ip("10.1.0.2/24"),), (ip("10.2.0.2/24"), "dhcp"))
    assert settings.gateway == ((), (ipaddress.ip_address("10.2.0.9"),))
    assert settings.tap_address == ((ip("10.1.0.1/24"),), (ip("10.2.0.7/24"),))


def test_one_list_serves_the_first_of_several_ports() -> None:
    settings = load({}, vdev=TWO, address="10.1.0.2/24", gateway="10.1.0.9")
    assert settings.address == ((ip("10.1.0.2/24"),), ())
    assert settings.gateway == ((ipaddress.ip_address("10.1.0.9"),), ())
    assert settings.tap_address == ((ip("10.1.0.1/24"),), ())
    assert load({}, vdev=TWO).address == ((ip("198.18.0.2/24"),), ())


def test_router_of_a_network_that_only_a_server_knows_is_believed() -> None:
    assert load({}, address="dhcp", gateway="10.9.9.9", routes="10.1.0.0/16 via 10.9.9.8")
    assert load({}, address="auto", gateway="2001:db8::1")


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"vdev": "net tap"}, "vdev", "devargs"),
    ({"vdev": "net_tap0;none"}, "vdev", "devargs"),
    ({"vdev": "net_tap0;net_tap0,iface=app0"}, "vdev", "two devices have one name"),
    ({"pci": "eth0", "address": "10.0.0.1/24"}, "pci", "0000:03:00.0"),
    ({"address": "198.18.0.2"}, "address", "CIDR"),
    ({"address": "198.18.0.2/33"}, "address", "CIDR"),
    ({"address": "host/24"}, "address", "CIDR"),
    ({"address": "DHCP"}, "address", "'dhcp' or 'auto'"),
    ({"address": "fd00::1"}, "address", "CIDR"),
    ({"address": "ff02::1/64"}, "address", "no port can have that address"),
    ({"address": "::1/128"}, "address", "no port can have that address"),
    ({"address": "::ffff:10.0.0.1/128"}, "address", "no port can have that address"),
    ({"address": "10.0.0.1/24;10.1.0.1/24"}, "address", "more lists (parted by ';') than there are ports: 1"),
    ({"address": "10.0.0.1/24,10.0.0.1/16"}, "address", "twice"),
    ({"address": "dhcp,dhcp"}, "address", "twice"),
    ({"vdev": TWO, "address": "10.0.0.1/24;10.0.0.1/24"}, "address", "twice"),
    ({"vdev": "net_memif0;net_tap0", "address": ";10.0.0.1/24"}, "address", "only net_tap has a default"),
    ({"address": "224.0.0.1/24"}, "address", "no port can have that address"),
    ({"address": "127.0.0.1/8"}, "address", "no port can have that address"),
    ({"address": "10.0.0.0/24"}, "address", "the network itself"),
    ({"address": "10.0.0.255/24"}, "address", "broadcast"),
    ({"address": "10.0.0.1/32"}, "address", "no room"),
    ({"vdev": "net_memif0"}, "address", "only net_tap has a default"),
    ({"vdev": "none", "address": "10.0.0.1/24"}, "address", "without a port"),
    ({"gateway": "router"}, "gateway", "an IP address"),
    ({"gateway": "198.18.0.1,198.18.0.9"}, "gateway", "one gateway of each family"),
    ({"gateway": "198.18.0.1;198.18.0.9"}, "gateway", "more lists"),
    ({"gateway": "fd00::1"}, "gateway", "198.18.0.0/24"),
    ({"gateway": "198.18.0.2"}, "gateway", "the stack's own address"),
    ({"vdev": TWO, "address": "10.1.0.2/24;10.2.0.2/24", "gateway": "10.2.0.9"}, "gateway", "10.1.0.0/24"),
    ({"routes": "10.1.0.0/16"}, "routes", "'10.1.0.0/16 via 198.18.0.9'"),
    ({"routes": "10.1.0.0/16 by 198.18.0.9"}, "routes", "'10.1.0.0/16 via 198.18.0.9'"),
    ({"routes": "10.1.0.0/16 via"}, "routes", "'10.1.0.0/16 via 198.18.0.9'"),
    ({"routes": "10.1.0.7/16 via 198.18.0.9"}, "routes", "has host bits set"),
    ({"routes": "10.1.0.0/16 via there"}, "routes", "does not appear to be an IP"),
    ({"routes": "10.1.0.0/16 via fd00::1"}, "routes", "of one family"),
    ({"routes": "10.1.0.0/16 via 10.9.9.9"}, "routes", "198.18.0.0/24"),
    ({"routes": "10.1.0.0/16 via 198.18.0.2"}, "routes", "the stack's own address"),
    ({"routes": "10.1.0.0/16 via 198.18.0.9 metric 4"}, "routes", "dev net_tap0 src"),
    ({"routes": "10.1.0.0/16 src 198.18.0.2"}, "routes", "'10.1.0.0/16 via 198.18.0.9'"),
    ({"routes": "10.1.0.0/16 dev net_tap0 src 198.18.0.3"}, "routes", "must be an address of the stack: 198.18.0.2"),
    ({"routes": "10.1.0.0/16 dev eth0"}, "routes", "there are: net_tap0"),
    ({"routes": "2001:db8::/32 via fe80::1"}, "routes", "needs its port too"),
    ({"vdev": "none", "routes": "10.1.0.0/16 via 10.0.0.1"}, "routes", "no network"),
    ({"gateway": "10.0.0.1"}, "gateway", "198.18.0.0/24"),
    ({"mtu": "500"}, "mtu", "from 576 to 65000"),
    ({"mtu": "big"}, "mtu", "from 576 to 65000"),
    ({"mac": "02:00:00"}, "mac", "MAC address of one host"),
    ({"mac": "01:00:5e:00:00:01"}, "mac", "MAC address of one host"),
    ({"mac": bytes(6)}, "mac", "MAC address of one host"),
    ({"dns": "dns.example"}, "dns", "an IP address"),
    ({"loopback": "both"}, "loopback", "kernel, stack"),
    ({"poll": "lazy"}, "poll", "adaptive, busy"),
    ({"ecn": "1"}, "ecn", "answer, ask, off"),
    ({"syn_cookies": "on"}, "syn_cookies", "full, always, off"),
    ({"buffer_cap": 0}, "buffer_cap", "from 1 to 1048576"),
    ({"buffer_max": "513"}, "buffer_max", "from 1 to 512"),
    ({"telemetry": "1"}, "telemetry", "auto, on, off"),
    ({"metrics": "9464"}, "metrics", "an address and a port"),
    ({"metrics": "::1:80"}, "metrics", "[::1]:9464"),
    ({"metrics": "localhost:80"}, "metrics", "127.0.0.1:9464"),
    ({"metrics": ":65536"}, "metrics", "an address and a port"),
    ({"blocked": "-1"}, "blocked", "a number of milliseconds from 0"),
    ({"hugepages": "yes"}, "hugepages", "off, on"),
    ({"memory": "1"}, "memory", "from 16 to"),
    ({"lcore": "-1"}, "lcore", "the number of a CPU"),
    ({"lcore": "99999"}, "lcore", "may run on these CPUs"),
    ({"eal_args": "'open"}, "eal_args", "as a shell would take them"),
    ({"tap_address": "198.18.0.1/24,198.18.0.9/24"}, "tap_address", "one address of each family"),
    ({"tap_address": "198.18.0.2/24"}, "tap_address", "the stack's own address"),
    ({"vdev": "net_null0", "address": "10.0.0.1/24", "tap_address": "10.0.0.2/24"}, "tap_address", "is no net_tap"),
    ({"tap_address": "198.18.0.1"}, "tap_address", "CIDR"),
]


@pytest.mark.parametrize(("given", "name", "allowed"), BAD)
def test_bad_value_names_itself_the_setting_and_what_is_allowed(given: dict[str, Any], name: str, allowed: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load({}, **given)
    text = str(caught.value)
    assert text.startswith(f"{name} (GREENDPDK_{name.upper()}) is ")
    assert allowed in text
    if name in given and isinstance(given[name], str) and ";" not in given[name]:
        assert given[name].split(",")[0] in text


def test_every_setting_has_a_good_and_a_bad_case() -> None:
    assert {name for name, _, _ in GOOD} | {"pci"} == set(NAMES)
    assert {name for _, name, _ in BAD} == set(NAMES)


def test_unknown_setting_lists_those_there_are() -> None:
    with pytest.raises(TypeError, match="unknown setting 'adress'; there are: vdev, pci, address"):
        load({}, adress="10.0.0.1/24")


def test_misspelt_variable_is_refused_and_others_are_left_alone() -> None:
    with pytest.raises(ConfigError, match="no such setting: did you mean GREENDPDK_ADDRESS"):
        load({"GREENDPDK_ADRESS": "10.0.0.1/24"})
    builders = {"GREENDPDK_WERROR": "1", "GREENDPDK_SANITIZE": "1", "GREENDPDK_WITHOUT_DPDK": "1", "ADRESS": "x"}
    assert load(builders) == load({})
