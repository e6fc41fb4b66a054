"""fcntl.ioctl and fcntl.fcntl that know the stack's fds.

Called by applications (as the names of fcntl after monkey.patch_all()); calls the engine for our fds, and the function
that was there before for everything else: other fds, other requests (which the stand-in fd answers).

    ioctl   SIOCINQ (FIONREAD), SIOCOUTQ (TIOCOUTQ), SIOCOUTQNSD, SIOCATMARK
    fcntl   F_GETFL, F_SETFL: O_NONBLOCK, which the stand-in fd always has; F_DUPFD, F_DUPFD_CLOEXEC
"""

from __future__ import annotations

import errno
import os
import struct
from typing import Any

from gevent.monkey import get_original
from gevent.select import get_fileno

from greendpdk import _fdio, _fds
from greendpdk._endpoint import get_ident, wrong_thread
from greendpdk._errors import check
from greendpdk._native import lib

__all__ = ["fcntl", "ioctl"]
REQUESTS = (0x541B, 0x5411, 0x894B, 0x8905)  # <linux/sockios.h>
F_DUPFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC = 0, 3, 4, 1030  # <fcntl.h>
_INT = struct.Struct("i")
_ioctl, _fcntl = get_original("fcntl", ["ioctl", "fcntl"])  # now: at the interpreter's end nothing can be imported


def ioctl(fd: Any, request: int, arg: Any = 0, mutate_flag: bool = True) -> Any:
    """Do as fcntl.ioctl; of a socket of the stack tell how many bytes wait."""
    end = _fds.endpoint(get_fileno(fd)) if request in REQUESTS else None
    if end is None or end.c is None:
        return _ioctl(fd, request, arg, mutate_flag)
    if get_ident() != end.thread:
        wrong_thread()
    answer = _INT.pack(check(lib.gd_sock_ioctl(end.c, request)))
    if isinstance(arg, int):
        raise OSError(errno.EFAULT, os.strerror(errno.EFAULT))  # a number is no address to write to
    view = memoryview(arg.encode() if isinstance(arg, str) else arg).cast("B")
    if len(view) < _INT.size:  # the kernel writes four bytes, into CPython's own buffer
        answer = answer[: len(view)]
    if view.readonly or not mutate_flag:
        return answer + bytes(view[len(answer) :])
    view[: len(answer)] = answer
    return 0


def fcntl(fd: Any, cmd: int, arg: Any = 0) -> Any:
    """Do as fcntl.fcntl; of a socket of the stack show, and keep, O_NONBLOCK as settimeout() sets it."""
    end = _fds.endpoint(get_fileno(fd)) if cmd in (F_DUPFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC) else None
    if end is not None and cmd in (F_DUPFD, F_DUPFD_CLOEXEC):
        return _fdio.copy(end, _fcntl(fd, cmd, arg))
    if end is None or end.c is None:
        return _fcntl(fd, cmd, arg)
    if cmd == F_SETFL:
        end.nonblocking = bool(arg & os.O_NONBLOCK)
        return _fcntl(fd, cmd, arg | os.O_NONBLOCK)
    flags = _fcntl(fd, cmd, arg)
    return flags | os.O_NONBLOCK if end.nonblocking else flags & ~os.O_NONBLOCK
