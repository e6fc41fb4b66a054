"""fcntl.ioctl that knows the stack's fds: SIOCINQ (FIONREAD), SIOCOUTQ (TIOCOUTQ), SIOCOUTQNSD and SIOCATMARK.

Called by applications (as `fcntl.ioctl` after monkey.patch_all()); calls the engine for our fds, and the function that
was there before for everything else: other fds, other requests (which the stand-in fd answers).
"""

from __future__ import annotations

import errno
import os
import struct
from typing import Any

from gevent.monkey import get_original
from gevent.select import get_fileno

from greendpdk import _fds
from greendpdk._endpoint import get_ident, wrong_thread
from greendpdk._errors import check
from greendpdk._native import lib

__all__ = ["ioctl"]
REQUESTS = (0x541B, 0x5411, 0x894B, 0x8905)  # <linux/sockios.h>
_INT = struct.Struct("i")


def ioctl(fd: Any, request: int, arg: Any = 0, mutate_flag: bool = True) -> Any:
    """Do as fcntl.ioctl; of a socket of the stack tell how many bytes wait."""
    end = _fds.endpoint(get_fileno(fd)) if request in REQUESTS else None
    if end is None or end.c is None:
        return get_original("fcntl", "ioctl")(fd, request, arg, mutate_flag)
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
