"""What a caller passes as a host: a name as servers have it, an address, or neither.

Called by dns.py; calls _libc.py.
"""

from __future__ import annotations

import _socket
from typing import Any

from greendpdk import _libc


def text(host: Any) -> str:
    """Spell a name as it goes to a server: IDNA for a str, bytes as they are (what CPython does)."""
    if isinstance(host, str):
        return host.encode("idna").decode("ascii")
    return bytes(host).decode("utf-8", "surrogateescape")


def plain(host: Any) -> str | bytes:
    """Make what getaddrinfo takes of what gethostbyname takes."""
    return host if isinstance(host, str) else bytes(host)


def is_literal(host: Any) -> bool:
    """Tell whether it is an address that the C library reads as it is: the quick way of most connections."""
    if host.__class__ is not str:
        return False
    try:
        _socket.inet_pton(_socket.AF_INET6 if ":" in host else _socket.AF_INET, host)
    except (OSError, ValueError):
        return False
    return True


def is_special(name: Any) -> bool:
    """Tell whether gethostbyname takes it without a question: nothing, the broadcast, or an IPv4 address."""
    if not isinstance(name, str | bytes | bytearray):
        return True  # the original refuses it in its own words
    text = name if isinstance(name, str) else bytes(name).decode("latin-1")
    if text in ("", "<broadcast>"):
        return True
    try:
        _socket.inet_aton(text)
    except (OSError, UnicodeError):
        return False
    return True


def refuse_literal(host: Any, family: int) -> None:
    """Raise what the C library says of an address of another family, or one that cannot be."""
    try:
        _libc.getaddrinfo(plain(host), None, family, 0, 0, _socket.AI_NUMERICHOST)
    except _socket.gaierror as error:
        if error.errno != _socket.EAI_NONAME:
            raise
