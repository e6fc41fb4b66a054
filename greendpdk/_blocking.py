"""The socket class's calls that may block: each is try, wait, try again; _retry is the one place that waits.

Base class of _wrapper.socket; calls _raw.RawSocket's try_ methods for the stack's sockets, and is gevent's own class
for all others. Several greenlets may wait on one stack socket, first come first served; on a kernel socket gevent
allows one a direction.
"""

from __future__ import annotations

import _socket
import contextlib
import errno
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gevent.socket
from gevent import _socket3
from gevent.socket import cancel_wait_ex, timeout_default
from gevent.socket import timeout as timeout_error
from gevent.timeout import Timeout

from greendpdk import _handover, _sendfile
from greendpdk._errors import would_block
from greendpdk._native import lib
from greendpdk._raw import RawSocket
from greendpdk._transfer import sendto_arguments
from greendpdk._watcher import READ, ArrivalWatcher, StackWatcher

_DONTWAIT, _WAITALL = _socket.MSG_DONTWAIT, _socket.MSG_WAITALL
_WHOLE = _WAITALL | _socket.MSG_TRUNC  # MSG_TRUNC: nothing is written, so into zeros
_FASTOPEN = _socket.MSG_FASTOPEN
# To read, to write: urgent data is not waited for, nor are queued errors.
_NEVER_WAITS = (_DONTWAIT | _socket.MSG_OOB | _socket.MSG_ERRQUEUE, _DONTWAIT)
# SO_RCVBUF is twice the room for bytes (socket(7)); a peer may wait until half of that is free (RFC 9293 3.8.6.2).
_SURELY = 4
kernel_socket = _socket3.socket  # gevent's, before any swap


class BlockingSocket(kernel_socket):  # type: ignore[misc,valid-type]
    """What socket.socket does with bytes, and how it waits."""

    _audit: Any = staticmethod(sys.audit)
    if TYPE_CHECKING:
        _sock: Any
    else:  # gevent's slots, which mypy cannot see, are all of them
        __slots__ = ()

    # -- waiting ----------------------------------------------------------------------------------

    def _wait(self, watcher: Any, timeout_exc: Any = None) -> None:
        """Wait for one event; behind whoever waits for it already."""
        if watcher is None:
            raise cancel_wait_ex()
        if watcher.callback is None or not isinstance(watcher, StackWatcher):
            super()._wait(watcher, timeout_exc)
            return
        twin = watcher.twin()
        try:
            super()._wait(twin, timeout_exc)
        finally:
            twin.close()

    def _retry(self, write: bool, flags: int, attempt: Callable[..., Any], *args: Any) -> Any:
        """Try, wait, try again."""
        result = attempt(*args)
        return result if result is not None else self._block(write, flags, attempt, *args)

    def _block(self, write: bool, flags: int, attempt: Callable[..., Any], *args: Any) -> Any:
        """Wait and try again: the rest of _retry, for calls whose first try was made in place."""
        limits = self._sock.end.timeouts
        if limits is None or self.timeout is not None or not limits[write]:
            return self._block_on(write, flags, attempt, *args)
        with Timeout.start_new(limits[write], would_block()):  # SO_RCVTIMEO, SO_SNDTIMEO: of blocking sockets alone
            return self._block_on(write, flags, attempt, *args)

    def _block_on(self, write: bool, flags: int, attempt: Callable[..., Any], *args: Any) -> Any:
        result = None
        while result is None:
            if self.timeout == 0.0 or flags & _NEVER_WAITS[write]:
                raise would_block()
            self._wait(self._write_event if write else self._read_event)
            result = attempt(*args)
        return result

    def _wait_until(self, end: float | None, write: bool, complaint: str = "timed out") -> None:
        """Wait for one event until a point in time (time.monotonic()), which is for several waits together."""
        left = None if end is None else end - time.monotonic()
        if left is not None and left <= 0:
            raise timeout_error(complaint)
        watcher = self._write_event if write else self._read_event
        if watcher is None:
            raise cancel_wait_ex()
        twin = watcher.twin() if watcher.callback is not None and isinstance(watcher, StackWatcher) else None
        try:
            gevent.socket.wait(twin or watcher, left, timeout_error(complaint), self.hub)
        finally:
            if twin is not None:
                twin.close()

    # -- bytes ------------------------------------------------------------------------------------

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        raw = self._sock
        if raw.__class__ is not RawSocket:
            return super().recv(bufsize, flags)  # type: ignore[no-any-return]
        if flags & _WHOLE:
            buffer = bytearray(bufsize)
            return bytes(memoryview(buffer)[: self._recv_all(raw, buffer, bufsize, flags)])
        data = raw.try_recv(bufsize, flags)
        return data if data is not None else self._block(False, flags, raw.try_recv, bufsize, flags)

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        raw = self._sock
        if raw.__class__ is not RawSocket:
            return super().recv_into(buffer, nbytes, flags)  # type: ignore[no-any-return]
        if flags & _WAITALL:
            return self._recv_all(raw, buffer, nbytes, flags)
        count = raw.try_recv_into(buffer, nbytes, flags)
        return count if count is not None else self._block(False, flags, raw.try_recv_into, buffer, nbytes, flags)

    def _recv_all(self, raw: RawSocket, buffer: Any, nbytes: int, flags: int) -> int:
        view = memoryview(buffer).cast("B")
        want = nbytes or len(view)
        stream = raw.type == _socket.SOCK_STREAM and not flags & _socket.MSG_OOB
        if stream and flags & _WAITALL and not self._gather(raw, want, flags):
            flags |= _DONTWAIT
        stream = stream and not flags & _socket.MSG_PEEK
        got = 0
        while got < want:
            try:
                count = self._retry(False, flags, raw.try_recv_into, view[got:want], 0, flags & ~_WAITALL)
            except OSError:
                if got:
                    break
                raise
            got += count
            if not count or not stream or raw.at_mark():
                break
        return got

    def _gather(self, raw: RawSocket, want: int, flags: int) -> bool:
        """Wait until as many bytes have come, or no more will, and take none: who is broken out of it loses nothing.

        More than the receive buffer is sure to hold at once is not waited for. False: the time was up.
        """
        if not self._retry(False, flags, raw.try_recv, 1, flags & _DONTWAIT | _socket.MSG_PEEK):
            return True
        if want > int(raw.getsockopt(_socket.SOL_SOCKET, _socket.SO_RCVBUF)) // _SURELY or flags & _DONTWAIT:
            return True
        limits: Any = raw.end.timeouts
        limit = limits[False] or None if self.timeout is None and limits else self.timeout
        watcher = ArrivalWatcher(self.hub.loop, self._read_event.ref, None).attach(raw.end, READ)
        late = would_block()
        try:
            with Timeout._start_new_or_dummy(limit, late):
                while raw.awaits(want):
                    if limit == 0.0:
                        return False
                    self.hub.wait(watcher)
        except BlockingIOError as error:
            if error is not late:
                raise
            return False
        finally:
            watcher.close()
        return True

    def recvfrom(self, bufsize: int, flags: int = 0) -> tuple[bytes, Any]:
        raw = self._sock
        if raw.__class__ is not RawSocket:
            return super().recvfrom(bufsize, flags)  # type: ignore[no-any-return]
        got = raw.try_recvfrom(bufsize, flags)
        return got if got is not None else self._block(False, flags, raw.try_recvfrom, bufsize, flags)

    def recvfrom_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> tuple[int, Any]:
        return self._receive("recvfrom_into", flags, buffer, nbytes, flags)  # type: ignore[no-any-return]

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        return _sendfile.by_the_kernel_or_by_send(self, file, offset, count)

    def _sendfile_use_sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        return _sendfile.into_socket(self, file, offset, count)

    def recvmsg(self, bufsize: int, ancbufsize: int = 0, flags: int = 0) -> Any:
        return self._receive("recvmsg", flags, bufsize, ancbufsize, flags)

    def recvmsg_into(self, buffers: Any, ancbufsize: int = 0, flags: int = 0) -> Any:
        return self._receive("recvmsg_into", flags, list(buffers), ancbufsize, flags)

    def _receive(self, name: str, flags: int, *args: Any) -> Any:
        raw = self._sock
        if raw.__class__ is not RawSocket:
            return getattr(super(), name)(*args)
        return self._retry(False, flags, getattr(raw, f"try_{name}"), *args)

    def send(self, data: Any, flags: int = 0, timeout: Any = timeout_default) -> int:
        raw = self._sock
        if raw.__class__ is not RawSocket:
            return super().send(data, flags, timeout)  # type: ignore[no-any-return]
        count = raw.try_send(data, flags)
        if self.timeout is None and count != (len(data) if data.__class__ is bytes else memoryview(data).nbytes):
            return self._send_whole(raw, memoryview(data).cast("B"), count or 0, flags)
        return count if count is not None else self._block(True, flags, raw.try_send, data, flags)

    def _send_whole(self, raw: RawSocket, view: memoryview, sent: int, flags: int) -> int:
        """Send what is left for a blocking socket's send(), which returns early on an error only (send(2))."""

        def attempt() -> int | None:
            if sent and raw.end.ready() & lib.GD_ERR:
                return 0  # the next call says what happened, so do not take it
            rest = view[sent:]
            try:
                return raw.try_send(rest, flags)
            finally:
                _let_go(rest)

        try:
            while True:
                count: int = self._retry(True, flags, attempt)
                sent += count
                if not count or sent == len(view):
                    return sent
        except OSError:
            if not sent:
                raise
            return sent
        finally:
            _let_go(view)

    def sendall(self, data: Any, flags: int = 0) -> None:
        raw = self._sock
        if raw.__class__ is not RawSocket:
            return super().sendall(data, flags)  # type: ignore[no-any-return]
        sent = raw.try_send(data, flags)
        size = len(data) if data.__class__ is bytes else memoryview(data).nbytes
        if sent != size:
            view = memoryview(data).cast("B")
            try:
                self._send_rest(raw, view, sent or 0, flags)
            finally:
                _let_go(view)
        return None

    def _send_rest(self, raw: RawSocket, view: memoryview, sent: int, flags: int) -> None:
        """Send what is left; the timeout is for all of it, as in CPython's sendall."""
        limit = self.timeout
        end = None if limit is None else time.monotonic() + limit
        while sent < len(view):
            rest = view[sent:]
            try:
                count = raw.try_send(rest, flags)
            finally:
                _let_go(rest)
            if count is not None:
                sent += count
                continue
            if limit == 0.0 or flags & _DONTWAIT:
                raise would_block()
            if limit is None and raw.end.timeouts is not None:
                sent += self._block(True, flags, raw.try_send, view[sent:], flags)
            else:
                self._wait_until(end, write=True)

    def sendto(self, data: Any, *rest: Any) -> int:
        raw = self._sock
        if raw.__class__ is not RawSocket:
            return super().sendto(data, *rest)  # type: ignore[no-any-return]
        flags, address = sendto_arguments(rest)
        sys.audit("socket.sendto", self, address)
        stream = raw.type == _socket.SOCK_STREAM
        try:
            sent: int = self._retry(True, flags, raw.try_sendto, data, flags, address)
        except OSError as error:
            if not flags & _FASTOPEN or not stream or error.errno != errno.EINVAL:
                raise
            self.connect(address)  # what Linux's Fast Open comes to without a cookie
            return self.send(data, flags & ~_FASTOPEN)
        if stream and self.timeout is None and sent != memoryview(data).nbytes:
            return self._send_whole(raw, memoryview(data).cast("B"), sent, flags)
        return sent

    def sendmsg(self, buffers: Any, ancdata: Any = (), flags: int = 0, address: Any = None) -> int:
        raw = self._sock
        if raw.__class__ is not RawSocket:
            messages = _handover.refuse_to_send(ancdata)
            return super().sendmsg(buffers, messages, flags, address)  # type: ignore[no-any-return]
        sys.audit("socket.sendmsg", self, address)
        buffers = list(buffers)
        sent: int = self._retry(True, flags, raw.try_sendmsg, buffers, ancdata, flags, address)
        if self.timeout is None and raw.type == _socket.SOCK_STREAM:
            views = [memoryview(buffer).cast("B") for buffer in buffers]
            if sent != sum(map(len, views)):
                return self._send_whole(raw, memoryview(b"".join(views)), sent, flags)
        return sent


def _let_go(view: memoryview) -> None:
    """Release a view, so that its buffer can shrink where an exception keeps the frames (asyncio's bytearrays)."""
    with contextlib.suppress(BufferError):  # Ctrl-C inside try_send keeps a pointer into it, and has to be raised
        view.release()
