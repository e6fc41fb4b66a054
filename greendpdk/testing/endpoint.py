"""A non-blocking socket of a stack under a virtual clock: what the engine offers, and nothing of gevent.

Called by wire.py, script.py's player and tests; calls the engine (gd_sock_*). Errors are the OSErrors that a
kernel socket raises.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
from typing import TYPE_CHECKING, Any

from greendpdk._errors import check
from greendpdk._native import ffi, lib

if TYPE_CHECKING:
    from greendpdk.testing.wire import Host

Address = tuple[str, int]


def address_to_c(text: str) -> bytes:
    """Return an address as the engine takes it: 16 bytes, IPv4 as v4-mapped."""
    address = ipaddress.ip_address(text)
    return address.packed if address.version == 6 else b"\0" * 10 + b"\xff\xff" + address.packed


def address_from_c(raw: bytes) -> str:
    """Return the text of the engine's 16 bytes."""
    mapped = ipaddress.IPv6Address(raw).ipv4_mapped
    return str(mapped if mapped is not None else ipaddress.IPv6Address(raw))


class Endpoint:
    """One socket. It must be closed by close(), or dies with its host."""

    def __init__(
        self, host: Host, type: int = socket.SOCK_STREAM, c: Any = None, family: int = socket.AF_INET
    ) -> None:
        self.host = host
        self.type = type
        if c is None:
            out = ffi.new("struct gd_sock **")
            check(lib.gd_sock_new(host.c, family, type, out))
            c = out[0]
        self._c = c
        host.endpoints.append(self)

    @property
    def c(self) -> Any:
        """Return the engine's handle; EBADF after close."""
        if self._c is None:
            raise OSError(errno.EBADF, "Bad file descriptor")
        return self._c

    @property
    def closed(self) -> bool:
        """Tell if close was called."""
        return self._c is None

    @property
    def id(self) -> int:
        """Return the id that gd_stack_events reports."""
        return int(lib.gd_sock_id(self.c))

    @property
    def state(self) -> str:
        """Return RFC 9293's name of the state."""
        return str(ffi.string(lib.gd_sock_state(self.c)).decode())

    @property
    def ready(self) -> int:
        """Return the GD_ bits that hold now."""
        return int(lib.gd_sock_ready(self.c))

    @property
    def unread(self) -> int:
        """Return the bytes that wait to be received (SIOCINQ)."""
        return check(lib.gd_sock_unread(self.c))

    @property
    def unacked(self) -> int:
        """Return the bytes not yet acknowledged (SIOCOUTQ)."""
        return check(lib.gd_sock_unacked(self.c))

    def ioctl(self, request: int) -> int:
        """Return the number that ioctl(2) gives."""
        return check(lib.gd_sock_ioctl(self.c, request))

    def bind(self, address: Address) -> None:
        """Bind, as bind(2)."""
        check(lib.gd_sock_bind(self.c, address_to_c(address[0]), address[1]))

    def connect(self, address: Address | None) -> None:
        """Begin to connect (BlockingIOError for a stream); None dissolves."""
        raw, port = (address_to_c(address[0]), address[1]) if address else (ffi.NULL, 0)
        check(lib.gd_sock_connect(self.c, raw, port))

    def listen(self, backlog: int = 128) -> None:
        """Listen, as listen(2)."""
        check(lib.gd_sock_listen(self.c, backlog))

    def accept(self) -> Endpoint:
        """Take a connection, or BlockingIOError."""
        out = ffi.new("struct gd_sock **")
        check(lib.gd_sock_accept(self.c, out))
        return Endpoint(self.host, self.type, out[0])

    def send(self, data: bytes, flags: int = 0) -> int:
        """Queue bytes; return how many, or BlockingIOError."""
        return check(lib.gd_sock_send(self.c, data, len(data), flags))

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Return bytes, b"" at the peer's end, or BlockingIOError."""
        return self.recv_count(size, flags)[1]

    def recv_count(self, size: int, flags: int = 0) -> tuple[int, bytes]:
        """Return what recv(2) returns, and the bytes: with MSG_TRUNC a datagram's length may be more than they are."""
        room = ffi.new("char[]", max(size, 1))
        count = check(lib.gd_sock_recv(self.c, room, size, flags))
        return count, bytes(ffi.buffer(room, min(count, size)))

    def sendto(self, data: bytes, address: Address | None, flags: int = 0) -> int:
        """Send a datagram."""
        raw, port = (address_to_c(address[0]), address[1]) if address else (ffi.NULL, 0)
        return check(lib.gd_sock_sendto(self.c, data, len(data), flags, raw, port))

    def recvfrom(self, size: int, flags: int = 0) -> tuple[bytes, Address]:
        """Return a datagram and who sent it."""
        room, addr = ffi.new("char[]", max(size, 1)), ffi.new("uint8_t[16]")
        port, msg_flags = ffi.new("uint16_t *"), ffi.new("int *")
        count = check(lib.gd_sock_recvfrom(self.c, room, size, flags, addr, port, msg_flags))
        return bytes(ffi.buffer(room, min(count, size))), (address_from_c(bytes(addr)), int(port[0]))

    def shutdown(self, how: int) -> None:
        """Shut a direction down, as shutdown(2)."""
        check(lib.gd_sock_shutdown(self.c, how))

    def close(self) -> None:
        """Close; closing twice is legal."""
        if self._c is not None:
            lib.gd_sock_close(self._c)
            self._c = None
            self.host.endpoints.remove(self)

    def getsockname(self) -> Address:
        """Return the local address."""
        return self._name(lib.gd_sock_getsockname)

    def getpeername(self) -> Address:
        """Return the peer's address."""
        return self._name(lib.gd_sock_getpeername)

    def _name(self, ask: Any) -> Address:
        addr, port = ffi.new("uint8_t[16]"), ffi.new("uint16_t *")
        check(ask(self.c, addr, port))
        return address_from_c(bytes(addr)), int(port[0])

    def setsockopt(self, level: int, name: int, value: int | bytes) -> None:
        """Set an option, as setsockopt(2)."""
        raw = struct.pack("i", value) if isinstance(value, int) else value
        check(lib.gd_sock_setsockopt(self.c, level, name, raw, len(raw)))

    def getsockopt(self, level: int, name: int, size: int = 4) -> int | bytes:
        """Return an option: a number if it has four bytes, else the bytes."""
        room, length = ffi.new("char[]", size), ffi.new("uint32_t *", size)
        check(lib.gd_sock_getsockopt(self.c, level, name, room, length))
        raw = bytes(ffi.buffer(room, length[0]))
        return int(struct.unpack("i", raw)[0]) if len(raw) == 4 else raw

    def take_error(self) -> int:
        """Return SO_ERROR, which clears it."""
        value = self.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        assert isinstance(value, int)
        return value
