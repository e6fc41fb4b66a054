"""The table fd -> endpoint, and the stand-in fds that the numbers belong to.

Called by _raw.py, socket.py, loop.py (Loop.io), select.py, monkey/ (os.close); calls the kernel.

A number is made only when somebody asks for it: one end of a socketpair, so that it is unique, survives
dup and fcntl, and can show a foreign epoll what the stack's socket is ready for:

    near, the application's number ◄───────────── far, ours
        readable:  a byte waits here             writable:  room in near's send buffer
        (far sent it)                            (near's own bytes fill it, far drains them)

An eventfd cannot say "neither". One system call for a change of readiness, none for a packet.
"""

from __future__ import annotations

import _socket
import os
from typing import TYPE_CHECKING

from greendpdk import _handover
from greendpdk._watcher import READ_BITS, WRITE_BITS

if TYPE_CHECKING:
    from greendpdk._endpoint import Endpoint

_FULL = bytes(2304)  # fills a socketpair's send buffer at the kernel's floor for SO_SNDBUF (4,608 with overhead)
_dup = os.dup
_close = os.close
_table: dict[int, Endpoint] = {}
_inodes: dict[int, Endpoint] = {}


class StandIn:
    """One end of a socketpair kept level-triggered in step with an endpoint."""

    __slots__ = ("_far", "_readable", "_writable", "inode", "near")

    def __init__(self) -> None:
        near, self._far = _socket.socketpair()
        near.setblocking(False)
        self._far.setblocking(False)
        near.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDBUF, 1)
        self._readable = False
        self._writable = True
        self.inode = os.fstat(near.fileno()).st_ino
        near.bind(_handover.name(os.getpid(), self.inode))  # who gets the number elsewhere can see what it is
        self.near = near.detach()

    def show(self, fd: int, bits: int) -> None:
        """Make the near end (any number of it) as ready as bits say."""
        readable, writable = bool(bits & READ_BITS), bool(bits & WRITE_BITS)
        if readable != self._readable:
            self._readable = readable
            if readable:
                self._far.send(b"\0")
            else:
                os.read(fd, 1)
        if writable != self._writable:
            self._writable = writable
            if writable:
                self._far.recv(1 << 16)
            else:
                os.write(fd, _FULL)

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
    if not end.fds:
        drop_stand_in(end)
    if close:
        _close(fd)
    end.release()
    return True


def drop_stand_in(end: Endpoint) -> None:
    """Close our side of the pair: no number is left, or they are a kernel socket's from now on."""
    if end.standin is not None:
        _inodes.pop(end.standin.inode, None)
        end.standin.close()
        end.standin = None
