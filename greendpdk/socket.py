"""The standard library's socket module over the stack.

Called by applications: directly, or as `socket` after monkey.patch_all(). The class is _wrapper.py's; here are
the functions that make sockets. All other names are gevent's, which are the standard library's.
"""

from __future__ import annotations

import _socket
import os
import socket as _standard
from types import ModuleType
from typing import TYPE_CHECKING, Any

import gevent.socket as _gevent

from greendpdk import _fdio, _fds, _handover, _interfaces
from greendpdk._raw import RawSocket

if TYPE_CHECKING:  # gevent has no types, so a checker is shown the names that the standard library has for it
    from socket import *  # noqa: F403

    from gevent.socket import cancel_wait as cancel_wait
    from gevent.socket import wait_read as wait_read
    from gevent.socket import wait_readwrite as wait_readwrite
    from gevent.socket import wait_write as wait_write
else:
    from gevent.socket import *  # noqa: F403

    from greendpdk._wrapper import socket

    SocketType = socket
    if_indextoname, if_nameindex = _interfaces.if_indextoname, _interfaces.if_nameindex
    if_nametoindex = _interfaces.if_nametoindex
_GLOBAL_DEFAULT_TIMEOUT = _gevent._GLOBAL_DEFAULT_TIMEOUT

__implements__ = [
    "SocketType", "close", "create_connection", "create_server", "dup", "fromfd", "has_dualstack_ipv6",
    "if_indextoname", "if_nameindex", "if_nametoindex", "socket", "socketpair",
]  # fmt: skip
# What the standard module has and gevent does not pass on: classes of enums and files, a few constants.
for _name in vars(_standard):
    if not _name.startswith("__") and _name not in globals() and not isinstance(vars(_standard)[_name], ModuleType):
        globals()[_name] = vars(_standard)[_name]

__all__ = sorted({*_gevent.__all__, *__implements__})  # noqa: PLE0605


def _class() -> Any:
    """Return what socket.socket is where our functions stand: a program may have put its own there, as PySocks does."""
    for module in (_standard, _gevent):
        there = vars(module)
        if there["create_connection"] is create_connection and there["socket"] is not socket:
            return there["socket"]
    return socket


def create_connection(  # type: ignore[no-redef]
    address: tuple[Any, Any],
    timeout: Any = _GLOBAL_DEFAULT_TIMEOUT,
    source_address: Any = None,
    *,
    all_errors: bool = False,
) -> socket:
    """Connect to (host, port), trying each address that the name has; return the socket."""
    make = _class()
    host, port = address
    errors: list[OSError] = []
    for family, kind, proto, _, resolved in _gevent.getaddrinfo(host, port, 0, _socket.SOCK_STREAM):
        sock = None
        try:
            sock = make(family, kind, proto)
            if timeout is not _GLOBAL_DEFAULT_TIMEOUT:
                sock.settimeout(timeout)
            if source_address:
                sock.bind(source_address)
            sock.connect(resolved)
            errors.clear()  # an exception in here would keep this frame alive
            return sock  # type: ignore[no-any-return]
        except OSError as error:
            if not all_errors:
                errors.clear()
            errors.append(error)
            if sock is not None:
                sock.close()
        except BaseException:
            if sock is not None:
                sock.close()
            raise
    if not errors:
        raise OSError("getaddrinfo returns an empty list")
    try:
        raise ExceptionGroup("create_connection failed", errors) if all_errors else errors[0]
    finally:
        errors.clear()


def create_server(  # type: ignore[no-redef]
    address: tuple[Any, ...],
    *,
    family: int = _socket.AF_INET,
    backlog: int | None = None,
    reuse_port: bool = False,
    dualstack_ipv6: bool = False,
) -> socket:
    """Return a TCP socket that is bound to address and listens."""
    if dualstack_ipv6 and family != _socket.AF_INET6:
        raise ValueError("dualstack_ipv6 requires AF_INET6 family")
    if dualstack_ipv6 and not has_dualstack_ipv6():
        raise ValueError("dualstack_ipv6 not supported on this platform")
    sock = socket(family, _socket.SOCK_STREAM)
    try:
        sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEPORT, 1)
        if family == _socket.AF_INET6:
            sock.setsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY, 0 if dualstack_ipv6 else 1)
        try:
            sock.bind(address)
        except OSError as error:
            text = f"{error.strerror} (while attempting to bind on address {address!r})"
            raise OSError(error.errno, text) from None
        sock.listen(*() if backlog is None else (backlog,))
    except OSError:
        sock.close()
        raise
    return sock


def has_dualstack_ipv6() -> bool:  # type: ignore[no-redef]
    """Tell whether one AF_INET6 socket can serve IPv4 as well."""
    if not _socket.has_ipv6:
        return False
    try:
        with socket(_socket.AF_INET6, _socket.SOCK_STREAM) as sock:
            sock.setsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY, 0)
            return True
    except OSError:
        return False


def fromfd(fd: int, family: int, type: int, proto: int = 0) -> socket:  # type: ignore[no-redef]
    """Make a socket from a duplicate of the fd."""
    end = _fds.adopt(fd)
    if end is None:
        _handover.refuse_to_receive(fd)
        return socket(family, type, proto, os.dup(fd))
    end.refs += 1
    return socket(family, type, proto, fileno=RawSocket(end, _fds.number(end)))  # type: ignore[arg-type]


def dup(fd: int, /) -> int:  # type: ignore[no-redef]
    """Duplicate the fd of a socket; the new one is not inheritable."""
    new = _socket.dup(fd)
    end = _fds.endpoint(fd)
    return new if end is None else _fdio.copy(end, new)


def socketpair(  # type: ignore[no-redef]
    family: int | None = None, type: int = _socket.SOCK_STREAM, proto: int = 0
) -> tuple[socket, socket]:
    """Return two kernel sockets that are connected to each other (AF_UNIX)."""
    family = _socket.AF_UNIX if family is None else family
    a, b = _socket.socketpair(family, type, proto)
    return socket(family, type, proto, a.detach()), socket(family, type, proto, b.detach())


def close(fd: int) -> None:  # type: ignore[no-redef]
    """Close a socket by its fd, as os.close."""
    if not _fds.forget(fd):
        _socket.close(fd)
