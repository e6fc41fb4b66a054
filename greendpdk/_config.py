"""The settings: keyword over environment over default, each checked, each error naming the way out.

Called by _stack.py and cli/run.py; calls _config_ports.py, which has the settings about addresses.
"""

from __future__ import annotations

import contextlib
import difflib
import ipaddress
import os
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from greendpdk import _config_ports as ports
from greendpdk._errors import ConfigError

MTU_MIN, MTU_MAX = 576, 65000  # RFC 791's least for every host; the most that an mbuf of 64 KiB holds
ECN = ("answer", "ask", "off")
SYN_COOKIES = ("full", "always", "off")
_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")
_PCI = re.compile(r"([0-9a-fA-F]{4}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7](,.*)?")
_VDEV = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(,.*)?")


@dataclass(frozen=True)
class Settings:
    """What a stack was started with; see docs/settings.md."""

    vdev: tuple[str, ...]
    pci: tuple[str, ...]
    address: tuple[tuple[ports.Interface | str, ...], ...]  # one list a device; "dhcp" and "auto" among them
    gateway: tuple[tuple[ports.Address, ...], ...]
    routes: tuple[ports.Route, ...]
    mtu: int | None
    mac: bytes | None
    dns: tuple[str, ...]
    loopback: str
    poll: str
    ecn: str
    syn_cookies: str
    buffer_cap: int
    buffer_max: int
    hugepages: bool
    memory: int
    lcore: int | None
    eal_args: tuple[str, ...]
    telemetry: str
    blocked: int
    metrics: tuple[str, int] | None
    tap_address: tuple[tuple[ports.Interface, ...], ...]

    @property
    def devices(self) -> tuple[str, ...]:
        """Return all devargs, in the order of the ports."""
        return self.pci + self.vdev


NAMES = tuple(field.name for field in fields(Settings))
_DEFAULTS = {
    "vdev": "net_tap0",
    "loopback": "kernel",
    "poll": "adaptive",
    "ecn": "answer",
    "syn_cookies": "full",
    "buffer_cap": "256",
    "buffer_max": "64",
    "hugepages": "off",
    "memory": "128",
    "telemetry": "auto",
    "blocked": "100",
}


def load(environ: Mapping[str, str] | None = None, **given: Any) -> Settings:
    """Make the settings from keywords (None: not given), the environment and the defaults."""
    environ = os.environ if environ is None else environ
    unknown = sorted(set(given) - set(NAMES))
    if unknown:
        raise TypeError(f"unknown setting {unknown[0]!r}; there are: {', '.join(NAMES)}")
    _check_spelling(environ)
    raw: dict[str, Any] = {}
    for name in NAMES:
        value = given.get(name)
        if value is None:
            value = environ.get(f"GREENDPDK_{name.upper()}") or None  # set to nothing is not set
        raw[name] = value
    if raw["pci"] is not None and raw["vdev"] is None:
        raw["vdev"] = "none"
    parsed = {name: _PARSERS[name](name, raw[name] if raw[name] is not None else _DEFAULTS.get(name)) for name in NAMES}
    ports.complete(parsed)
    return Settings(**parsed)


def _check_spelling(environ: Mapping[str, str]) -> None:
    """Refuse what looks like a setting and is none: the default would be taken, and nobody told."""
    settings = {f"GREENDPDK_{name.upper()}" for name in NAMES}
    for name in sorted(environ):
        if name.startswith("GREENDPDK_") and name not in settings:
            meant = difflib.get_close_matches(name.removeprefix("GREENDPDK_").lower(), NAMES, 1, 0.8)
            if meant:
                allowed = f"there is no such setting: did you mean GREENDPDK_{meant[0].upper()}?"
                raise ConfigError(name.removeprefix("GREENDPDK_").lower(), environ[name], allowed)


def _texts(value: Any) -> list[str]:
    return [text for text in ports.parts_of(value, ";") if text]


def _vdev(name: str, value: Any) -> tuple[str, ...]:
    devices = tuple(_texts(value))
    if devices == ("none",):
        return ()
    for device in devices:
        if device == "none" or not _VDEV.fullmatch(device):
            allowed = "'net_tap0' or 'net_memif0,role=server', several parted by ';', or 'none'"
            raise ConfigError(name, device, f"it must be DPDK's devargs such as {allowed}")
    if len({ports.device_name(device) for device in devices}) < len(devices):
        raise ConfigError(name, ";".join(devices), "two devices have one name: number them, as 'net_tap0;net_tap1'")
    return devices


def _pci(name: str, value: Any) -> tuple[str, ...]:
    devices = tuple(_texts(value))
    for device in devices:
        if not _PCI.fullmatch(device):
            raise ConfigError(name, device, "it must be a PCI address such as '0000:03:00.0', several parted by ';'")
    return devices


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
        raise ConfigError(name, value, f"this process may run on these CPUs: {ports.show(usable)}")
    return number


def _choice(*allowed: str) -> Callable[[str, Any], str]:
    def parse(name: str, value: Any) -> str:
        if value not in allowed:
            raise ConfigError(name, value, f"it must be one of: {', '.join(allowed)}")
        return str(value)

    return parse


def _endpoint(name: str, value: Any) -> tuple[str, int] | None:
    if value is None:
        return None
    host, colon, port = str(value).rpartition(":")
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]") or "127.0.0.1")
        spelled = bool(colon) and port.isascii() and port.isdigit() and (address.version == 4 or host.startswith("["))
        if spelled and int(port) < 1 << 16:
            return str(address), int(port)
    raise ConfigError(name, value, "it must be an address and a port: '127.0.0.1:9464', '[::1]:9464', ':9464'")


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
    "address": ports.address,
    "gateway": ports.gateway,
    "routes": ports.routes,
    "mtu": _number(MTU_MIN, MTU_MAX, "a number of bytes"),
    "mac": _mac,
    "dns": ports.dns,
    "loopback": _choice("kernel", "stack"),
    "poll": _choice("adaptive", "busy"),
    "ecn": _choice(*ECN),
    "syn_cookies": _choice(*SYN_COOKIES),
    "buffer_cap": _number(1, 1 << 20, "a number of megabytes"),
    "buffer_max": _number(1, 512, "a number of megabytes"),  # a window is 30 bits, and twice this is shown
    "hugepages": _switch,
    "memory": _number(16, 1 << 20, "a number of megabytes"),
    "lcore": _lcore,
    "eal_args": _words,
    "telemetry": _choice("auto", "on", "off"),
    "blocked": _number(0, 1 << 20, "a number of milliseconds"),
    "metrics": _endpoint,
    "tap_address": ports.tap_address,
}
