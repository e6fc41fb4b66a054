"""Interfaces by name and number: the kernel's, and the stack's ports beside them.

Called by socket.py (if_nametoindex and its like), dns.py and _address.py (the scope behind a %); calls the kernel.

The kernel's interfaces keep their names and numbers. A port of ours goes by its scope id (_address.py: above those that
the kernel hands out), so that either kind may stand in an address and in an option, and neither is taken for the other.
"""

from __future__ import annotations

import _socket
import os
from typing import Any

from greendpdk import _stack
from greendpdk._ports import Port


def _ports() -> list[Port]:
    stack = _stack.running()
    return [] if stack is None or stack.dead else stack.ports


def _port(name: Any) -> Port | None:
    text = os.fsdecode(name) if isinstance(name, str | bytes | os.PathLike) else None
    return next((port for port in _ports() if text in (port.name, port.device)), None)


def if_nametoindex(name: Any) -> int:
    """Return the number of an interface of the kernel or of a port; OSError: there is no such one."""
    try:
        return _socket.if_nametoindex(name)
    except OSError:
        port = _port(name)
        if port is None:
            raise
        return port.scope_id


def if_indextoname(index: int) -> str:
    """Return the name behind a number; OSError (ENXIO): there is no such one."""
    for port in _ports():
        if port.scope_id == index:
            return port.name
    return _socket.if_indextoname(index)


def if_nameindex() -> list[tuple[int, str]]:
    """Return all (number, name): the kernel's, then the ports."""
    return _socket.if_nameindex() + [(port.scope_id, port.name) for port in _ports()]


def numbered(host: Any) -> Any:
    """Put a port's number in the place of its name behind a %, for the C library, which knows numbers of any size."""
    percent = b"%" if isinstance(host, bytes | bytearray) else "%"
    if not isinstance(host, str | bytes | bytearray) or percent not in host:  # type: ignore[operator]
        return host
    if isinstance(host, bytes | bytearray):
        return str(numbered(bytes(host).decode("latin-1"))).encode("latin-1")
    address, _, scope = host.partition("%")
    try:
        _socket.if_nametoindex(scope)
    except OSError:
        port = _port(scope)
        return host if port is None else f"{address}%{port.scope_id}"
    return host
