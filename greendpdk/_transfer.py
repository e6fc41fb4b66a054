"""Bytes in and out of a raw socket, whichever half they go through.

Base class of _raw.RawSocket; calls the engine, or _socket for the kernel's half. The try_ methods return
None for what would block: an exception would cost more than the call itself.
"""

from __future__ import annotations

import _socket
import errno
import os
from typing import TYPE_CHECKING, Any

from greendpdk._address import kernel_scope, parse, show
from greendpdk._endpoint import get_ident, wrong_thread
from greendpdk._errors import check, would_block
from greendpdk._message import RawMessages
from greendpdk._native import ffi, lib

if TYPE_CHECKING:
    from greendpdk._endpoint import Endpoint

EAGAIN = -errno.EAGAIN
_BYTES = ffi.typeof("char[]")
Buffer = Any


def bad_fd() -> OSError:
    """Make what a closed socket raises."""
    return OSError(errno.EBADF, os.strerror(errno.EBADF))


def readable(data: Buffer) -> Any:
    """Give C a pointer to the bytes of any buffer, without a copy."""
    if data.__class__ is bytes:
        return data
    try:
        return ffi.from_buffer(data)
    except TypeError:
        raise TypeError(f"a bytes-like object is required, not {type(data).__name__!r}") from None


def writable(buffer: Buffer, nbytes: int, caller: str) -> tuple[Any, int]:
    """Give C a pointer to write to, and the room there, as recv_into(buffer, nbytes) means it."""
    if nbytes < 0:
        raise ValueError(f"negative buffersize in {caller}")
    try:
        room = ffi.from_buffer(_BYTES, buffer, True)  # by position: cffi takes four times as long by keyword
    except (TypeError, BufferError):
        what = f"{caller}() argument 1 must be read-write bytes-like object, not {type(buffer).__name__}"
        raise TypeError(what) from None
    size = len(room)
    if nbytes > size:
        raise ValueError("buffer too small for requested bytes")
    return room, nbytes or size


def sendto_arguments(rest: tuple[Any, ...]) -> tuple[int, Any]:
    """Tell sendto(data, address) from sendto(data, flags, address)."""
    if len(rest) not in (1, 2):
        raise TypeError(f"sendto() takes 2 or 3 arguments ({len(rest) + 1} given)")
    return (0, rest[0]) if len(rest) == 1 else (rest[0], rest[1])


class RawTransfer(RawMessages):
    """What RawSocket does with bytes."""

    __slots__ = ()
    end: Endpoint
    family: int
    _closed: bool

    # -- which half -------------------------------------------------------------------------------

    def _engine(self) -> Any:
        """The engine's handle, None if the socket is the kernel's."""
        end = self.end
        if get_ident() != end.thread:
            wrong_thread()
        if end.c is None and end.k is None or self._closed:
            raise bad_fd()
        return end.c

    def _done(self, result: int) -> int:
        """Let the loop transmit what the call has queued; raise what it returned."""
        end = self.end
        if not end.poller.spinning:
            end.poller.wake()
        if end.standin is not None:
            end.sync()
        return check(result) if result < 0 else result

    # -- bytes in ---------------------------------------------------------------------------------

    def try_recv(self, size: int, flags: int = 0) -> bytes | None:
        """Receive; None if it would block."""
        end = self.end
        c = end.c
        if c is None or end.k is not None or size > end.scratch_size or size < 0:
            return self._try_recv_other(size, flags)
        if get_ident() != end.thread:
            wrong_thread()
        count = lib.gd_live_recv(c, end.scratch, size, flags)
        if not end.poller.spinning:
            end.poller.wake()
        if end.standin is not None:
            end.sync()
        if count >= 0:
            return ffi.unpack(end.scratch, count if count < size else size)  # type: ignore[no-any-return]
        return None if count == EAGAIN else check(count)  # type: ignore[return-value]

    def _try_recv_other(self, size: int, flags: int) -> bytes | None:
        if size < 0:
            raise ValueError("negative buffersize in recv")
        if self._engine() is None or self.end.k is not None:
            got = self.try_recvfrom(size, flags)
            return None if got is None else got[0]
        buffer = bytearray(size)
        count = self.try_recv_into(buffer, size, flags)
        return None if count is None else bytes(memoryview(buffer)[:count])

    def try_recv_into(self, buffer: Buffer, nbytes: int = 0, flags: int = 0) -> int | None:
        """Receive into a buffer; None if it would block."""
        end = self.end
        c = end.c
        room, size = writable(buffer, nbytes, "recv_into")
        if c is None or end.k is not None:
            got = self.try_recvfrom_into(buffer, nbytes, flags)
            return None if got is None else got[0]
        if get_ident() != end.thread:
            wrong_thread()
        count: int = lib.gd_live_recv(c, room, size, flags)
        if not end.poller.spinning:
            end.poller.wake()
        if end.standin is not None:
            end.sync()
        if count >= 0:
            return count  # more than size with MSG_TRUNC: the datagram's length
        room = None  # as in try_send
        return None if count == EAGAIN else check(count)

    def try_peek(self, size: int) -> Any:
        """Show what has come, in a buffer that holds until the next call on any socket; None if nothing has."""
        end = self.end
        c = self._engine()
        if c is None or end.k is not None:
            return self.try_recv(size, _socket.MSG_PEEK)
        count = lib.gd_live_recv(c, end.scratch, min(size, end.scratch_size), _socket.MSG_PEEK)
        return None if count == EAGAIN else ffi.buffer(end.scratch, self._done(count))

    def try_skip(self, size: int) -> int | None:
        """Throw away what has come (tcp(7), MSG_TRUNC); None if nothing has."""
        c = self._engine()
        if c is None or self.end.k is not None:
            data = self.try_recv(size, _socket.MSG_TRUNC)
            return None if data is None else len(data)
        count = lib.gd_live_recv(c, ffi.NULL, size, _socket.MSG_TRUNC)
        return None if count == EAGAIN else self._done(count)

    def try_recvfrom(self, size: int, flags: int = 0) -> tuple[bytes, Any] | None:
        """Receive with the sender's address; None if it would block."""
        if size < 0:
            raise ValueError("negative buffersize in recvfrom")
        room = self.end.scratch if size <= self.end.scratch_size else ffi.new("char[]", size)
        got = self._try_message(room, size, flags)
        return None if got is None else (ffi.unpack(room, min(got[0], size)), got[2])

    def try_recvfrom_into(self, buffer: Buffer, nbytes: int = 0, flags: int = 0) -> tuple[int, Any] | None:
        """Receive into a buffer, with the sender's address; None if it would block."""
        room, size = writable(buffer, nbytes, "recvfrom_into")
        got = self._try_message(room, size, flags)
        return None if got is None else (got[0], got[2])

    def _try_message(self, room: Any, size: int, flags: int) -> tuple[int, int, Any] | None:
        """Receive from either half: (bytes, msg_flags, address); None if it would block."""
        end = self.end
        c = self._engine()
        if end.kernels_turn and (got := self._try_kernel_message(room, size, flags)) is not None:
            return got
        if c is not None:
            sender = ffi.new("struct gd_sender *")
            count = lib.gd_live_recvfrom(c, room, size, flags, sender)
            if count != EAGAIN:
                self._done(count)
                addr, port = ffi.buffer(sender.addr)[:], sender.port
                if end.k is not None:
                    end.kernels_turn = True
                    end.peers_by_kernel.pop((addr, port), None)
                source = None if end.type == _socket.SOCK_STREAM else show(self.family, addr, port)
                return count, sender.msg_flags, source
        return None if end.k is None else self._try_kernel_message(room, size, flags)

    def _try_kernel_message(self, room: Any, size: int, flags: int) -> tuple[int, int, Any] | None:
        end = self.end
        try:
            data, _, msg, source = end.k.recvmsg(size, 0, flags)
        except BlockingIOError:
            return None
        finally:
            end.sync()
        end.hear(source)
        if data:
            ffi.memmove(room, data, len(data))
        return len(data), msg, source

    # -- bytes out --------------------------------------------------------------------------------

    def try_send(self, data: Buffer, flags: int = 0) -> int | None:
        """Send; None if it would block."""
        end = self.end
        c = end.c
        if c is None:
            return self._try_send_kernel(data, flags)
        if get_ident() != end.thread:
            wrong_thread()
        pointer = data if data.__class__ is bytes else readable(data)
        count: int = lib.gd_live_send(c, pointer, len(pointer), flags)
        if not end.poller.spinning:
            end.poller.wake()
        if end.standin is not None:
            end.sync()
        if count >= 0:
            return count
        pointer = None  # the traceback keeps this frame, and a bytearray with a pointer into it cannot shrink (asyncio)
        return None if count == EAGAIN else check(count)

    def _try_send_kernel(self, data: Buffer, flags: int) -> int | None:
        self._engine()
        try:
            return self.end.k.send(data, flags)  # type: ignore[no-any-return]
        except BlockingIOError:
            return None

    def try_sendto(self, data: Buffer, flags: int, address: Any) -> int | None:
        """Send one datagram; None if it would block."""
        end = self.end
        c = self._engine()
        addr, port = parse(self.family, address, "sendto")
        if end.type == _socket.SOCK_STREAM:
            return self.try_send(data, flags)  # Linux ignores the address
        if c is None or not end.half_for(addr, port):
            self._engine()
            try:
                return end.k.sendto(data, flags, end._for_kernel(addr, port, kernel_scope(address)))  # type: ignore[no-any-return]
            except BlockingIOError:
                return None
        pointer = readable(data)
        count = lib.gd_sock_sendto(end.c, pointer, len(pointer), flags, addr, port)
        pointer = None  # as in try_send
        return None if count == EAGAIN else self._done(count)

    def sendto(self, data: Buffer, *rest: Any) -> int:
        """Send one datagram, as _socket.socket: sendto(data[, flags], address)."""
        flags, address = sendto_arguments(rest)
        sent = self.try_sendto(data, flags, address)
        if sent is None:
            raise would_block()
        return sent


def _raising(name: str, attempt: Any) -> Any:
    """Make the method of the standard library out of a try_ method."""

    def method(self: RawTransfer, *args: Any) -> Any:
        result = attempt(self, *args)
        if result is None:
            raise would_block()
        return result

    method.__name__ = name
    method.__doc__ = f"{name} as _socket.socket has it: BlockingIOError if it would block."
    return method


for _name in ("recv", "recv_into", "recvfrom", "recvfrom_into", "recvmsg", "recvmsg_into", "send", "sendmsg"):
    setattr(RawTransfer, _name, _raising(_name, getattr(RawTransfer, f"try_{_name}")))
