"""The argument forms of setsockopt and getsockopt; the options themselves are the engine's (core/sock/option.c).

Called by _raw.py; calls the engine for what the socket class has to know of them. Values travel as the bytes that
Linux's setsockopt(2) would see.
"""

from __future__ import annotations

from operator import index
from struct import Struct
from typing import Any

from greendpdk._errors import check
from greendpdk._native import ffi, lib

TELL_TIMES = (11, 24)  # TCP_INFO, TCP_TIMESTAMP
TIMEOUTS = (20, 21)  # SO_RCVTIMEO, SO_SNDTIMEO
_TIMEVAL = Struct("@ll")
_INT = Struct("i")
_BUFLEN_MAX = 1024  # Modules/socketmodule.c: sock_getsockopt


def encode(args: tuple[Any, ...]) -> tuple[int, int, bytes | None, int]:
    """Take setsockopt's arguments apart: (level, name, value, length); value None is a null pointer."""
    if len(args) == 4:
        level, name, value, length = args
        if value is not None:
            raise TypeError(f"setsockopt() argument 3 must be None, not {type(value).__name__}")
        return index(level), index(name), None, index(length)
    if len(args) != 3:
        raise TypeError(f"setsockopt() takes 3 or 4 arguments ({len(args)} given)")
    level, name, value = args
    if hasattr(value, "__index__"):
        number = index(value)
        if not -(2**31) <= number < 2**31:
            raise TypeError("a bytes-like object is required, not 'int'")
        return index(level), index(name), _INT.pack(number), _INT.size
    try:
        blob = bytes(memoryview(value))
    except TypeError:
        raise TypeError(f"a bytes-like object is required, not {type(value).__name__!r}") from None
    return index(level), index(name), blob, len(blob)


def room(buflen: int) -> int:
    """How many bytes getsockopt may write; raise as CPython for a length out of range."""
    if not 0 <= buflen <= _BUFLEN_MAX:
        raise OSError("getsockopt buflen out of range")
    return buflen or _INT.size


def decode(blob: bytes, buflen: int) -> int | bytes:
    """Make the answer of getsockopt: an int without buflen, else the bytes."""
    return blob if buflen else int.from_bytes(blob[: _INT.size], "little", signed=True)


def timeouts(c: Any) -> tuple[float, float] | None:
    """Return SO_RCVTIMEO and SO_SNDTIMEO in seconds, 0: for ever; None if that is what both say."""
    found = []
    for name in TIMEOUTS:
        value, size = ffi.new("char[]", _TIMEVAL.size), ffi.new("uint32_t *", _TIMEVAL.size)
        check(lib.gd_sock_getsockopt(c, 1, name, value, size))
        seconds, us = _TIMEVAL.unpack(ffi.buffer(value))
        found.append(seconds + us / 1e6)
    return (found[0], found[1]) if any(found) else None
