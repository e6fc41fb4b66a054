"""SO_BINDTODEVICE and SO_BINDTOIFINDEX of a socket that may be the stack's or the kernel's: the device says whose.

Called by _raw.py; calls the engine (core/sock/option_device.c) and, for the kernel's devices, _socket.

    a port of the stack's     the socket is the stack's: its routes, binds and packets are that port's alone
    the kernel's              the socket is the kernel's
    no name                   bound to none: the addresses decide again
"""

from __future__ import annotations

import _socket
from typing import TYPE_CHECKING

from greendpdk._errors import check
from greendpdk._native import ffi, lib

if TYPE_CHECKING:
    from greendpdk._endpoint import Endpoint

_ENODEV = -19
_NAME, _INDEX = 25, 62  # SO_BINDTODEVICE, SO_BINDTOIFINDEX
_LOOPBACK = (b"lo", 1)


def concerns(level: int, name: int) -> bool:
    """Tell whether an option binds to a device."""
    return level == _socket.SOL_SOCKET and name in (_NAME, _INDEX)


def _device(option: tuple[int, int, bytes | None, int]) -> bytes | int:
    value = option[2] or b""
    return value.split(b"\0")[0] if option[1] == _NAME else int.from_bytes(value[:4], "little", signed=True)


def setsockopt(end: Endpoint, option: tuple[int, int, bytes | None, int]) -> None:
    """Bind to a device, or to none."""
    level, name, value, length = option
    device = _device(option)
    result = _ENODEV
    if device not in _LOOPBACK or end.stack.settings.loopback == "stack":
        result = lib.gd_sock_setsockopt(end.c, level, name, ffi.NULL if value is None else value, length)
    if result == _ENODEV and (end.k is not None or not end.settled):
        kernel = end.k if end.k is not None else end._make_kernel()
        try:
            kernel.setsockopt(level, name, value or b"")
        except OSError:
            if end.k is None:
                kernel.close()
            raise
        end.k = kernel
        end._to_kernel()
        return
    check(result)
    end.by_device = bool(device)
    if end.by_device and end.k is not None:
        end._close_kernel()
