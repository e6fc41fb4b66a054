"""recvmsg, recvmsg_into and sendmsg of a raw socket: several buffers, and Linux's control messages (cmsg(3)).

Base class of _transfer.RawTransfer; calls the engine (core/sock/message.c), or _socket for the kernel half. Nothing is
joined or copied on the way: the engine gathers from, and scatters into, the application's own buffers.
"""

from __future__ import annotations

import _socket
import errno
import os
import struct
import warnings
from collections.abc import Iterable, Sequence
from operator import index
from typing import TYPE_CHECKING, Any

from greendpdk._address import SCOPE_BASE, kernel_scope, parse, show
from greendpdk._native import ffi, lib

if TYPE_CHECKING:
    from greendpdk._endpoint import Endpoint

Control = list[tuple[int, int, bytes]]

_HEADER = struct.Struct("@Nii")  # struct cmsghdr: cmsg_len, cmsg_level, cmsg_type
_ALIGN = _HEADER.size // 2  # CMSG_ALIGN: a size_t
_SOCKLEN_MAX = 0x7FFFFFFF
_EAGAIN = -errno.EAGAIN
_IP_PKTINFO = (_socket.IPPROTO_IP, 8)
_IPV6_PKTINFO = (_socket.IPPROTO_IPV6, _socket.IPV6_PKTINFO)
_LOOPBACK = 1  # of either half
_NAMED = _socket.SOCK_DGRAM


def _aligned(size: int) -> int:
    return -(-size // _ALIGN) * _ALIGN


def unpack_control(buffer: bytes) -> Control:
    """Make the list that recvmsg returns; warn, as CPython does, of a message cut off before its data begins."""
    found: Control = []
    at = 0
    while len(buffer) - at >= _HEADER.size:
        size, level, kind = _HEADER.unpack_from(buffer, at)
        if size < _HEADER.size:
            warnings.warn("received malformed or improperly-truncated ancillary data", RuntimeWarning, stacklevel=4)
            break
        found.append((level, kind, buffer[at + _HEADER.size : at + size]))
        at += _aligned(size)
    return found


def pack_control(messages: Iterable[Any]) -> bytes:
    """Make the buffer that sendmsg(2) takes."""
    packed = bytearray()
    for message in messages:
        try:
            level, kind, data = message
        except (TypeError, ValueError):
            raise TypeError("[sendmsg() ancillary data items] must be sequences of 3 items") from None
        blob = bytes(memoryview(data))
        packed += bytes(_aligned(len(packed)) - len(packed))
        try:
            packed += _HEADER.pack(_HEADER.size + len(blob), index(level), index(kind)) + blob
        except struct.error:
            raise OverflowError("Python int too large to convert to C int") from None
    return bytes(packed) + bytes(_aligned(len(packed)) - len(packed))


def _interface(messages: Iterable[tuple[int, int, Any]]) -> int:
    """Return the interface that IP_PKTINFO or IPV6_PKTINFO names; 0: none."""
    for level, kind, data in messages:
        blob = bytes(memoryview(data))
        if (level, kind) == _IP_PKTINFO and len(blob) >= 4:
            return int.from_bytes(blob[:4], "little", signed=True)
        if (level, kind) == _IPV6_PKTINFO and len(blob) >= 20:
            return int.from_bytes(blob[16:20], "little", signed=True)
    return 0


def _parts(buffers: Sequence[Any], writable: bool) -> tuple[Any, list[Any]]:
    """Point C at each buffer; the second result keeps them alive."""
    try:
        held = [ffi.from_buffer(buffer, require_writable=writable) for buffer in buffers]
    except (TypeError, BufferError):
        raise TypeError(f"a {'read-write ' * writable}bytes-like object is required") from None
    parts = ffi.new("struct gd_iovec[]", len(held))
    for part, cdata in zip(parts, held, strict=True):
        part.base, part.len = cdata, len(cdata)
    return parts, held


class RawMessages:
    """What RawSocket does with whole messages."""

    __slots__ = ()
    end: Endpoint
    family: int

    def _engine(self) -> Any:
        raise NotImplementedError

    def _done(self, result: int) -> int:
        raise NotImplementedError

    # -- in ---------------------------------------------------------------------------------------

    def try_recvmsg(self, size: int, ancsize: int = 0, flags: int = 0) -> tuple[Any, ...] | None:
        """Receive (data, control messages, flags, address); None if it would block."""
        if size < 0:
            raise ValueError("negative buffer size in recvmsg()")
        _check_room(ancsize, "recvmsg")
        end = self.end
        c = self._engine()
        if end.kernels_turn and (got := self._from_kernel("recvmsg", size, ancsize, flags)) is not None:
            return got
        if c is not None:
            buffer = bytearray(size)
            got = self._receive(c, *_parts([buffer], True), ancsize, flags)
            if got is not None:
                return bytes(memoryview(buffer)[: got[0]]), *got[1:]
        return self._from_kernel("recvmsg", size, ancsize, flags) if end.k is not None else None

    def try_recvmsg_into(self, buffers: Any, ancsize: int = 0, flags: int = 0) -> tuple[Any, ...] | None:
        """Receive into several buffers: (count, control messages, flags, address); None if it would block."""
        end = self.end
        c = self._engine()
        _check_room(ancsize, "recvmsg_into")
        if end.kernels_turn and (got := self._from_kernel("recvmsg_into", buffers, ancsize, flags)) is not None:
            return got
        if c is not None:
            parts, held = _parts(buffers, True)
            got = self._receive(c, parts, held, ancsize, flags)
            if got is not None:
                return min(got[0], sum(map(len, held))), *got[1:]
        return self._from_kernel("recvmsg_into", buffers, ancsize, flags) if end.k is not None else None

    def _receive(self, c: Any, parts: Any, held: list[Any], ancsize: int, flags: int) -> tuple[Any, ...] | None:
        message = ffi.new("struct gd_message *")
        message.parts, message.nparts = parts, len(held)
        control = ffi.new("char[]", ancsize)
        message.control, message.control_len = control, ancsize
        count = lib.gd_live_recvmsg(c, message, flags)
        if count == _EAGAIN:
            return None
        self._done(count)
        if self.end.peers_by_kernel:
            self.end.peers_by_kernel.pop((bytes(message.addr), message.port), None)
        source = show(self.family, bytes(message.addr), message.port) if message.named else None
        if self.end.k is not None:
            self.end.kernels_turn = True
            self.end.peers_by_kernel.pop((bytes(message.addr), message.port), None)
        return count, unpack_control(ffi.buffer(control)[: message.control_len]), message.flags, source

    def _from_kernel(self, name: str, *args: Any) -> tuple[Any, ...] | None:
        try:
            got: tuple[Any, ...] = getattr(self.end.k, name)(*args)
        except BlockingIOError:
            return None
        finally:
            self.end.sync()
        self.end.hear(got[-1])
        return got

    # -- out --------------------------------------------------------------------------------------

    def try_sendmsg(self, buffers: Any, ancdata: Any = (), flags: int = 0, address: Any = None) -> int | None:
        """Send several buffers as one message, with control messages; None if it would block."""
        c = self._engine()
        messages = _listed(ancdata)
        control = pack_control(messages)
        message = ffi.new("struct gd_message *")
        to_kernel = c is None
        if address is not None and c is not None:
            addr, port = parse(self.family, address, "sendmsg")
        if address is not None and self.end.type == _NAMED and c is not None:  # Linux ignores it on a stream
            message.addr, message.port, message.named = addr, port, 1
            interface = _interface(messages)
            to_kernel = interface <= SCOPE_BASE and not self._is_ours(addr, port, interface)
            address = self.end._for_kernel(addr, port, kernel_scope(address)) if to_kernel else None
        if to_kernel:
            self._engine()
            return self._to_kernel(buffers, messages, flags, address)
        parts, held = _parts(buffers, False)
        message.parts, message.nparts = parts, len(held)
        room = ffi.from_buffer(control)
        message.control, message.control_len = room, len(control)
        count = lib.gd_live_sendmsg(self.end.c, message, flags)
        return None if count == _EAGAIN else self._done(count)

    def _is_ours(self, addr: bytes, port: int, interface: int) -> bool:
        return self.end.half_for(addr, port) and (self.end.k is None or interface <= _LOOPBACK)

    def _to_kernel(self, buffers: Any, messages: Any, flags: int, address: Any) -> int | None:
        try:
            return self.end.k.sendmsg(buffers, messages, flags, address)  # type: ignore[no-any-return]
        except BlockingIOError:
            return None


def _listed(ancdata: Any) -> list[Any]:
    try:
        return list(ancdata or ())
    except TypeError:
        raise TypeError("sendmsg() argument 2 must be an iterable") from None


def _check_room(ancsize: int, caller: str) -> None:
    if not 0 <= ancsize <= _SOCKLEN_MAX:
        raise ValueError(f"invalid ancillary data buffer length in {caller}()")
    if ancsize > 1 << 24:  # nobody's control messages; the kernel would give as much as it can
        raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))
