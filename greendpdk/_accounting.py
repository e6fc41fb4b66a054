"""What holds the loop, while somebody looks: greenlets by the place where they gave way, and how long they ran.

Called by _telemetry.py (/greendpdk/loop, /greendpdk/top); calls greenlet.settrace and the engine's gd_stack_loop.
The shares of busy, spinning and asleep are counted always, as they cost nothing. A look at the clock for each switch
of greenlets (0.3 us) is taken only from a question on, until nobody has asked for AWAY seconds.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import greenlet

from greendpdk import _places
from greendpdk._native import ffi, lib

if TYPE_CHECKING:
    from greendpdk._stack import Stack

AWAY_S = 10.0
_SHORT_NS = 20_000  # a stretch shorter than that is no slow handler
_PLACES = 500  # known at once; the shortest half is forgotten beyond it
_SHOWN = 10
_LOOP = ("busy", "polling", "spinning", "asleep", "longest")
# TCP's states by include/net/tcp_states.h's numbers, as names of telemetry may be spelled.
_STATES = (
    "UDP", "ESTAB", "SYN_SENT", "SYN_RECV", "FIN_WAIT_1", "FIN_WAIT_2", "TIME_WAIT", "UNCONN", "CLOSE_WAIT", "LAST_ACK",
    "LISTEN", "CLOSING",
)  # fmt: skip


def loop_times(stack: Stack) -> dict[str, int]:
    """Return what the loop has done since the start: nanoseconds of each kind, and counts."""
    loop = lib.gd_stack_loop(stack.c)
    found = {f"{name}_ns": int(getattr(loop, name)) for name in _LOOP}
    found.update({name: int(getattr(loop, name)) for name in ("turns", "polls", "events")})
    return {**found, "frames": int(lib.gd_loop_frames(stack.c))}


def states(stack: Stack) -> dict[str, int]:
    """Return how many sockets there are in each state that has any."""
    sixteen = ffi.new("uint32_t[16]")
    lib.gd_stack_states(stack.c, sixteen)
    return {name: int(sixteen[number]) for number, name in enumerate(_STATES) if sixteen[number]}


class Accounting:
    """The tracer of one stack's loop."""

    def __init__(self, stack: Stack, hub: Any) -> None:
        self.stack, self._hub = stack, hub
        self.on = False
        self.greenlets_ns = 0
        self._places: dict[tuple[str, str], list[int]] = {}  # [count, total, longest]
        self._timer = hub.loop.timer(AWAY_S, AWAY_S, ref=False)
        self._asked = self._since = 0.0
        self._before: Any = None

    def ask(self, on: bool) -> None:
        """Begin, or go on, as somebody looks; or end."""
        self._asked = time.monotonic()
        if on == self.on:
            return
        self.on = on
        loop = lib.gd_stack_loop(self.stack.c)
        loop.watched = int(on)
        if not on:
            self._timer.stop()
            if greenlet.gettrace() == self._trace:  # else another has come after us, and goes on to call us
                greenlet.settrace(self._before)
            return
        loop.longest = self.greenlets_ns = 0
        self._places.clear()
        self._since = time.perf_counter_ns()
        self._timer.start(self._look_away)
        if greenlet.gettrace() != self._trace:
            self._before = greenlet.settrace(self._trace)

    def close(self) -> None:
        """End for good."""
        self.ask(False)
        self._timer.close()

    def handlers(self) -> list[dict[str, Any]]:
        """Return the slowest, the longest first."""
        slowest = sorted(self._places.items(), key=lambda item: -item[1][2])[:_SHOWN]
        return [
            {"name": name, "where": where, "count": count, "total_us": total // 1000, "longest_us": longest // 1000}
            for (name, where), (count, total, longest) in slowest
        ]

    def _look_away(self) -> None:
        if time.monotonic() - self._asked >= AWAY_S:
            self.ask(False)

    def _trace(self, event: str, args: tuple[Any, Any]) -> None:
        now = time.perf_counter_ns()
        took = now - self._since
        self._since = now
        origin = args[0]
        if self.on and origin is not self._hub:
            self.greenlets_ns += int(took)
            if took >= _SHORT_NS:
                self._note(origin, int(took))
        if self._before is not None:
            self._before(event, args)

    def _note(self, origin: Any, took: int) -> None:
        where = _places.text(_places.innermost(origin.gr_frame)) or "its end"
        one = self._places.setdefault((_places.greenlet_name(origin), where), [0, 0, 0])
        one[0] += 1
        one[1] += took
        one[2] = max(one[2], took)
        if len(self._places) > _PLACES:
            kept = sorted(self._places.items(), key=lambda item: -item[1][2])[: _PLACES // 2]
            self._places = dict(kept)
