"""The settings that say which addresses and routes each port has: parsed one by one, then checked together.

Called by _config.py; calls nothing of ours but _errors.py.

A list is parted by ',', the lists of several ports by ';' in the order of the devices (pci before vdev). The default
address belongs to the first port alone, and only if that is a net_tap, as only there the other end of the wire is ours
to address as well. docs/decisions/ says why IPv6 is not taken from routers unless `auto` asks for it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from greendpdk._errors import ConfigError

# 198.18.0.0/15 is set aside for tests of network devices (RFC 2544): it is nobody's real network.
TAP_ADDRESS = "198.18.0.2/24"
DHCP, AUTO = "dhcp", "auto"  # IPv4 from a DHCP server; IPv6 from router advertisements
EXAMPLE = "'198.18.0.2/24' or 'fd00::2/64'"

Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Lists = tuple[tuple[Any, ...], ...]  # one a device; shorter if the last devices have none


@dataclass(frozen=True)
class Route:
    """One line of the setting `routes`, in the words of ip-route(8)."""

    to: Network
    via: Address | None
    dev: str | None = None
    src: Address | None = None

    def __str__(self) -> str:
        words = {"via": self.via, "dev": self.dev, "src": self.src}
        return " ".join([str(self.to), *(f"{name} {value}" for name, value in words.items() if value)])


# ---- one by one ----


def parts_of(value: Any, separator: str) -> list[str]:
    """Take one text with separators, or a sequence of anything that str() spells."""
    if value is None:
        return []
    parts = value.split(separator) if isinstance(value, str) else value
    if not isinstance(parts, Iterable):
        parts = [parts]
    return [str(part).strip() for part in parts]


def _lists(value: Any) -> list[list[str]]:
    """Part by ';' and ','. A sequence of texts is one port's list; a sequence of sequences is several ports'."""
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        outer: list[Any] = parts_of(value, ";")
    else:
        outer = list(value)
        if all(isinstance(part, str) or not isinstance(part, Iterable) for part in outer):
            outer = [outer]
    lists = [[text for text in parts_of(part, ",") if text] for part in outer]
    while lists and not lists[-1]:
        lists.pop()
    return lists


def address(name: str, value: Any) -> Lists:
    """Parse the lists of CIDRs, 'dhcp' and 'auto'."""
    return tuple(tuple(_one_address(name, text) for text in texts) for texts in _lists(value))


def _one_address(name: str, text: str) -> Interface | str:
    return text if text in (DHCP, AUTO) else _interface(name, text, f"a CIDR such as {EXAMPLE}, 'dhcp' or 'auto'")


def tap_address(name: str, value: Any) -> Lists:
    """Parse the kernel's ends: CIDRs, at most one of each family a port."""
    wanted = f"a CIDR such as {EXAMPLE}"
    lists = tuple(tuple(_interface(name, text, wanted) for text in texts) for texts in _lists(value))
    for found in lists:
        _one_a_family(name, found, "the kernel's end of a tap has one address of each family")
    return lists


def _interface(name: str, text: str, wanted: str) -> Interface:
    try:
        found = ipaddress.ip_interface(text)
    except ValueError:
        found = None
    if found is None or "/" not in text:
        raise ConfigError(name, text, f"it must be {wanted}, several parted by ',', those of several ports by ';'")
    if found.ip.is_multicast or found.ip.is_unspecified or found.ip.is_loopback:
        raise ConfigError(name, text, "no port can have that address: give one of the network the port is in")
    if isinstance(found, ipaddress.IPv6Interface):
        if found.ip.ipv4_mapped is not None or found.ip.scope_id is not None:
            raise ConfigError(name, text, f"no port can have that address: give one such as {EXAMPLE}")
        return found
    ends = (found.network.network_address, found.network.broadcast_address)
    if found.network.prefixlen < 31 and found.ip in ends:
        raise ConfigError(name, text, "that is the network itself or its broadcast address: give a host's")
    return found


def _one_a_family(name: str, found: Iterable[Any], allowed: str) -> None:
    versions = [one.version for one in found]
    if len(set(versions)) < len(versions):
        raise ConfigError(name, show(found), allowed)


def _ip(name: str, text: str, example: str) -> Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise ConfigError(name, text, f"it must be an IP address such as {example}") from None


def gateway(name: str, value: Any) -> Lists:
    """Parse the routers: at most one of each family a port."""
    lists = tuple(tuple(_ip(name, text, "'198.18.0.1' or 'fd00::1'") for text in texts) for texts in _lists(value))
    for found in lists:
        _one_a_family(name, found, "a port has one gateway of each family; parted by ';' they are several ports'")
    return lists


def dns(name: str, value: Any) -> tuple[str, ...]:
    """Parse the name servers."""
    return tuple(str(_ip(name, text, "'192.0.2.53' or '2001:db8::53'")) for text in parts_of(value, ",") if text)


def routes(name: str, value: Any) -> tuple[Route, ...]:
    """Parse 'PREFIX via GATEWAY dev PORT src ADDRESS', parted by ','; of gateway and port one is enough."""
    return tuple(_route(name, text) for text in parts_of(value, ",") if text)


def _route(name: str, text: str) -> Route:
    prefix, *words = text.split()
    given = dict(zip(words[::2], words[1::2], strict=False))
    known = {"via", "dev"} & set(given) and not set(given) - {"via", "dev", "src"}
    if not known or 2 * len(given) != len(words):
        allowed = "'10.1.0.0/16 via 198.18.0.9' or '10.1.0.0/16 dev net_tap0 src 198.18.0.2'"
        raise ConfigError(name, text, f"it must be such as {allowed}, several parted by ','")
    try:
        via, src = (ipaddress.ip_address(given[word]) if word in given else None for word in ("via", "src"))
        if prefix == "default" and via is not None:
            prefix = "0.0.0.0/0" if via.version == 4 else "::/0"
        to = ipaddress.ip_network(prefix)
    except ValueError as error:
        allowed = f"it must be such as '10.1.0.0/16 via 198.18.0.9' or '2001:db8::/32 via fd00::1': {error}"
        raise ConfigError(name, text, allowed) from None
    if {one.version for one in (via, src) if one is not None} - {to.version}:
        raise ConfigError(name, text, "prefix, gateway and source must be of one family")
    return Route(to, via, given.get("dev"), src)


# ---- together ----


def show(values: Iterable[object]) -> str:
    """Spell a list as it is given."""
    return ",".join(map(str, values))


def show_lists(lists: Lists) -> str:
    """Spell several ports' lists."""
    return ";".join(map(show, lists))


def device_name(devargs: str) -> str:
    """Return what a port is called: devargs without the arguments."""
    return devargs.partition(",")[0]


def complete(parsed: dict[str, Any]) -> None:
    """Fill in the lists, which depend on each other and on the devices, and check them."""
    devices: tuple[str, ...] = parsed["pci"] + parsed["vdev"]
    for name in ("address", "tap_address", "gateway"):
        if len(parsed[name]) > len(devices):
            allowed = f"that is more lists (parted by ';') than there are ports: {len(devices)}"
            if not devices:
                allowed = "without a port (vdev=none) there is nothing to address"
            raise ConfigError(name, show_lists(parsed[name]), allowed)
        parsed[name] += ((),) * (len(devices) - len(parsed[name]))
    if devices:
        parsed["address"] = (_first(parsed["address"][0], devices[0]), *parsed["address"][1:])
    _check_twice(parsed["address"])
    parsed["tap_address"] = tuple(map(_kernel_end, devices, parsed["address"], parsed["tap_address"]))
    for own, gateways in zip(parsed["address"], parsed["gateway"], strict=True):
        for one in gateways:
            if not on_link(one, own):
                raise ConfigError("gateway", str(one), f"it must be in a network of address: {_networks(own)}")
            if one in _fixed(parsed["address"]):
                raise ConfigError("gateway", str(one), "that is the stack's own address")
    for route in parsed["routes"]:
        _check_route(route, devices, parsed["address"])


def _first(own: tuple[Any, ...], device: str) -> tuple[Any, ...]:
    """Give the first port what it needs: on net_tap there is a default."""
    if own:
        return own
    if not device.startswith("net_tap"):
        allowed = f"{device_name(device)} needs one, such as 192.0.2.7/24 or dhcp: only net_tap has a default"
        raise ConfigError("address", "", allowed)
    return (ipaddress.IPv4Interface(TAP_ADDRESS),)


def _fixed(lists: Lists) -> list[Address]:
    return [one.ip for own in lists for one in own if not isinstance(one, str)]


def _check_twice(lists: Lists) -> None:
    fixed = _fixed(lists)
    words = [(port, one) for port, own in enumerate(lists) for one in own if isinstance(one, str)]
    for every in (fixed, words):
        if len(set(every)) < len(every):
            raise ConfigError("address", show_lists(lists), "the same stands there twice")


def _kernel_end(device: str, own: tuple[Any, ...], ends: tuple[Any, ...]) -> tuple[Any, ...]:
    """Fill in the kernel's end of a tap in each family in which the stack's end has an address."""
    if not device.startswith("net_tap"):
        if ends:
            raise ConfigError("tap_address", show(ends), f"{device_name(device)} is no net_tap")
        return ()
    fixed = [one for one in own if not isinstance(one, str)]
    for end in ends:
        if end.ip in [one.ip for one in fixed]:
            raise ConfigError("tap_address", str(end), "that is the stack's own address")
    for one in fixed:
        if one.version not in [end.version for end in ends]:
            ends += (_other_end(one),)
    return ends


def _other_end(own: Interface) -> Interface:
    """Choose the kernel's address on a tap: the first host of the network that is not the stack."""
    for host in own.network.hosts():
        if host != own.ip:
            return ipaddress.ip_interface((host, own.network.prefixlen))
    room = "/30" if own.version == 4 else "/64"
    raise ConfigError("address", str(own), f"its network has no room for the kernel's end of the tap: use {room}")


def on_link(router: Address, own: tuple[Any, ...]) -> bool:
    """Tell whether a port with these addresses has, or may come to have, that router for a neighbour."""
    if router.version == 6 and router.is_link_local:
        return True
    if (DHCP if router.version == 4 else AUTO) in own:  # known when the server, or the router, has spoken
        return True
    return any(router in one.network for one in own if not isinstance(one, str))


def _networks(own: tuple[Any, ...]) -> str:
    return ", ".join(str(one.network) for one in own if not isinstance(one, str)) or "no network"


def _check_route(route: Route, devices: tuple[str, ...], lists: Lists) -> None:
    names = [device_name(device) for device in devices]
    if route.dev is not None and route.dev not in names:
        raise ConfigError("routes", str(route), f"there is no such port; there are: {show(names) or 'none'}")
    every = [one for own in lists for one in own]
    fixed = _fixed(lists)
    if route.src and route.src not in fixed and (DHCP if route.src.version == 4 else AUTO) not in every:
        raise ConfigError("routes", str(route), f"its source must be an address of the stack: {show(fixed)}")
    if route.via is None:
        return
    if route.via.version == 6 and route.via.is_link_local and route.dev is None:
        raise ConfigError("routes", str(route), "a link-local gateway needs its port too: 'dev net_tap0'")
    asked = [own for name, own in zip(names, lists, strict=True) if route.dev in (None, name)]
    if not any(on_link(route.via, own) for own in asked):
        networks = ", ".join(_networks(own) for own in asked) or "no network"
        raise ConfigError("routes", str(route), f"its gateway must be in a network of address: {networks}")
    if route.via in fixed:
        raise ConfigError("routes", str(route), "its gateway is the stack's own address")
