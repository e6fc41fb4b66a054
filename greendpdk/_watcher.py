"""Loop watchers that the stack feeds in place of an fd.

Called by socket.py and loop.py (Loop.io) to make them, by gevent to start and stop them; fed by
_endpoint.Endpoint.post. Each is a libev fork watcher underneath: a C watcher that keeps the loop alive
while it is armed and that never fires by itself (it may after a real fork: every waiter tries again).

    StackWatcher   one wait: fed when an event comes, and at the start if the event is there already
    ArrivalWatcher one wait: fed when the next event comes, also if bytes are there already
    LevelWatcher   what loop.io() returns: fires in every turn of the loop for as long as it is ready,
                   as libev's io watchers do; gevent's servers, select and selectors rely on that
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gevent.libev import corecext

from greendpdk._native import lib

if TYPE_CHECKING:
    from greendpdk._endpoint import Endpoint

READ, WRITE = 1, 2  # gevent's and libev's
READ_BITS: int = lib.GD_READ | lib.GD_RDHUP | lib.GD_HUP | lib.GD_ERR
WRITE_BITS: int = lib.GD_WRITE | lib.GD_HUP | lib.GD_ERR
_BITS = {READ: READ_BITS, WRITE: WRITE_BITS, READ | WRITE: READ_BITS | WRITE_BITS}


class StackWatcher(corecext.fork):  # type: ignore[misc]
    """Wait for readiness of one endpoint; the kernel's half of the endpoint counts as well."""

    __slots__ = ("_kernel_io", "bits", "end", "events")

    def attach(self, end: Endpoint, events: int) -> StackWatcher:
        """Belong to the endpoint from now on (Cython's constructor takes no more arguments)."""
        self.end = end
        self.events = events
        self.bits = _BITS[events]
        self._kernel_io: Any = None
        end.watchers.append(self)
        return self

    def start(self, callback: Callable[..., object], *args: Any) -> None:
        """Arm; fire in this turn of the loop if the endpoint is ready."""
        super().start(callback, *args)
        end = self.end
        if end.k is not None:
            self._kernel_io = self.loop.io(end.k.fileno(), self.events, ref=False)
            self._kernel_io.start(self._kernel_ready)
        if end.c is None:
            if end.k is None:
                self.fire_later()
        elif lib.gd_sock_ready(end.c) & self.bits:
            self.feed(1, callback, *args)
            end.poller.wake()  # a fed watcher runs after gevent's callbacks: what it schedules must not wait for epoll

    def _kernel_ready(self) -> None:
        self._drop_kernel_io()
        if self.active:
            self.feed(1, self.callback, *self.args)

    def fire_later(self) -> None:
        """Fire as one of gevent's callbacks: for an endpoint that is closed, whose poller may have stopped."""
        self.loop.run_callback(self._fire_now)

    def _fire_now(self) -> None:
        if self.active:
            self.callback(*self.args)

    def stop(self) -> None:
        """Disarm."""
        if self._kernel_io is not None:
            self._drop_kernel_io()
        super().stop()

    def close(self) -> None:
        """Disarm for good and forget the endpoint."""
        self._drop_kernel_io()
        watchers = self.end.watchers
        if self in watchers:
            watchers.remove(self)
        super().close()

    def twin(self) -> StackWatcher:
        """Make another one for the same event: for a second greenlet that waits."""
        return StackWatcher(self.loop, self.ref, None).attach(self.end, self.events)

    def _drop_kernel_io(self) -> None:
        if self._kernel_io is not None:
            self._kernel_io.stop()
            self._kernel_io.close()
            self._kernel_io = None


class ArrivalWatcher(StackWatcher):
    """Wait for the next event, whatever is there already."""

    __slots__ = ()

    def start(self, callback: Callable[..., object], *args: Any) -> None:
        """Arm."""
        super(StackWatcher, self).start(callback, *args)


class LevelWatcher(StackWatcher):
    """Stand for a libev io watcher: level-triggered, with gevent's pass_events."""

    __slots__ = ("_pass_events", "_user")

    def start(self, callback: Callable[..., object], *args: Any, pass_events: bool = False) -> None:
        """Arm; callback gets the events first if pass_events is set, as libev's io watchers do."""
        self._user = callback
        self._pass_events = pass_events
        super().start(self._fire, *args)

    @property
    def fd(self) -> int:
        """The number that the endpoint is known by."""
        return next(iter(self.end.fds), -1)

    def throw(self, *error: Any) -> None:
        """Pass an exception on to the waiting greenlet: hub.cancel_wait looks for this on the callback's owner."""
        getattr(self._user, "__self__").throw(*error)  # noqa: B009 (only greenlets and waiters are thrown into)

    def _ready(self) -> int:
        bits = self.end.ready() if self.end.open else self.bits  # closed: wake it up, whatever it waited for
        return (READ if bits & READ_BITS else 0) | (WRITE if bits & WRITE_BITS else 0)

    def _fire(self, *args: Any) -> None:
        events = self._ready() & self.events
        if not events:
            self._rearm_kernel_io()
            return
        if self._pass_events:
            self._user(events, *args)
        else:
            self._user(*args)
        if self.active:
            # Not fed again here: libev would run it in the same sweep, forever.
            self.end.poller.again.append(self)
            self._rearm_kernel_io()

    def _rearm_kernel_io(self) -> None:
        if self.end.k is not None and self._kernel_io is None and self.active:
            self._kernel_io = self.loop.io(self.end.k.fileno(), self.events, ref=False)
            self._kernel_io.start(self._kernel_ready)

    def refire(self) -> None:
        """Fire once more if it is still ready: the poller calls this in the next turn of the loop."""
        if self.active and self._ready() & self.events:
            self.feed(1, self.callback, *self.args)
