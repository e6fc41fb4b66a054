"""The settings: keyword over environment over default, each checked, each error naming the way out.

Called by _stack.py and __main__.py; calls nothing of ours but _errors.py.

One list of addresses serves the first port. The default address belongs to net_tap alone, since only there the
other end of the wire is ours to address as well.
"""

from __future__ import annotations

import ipaddress
import os
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from greendpdk._errors import ConfigError

# 198.18.0.0/15 is set aside for tests of network devices (RFC 2544): it is nobody's real network.
TAP_ADDRESS, TAP_PEER = "198.18.0.2/24", "198.18.0.1/24"
MTU_MIN, MTU_MAX = 576, 65000  # RFC 791's least for every host; the most that an mbuf of 64 KiB holds
_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")
_PCI = re.compile(r"([0-9a-fA-F]{4}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7](,.*)?")
_VDEV = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(,.*)?")


@dataclass(frozen=True)
class Settings:
    """What a stack was started with; see docs/settings.md."""

    vdev: tuple[str, ...]
    pci: tuple[str, ...]
    address: tuple[ipaddress.IPv4Interface, ...]
    gateway: ipaddress.IPv4Address | None
    mtu: int | None
    mac: bytes | None
    dns: tuple[str, ...]
    loopback: str
    poll: str
    hugepages: bool
    memory: int
    lcore: int | None
    eal_args: tuple[str, ...]
    tap_address: ipaddress.IPv4Interface | None

    @property
    def devices(self) -> tuple[str, ...]:
        """Return all devargs, in the order of the ports."""
        return self.pci + self.vdev


NAMES = tuple(field.name for field in fields(Settings))
_DEFAULTS = {
    "vdev": "net_tap0",
    "loopback": "kernel",
    "poll": "adaptive",
    "hugepages": "off",
    "memory": "128",
}


def load(environ: Mapping[str, str] | None = None, **given: Any) -> Settings:
    """Make the settings from keywords (None: not given), the environment and the defaults."""
    environ = os.environ if environ is None else environ
    unknown = sorted(set(given) - set(NAMES))
    if unknown:
        raise TypeError(f"unknown setting {unknown[0]!r}; there are: {', '.join(NAMES)}")
    raw: dict[str, Any] = {}
    for name in NAMES:
        value = given.get(name)
        if value is None:
            value = environ.get(f"GREENDPDK_{name.upper()}") or None  # set to nothing is not set
        raw[name] = value
    if raw["pci"] is not None and raw["vdev"] is None:
        raw["vdev"] = "none"
    parsed = {name: _PARSERS[name](name, raw[name] if raw[name] is not None else _DEFAULTS.get(name)) for name in NAMES}
    return Settings(**_complete(parsed))


def _complete(parsed: dict[str, Any]) -> dict[str, Any]:
    """Fill in the addresses, which depend on each other and on the first device."""
    devices = parsed["pci"] + parsed["vdev"]
    tap = bool(devices) and devices[0].startswith("net_tap")
    if not parsed["address"] and devices:
        if not tap:
            allowed = f"{devices[0].partition(',')[0]} needs one, such as 192.0.2.7/24: only net_tap has a default"
            raise ConfigError("address", "", allowed)
        parsed["address"] = (ipaddress.IPv4Interface(TAP_ADDRESS),)
    if parsed["address"] and not devices:
        raise ConfigError("address", _show(parsed["address"]), "without a port (vdev=none) there is nothing to address")
    if tap:
        parsed["tap_address"] = parsed["tap_address"] or _other_end(parsed["address"][0])
        if parsed["tap_address"].ip in [address.ip for address in parsed["address"]]:
            raise ConfigError("tap_address", str(parsed["tap_address"]), "that is the stack's own address")
    elif parsed["tap_address"]:
        raise ConfigError("tap_address", str(parsed["tap_address"]), "the first port is no net_tap")
    gateway = parsed["gateway"]
    if gateway and not any(gateway in address.network for address in parsed["address"]):
        networks = ", ".join(str(address.network) for address in parsed["address"]) or "no network"
        raise ConfigError("gateway", str(gateway), f"it must be in a network of address: {networks}")
    return parsed


def _other_end(address: ipaddress.IPv4Interface) -> ipaddress.IPv4Interface:
    """Choose the kernel's address on a tap: the first host of the network that is not the stack."""
    for host in address.network.hosts():
        if host != address.ip:
            return ipaddress.IPv4Interface((host, address.network.prefixlen))
    raise ConfigError("address", str(address), "its network has no room for the kernel's end of the tap: use /30")


def _show(values: Iterable[object]) -> str:
    return ",".join(map(str, values))


def _list(name: str, value: Any, separator: str) -> list[str]:
    """Take one text with separators, or a sequence of anything that str() spells."""
    if value is None:
        return []
    parts = value.split(separator) if isinstance(value, str) else value
    if not isinstance(parts, Iterable):
        parts = [parts]
    return [text for part in parts if (text := str(part).strip())]


def _vdev(name: str, value: Any) -> tuple[str, ...]:
    devices = tuple(_list(name, value, ";"))
    if devices == ("none",):
        return ()
    for device in devices:
        if device == "none" or not _VDEV.fullmatch(device):
            allowed = "'net_tap0' or 'net_memif0,role=server', several parted by ';', or 'none'"
            raise ConfigError(name, device, f"it must be DPDK's devargs such as {allowed}")
    return devices


def _pci(name: str, value: Any) -> tuple[str, ...]:
    devices = tuple(_list(name, value, ";"))
    for device in devices:
        if not _PCI.fullmatch(device):
            raise ConfigError(name, device, "it must be a PCI address such as '0000:03:00.0', several parted by ';'")
    return devices


def _address(name: str, value: Any) -> tuple[ipaddress.IPv4Interface, ...]:
    texts = _list(name, value, ",")
    found = []
    for text in texts:
        if text == "dhcp":
            raise ConfigError(name, text, "DHCP does not work yet: give a CIDR such as '198.18.0.2/24'")
        try:
            address = ipaddress.ip_interface(text)
        except ValueError:
            address = None
        if address is None or "/" not in text:
            raise ConfigError(name, text, "it must be a CIDR such as '198.18.0.2/24', several parted by ','")
        if not isinstance(address, ipaddress.IPv4Interface):
            raise ConfigError(name, text, "IPv6 does not work yet: give an IPv4 CIDR such as '198.18.0.2/24'")
        if address.ip.is_multicast or address.ip.is_unspecified or address.ip.is_loopback:
            raise ConfigError(name, text, "no port can have that address: give one of the network the port is in")
        ends = (address.network.network_address, address.network.broadcast_address)
        if address.network.prefixlen < 31 and address.ip in ends:
            raise ConfigError(name, text, "that is the network itself or its broadcast address: give a host's")
        found.append(address)
    return tuple(found)


def _tap_address(name: str, value: Any) -> ipaddress.IPv4Interface | None:
    found = _address(name, value)
    if len(found) > 1:
        raise ConfigError(name, _show(found), "the kernel's end of the tap has one address")
    return found[0] if found else None


def _ip(name: str, text: str, example: str) -> ipaddress.IPv4Address:
    try:
        return ipaddress.IPv4Address(text)
    except ValueError:
        raise ConfigError(name, text, f"it must be an IPv4 address such as {example!r}") from None


def _gateway(name: str, value: Any) -> ipaddress.IPv4Address | None:
    return None if value is None else _ip(name, str(value), "198.18.0.1")


def _dns(name: str, value: Any) -> tuple[str, ...]:
    return tuple(str(_ip(name, text, "192.0.2.53")) for text in _list(name, value, ","))


def _mac(name: str, value: Any) -> bytes | None:
    if value is None:
        return None
    six = bytes.fromhex(value.replace(":", "")) if isinstance(value, str) and _MAC.fullmatch(value) else value
    if not isinstance(six, bytes) or len(six) != 6 or six[0] & 1 or six == bytes(6):
        raise ConfigError(name, value, "it must be the MAC address of one host, such as '02:00:00:00:00:01'")
    return six


def _number(least: int, most: int, what: str) -> Callable[[str, Any], int | None]:
    def parse(name: str, value: Any) -> int | None:
        if value is None:
            return None
        try:
            number = int(value)
        except (TypeError, ValueError):
            number = least - 1
        if not least <= number <= most:
            raise ConfigError(name, value, f"it must be {what} from {least} to {most}")
        return number

    return parse


def _lcore(name: str, value: Any) -> int | None:
    usable = sorted(os.sched_getaffinity(0))
    number = _number(0, 1 << 20, "the number of a CPU")(name, value)
    if number is not None and number not in usable:
        raise ConfigError(name, value, f"this process may run on these CPUs: {_show(usable)}")
    return number


def _choice(*allowed: str) -> Callable[[str, Any], str]:
    def parse(name: str, value: Any) -> str:
        if value not in allowed:
            raise ConfigError(name, value, f"it must be one of: {', '.join(allowed)}")
        return str(value)

    return parse


def _switch(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    return _choice("off", "on")(name, value) == "on"


def _words(name: str, value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    try:
        return tuple(shlex.split(value) if isinstance(value, str) else map(str, value))
    except ValueError as error:
        raise ConfigError(name, value, f"it must be words for EAL as a shell would take them ({error})") from None


_PARSERS: dict[str, Callable[[str, Any], Any]] = {
    "vdev": _vdev,
    "pci": _pci,
    "address": _address,
    "gateway": _gateway,
    "mtu": _number(MTU_MIN, MTU_MAX, "a number of bytes"),
    "mac": _mac,
    "dns": _dns,
    "loopback": _choice("kernel", "stack"),
    "poll": _choice("adaptive", "busy"),
    "hugepages": _switch,
    "memory": _number(16, 1 << 20, "a number of megabytes"),
    "lcore": _lcore,
    "eal_args": _words,
    "tap_address": _tap_address,
}
