"""The socket class: greendpdk.socket.socket, and socket.socket after monkey.patch_all().

Called by applications; calls _raw.py for the stack's sockets and is gevent's own class for all others.
isinstance(s, gevent.socket.socket) holds for both.

    made      AF_INET or AF_INET6, stream or datagram: nobody's yet        anything else: the kernel's
    settled   by the address of bind, connect or sendto (_route.py): `_sock` stays a RawSocket, or becomes
              the kernel's raw socket with the options replayed

Each blocking call is try, wait, try again; _retry is the one place that waits. Several greenlets may wait on
one stack socket, first come first served; on a kernel socket gevent allows one a direction.
"""

from __future__ import annotations

import _socket
import contextlib
import os
import time
from collections.abc import Callable
from typing import Any

import gevent
import gevent.socket
from gevent import _socket3, getcurrent
from gevent.socket import cancel_wait_ex, getdefaulttimeout, timeout_default
from gevent.socket import timeout as timeout_error
from gevent.timeout import Timeout

from greendpdk import _fds, _stack
from greendpdk._address import parse
from greendpdk._endpoint import Endpoint, get_ident, wrong_thread
from greendpdk._raw import RawSocket
from greendpdk._route import reaches
from greendpdk._transfer import sendto_arguments, would_block
from greendpdk._watcher import READ, WRITE, StackWatcher

_INET = (_socket.AF_INET, _socket.AF_INET6)
_PROTOS = {_socket.SOCK_STREAM: (0, _socket.IPPROTO_TCP), _socket.SOCK_DGRAM: (0, _socket.IPPROTO_UDP)}
_TYPE_FLAGS = _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC
_DONTWAIT, _WAITALL = _socket.MSG_DONTWAIT, _socket.MSG_WAITALL
_kernel_socket = _socket3.socket  # gevent's, before any swap
_in_child = False


class socket(_kernel_socket):  # type: ignore[misc,valid-type]
    """A socket of the stack or of the kernel, whichever its address asks for."""

    _plain = True  # sendall() may go past send(); not in SSLSocket, whose send() encrypts

    def __init__(self, family: int = -1, type: int = -1, proto: int = -1, fileno: Any = None) -> None:
        raw = _raw_for(family, type, proto, fileno)
        if raw is None:
            super().__init__(family, type, proto, fileno)
            return
        # What gevent's own constructor does, but for the two watchers that are not libev's.
        super(_kernel_socket, self).__init__()
        self._closed = False
        self._io_refs = 0
        self.hub = raw.end.poller.hub
        self._adopt(raw)
        nonblocking = fileno is None and type != -1 and type & _socket.SOCK_NONBLOCK
        self.timeout = 0.0 if nonblocking else getdefaulttimeout()

    def _adopt(self, raw: RawSocket) -> None:
        self._sock = raw
        loop = self.hub.loop
        self._read_event = StackWatcher(loop, True, None).attach(raw.end, READ)
        self._write_event = StackWatcher(loop, True, None).attach(raw.end, WRITE)

    def _settled(self) -> None:
        """Go on as gevent's own class if the socket has become the kernel's."""
        raw = self._sock
        if raw.__class__ is not RawSocket or raw.end.c is not None or raw.end.k is None:
            return
        if self._read_event.callback is not None or self._write_event.callback is not None:
            return  # a greenlet waits: the raw socket passes everything on
        family, kind, proto = raw.family, raw.type, raw.proto
        self._read_event.close()
        self._write_event.close()
        fd = raw.to_kernel_fd()
        self._sock = self._gevent_sock_class(family, kind, proto, fd)
        self._read_event = self.hub.loop.io(fd, READ)
        self._write_event = self.hub.loop.io(fd, WRITE)

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
        result = None
        while result is None:
            if self.timeout == 0.0 or flags & _DONTWAIT:
                raise would_block()
            self._wait(self._write_event if write else self._read_event)
            result = attempt(*args)
        return result

    # -- bytes ------------------------------------------------------------------------------------

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        raw = self._sock
        if raw.__class__ is not RawSocket:
            return super().recv(bufsize, flags)  # type: ignore[no-any-return]
        if flags & _WAITALL:
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
        stream = raw.type == _socket.SOCK_STREAM and not flags & _socket.MSG_PEEK
        got = 0
        while got < want:
            try:
                count = self._retry(False, flags, raw.try_recv_into, view[got:want], 0, flags & ~_WAITALL)
            except OSError:
                if got:
                    break
                raise
            got += count
            if not count or not stream:
                break
        return got

    def recvfrom(self, bufsize: int, flags: int = 0) -> tuple[bytes, Any]:
        return self._receive("recvfrom", flags, bufsize, flags)  # type: ignore[no-any-return]

    def recvfrom_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> tuple[int, Any]:
        return self._receive("recvfrom_into", flags, buffer, nbytes, flags)  # type: ignore[no-any-return]

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
        return count if count is not None else self._block(True, flags, raw.try_send, data, flags)

    def sendall(self, data: Any, flags: int = 0) -> None:
        raw = self._sock
        if raw.__class__ is not RawSocket or not self._plain:
            return super().sendall(data, flags)  # type: ignore[no-any-return]
        sent = raw.try_send(data, flags)
        size = len(data) if data.__class__ is bytes else memoryview(data).nbytes
        if sent != size:
            self._send_rest(raw, memoryview(data).cast("B"), sent or 0, flags)
        return None

    def _send_rest(self, raw: RawSocket, view: memoryview, sent: int, flags: int) -> None:
        """Send what is left; the timeout is for all of it, as in CPython's sendall."""
        limit = self.timeout
        end = None if limit is None else time.monotonic() + limit
        while sent < len(view):
            count = raw.try_send(view[sent:], flags)
            if count is not None:
                sent += count
                continue
            if limit == 0.0 or flags & _DONTWAIT:
                raise would_block()
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                raise timeout_error("timed out")
            with Timeout._start_new_or_dummy(left, timeout_error("timed out")):
                gevent.socket.wait(self._writer(), hub=self.hub)

    def _writer(self) -> Any:
        """Give a watcher that nobody else waits on."""
        watcher = self._write_event
        if watcher is None:
            raise cancel_wait_ex()
        return watcher if watcher.callback is None else watcher.twin()

    def sendto(self, data: Any, *rest: Any) -> int:
        raw = self._sock
        if raw.__class__ is not RawSocket:
            return super().sendto(data, *rest)  # type: ignore[no-any-return]
        flags, address = sendto_arguments(rest)
        return self._retry(True, flags, raw.try_sendto, data, flags, address)  # type: ignore[no-any-return]

    def sendmsg(self, buffers: Any, ancdata: Any = (), flags: int = 0, address: Any = None) -> int:
        raw = self._sock
        if raw.__class__ is not RawSocket:
            return super().sendmsg(buffers, ancdata, flags, address)  # type: ignore[no-any-return]
        return self._retry(True, flags, raw.try_sendmsg, list(buffers), ancdata, flags, address)  # type: ignore[no-any-return]

    # -- opening ----------------------------------------------------------------------------------

    def bind(self, address: Any) -> None:
        _refuse_foreign_thread(self._sock, address)
        self._sock.bind(address)
        self._settled()

    def _internal_connect(self, address: Any) -> None:
        raw = self._sock
        _refuse_foreign_thread(raw, address)
        if raw.__class__ is RawSocket:
            address = raw.settle(address)
            self._settled()
        super()._internal_connect(address)

    def accept(self) -> tuple[socket, Any]:
        raw = self._sock
        if raw.__class__ is not RawSocket:
            fd, address = self._accept_kernel()
        else:
            fd, address = self._retry(False, 0, raw.try_accept)
        sock = socket(self.family, self.type, self.proto, fileno=fd)
        return sock, address

    def _accept_kernel(self) -> tuple[int, Any]:
        while True:
            try:
                return self._sock._accept()
            except BlockingIOError:
                if self.timeout == 0.0:
                    raise
            self._wait(self._read_event)

    def shutdown(self, how: int) -> None:
        if self._sock.__class__ is RawSocket:
            self._sock.shutdown(how)  # the engine wakes who waits: recv returns b"", as on Linux
        else:
            super().shutdown(how)

    # -- life -------------------------------------------------------------------------------------

    def dup(self) -> socket:
        raw = self._sock
        fileno = raw.dup() if raw.__class__ is RawSocket else os.dup(self.fileno())
        sock = self.__class__(self.family, self.type, self.proto, fileno=fileno)
        sock.settimeout(self.gettimeout())
        return sock

    def _is_stack(self) -> bool:
        """Tell whether the stack serves it, or may yet."""
        return self._sock.__class__ is RawSocket

    def _detach_socket(self, reason: str) -> None:
        raw = self._sock
        if raw.__class__ is not RawSocket:
            super()._detach_socket(reason)
            return
        # Not gevent's: that asks for fileno(), which would make one.
        if reason == "closed" and raw.end.refs == 1:
            self._linger(raw)
        if reason == "closed":
            for watcher in list(raw.end.watchers) if raw.end.refs == 1 else ():
                if watcher is not self._read_event and watcher is not self._write_event:
                    _cancel_other(self.hub, watcher)
        self._drop_events_and_close(closefd=reason == "closed")
        self._sock = _socket3._closedsocket(raw.family, raw.type, raw.proto, raw._fd, reason)

    def _linger(self, raw: RawSocket) -> None:
        """Wait for the ACK of the FIN as long as SO_LINGER says (socket(7)): this greenlet only, never the hub."""
        seconds = raw.linger_seconds()
        if not seconds or getcurrent() is self.hub:
            return
        with contextlib.suppress(OSError):
            raw.shutdown(_socket.SHUT_WR)
        end, wait = time.monotonic() + seconds, 0.0005
        # No readiness says "acknowledged": looked at after 0.5, 1, 2, ... 50 ms, and no longer than was asked.
        while raw.unacked() and (left := end - time.monotonic()) > 0:
            gevent.sleep(min(left, wait))
            wait = min(2 * wait, 0.05)

    def _drop_ref_on_close(self, sock: Any) -> None:
        if sock.__class__ is RawSocket:
            sock.close()
        else:
            super()._drop_ref_on_close(sock)


def _cancel_other(hub: Any, watcher: StackWatcher) -> None:
    """Wake a second greenlet that waits on a socket which is closed."""
    if watcher.__class__ is StackWatcher and watcher.callback is not None:
        hub.cancel_wait(watcher, cancel_wait_ex)


def _raw_for(family: int, kind: int, proto: int, fileno: Any) -> RawSocket | None:
    """Make or find the raw socket; None: it is the kernel's, and gevent's constructor does it."""
    if fileno.__class__ is RawSocket:
        return fileno if not fileno._closed else RawSocket(fileno.end)
    if fileno is not None:
        end = _fds.adopt(fileno) if isinstance(fileno, int) else None
        return None if end is None else RawSocket(end, fileno)
    family = _socket.AF_INET if family == -1 else int(family)
    kind = _socket.SOCK_STREAM if kind == -1 else int(kind) & ~_TYPE_FLAGS
    proto = max(proto, 0)
    if family not in _INET or proto not in _PROTOS.get(kind, ()):
        return None
    if _in_child and _stack.running() is None:
        return None
    stack = _stack.current()
    if stack.dead or get_ident() != stack.thread:
        return None  # a child of fork, or another native thread: connect refuses what is the stack's
    return RawSocket(Endpoint(stack, family, kind, proto))


def _refuse_foreign_thread(raw: Any, address: Any) -> None:
    """Raise in a thread that cannot use the stack, rather than go past it through the kernel."""
    stack = _stack.running()
    if stack is None or stack.dead or get_ident() == stack.thread or raw.family not in _INET:
        return
    if reaches(stack, parse(raw.family, address, "connect")[0]):
        wrong_thread()


def _after_fork_in_child() -> None:
    global _in_child
    _in_child = True
    stack = _stack.running()
    if stack is not None:
        stack.dead = True
        for end in list(stack.sockets.values()):
            end.c = None


os.register_at_fork(after_in_child=_after_fork_in_child)
socket.__module__ = "greendpdk.socket"  # where it is public, and what repr() shows
