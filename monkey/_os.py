"""The functions of os that take a file descriptor, and know the stack's.

Put in place by _patch.patch_os; calls _fds.py and _fdio.py for the stack's numbers, and the functions that were there
before for all others.
"""

from __future__ import annotations

import os
from typing import Any

import gevent.os
from gevent._hub_local import get_hub_if_exists
from gevent.monkey import get_original, is_object_patched

from greendpdk import _fdio, _fds
from greendpdk._remote import RemoteSocket

_NAMES = ["read", "write", "readv", "writev", "sendfile", "dup", "dup2", "set_blocking", "get_blocking", "fdopen"]
_read, _write, _readv, _writev, _sendfile, _dup, _dup2, _set_blocking, _get_blocking, _fdopen = get_original(
    "os", _NAMES
)


def close(fd: int) -> None:
    """Close a file descriptor; one of the stack's gives its connection back."""
    if _fds.forget(fd):
        return
    gevent.os.close(fd)
    hub = get_hub_if_exists()
    if hub is not None and hub.loop is not None:
        # gevent closes it at the end of a turn of the loop, and does nothing for that turn to end: the last end of a
        # pipe stayed open until something else happened.
        turn = hub.loop.timer(0, ref=False)
        turn.start(turn.close)


def read(fd: int, length: int, /) -> bytes:
    """Read at most length bytes."""
    end = _fdio.find(fd) if _fds._table else None
    return _read(fd, length) if end is None else _fdio.read(end, length)


def write(fd: int, data: Any, /) -> int:
    """Write bytes; return how many."""
    end = _fdio.find(fd) if _fds._table else None
    return _write(fd, data) if end is None else _fdio.write(end, data)


def readv(fd: int, buffers: Any, /) -> int:
    """Read into several buffers."""
    end = _fdio.find(fd) if _fds._table else None
    return _readv(fd, buffers) if end is None else _fdio.readv(end, buffers)


def writev(fd: int, buffers: Any, /) -> int:
    """Write several buffers."""
    end = _fdio.find(fd) if _fds._table else None
    return _writev(fd, buffers) if end is None else _fdio.writev(end, buffers)


def sendfile(out_fd: int, in_fd: int, offset: Any, count: int, *args: Any, **kwargs: Any) -> int:
    """Copy from a file to a descriptor; BlockingIOError if it would block, as from any socket of gevent's."""
    from greendpdk import _sendfile as ours

    end = _fdio.find(out_fd)
    if end is None or not end.open:
        return int(_sendfile(out_fd, in_fd, offset, count, *args, **kwargs))
    return ours.into_fd(end, out_fd, in_fd, offset, count)


def dup(fd: int, /) -> int:
    """Duplicate a file descriptor."""
    new: int = _dup(fd)
    end = _fdio.find(fd)
    return new if end is None else _fdio.copy(end, new)


def dup2(fd: int, fd2: int, inheritable: bool = True) -> int:
    """Duplicate a file descriptor to a given number."""
    end = _fdio.find(fd)
    if end is not None and isinstance(end.k, RemoteSocket):
        # For a program that a forked child will execute, so fd2 is a number that the parent copies from and to.
        given = end.k.given()
        _fds.forget(fd2, close=False)
        return int(_dup2(given, fd2, inheritable))
    if fd == fd2 or end is None and _fdio.find(fd2) is None:
        return int(_dup2(fd, fd2, inheritable))
    os.fstat(fd)  # EBADF leaves fd2 as it is
    _fds.forget(fd2, close=False)
    new = int(_dup2(fd, fd2, inheritable))
    return new if end is None else _fdio.copy(end, new)


def set_blocking(fd: int, blocking: bool, /) -> None:
    """Set whether reads and writes by number wait."""
    end = _fdio.find(fd)
    if end is None:
        _set_blocking(fd, blocking)
    else:
        end.nonblocking = not blocking


def get_blocking(fd: int, /) -> bool:
    """Tell whether reads and writes by number wait."""
    end = _fdio.find(fd)
    return bool(_get_blocking(fd)) if end is None else not end.nonblocking


def fdopen(fd: int, *args: Any, **kwargs: Any) -> Any:
    """Open a file object on a descriptor."""
    end = _fdio.find(fd)
    if end is None:
        return _fdopen(fd, *args, **kwargs)
    return _fdio.fdopen(fd, *args, **kwargs)


def _hear_children() -> None:
    """Have libev handle SIGCHLD before a fork. gevent does it after the first one, and then never hears of a child that
    has ended by then: os.waitpid of its process waited for ever.
    """
    hub = get_hub_if_exists()
    if hub is not None and hub.loop is not None and hub.loop.default and is_object_patched("os", "fork"):
        hub.loop.install_sigchld()


os.register_at_fork(before=_hear_children)
