"""asyncio's running loop, for each greenlet its own: threads are greenlets after the patch, and each may run a loop.

Called by _interest.py and _arrivals.py, where loops wait; calls greenlet's trace function, for as long as a loop runs.

    greenlet 1   run_forever ─ waits, or blocks ───────────── goes on ─►   the interpreter has one running loop a
    greenlet 2                 get_running_loop(): none; asyncio.run() ─…  thread, and one pair of generators' hooks

What one greenlet has is put aside when it is switched away from, and put back when it goes on.
"""

from __future__ import annotations

import sys
from typing import Any

import greenlet

_aside: dict[Any, tuple[Any, Any, Any]] = {}  # what greenlets have that do not run now
_before: Any = None  # the trace function that was there


def keep() -> None:
    """See to it that the running loop, if there is one, is this greenlet's alone."""
    global _before
    asyncio = sys.modules.get("_asyncio")
    if asyncio is None or getattr(asyncio, "_get_running_loop", lambda: None)() is None:
        return
    if greenlet.gettrace() is not _switched:
        _before = greenlet.settrace(_switched)


def _switched(event: str, what: tuple[Any, Any]) -> None:
    asyncio: Any = sys.modules["_asyncio"]
    origin, target = what
    loop = asyncio._get_running_loop()
    if loop is not None:
        _aside[origin] = loop, *sys.get_asyncgen_hooks()
        asyncio._set_running_loop(None)
        sys.set_asyncgen_hooks(None, None)
    if target in _aside:
        loop, firstiter, finalizer = _aside.pop(target)
        asyncio._set_running_loop(loop)
        sys.set_asyncgen_hooks(firstiter, finalizer)
    elif not _aside and greenlet.gettrace() is _switched:
        greenlet.settrace(_before)  # no loop is left
    if _before is not None:
        _before(event, what)
