"""os.close, os.sendfile and the like that know the stack's fds.

Put in place by _patch.patch_os; calls _fds.py, and the functions that were there before for all other fds.
"""

from __future__ import annotations

import os
from typing import Any


def close(fd: int) -> None:
    """Close a file descriptor; one of the stack's gives its connection back."""
    import gevent.os
    from gevent._hub_local import get_hub_if_exists

    from greendpdk import _fds

    if _fds.forget(fd):
        return
    gevent.os.close(fd)
    hub = get_hub_if_exists()
    if hub is not None and hub.loop is not None:
        # gevent closes it at the end of a turn of the loop, and does nothing for that turn to end: the last end of a
        # pipe stayed open until something else happened.
        turn = hub.loop.timer(0, ref=False)
        turn.start(turn.close)


def sendfile(out_fd: int, in_fd: int, offset: int | None, count: int, *args: Any, **kwargs: Any) -> int:
    """Copy from a file to a socket; BlockingIOError if it would block, as from any socket of gevent's."""
    from gevent.monkey import get_original

    from greendpdk import _fds, _sendfile

    end = _fds.endpoint(out_fd)
    if end is not None and end.c is not None:
        return _sendfile.into_fd(end, out_fd, in_fd, offset, count)
    return int(get_original("os", "sendfile")(out_fd, in_fd, offset, count, *args, **kwargs))


def get_blocking(fd: int) -> bool:
    """Tell whether O_NONBLOCK is not set."""
    from greendpdk import fcntl

    return not fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK


def set_blocking(fd: int, blocking: bool, /) -> None:
    """Set or clear O_NONBLOCK; the stand-in fd itself never blocks."""
    from greendpdk import fcntl

    flags = fcntl.fcntl(fd, fcntl.F_GETFL) & ~os.O_NONBLOCK
    fcntl.fcntl(fd, fcntl.F_SETFL, flags if blocking else flags | os.O_NONBLOCK)
