"""The numbers behind the names in system calls, and socket addresses.

Called by _calls.py; calls nothing.
"""

from __future__ import annotations

import os
import socket

from greendpdk.testing._lines import Ellipsis_, Expr, Func, Name, StructValue

# Names that Python's socket and os modules lack, with Linux's numbers.
MORE = {
    "F_GETFL": 3,
    "F_SETFL": 4,
    "SOL_TCP": 6,
    "TCP_THIN_LINEAR_TIMEOUTS": 16,
    "TCP_THIN_DUPACK": 17,
    "TCP_TIMESTAMP": 24,
    "IP_MTU_DISCOVER": 10,
    "SIOCINQ": 0x541B,
    "SIOCOUTQ": 0x5411,
    "SIOCOUTQNSD": 0x894B,
    "SIOCATMARK": 0x8905,
    "FIONREAD": 0x541B,
    "POLLIN": 1,
    "POLLPRI": 2,
    "POLLOUT": 4,
    "POLLERR": 8,
    "POLLHUP": 16,
    "POLLRDHUP": 0x2000,
    "NULL": 0,
}


def _lookup(name: str) -> int:
    for place in (socket, os):
        if (value := getattr(place, name, None)) is not None:
            return int(value)
    if name not in MORE:
        raise ValueError(f"no such constant: {name}")
    return MORE[name]


def constant(value: Expr) -> int:
    """Return a number, or the bits of NAME|NAME."""
    if isinstance(value, int):
        return value
    if isinstance(value, Name):
        total = 0
        for name in value.names:
            total |= _lookup(name)
        return total
    raise ValueError(f"no number: {value}")


def sockaddr(value: Expr, default: tuple[str, int]) -> tuple[str, int]:
    """Return an address: "..." is the default, {sa_family=..., sin_port=htons(1), sin_addr=inet_addr("a")} itself."""
    if isinstance(value, Ellipsis_):
        return default
    if not isinstance(value, StructValue):
        raise ValueError(f"no socket address: {value}")
    port, addr = value.get("sin_port"), value.get("sin_addr")
    if isinstance(port, Func):
        port = port.args[0]
    if isinstance(addr, Func):
        addr = addr.args[0]
    if not isinstance(port, int) or not isinstance(addr, str):
        raise ValueError(f"no socket address: {value}")
    return addr, port
