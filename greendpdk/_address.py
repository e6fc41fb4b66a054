"""Addresses as Python spells them, to and from the engine's 16 bytes and a port.

Called by _raw.py, _route.py, dns.py; calls gevent's resolver for names (through _libc.py). Errors are CPython's own
(Modules/socketmodule.c: getsockaddrarg, setipaddr), word for word where a test of it looks at the words.

A link-local address means something on its link only, so it comes with a scope id. The kernel's are the numbers of its
interfaces, ours begin at SCOPE_BASE, so that each keeps its own. The engine has the number of the port in the address:

    ("fe80::1", 80, 0, SCOPE_BASE + 2)    ◄──►    fe80:0002::1, 80
"""

from __future__ import annotations

import _socket
from functools import lru_cache
from operator import index
from typing import Any

MAPPED = bytes(10) + b"\xff\xff"  # ::ffff:0:0/96, how the engine holds IPv4
ANY4 = MAPPED + bytes(4)
ANY6 = bytes(16)
LOOPBACK4 = MAPPED + b"\x7f\0\0\1"
LOOPBACK6 = bytes(15) + b"\1"
SCOPE_BASE = 1 << 30  # the kernel counts its interfaces from 1
_FLOWINFO_MAX = 0xFFFFF  # 20 bits, RFC 8200 3


def is_any(addr: bytes) -> bool:
    """Tell whether it is the wildcard of either family."""
    return addr in (ANY4, ANY6)


def is_loopback(addr: bytes) -> bool:
    """Tell whether it is in 127.0.0.0/8 or is ::1."""
    return (addr[12] == 127 and addr.startswith(MAPPED)) or addr == LOOPBACK6


def is_link_local(addr: bytes) -> bool:
    """Tell whether it is in fe80::/10."""
    return addr[0] == 0xFE and addr[1] & 0xC0 == 0x80


def scope_of(addr: bytes) -> int:
    """Return the number of the port that the address is on the link of; 0: none is named."""
    return int.from_bytes(addr[2:4], "big") if is_link_local(addr) or _is_link_group(addr) else 0


def _is_link_group(addr: bytes) -> bool:
    return addr[0] == 0xFF and addr[1] & 15 in (1, 2)


def _on(addr: bytes, scope_id: int) -> bytes:
    """Put the port that a scope id of ours names into an address."""
    if scope_id <= SCOPE_BASE or scope_id > SCOPE_BASE + 0xFFFF:
        return addr
    if not is_link_local(addr) and not _is_link_group(addr):
        return addr
    return addr[:2] + (scope_id - SCOPE_BASE).to_bytes(2, "big") + addr[4:]


def parse(family: int, address: Any, caller: str) -> tuple[bytes, int]:
    """Turn what an application passed as an address into (16 bytes, port); resolve a name if it is one."""
    name = "AF_INET" if family == _socket.AF_INET else "AF_INET6"
    if not isinstance(address, tuple):
        raise TypeError(f"{caller}(): {name} address must be tuple, not {type(address).__name__}")
    if family == _socket.AF_INET and len(address) != 2:
        raise TypeError("AF_INET address must be a pair (host, port)")
    if family == _socket.AF_INET6 and not 2 <= len(address) <= 4:
        raise TypeError("AF_INET6 address must be a tuple (host, port[, flowinfo[, scopeid]])")
    host = address[0] if address[0].__class__ is str else _host(address[0])
    addr = _literal(family, host)
    port = index(address[1])
    if not 0 <= port <= 0xFFFF:
        raise OverflowError(f"{caller}(): port must be 0-65535.")
    if len(address) > 2 and not 0 <= index(address[2]) <= _FLOWINFO_MAX:
        raise OverflowError(f"{caller}(): flowinfo must be 0-1048575.")
    if addr is None:
        addr = _resolve(family, _host(host))
    return _on(addr, kernel_scope(address)) if len(address) > 2 else addr, port


def kernel_scope(address: tuple[Any, ...]) -> int:
    """Return the scope id in an address as Python has it; 0: none."""
    return index(address[3]) & 0xFFFFFFFF if len(address) > 3 else 0  # CPython cuts it likewise


def _host(host: Any) -> str:
    if isinstance(host, bytes | bytearray):
        host = bytes(host).decode("ascii")
    elif not isinstance(host, str):
        raise TypeError(f"str, bytes or bytearray expected, not {type(host).__name__}")
    elif not host.isascii():
        host = host.encode("idna").decode("ascii")
    if "\0" in host:
        raise TypeError("host name must not contain null character")
    return str(host)


@lru_cache(maxsize=4096)  # one entry a peer that sendto() names again and again
def _literal(family: int, host: str) -> bytes | None:
    host = _host(host)
    if not host:
        return ANY4 if family == _socket.AF_INET else ANY6
    if host in ("<broadcast>", "255.255.255.255"):
        if family != _socket.AF_INET:
            raise OSError("address family mismatched")
        return MAPPED + b"\xff\xff\xff\xff"
    try:
        packed = _socket.inet_pton(family, host)
    except OSError:
        return None
    return MAPPED + packed if family == _socket.AF_INET else packed


def _resolve(family: int, host: str) -> bytes:
    from gevent import get_hub, getcurrent

    from greendpdk import _libc

    hub = get_hub()
    # In the hub itself nothing may block: there the C library answers, as it does for a raw kernel socket. Nor does
    # localhost (RFC 6761 6.3: no server is asked), so that bind() lets no other greenlet run, as everywhere.
    by_c = getcurrent() is hub or host.lower() == "localhost"
    every = _libc.getaddrinfo(host, None, family) if by_c else _libc.looked_up(hub.resolver, host, None, family)
    found = every[0][4]
    packed = _socket.inet_pton(family, str(found[0]).partition("%")[0])
    # fe80::1%net_tap0: a scope of ours counts; CPython takes the kernel's from the tuple only (getsockaddrarg)
    return MAPPED + packed if family == _socket.AF_INET else _on(packed, int(str(found[-1])))


def show(family: int, addr: bytes, port: int) -> tuple[Any, ...]:
    """Turn the engine's address into the tuple of the family: a pair, or four for AF_INET6."""
    if family == _socket.AF_INET:
        return _socket.inet_ntoa(addr[12:]), port
    if addr == ANY4:  # an unbound AF_INET6 socket shows ::, not ::ffff:0.0.0.0
        addr = ANY6
    scope = scope_of(addr)
    if scope:
        return _socket.inet_ntop(_socket.AF_INET6, addr[:2] + b"\0\0" + addr[4:]), port, 0, SCOPE_BASE + scope
    return _socket.inet_ntop(_socket.AF_INET6, addr), port, 0, 0
