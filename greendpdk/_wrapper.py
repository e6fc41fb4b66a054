"""The socket class: greendpdk.socket.socket, and socket.socket after monkey.patch_all().

Called by applications; calls _raw.py for the stack's sockets and is gevent's own class for all others.
isinstance(s, gevent.socket.socket) holds for both. What may block is in its base class (_blocking.py).

    made      AF_INET or AF_INET6, stream or datagram: nobody's yet        anything else: the kernel's
    settled   by the address of bind, connect or sendto (_route.py): `_sock` stays a RawSocket, or becomes
              the kernel's raw socket with the options replayed
"""

from __future__ import annotations

import _socket
import contextlib
import errno
import os
import socket as standard
import sys
import time
import warnings
from typing import TYPE_CHECKING, Any

import gevent
from gevent import _socket3, getcurrent
from gevent.socket import cancel_wait_ex, getdefaulttimeout
from gevent.socket import timeout as timeout_error
from gevent.timeout import Timeout

from greendpdk._blocking import BlockingSocket, kernel_socket
from greendpdk._endpoint import get_ident
from greendpdk._errors import check, error
from greendpdk._making import raw_for, refuse_foreign_thread
from greendpdk._raw import RawSocket
from greendpdk._share import own
from greendpdk._transfer import bad_fd
from greendpdk._watcher import READ, WRITE, ArrivalWatcher, StackWatcher

_sock_slot = kernel_socket._sock
_GOES_ON = (errno.EINPROGRESS, errno.EALREADY, errno.EAGAIN)
_TIMEOUT_MAX = 2**63 / 1e9  # CPython counts nanoseconds in 64 bits


def _references_of_one() -> int:
    """Return what __del__ counts for a raw socket that only its slot holds; Python 3.14 counts the local name less."""
    holder = [object()]
    raw = holder[0]
    return sys.getrefcount(raw)


_ALONE = _references_of_one()


class socket(BlockingSocket):
    """A socket of the stack or of the kernel, whichever its address asks for."""

    if not TYPE_CHECKING:  # gevent's slots, which mypy cannot see, are all of them
        __slots__ = ()

    def __init__(self, family: int = -1, type: int = -1, proto: int = -1, fileno: Any = None) -> None:
        nonblocking = fileno is None and type != -1 and type & _socket.SOCK_NONBLOCK
        raw = raw_for(self, family, type, proto, fileno)
        if raw is None:
            super().__init__(family, type, proto, fileno)
            if nonblocking:
                self.timeout = 0.0
            return
        # What gevent's own constructor does, but for the two watchers that are not libev's.
        super(kernel_socket, self).__init__()
        self._closed = False
        self._io_refs = 0
        self.hub = raw.end.poller.hub
        self._adopt(raw)
        self.timeout = 0.0 if nonblocking else getdefaulttimeout()
        if self.timeout is not None:
            raw.end.nonblocking = True

    def _adopt(self, raw: RawSocket) -> None:
        self._sock = raw
        loop = self.hub.loop
        self._read_event = StackWatcher(loop, True, None).attach(raw.end, READ)
        self._write_event = StackWatcher(loop, True, None).attach(raw.end, WRITE)

    def _settled(self) -> None:
        """Go on as gevent's own class if the socket has become the kernel's."""
        raw = self._sock
        if raw.__class__ is not RawSocket or raw.end.c is not None or raw.end.k.__class__ is not _socket.socket:
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

    # -- what it is -------------------------------------------------------------------------------

    @property
    def type(self) -> Any:
        """Return the type without SOCK_NONBLOCK and SOCK_CLOEXEC."""
        return standard._intenum_converter(self._sock.type, standard.SocketKind)  # type: ignore[attr-defined]

    def settimeout(self, howlong: float | None) -> None:
        if howlong is not None and not hasattr(howlong, "__float__"):
            raise TypeError(f"{howlong.__class__.__name__!r} object cannot be interpreted as an integer")
        if howlong is not None and howlong != howlong:
            raise ValueError("Invalid value NaN (not a number)")
        if howlong is not None and howlong > _TIMEOUT_MAX:
            raise OverflowError("timestamp too large to convert to C _PyTime_t")
        super().settimeout(howlong)
        raw = self._sock
        if raw.__class__ is RawSocket:
            if raw.lost_number():
                raise bad_fd()
            raw.end.nonblocking = howlong is not None
        elif not raw:
            raise bad_fd()

    def setblocking(self, flag: bool) -> None:
        self.settimeout(None if flag else 0.0)

    def __repr__(self) -> str:
        raw = self._sock
        number = ("stack" if raw._fd < 0 else raw._fd) if raw.__class__ is RawSocket else raw.fileno() if raw else -1
        closed = " [closed]" if self._closed else ""
        text = f"<{self.__class__.__module__}.{self.__class__.__qualname__}{closed} fd={number}"
        text += f", family={self.family}, type={self.type}, proto={self.proto}"
        for label, ask in (("laddr", raw.getsockname), ("raddr", raw.getpeername)) if not self._closed else ():
            with contextlib.suppress(OSError, RuntimeError):  # RuntimeError: in another thread than the stack's
                text += f", {label}={ask()}"
        return f"{text}{self._extra_repr()}>"

    def __getstate__(self) -> Any:
        raise TypeError(f"cannot pickle {self.__class__.__name__!r} object")

    # -- opening ----------------------------------------------------------------------------------

    def bind(self, address: Any) -> None:
        raw = self._sock
        refuse_foreign_thread(raw, address)
        if raw.__class__ is RawSocket:
            raw.bind(address, self)
            self._settled()
        else:
            raw.bind(address)

    def _internal_connect(self, address: Any) -> None:
        raw = self._sock
        refuse_foreign_thread(raw, address)
        if raw.__class__ is RawSocket:
            asked, address = address, raw.settle(address)
            self._settled()
            if self._sock is raw:  # the kernel's own are gevent's to connect, and audited by _socket
                self._audit("socket.connect", self, asked)
                self._connect(raw, address)
                return
        super()._internal_connect(address)

    def _connect(self, raw: RawSocket, address: Any) -> None:
        """Try, wait, try again; gevent's own would take EISCONN of the first try for success."""
        result: Any = raw.connect_ex(address)
        if result in _GOES_ON and self.timeout != 0.0:
            limit, late = self._connect_limit(raw)
            with Timeout._start_new_or_dummy(limit, late):
                while result in _GOES_ON:
                    self._wait(self._write_event)
                    result = raw.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR) or raw.connect_ex(address)
            if result == errno.EISCONN:
                return
        check(-result)

    def _connect_limit(self, raw: RawSocket) -> tuple[Any, OSError]:
        """Return how long to wait, and what to raise then: SO_SNDTIMEO bounds a blocking connect too (socket(7))."""
        own: Any = self.timeout
        limits = raw.end.timeouts
        if own is None and limits is not None and limits[True]:
            return limits[True], error(errno.EINPROGRESS)
        return own, timeout_error("timed out")

    def accept(self) -> tuple[socket, Any]:
        raw = self._sock
        if raw.__class__ is not RawSocket:
            fd, address = self._accept_kernel()
        else:
            fd, address = self._retry(False, 0, raw.try_accept)
        sock = socket(raw.family, raw.type, raw.proto, fileno=fd)
        return sock, address

    def _accept_kernel(self) -> tuple[int, Any]:
        while True:
            try:
                return self._sock._accept()  # type: ignore[no-any-return]
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
        if reason == "closed" and own(raw.end) == 1:
            for watcher in list(raw.end.watchers):
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

    def __del__(self) -> None:
        try:
            raw = _sock_slot.__get__(self)  # not self._sock: gevent's __getattr__ looks there for what is unset
        except AttributeError:  # the constructor failed
            return
        if raw.__class__ is not RawSocket or raw._closed:
            return
        if sys.getrefcount(raw) > _ALONE:
            return  # gevent's servers keep it, and drop what is round it
        try:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=2)
        finally:  # where warnings are errors, too
            if get_ident() == raw.end.thread:
                self._read_event.close()
                self._write_event.close()
            raw.close()


def _cancel_other(hub: Any, watcher: StackWatcher) -> None:
    """Wake a second greenlet that waits on a socket which is closed."""
    if watcher.__class__ in (StackWatcher, ArrivalWatcher) and watcher.callback is not None:
        hub.cancel_wait(watcher, cancel_wait_ex)


socket.__module__ = "greendpdk.socket"  # where it is public, and what repr() shows
