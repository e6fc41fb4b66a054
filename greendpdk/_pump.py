"""A kernel fd that stands for a connection of the stack: bytes are copied between the two while it is open.

Called by _share.py and subprocess.py for programs that a child executes, by the application (greendpdk.kernel_fd);
calls _wrapper.py for the connection and gevent for the other end of the pair.

    program, C code ──► given ═══ socketpair ═══ ours ◄─ two greenlets ─► the stack's connection

Whoever reads the fd must not hold up the thread that the copying runs in: it is for other processes, other threads, and
code that waits through gevent. What was copied and not read when the other side closes is lost.
"""

from __future__ import annotations

import _socket
import contextlib
import errno
import fcntl
import os
import struct
import termios
from typing import TYPE_CHECKING, Any

import gevent
import gevent.socket

from greendpdk import _blocking, _fds

if TYPE_CHECKING:
    from greendpdk._blocking import BlockingSocket
    from greendpdk._endpoint import Endpoint

_copies: list[Pump] = []  # in a forked child: the parent's
_CHUNK = 64 * 1024
_DRAIN_SECONDS = 10.0  # that a shutdown waits for what a child has written; a peer that reads takes it in less
_LOOK_SECONDS = 0.001  # between two looks whether it is gone


class Pump:
    """The copying for one fd."""

    def __init__(self, end: Endpoint, ours: _socket.socket, reads: bool) -> None:
        from greendpdk._raw import RawSocket
        from greendpdk._wrapper import socket

        end.refs += 1
        self._end = end
        self._stack: BlockingSocket = socket(fileno=RawSocket(end))
        self._stack.timeout = None  # type: ignore[assignment]  # not settimeout(), which sets O_NONBLOCK
        self._pair = _blocking.kernel_socket(fileno=ours.detach())
        self._pair.timeout = None
        self._sending = self._over = self._left = False
        end.pumps.append(self)
        self._reader = gevent.spawn(self._in) if reads else None
        self._writer = gevent.spawn(self._out)

    def _in(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._stack.recv(_CHUNK):
                self._pair.sendall(data)
        with contextlib.suppress(OSError):
            self._pair.shutdown(_socket.SHUT_WR)

    def _out(self) -> None:
        try:
            with contextlib.suppress(OSError):
                while data := self._receive():
                    self._stack.sendall(data)
                    self._sending = False
            self._over = True
            self._wait_for_the_end()
        finally:
            self._close()

    def _receive(self) -> bytes:
        gevent.socket.wait_read(self._pair.fileno())
        self._sending = True
        return self._pair.recv(_CHUNK)  # type: ignore[no-any-return]

    def _wait_for_the_end(self) -> None:
        """The other side has shut its half, or closed it all: that ends its share, not the connection."""
        from greendpdk.select import epoll

        with epoll() as waiting:
            waiting.register(self._pair.fileno(), 0)  # hang-up is told unasked
            if not waiting.poll(0):
                with contextlib.suppress(OSError):
                    self._stack.shutdown(_socket.SHUT_WR)
                waiting.poll()

    def leave(self) -> None:
        """End in a forked child, where it is a copy: it would take the parent's bytes."""
        _copies.append(self)  # one that executes a program has no turn to close it, and collecting it would warn
        self._left = self._stack._sock._closed = True  # its reference is not the child's
        for greenlet in (self._reader, self._writer):
            if greenlet is not None:
                greenlet.kill(block=False)

    def _close(self) -> None:
        if self._left:
            self._pair.close()
            if self in _copies:
                _copies.remove(self)
            return
        self._end.pumps.remove(self)
        if self._reader is not None:
            self._reader.kill()
        self._pair.close()
        self._stack.close()

    def drain(self) -> None:
        """Wait until all that was written to the fd by now is in the stack's send buffer."""
        with gevent.Timeout(_DRAIN_SECONDS, False):
            while not self._over and (self._sending or _unread(self._pair.fileno())):
                gevent.sleep(_LOOK_SECONDS)


def _unread(fd: int) -> int:
    try:
        return int(struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, bytes(4)))[0])
    except OSError:
        return 0


def kernel_fd(sock: Any) -> int:
    """Make a kernel fd that stands for a connected stream socket (or its number); the caller closes it.

    Bytes are copied between the two in greenlets of this thread until the fd is closed: give it to another process, or
    to code that waits through gevent, not to what blocks this thread. Of a kernel socket it is a duplicate. Raises
    ENOTCONN, or EOPNOTSUPP for datagrams.
    """
    fd = sock if isinstance(sock, int) else sock.fileno()
    end = _fds.endpoint(fd)
    return os.dup(fd) if end is None else make(end)


def make(end: Endpoint, reads: bool = True) -> int:
    """Make the fd for an endpoint; reads: what arrives is copied to it too."""
    from greendpdk._raw import RawSocket

    if end.c is None and isinstance(end.k, _socket.socket):
        return os.dup(end.k.fileno())
    if end.c is None and end.k is not None:
        return int(end.k.kernel_fd())
    if end.type != _socket.SOCK_STREAM:
        raise OSError(errno.EOPNOTSUPP, "datagrams of greendpdk's stack cannot be copied to a kernel fd")
    lent = RawSocket(end)
    try:
        lent.getpeername()
    finally:
        lent._closed = True
    ours, given = _socket.socketpair()
    Pump(end, ours, reads)
    return given.detach()
