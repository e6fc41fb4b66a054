"""The C library's calls for names and addresses, without the audit events of Python's socket module.

Called by dns.py, _dns_order.py, _dns_query.py, _address.py, _endpoint.py and _handover.py; calls libc through cffi.

An audit hook is told what the program asked for, once (sys.audit). CPython's C code raises nothing for what it asks the
C library on the way, so nor does ours: a look-up for connect(), a probe for a source address, the kernel's half of a
bind. The results and the errors are those of Python's socket module.
"""

from __future__ import annotations

import _socket
import os
import struct
from collections.abc import Iterator
from typing import Any

from greendpdk._errors import error
from greendpdk._native import ffi, lib

_LONG = 1 << 63
_UNIX_SIZE = 110  # sizeof (struct sockaddr_un)
_SIZES = {_socket.AF_INET: 16, _socket.AF_INET6: 28}  # of sockaddr_in and sockaddr_in6


def getaddrinfo(
    host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
) -> list[tuple[Any, ...]]:
    """Do as _socket.getaddrinfo with arguments that it takes (see takes)."""
    node, service = _node(host), _service(port)
    hints, out = ffi.new("struct addrinfo *"), ffi.new("struct addrinfo **")
    hints.ai_family, hints.ai_socktype, hints.ai_protocol, hints.ai_flags = family, type, proto, flags
    result = lib.getaddrinfo(node, service, hints, out)
    if result == _socket.EAI_SYSTEM:
        raise error(ffi.errno)
    if result:
        raise _socket.gaierror(result, ffi.string(lib.gai_strerror(result)).decode())
    try:
        return [_entry(one) for one in _chain(out[0])]
    finally:
        lib.freeaddrinfo(out[0])


def _chain(one: Any) -> Iterator[Any]:
    while one != ffi.NULL:
        yield one
        one = one.ai_next


def _entry(one: Any) -> tuple[Any, ...]:
    canonical = "" if one.ai_canonname == ffi.NULL else ffi.string(one.ai_canonname).decode()
    return one.ai_family, one.ai_socktype, one.ai_protocol, canonical, _shown(one.ai_family, one.ai_addr)


def takes(host: Any, port: Any) -> bool:
    """Tell whether these can be looked up; if not, _socket.getaddrinfo raises what is wrong, and no event before it."""
    try:
        _node(host), _service(port)
    except (TypeError, ValueError):
        return False
    return True


def looked_up(resolver: Any, host: Any, port: Any, family: int = 0, *rest: int) -> list[tuple[Any, ...]]:
    """Ask a resolver of gevent's; its threads, which would call _socket.getaddrinfo, call ours."""
    from gevent.resolver.thread import Resolver as Threads

    if hasattr(resolver, "looked_up"):  # dns.Resolver
        return resolver.looked_up(host, port, family, *rest)  # type: ignore[no-any-return]
    if isinstance(resolver, Threads):
        return resolver.pool.apply(getaddrinfo, (host, port, family, *rest))  # type: ignore[no-any-return]
    return resolver.getaddrinfo(host, port, family, *rest)  # type: ignore[no-any-return]


def bind(fd: int, family: int, address: Any) -> None:
    """Bind a kernel socket to a literal address, or to a name of AF_UNIX as bytes."""
    packed = _packed(family, address)
    if lib.bind(fd, ffi.cast("struct sockaddr *", ffi.from_buffer(packed)), len(packed)) < 0:
        raise error(ffi.errno)


def unix_name(fd: int) -> bytes:
    """Return what an AF_UNIX socket is bound to; nothing if it is unbound, another's, or none."""
    name, size = ffi.new("char[]", _UNIX_SIZE), ffi.new("unsigned int *", _UNIX_SIZE)
    if lib.getsockname(fd, ffi.cast("struct sockaddr *", name), size) < 0:
        return b""
    family, path = struct.unpack_from("=H", ffi.buffer(name))[0], bytes(ffi.buffer(name, min(size[0], _UNIX_SIZE)))[2:]
    return path if family == _socket.AF_UNIX else b""


def source(family: int, address: tuple[Any, ...]) -> str | None:
    """Return what the kernel would send from to a literal address; None: it has no way there."""
    fd = lib.socket(family, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC, 0)
    if fd < 0:  # a kernel without the family
        return None
    try:
        packed = _packed(family, address)
        if lib.connect(fd, ffi.cast("struct sockaddr *", ffi.from_buffer(packed)), len(packed)) < 0:
            return None
        name, size = ffi.new("char[]", len(packed)), ffi.new("unsigned int *", len(packed))
        own = ffi.cast("struct sockaddr *", name)
        return str(_shown(family, own)[0]) if lib.getsockname(fd, own, size) == 0 else None
    finally:
        os.close(fd)


def _node(host: Any) -> Any:
    if host is None:
        return ffi.NULL
    if not isinstance(host, str | bytes):
        raise TypeError(host)
    return host.encode("idna") if isinstance(host, str) else host


def _service(port: Any) -> Any:
    if port is None:
        return ffi.NULL
    if port.__class__ is int and -_LONG <= port < _LONG:
        return b"%d" % port
    if not isinstance(port, str | bytes):
        raise TypeError(port)
    return port.encode() if isinstance(port, str) else port


def _packed(family: int, address: Any) -> bytes:
    """Make a sockaddr_in, sockaddr_in6 or sockaddr_un (ip(7), ipv6(7), unix(7))."""
    if family == _socket.AF_UNIX:
        return struct.pack("=H", family) + bytes(address)
    host, port, flow, scope = (*address, 0, 0)[:4]
    head = struct.pack("=H", family) + struct.pack("!H", port)
    if family == _socket.AF_INET:
        return head + _socket.inet_pton(family, host) + bytes(8)
    return head + struct.pack("!I", flow) + _socket.inet_pton(family, host) + struct.pack("=I", scope)


def _shown(family: int, addr: Any) -> tuple[Any, ...]:
    """Read one, as Python has it."""
    raw = bytes(ffi.buffer(ffi.cast("char *", addr), _SIZES[family]))
    (port,) = struct.unpack_from("!H", raw, 2)
    if family == _socket.AF_INET:
        return _socket.inet_ntop(family, raw[4:8]), port
    (flow,) = struct.unpack_from("!I", raw, 4)
    (scope,) = struct.unpack_from("=I", raw, 24)
    return _socket.inet_ntop(family, raw[8:24]), port, flow, scope
