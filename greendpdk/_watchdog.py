"""Warn of a handler that holds the loop for too long, with where it was: meanwhile no packet is answered.

Called by _stack.py (start, stop); calls the engine's port/watch.c, which looks without Python's lock and only while the
loop is awake. The thread is a native one of the kernel's, also under the monkey patch.

    gd_watch_wait ─► traceback of the loop's thread ─► gd_watch_length ─► the loop, once it turns again, logs it
                                                           └─ LONG has passed: this thread logs it
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections import deque
from dataclasses import dataclass
from types import FrameType
from typing import Any

from gevent.monkey import get_original

from greendpdk import _places
from greendpdk._errors import check
from greendpdk._native import ffi, lib

LONG_NS = 5_000_000_000  # a loop that is held for so long may never turn again
_KEPT = 10  # holds that `greendpdk top` can show, and places that are warned of
_LATE = "(it was over before it could be looked at: code that keeps Python's lock, such as a C extension's)"
_log = logging.getLogger("greendpdk.loop")


@dataclass
class Held:
    """A turn that took too long."""

    place: str
    milliseconds: int
    where: str  # a traceback


class Watchdog:
    """Watch one stack's loop, called from its thread."""

    def __init__(self, stack: Any, hub: Any, milliseconds: int) -> None:
        self.held: deque[Held] = deque(maxlen=_KEPT)
        self._hub = hub
        self._thread = stack.thread
        self._limit = milliseconds
        self._warned: set[str] = set()
        self._state = lib.gd_stack_loop(stack.c)
        out = ffi.new("struct gd_watch **")
        check(lib.gd_watch_new(stack.c, out))
        self._watch = out[0]
        self._running = get_original("_thread", "allocate_lock")()
        self._running.acquire()
        get_original("_thread", "start_new_thread")(self._run, ())

    def stop(self) -> None:
        """End the thread."""
        lib.gd_watch_stop(self._watch)
        self._running.acquire()
        lib.gd_watch_free(self._watch)

    def _run(self) -> None:
        try:
            while at := lib.gd_watch_wait(self._watch, self._limit * 1_000_000):
                self._look(at)
        finally:
            self._running.release()

    def _look(self, at: int) -> None:
        frame: FrameType | None = sys._current_frames().get(self._thread)
        if self._state.at == at and frame is not None:
            place = _places.text(_places.innermost(frame) or frame)
            where = "".join(traceback.format_stack(frame)).rstrip()
        else:
            place, where = "unknown", _LATE
        del frame
        over = ffi.new("int *")
        length = lib.gd_watch_length(self._watch, at, LONG_NS, over)
        if not over[0]:
            self._say(Held(place, length // 1_000_000, where), "has held")
            while not over[0]:
                length = lib.gd_watch_length(self._watch, at, LONG_NS, over)
        self._hub.loop.run_callback_threadsafe(self._end, Held(place, length // 1_000_000, where))

    def _end(self, held: Held) -> None:
        self.held.append(held)
        self._say(held, "held")

    def _say(self, held: Held, verb: str) -> None:
        """Warn once of each place; what is over is told of at INFO as well."""
        new = held.place not in self._warned and len(self._warned) < _KEPT
        self._warned.add(held.place)
        if not new:
            _log.info("%s %s the loop for %d ms", held.place, verb, held.milliseconds)
            return
        _log.warning(
            "%s %s the loop for %d ms: no packet was answered meanwhile (blocked=%d). Let it give way by "
            "gevent.sleep(0) or greendpdk.poll(), or run it by gevent.get_hub().threadpool.apply(). It was here:\n%s",
            held.place, verb, held.milliseconds, self._limit, held.where,
        )  # fmt: skip
