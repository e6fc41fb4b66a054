"""The table fd -> endpoint, and the stand-in fds that the numbers belong to.

Called by _raw.py, socket.py, loop.py (Loop.io), select.py, monkey/ (os.close); calls the kernel.

A number is made only when somebody asks for it: one end of a socketpair, so that it is unique, survives
dup and fcntl, and can show a foreign epoll what the stack's socket is ready for:

    near, the application's number ◄───────────── far, ours
        readable:  a byte waits here             writable:  room in near's send buffer
        (far sent it)                            (near's own bytes fill it, far drains them)
        RDHUP: far shut its half       HUP: far shut both       ERR: far closed with a byte of near's unread

An eventfd cannot say "neither". One system call for a change of readiness, none for a packet.
"""

from __future__ import annotations

import _socket
import contextlib
import os
from typing import TYPE_CHECKING

from greendpdk import _handover, _libc
from greendpdk._native import lib
from greendpdk._watcher import READ_BITS, WRITE_BITS

if TYPE_CHECKING:
    from greendpdk._endpoint import Endpoint

_FULL = bytes(2304)  # fills a socketpair's send buffer at the kernel's floor for SO_SNDBUF (4,608 with overhead)
# Before the patch: what is here is about the pair itself.
_dup, _dup2, _close, _read, _write = os.dup, os.dup2, os.close, os.read, os.write
_ENDS: int = lib.GD_RDHUP | lib.GD_HUP | lib.GD_ERR
_table: dict[int, Endpoint] = {}
_inodes: dict[int, Endpoint] = {}


class StandIn:
    """One end of a socketpair kept level-triggered in step with an endpoint."""

    __slots__ = ("_ended", "_far", "_readable", "_writable", "inode", "near")

    def __init__(self) -> None:
        near, self._far = _socket.socketpair()
        near.setblocking(False)
        self._far.setblocking(False)
        near.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDBUF, 1)
        self._readable = False
        self._writable = True
        self._ended = 0  # RDHUP, HUP and ERR as shown: what cannot be taken back
        self.inode = os.fstat(near.fileno()).st_ino
        with contextlib.suppress(OSError):  # the names are everybody's: another user may have taken it before
            # who gets the number elsewhere can see what it is
            _libc.bind(near.fileno(), _socket.AF_UNIX, _handover.name(os.getpid(), self.inode))
        self.near = near.detach()

    def show(self, end: Endpoint, bits: int) -> None:
        """Make the near end (any number of it) as ready as bits say."""
        fd = next(iter(end.fds))
        readable, writable = bool(bits & READ_BITS), bool(bits & WRITE_BITS)
        ended = bits & _ENDS if bits & lib.GD_RDHUP else 0  # hang-up alone: not connected yet
        try:
            if ended != self._ended and self._end(end, fd, ended):
                return
            if readable != self._readable and not ended:
                self._readable = readable
                if readable:
                    self._far.send(b"\0")
                else:
                    _read(fd, 1)
            if writable != self._writable and not ended & lib.GD_HUP:
                self._writable = writable
                if writable:
                    self._far.recv(1 << 16)
                else:
                    _write(fd, _FULL)
        except OSError:  # C, or a child that has the number, has read, filled, shut or closed it
            return

    def _end(self, end: Endpoint, fd: int, ended: int) -> bool:
        """Show an end of the stream, a hang-up, an error; return whether nothing else is left to show."""
        if self._ended & ~ended & ~lib.GD_ERR:
            self._renew(end)  # connecting again after a refusal
            return False
        new, self._ended = ended & ~self._ended, ended
        if ended & lib.GD_HUP and not self._writable:
            self._far.recv(1 << 16)
            self._writable = True
        if new & lib.GD_ERR and ended & lib.GD_HUP and self._far.fileno() >= 0:
            with contextlib.suppress(OSError):  # shut before: then it stays a hang-up
                _write(fd, b"\0")
            self._far.close()  # with a byte unread: ECONNRESET, which is what the kernel shows as an error
        elif new & lib.GD_HUP and self._far.fileno() >= 0:
            self._far.shutdown(_socket.SHUT_RDWR)
        elif new & lib.GD_RDHUP:
            self._far.shutdown(_socket.SHUT_WR)
        if not ended & lib.GD_ERR and self._far.fileno() < 0:
            near = _socket.socket(fileno=_dup(fd))
            near.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)  # it was read of the connection
            near.close()
        return bool(ended & lib.GD_HUP)

    def _renew(self, end: Endpoint) -> None:
        """Begin anew under the same numbers; an epoll of the kernel's that had them must be told them again."""
        self._far.close()
        _inodes.pop(self.inode, None)
        numbers = end.fds
        self.__init__()  # type: ignore[misc]
        for fd in numbers:
            _dup2(self.near, fd, False)
        _close(self.near)
        self.near = next(iter(numbers))
        _inodes[self.inode] = end

    def close(self) -> None:
        """Close the far end; the near one is the application's."""
        self._far.close()


def endpoint(fd: int) -> Endpoint | None:
    """Find the endpoint of a number; None: it is the kernel's."""
    end = _table.get(fd)
    if end is None or end.standin is None or _inode(fd) == end.standin.inode:
        return end
    forget(fd, close=False)  # closed behind our back, by C or an os.close that is not patched
    return None


def holds(fd: int, end: Endpoint) -> bool:
    """Tell whether the number is still the endpoint's, as far as this process has closed numbers by us."""
    return _table.get(fd) is end


def _inode(fd: int) -> int:
    try:
        return os.fstat(fd).st_ino
    except OSError:
        return 0


def number(end: Endpoint) -> int:
    """Make a new number for the endpoint; the table holds a reference from now on."""
    if end.c is None and end.k is not None:
        fd = _dup(end.k.fileno())
    elif end.standin is None:
        end.standin = StandIn()
        _inodes[end.standin.inode] = end
        fd = end.standin.near
    else:
        fd = _dup(next(iter(end.fds)))
    _table[fd] = end
    end.fds.add(fd)
    end.sync()
    return fd


def adopt(fd: int) -> Endpoint | None:
    """Find the endpoint of a number that may be a dup made behind our back (it has the stand-in's inode)."""
    end = endpoint(fd)
    if end is None and _inodes:
        end = _inodes.get(_inode(fd))
        if end is not None:
            _table[fd] = end
            end.fds.add(fd)
            end.refs += 1
    return end


def forget(fd: int, close: bool = True) -> bool:
    """Close a number of ours and drop its reference; False if it is not ours."""
    end = _table.pop(fd, None)
    if end is None:
        return False
    end.fds.discard(fd)
    if fd == end.kept:
        end.kept = -1
    elif not end.fds and end.lent and end.standin is not None and _inode(fd) == end.standin.inode:
        _keep(end, fd)
    if not end.fds:
        drop_stand_in(end)
    try:
        if close:
            _close(fd)
    finally:  # EBADF: C has closed it before us
        end.release()
    return True


def _keep(end: Endpoint, fd: int) -> None:
    """Keep the pair while children have copies of the number: with the far end closed, they would be ready always."""
    with contextlib.suppress(OSError):  # EMFILE
        new = _dup(fd)
        _table[new] = end
        end.fds.add(new)
        end.kept = new
        end.refs += 1


def drop_stand_in(end: Endpoint) -> None:
    """Close our side of the pair: no number is left, or they are a kernel socket's from now on."""
    if end.standin is not None:
        _inodes.pop(end.standin.inode, None)
        end.standin.close()
        end.standin = None
