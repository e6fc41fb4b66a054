"""Multicast options of a socket that may be the stack's, the kernel's or both: each half takes what its interfaces can.

Called by _raw.py and _endpoint.py; calls the engine and, for the kernel's half, _socket.

    the option names              the stack             the kernel
    an address of a port          joins                 has no such interface, which is no error
    an address of the kernel's    has no such one       joins; IP_MULTICAST_IF: groups are sent to by the kernel
    no interface                  joins                 joins, if it has a route to groups
"""

from __future__ import annotations

import _socket
import errno
from typing import TYPE_CHECKING

from greendpdk import _route
from greendpdk._address import MAPPED
from greendpdk._errors import check
from greendpdk._native import ffi, lib

if TYPE_CHECKING:
    from greendpdk._endpoint import Endpoint

Option = tuple[int, int, bytes | None, int]

_IF, _IF6 = (_socket.IPPROTO_IP, _socket.IP_MULTICAST_IF), (_socket.IPPROTO_IPV6, _socket.IPV6_MULTICAST_IF)
_MEMBERSHIPS4 = {(_socket.IPPROTO_IP, name) for name in (_socket.IP_ADD_MEMBERSHIP, _socket.IP_DROP_MEMBERSHIP)}
_SOURCES4 = range(37, 42)  # IP_UNBLOCK_SOURCE to IP_MSFILTER of <netinet/in.h>
_MCAST = range(42, 49)  # MCAST_JOIN_GROUP to MCAST_MSFILTER
_UNICAST_IF = {(_socket.IPPROTO_IP, 50), (_socket.IPPROTO_IPV6, 76)}  # IP_UNICAST_IF, IPV6_UNICAST_IF
_BY_INTERFACE = (
    _UNICAST_IF
    | {_IF, _IF6, (_socket.IPPROTO_IPV6, _socket.IPV6_JOIN_GROUP), (_socket.IPPROTO_IPV6, _socket.IPV6_LEAVE_GROUP)}
    | _MEMBERSHIPS4
    | {(_socket.IPPROTO_IP, name) for name in _SOURCES4}
    | {(level, name) for level in (_socket.IPPROTO_IP, _socket.IPPROTO_IPV6) for name in _MCAST}
)
_NO_INTERFACE = (errno.ENODEV, errno.EADDRNOTAVAIL)


def concerns(level: int, name: int) -> bool:
    """Tell whether an option names an interface, which one half may have and the other not."""
    return (level, name) in _BY_INTERFACE


def _is_kernels(end: Endpoint, option: Option) -> bool:
    """Tell whether it names the interface by an address that is not the stack's."""
    level, name, value, _ = option
    if value is None or len(value) < 4 or level != _socket.IPPROTO_IP or name in _MCAST or (level, name) in _UNICAST_IF:
        return False
    if len(value) >= 12 and value[8:12] != bytes(4) and name not in _SOURCES4:
        return False  # by its index
    address = value[4:8] if len(value) >= 8 else value[:4]
    return address != bytes(4) and not _route.owns(end.stack, MAPPED + address)


def _set_in_kernel(end: Endpoint, option: Option) -> None:
    level, name, value, length = option
    kernel = end.k if end.k is not None else end._make_kernel()  # to be asked, if it is not there yet
    try:
        if value is None:
            kernel.setsockopt(level, name, None, length)
        else:
            kernel.setsockopt(level, name, value)
    finally:
        if kernel is not end.k:
            kernel.close()


def replay(kernel: _socket.socket, option: Option) -> None:
    """Set a kept option in a half that the kernel gets now; an interface that only the stack has is no error."""
    level, name, value, length = option
    try:
        if value is None:
            kernel.setsockopt(level, name, None, length)
        else:
            kernel.setsockopt(level, name, value)
    except OSError as error:
        if not concerns(level, name) or error.errno not in _NO_INTERFACE:
            raise


def setsockopt(end: Endpoint, option: Option) -> None:
    """Set an option that names an interface, in each half that has it; raise if none has."""
    level, name, value, length = option
    kernel_too = not end.settled or end.k is not None
    rc = -errno.ENODEV
    if not _is_kernels(end, option):
        rc = lib.gd_sock_setsockopt(end.c, level, name, ffi.NULL if value is None else value, length)
    if rc == 0 or -rc not in _NO_INTERFACE or not kernel_too:
        check(rc)
        if end.k is not None:
            replay(end.k, option)
    else:
        _set_in_kernel(end, option)
    if (level, name) in (_IF, _IF6):
        end.groups_by_kernel = rc < 0 if value is not None and any(value) else None
    end.keep(option)


def is_group(addr: bytes) -> bool:
    """Tell whether an address is many hosts': it belongs to no half, and can be bound in both."""
    if addr.startswith(MAPPED):
        return addr[12] >> 4 == 0xE or addr[12:] == b"\xff" * 4
    return addr[0] == 0xFF


def reaches(end: Endpoint, addr: bytes) -> bool:
    """Tell whether a datagram to addr goes through the stack: as _route.reaches, but for what IP_MULTICAST_IF said."""
    if end.groups_by_kernel is not None and is_group(addr):
        return not end.groups_by_kernel
    return _route.reaches(end.stack, addr)
