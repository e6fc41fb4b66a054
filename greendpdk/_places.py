"""Where a program is, in a few words: the innermost frame that is the program's own.

Called by _watchdog.py, _accounting.py and loop.Poller.
"""

from __future__ import annotations

import os
import re
import sysconfig
import threading
from types import FrameType, TracebackType
from typing import Any

import gevent
import greenlet

_DEEP = 100  # frames looked at
_OWN = tuple(
    os.path.dirname(os.path.realpath(path)) + os.sep for path in (__file__, gevent.__file__, greenlet.__file__)
)
_STANDARD = sysconfig.get_path("stdlib") + os.sep
_PACKAGES = tuple(sysconfig.get_path(name) + os.sep for name in ("purelib", "platlib"))


def innermost(frame: FrameType | None) -> FrameType | None:
    """Return the innermost frame of the program or its packages; where there is none, of the standard library."""
    standard = None
    for _ in range(_DEEP):
        if frame is None:
            break
        path = frame.f_code.co_filename
        if not path.startswith((*_OWN, "<frozen")) and not (path.startswith("src/") or path.endswith(".pyx")):
            if not path.startswith(_STANDARD) or path.startswith(_PACKAGES):
                return frame
            standard = standard or frame
        frame = frame.f_back
    return standard


def is_programs(trace: TracebackType | None) -> bool:
    """Tell whether an exception was raised by code that is neither ours nor gevent's."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and not trace.tb_frame.f_code.co_filename.startswith((*_OWN, "src/"))


def text(frame: FrameType | None) -> str:
    """Return "function (file.py:12)", "" for none; of the path the last two parts."""
    if frame is None:
        return ""
    path = "/".join(frame.f_code.co_filename.split(os.sep)[-2:])
    return f"{frame.f_code.co_name} ({path}:{frame.f_lineno})"


def _thread_name(thread: threading.Thread) -> str:
    """Return a thread's name without the number by which CPython tells it from its like, so that they are counted as
    one: its target's name, or its class's.
    """
    numbered = re.fullmatch(r"Thread-\d+(?: \((.+)\))?", thread.name)
    return (numbered[1] or type(thread).__name__) if numbered else thread.name


def greenlet_name(one: Any) -> str:
    """Return what a greenlet runs: its function's name, "main" for the thread's first one."""
    run = getattr(one, "_run", None) or getattr(one, "run", None)
    if isinstance(thread := getattr(run, "__self__", None), threading.Thread):
        return _thread_name(thread)
    function = getattr(run, "__func__", run)
    name = getattr(function, "__qualname__", "")
    if name and function is not gevent.Greenlet._run:  # what one has that has ended
        return str(name)
    return "main" if getattr(one, "parent", None) is None else type(one).__name__
