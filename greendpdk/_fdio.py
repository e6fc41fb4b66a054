"""read(2), write(2) and their kin on a number of the stack's: what os.read and others do after the patch.

Called by monkey/_os.py; calls _raw.py, and gevent's hub to wait. They block as the kernel would: the calling greenlet,
until there is something, or until everything is written; not at all after os.set_blocking(fd, False).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from gevent.hub import get_hub

from greendpdk import _fds
from greendpdk._errors import would_block
from greendpdk._raw import RawSocket
from greendpdk._watcher import READ, WRITE, StackWatcher

if TYPE_CHECKING:
    from greendpdk._endpoint import Endpoint

_CHUNK = 256 * 1024


def find(fd: Any) -> Endpoint | None:
    """Find the endpoint of a number of ours."""
    return _fds.endpoint(fd) if _fds._table and isinstance(fd, int) else None


def _wait(end: Endpoint, write: bool) -> None:
    if end.nonblocking:
        raise would_block()
    hub = get_hub()
    watcher = StackWatcher(hub.loop, True, None).attach(end, WRITE if write else READ)
    try:
        hub.wait(watcher)
    finally:
        watcher.close()


def _call(end: Endpoint, write: bool, name: str, *args: Any) -> Any:
    """Try, wait, try again, on a raw socket that is lent for the call."""
    raw = RawSocket(end)
    try:
        attempt: Callable[..., Any] = getattr(raw, name)
        while (result := attempt(*args)) is None:
            _wait(end, write)
        return result
    finally:
        raw._closed = True


def read(end: Endpoint, size: int) -> bytes:
    """Do as read(2)."""
    if size < 0:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    data: bytes = _call(end, False, "try_recv", size)
    return data


def readv(end: Endpoint, buffers: Any) -> int:
    """Do as readv(2)."""
    return int(_call(end, False, "try_recvmsg_into", list(buffers))[0])


def write(end: Endpoint, data: Any) -> int:
    """Do as write(2): all of it, unless the number is non-blocking or the connection fails on the way."""
    sent = 0
    with memoryview(data) as whole, whole.cast("B") as view:
        while sent < len(view) or not sent:
            try:
                sent += int(_call(end, True, "try_send", view[sent : sent + _CHUNK].tobytes()))
            except OSError:
                if sent:
                    return sent
                raise
            if not view:
                return 0
    return sent


def writev(end: Endpoint, buffers: Iterable[Any]) -> int:
    """Do as writev(2)."""
    return write(end, b"".join(bytes(memoryview(buffer)) for buffer in buffers))


def copy(end: Endpoint, new: int) -> int:
    """Take note of a number that has been made of one of ours."""
    _fds._table[new] = end
    end.fds.add(new)
    end.refs += 1
    return new


def fdopen(fd: int, mode: str = "r", buffering: int = -1, *args: Any, **kwargs: Any) -> Any:
    """Do as os.fdopen: the file object owns the number, unless closefd=False is given."""
    from greendpdk._wrapper import socket

    if not kwargs.pop("closefd", True):
        fd = os.dup(fd)
    reads, writes = "r" in mode or "+" in mode, "w" in mode or "a" in mode or "+" in mode
    wanted = "r" * reads + "w" * writes + "b" * ("b" in mode)
    sock = socket(fileno=fd)
    try:
        return sock.makefile(wanted, buffering, *args, **kwargs)
    finally:
        sock.close()  # the file object keeps it open
