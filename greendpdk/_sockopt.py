"""The argument forms of setsockopt and getsockopt; the options themselves are the engine's (core/sock/option.c).

Called by _raw.py; calls nothing. Values travel as the bytes that Linux's setsockopt(2) would see.
"""

from __future__ import annotations

from operator import index
from struct import Struct
from typing import Any

TELL_TIMES = (11, 24)  # TCP_INFO, TCP_TIMESTAMP
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
