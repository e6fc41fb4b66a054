"""signal.signal where threads are greenlets: what a handler raises goes to the main one, and tears nothing.

Put in place by monkey/_patch.py; calls gevent.signal (SIGCHLD stays gevent's), gevent's hub.

CPython runs a handler in the main thread, between two instructions of it. With gevent that thread is whatever greenlet
is on: an exception would end a greenlet that has nothing to do with it (threading.Thread prints it, and Ctrl-C is
lost), or a callback of the hub in its midst. So:

    on is          the handler runs                              what it raises
    main           in place                                      comes out there, as ever
    another        in place                                      comes out of main at once; the other goes on later
    the hub        in a greenlet, by the loop's next callback    comes out of main
    code of ours   when that is left: by the loop, or by a       comes out of main
                   NUDGE; after PATIENCE anyway

The last row keeps sockets whole: the engine's calls share a buffer, and what one has given must not get lost.
"""

from __future__ import annotations

import contextlib
import signal as _std
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import gevent.signal
from gevent import spawn_raw
from gevent._hub_local import get_hub_if_exists
from gevent.monkey import get_original
from greenlet import getcurrent

__implements__ = ["getsignal", "signal"]

_NUDGE = 0.001  # seconds between two looks whether our code was left
_PATIENCE = 0.05  # that a callback of the hub, or a call of ours that waits in the kernel, may put it off
# Their frames lie under a program's own, so they say nothing of where it is.
_UNDER = ("greendpdk.cli", "greendpdk.gunicorn", "greendpdk.pytest_plugin", "greendpdk._pytest", "greendpdk.testing")

_start, _get_ident = get_original("_thread", ["start_new_thread", "get_ident"])
_sleep = get_original("time", "sleep")


class Handler:
    """What Python calls in place of a program's handler."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[[int, FrameType | None], Any]) -> None:
        self.call = call

    def __call__(self, number: int, frame: FrameType | None) -> None:
        hub = get_hub_if_exists()
        if hub is None or hub.loop is None:
            self.call(number, frame)
            return
        one = _last.get(number)
        if one is None or (one.over and not one.nudged):  # else it is a nudge, or the same signal again meanwhile
            one = _last[number] = _Signal(hub, number, self.call)
        one.nudged = False
        one.take(frame)


class _Signal:
    """One signal on its way to its handler."""

    __slots__ = ("_call", "_deadline", "_hub", "_number", "_thread", "_waits", "nudged", "over")

    def __init__(self, hub: Any, number: int, call: Callable[[int, FrameType | None], Any]) -> None:
        self._hub, self._number, self._call = hub, number, call
        self._deadline = time.monotonic() + _PATIENCE
        self._thread = _get_ident()
        self._waits = False
        self.nudged = False
        self.over = False  # the handler has been called

    def take(self, frame: FrameType | None) -> None:
        """Call the handler now, unless that would tear the hub's work or ours: then a little later."""
        in_the_midst = getcurrent() is self._hub or _ours(frame)
        if not in_the_midst or time.monotonic() > self._deadline or not self._wait():
            self._run(frame)

    def _wait(self) -> bool:
        if not self._waits:
            self._waits = True
            spawn_raw(self._run, None)
            try:
                _start(self._nudge, ())
            except RuntimeError:  # the interpreter ends
                return False
        return True

    def _run(self, frame: FrameType | None) -> None:
        if self.over:
            return
        self.over = True
        main = self._hub.parent
        if getcurrent() is main:
            self._call(self._number, frame)
            return
        try:
            self._call(self._number, main.gr_frame)
            return
        except BaseException as caught:
            error = caught
        error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next  # without this function
        self._hub.handle_system_error(type(error), error, error.__traceback__)

    def _nudge(self) -> None:
        while _sleep(_NUDGE) is None and not self.over:
            self.nudged = True
            _std.pthread_kill(self._thread, self._number)


_last: dict[int, _Signal] = {}


def _ours(frame: FrameType | None) -> bool:
    while frame is not None:
        name = frame.f_globals.get("__name__") or ""
        if name.startswith("greendpdk.") and not name.startswith(_UNDER):
            return True
        frame = frame.f_back
    return False


def signal(signalnum: int, handler: Any) -> Any:
    """Set a handler; return the one before. Main thread only, as signal.signal."""
    if callable(handler) and signalnum != _std.SIGCHLD and not isinstance(handler, Handler):
        handler = Handler(handler)
    return _users(gevent.signal.signal(signalnum, handler))


def getsignal(signalnum: int) -> Any:
    """Return the handler as it was given."""
    return _users(gevent.signal.getsignal(signalnum))


def _users(handler: Any) -> Any:
    return handler.call if isinstance(handler, Handler) else handler


def adopt() -> None:
    """Take over the handlers that are set already, Python's own for Ctrl-C among them."""
    for number in _std.valid_signals():
        found = getsignal(number)
        if callable(found):
            with contextlib.suppress(ValueError):  # in another native thread, where none can be set
                signal(number, found)
