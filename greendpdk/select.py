"""select and poll over the stack's sockets and kernel fds in one set.

Called by applications (as `select` after monkey.patch_all()) and by gevent.select itself; calls the engine
for our fds, the kernel for the others. Waiting is gevent's: it goes through loop.io(), which knows our fds.
gevent.select.select first asks the kernel about all fds at once: here is what answers for ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gevent.select as _gevent
from gevent.select import get_fileno

from greendpdk import _fds
from greendpdk._native import lib
from greendpdk._watcher import READ_BITS, WRITE_BITS

__implements__ = ["poll", "select"]
error, poll, select = _gevent.error, _gevent.poll, _gevent.select
__all__ = ["error", "poll", "select"]
for _name in vars(_gevent):
    if _name.startswith(("EPOLL", "POLL", "PIPE")):
        globals()[_name] = getattr(_gevent, _name)
        __all__.append(_name)
_kernel_select = _gevent._original_select


def _select_now(rlist: Sequence[Any], wlist: Sequence[Any], xlist: Sequence[Any], timeout: float) -> Any:
    """Ask once, without waiting: our fds here, the rest in the kernel."""
    ours_r, theirs_r = _parted(rlist, READ_BITS)
    ours_w, theirs_w = _parted(wlist, WRITE_BITS)
    ours_x, theirs_x = _parted(xlist, lib.GD_PRI)
    ready_r, ready_w, ready_x = _kernel_select(theirs_r, theirs_w, theirs_x, 0)
    return ours_r + ready_r, ours_w + ready_w, ours_x + ready_x


def _parted(items: Sequence[Any], bits: int) -> tuple[list[Any], list[Any]]:
    ready, theirs = [], []
    for item in items:
        end = _fds.endpoint(get_fileno(item))
        if end is None:
            theirs.append(item)
        elif end.ready() & bits:
            ready.append(item)
    return ready, theirs


_gevent._original_select = _select_now
