"""gevent's subprocess module, whose children may have a stack socket for stdin, stdout or stderr.

Called by applications as `subprocess` after monkey.patch_all(); calls gevent.subprocess, and _pump.py for the fds. All
other names are gevent's.
"""

from __future__ import annotations

import os
from typing import Any

import gevent.os
import gevent.subprocess as _gevent

from greendpdk import _fds, _pump, _share

__implements__ = ["Popen"]
_close = os.close


class Popen(_gevent.Popen):  # type: ignore[misc]
    """As subprocess.Popen: a connection of the stack is copied to and from the child while it lives."""

    _given: tuple[int, ...] = ()

    def _get_handles(self, stdin: Any, stdout: Any, stderr: Any) -> Any:
        ends = [_end_of(item) for item in (stdin, stdout, stderr)]
        fds: dict[Any, int] = {}
        try:
            for end in ends:
                if end is not None and end not in fds:
                    fds[end] = _pump.make(end, reads=end is ends[0])
                    self._given += (fds[end],)
            items = (item if end is None else fds[end] for item, end in zip((stdin, stdout, stderr), ends, strict=True))
            return super()._get_handles(*items)
        except BaseException:
            self._close_given()
            raise

    def _execute_child(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super()._execute_child(*args, **kwargs)
        finally:
            self._close_given()

    def _close_given(self) -> None:
        for fd in self._given:
            _close(fd)


def _end_of(item: Any) -> Any:
    """Find the endpoint of what was given for a child's fd."""
    if item is None or not _fds._table and not hasattr(item, "_sock"):
        return None
    fileno = getattr(item, "fileno", None)
    end = _fds.endpoint(item if isinstance(item, int) else fileno() if fileno is not None else -1)
    return end if end is not None and end.open else None


def fork_and_watch(*args: Any, **kwargs: Any) -> int:
    """Fork as gevent does, for a child that executes a program: it is given no share of the stack's sockets."""
    _share.exec_follows += 1
    try:
        return int(gevent.os.fork_and_watch(*args, **kwargs))
    finally:
        _share.exec_follows -= 1
