"""The files that say how names are found: /etc/hosts, /etc/resolv.conf, /etc/gai.conf; read anew when they change.

Called by dns.py and _dns_order.py; calls nothing of ours. Formats: hosts(5), resolv.conf(5), gai.conf(5).
"""

from __future__ import annotations

import _socket
import ipaddress
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

Parsed = TypeVar("Parsed")
_SERVERS = 3  # MAXNS of <resolv.h>
_LIMITS = {"ndots": 15, "timeout": 30, "attempts": 5}  # resolv.conf(5): more is cut to these
_SWITCHES = {
    "rotate": "rotate", "use-vc": "tcp", "single-request": "one_by_one", "single-request-reopen": "one_by_one",
    "no-aaaa": "no_aaaa", "no-tld-query": "no_tld_query",
}  # fmt: skip


class Watched(Generic[Parsed]):
    """A file's contents, parsed again when its time, size or inode is another one; a missing file is an empty one."""

    def __init__(self, path: str, parse: Callable[[str], Parsed]) -> None:
        self._path, self._parse = path, parse
        self._seen: object = self
        self._value: Parsed

    def get(self) -> Parsed:
        """Return what is in the file now: one stat(2) while nothing changes."""
        try:
            found = os.stat(self._path)
            seen: object = found.st_mtime_ns, found.st_size, found.st_ino
        except OSError:
            seen = None
        if seen != self._seen:
            self._value = self._parse(_read(self._path))
            self._seen = seen
        return self._value


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""


# ---- /etc/hosts ----


@dataclass(frozen=True)
class Host:
    """One line: an address and its names, the canonical one first."""

    family: int
    address: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Hosts:
    """The lines by name (in lower case) and by address, in the order of the file."""

    by_name: dict[str, list[Host]] = field(default_factory=dict)
    by_address: dict[str, Host] = field(default_factory=dict)


def parse_hosts(text: str) -> Hosts:
    """Read hosts(5); a line that says nothing sensible is skipped, as in the C library."""
    hosts = Hosts()
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        if not names or not _is_address(address) or "%" in address:  # no scopes: the C library reads by inet_pton(3)
            continue
        parsed = ipaddress.ip_address(address)
        host = Host(_socket.AF_INET if parsed.version == 4 else _socket.AF_INET6, str(parsed), tuple(names))
        for name in dict.fromkeys(name.lower() for name in names):
            hosts.by_name.setdefault(name, []).append(host)
        hosts.by_address.setdefault(host.address, host)
    return hosts


# ---- /etc/resolv.conf ----


@dataclass(frozen=True)
class Config:
    """Whom to ask, and how."""

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    ndots: int = 1
    timeout: int = 5  # seconds for the first server's answer; see _dns_query.py for the others
    attempts: int = 2
    rotate: bool = False
    tcp: bool = False
    one_by_one: bool = False  # A and AAAA: the second when the first is answered
    no_aaaa: bool = False
    no_tld_query: bool = False  # a name without a dot is asked for in the search domains alone


def parse_resolv_conf(text: str) -> Config:
    """Read resolv.conf(5), then the environment's LOCALDOMAIN and RES_OPTIONS over it."""
    servers: list[str] = []
    search: list[str] | None = None
    options: list[str] = []
    for line in text.splitlines():
        keyword, *words = line.split() or [""]
        if keyword == "nameserver" and words and len(servers) < _SERVERS and _is_address(words[0]):
            servers.append(words[0])
        elif keyword in ("search", "domain") and words:
            search = words if keyword == "search" else words[:1]
        elif keyword == "options":
            options += words
    if os.environ.get("LOCALDOMAIN"):
        search = os.environ["LOCALDOMAIN"].split()
    if search is None:
        search = [domain] if (domain := os.uname().nodename.partition(".")[2]) else []
    config = Config(tuple(servers), tuple(name.rstrip(".") for name in search if name.rstrip(".")))
    for word in options + os.environ.get("RES_OPTIONS", "").split():
        config = _with_option(config, word)
    return config


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _with_option(config: Config, word: str) -> Config:
    name, _, number = word.partition(":")
    if name in _LIMITS and number.isascii() and number.isdecimal():
        least, most = 0 if name == "ndots" else 1, _LIMITS[name]
        value = int(number) if len(number) < 10 else most  # more digits than CPython converts are a number too
        return replace(config, **{name: min(max(value, least), most)})  # type: ignore[arg-type]
    if word in _SWITCHES:
        return replace(config, **{_SWITCHES[word]: True})  # type: ignore[arg-type]
    return config  # what is not for us (inet6, trust-ad), or news: resolv.conf(5) lets them pass


# ---- /etc/gai.conf ----

Rules = tuple[tuple[ipaddress.IPv6Network, int], ...]  # the longest prefix first


@dataclass(frozen=True)
class Policy:
    """The table of RFC 6724 2.1: precedences and labels by prefix."""

    precedence: Rules
    label: Rules
    scopev4: Rules


# RFC 6724 2.1. glibc's own is still that of RFC 3484 in places; gai.conf(5) can say so.
_TABLE = (
    ("::1/128", 50, 0), ("::/0", 40, 1), ("::ffff:0:0/96", 35, 4), ("2002::/16", 30, 2), ("2001::/32", 5, 5),
    ("fc00::/7", 3, 13), ("::/96", 1, 3), ("fec0::/10", 1, 11), ("3ffe::/16", 1, 12),
)  # fmt: skip

# RFC 6724 3.2: as IPv6's of the same kinds, 2 the link and 14 the world.
_SCOPES = (("::ffff:169.254.0.0/112", 2), ("::ffff:127.0.0.0/104", 2))
_OTHERWISE = {"precedence": 40, "label": 1, "scopev4": 14}  # what no line speaks of, as in glibc


def parse_gai_conf(text: str) -> Policy:
    """Read gai.conf(5): one line of a kind replaces all of that kind in the default table."""
    given: dict[str, dict[ipaddress.IPv6Network, int]] = {"precedence": {}, "label": {}, "scopev4": {}}
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if len(words) == 3 and words[0] in given and words[2].isdecimal():
            try:
                given[words[0]][ipaddress.IPv6Network(words[1], strict=False)] = int(words[2])
            except ValueError:
                continue
    default = {
        name: {ipaddress.IPv6Network(row[0]): int(row[column]) for row in _TABLE}
        for column, name in ((1, "precedence"), (2, "label"))
    } | {"scopev4": {ipaddress.IPv6Network(prefix): scope for prefix, scope in _SCOPES}}
    rules = {}
    for name, otherwise in _OTHERWISE.items():
        table = {ipaddress.IPv6Network("::/0"): otherwise} | (given[name] or default[name])
        rules[name] = tuple(sorted(table.items(), key=lambda rule: -rule[0].prefixlen))
    return Policy(**rules)
