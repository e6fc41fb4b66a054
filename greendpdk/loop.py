"""gevent's loop with the stack in it: who polls, when it spins, when it sleeps.

Called by _stack.py (Poller), monkey/ (install), gevent (Loop); calls the engine's gd_live_poll.

One turn of libev's loop is: prepare watchers, epoll, timers, io, idle watchers. The poller is a *prepare*
watcher, as that runs exactly once a turn whatever else is ready: idle watchers are starved by one busy
kernel fd, and gevent's run_callback freezes the loop for 5 ms at a time. It was started after gevent's own
prepare watcher, and libev runs the youngest first: what the poll makes ready runs in the same turn.

    spinning   a no-op idle watcher is active, so epoll does not wait: a turn takes about a microsecond
    asleep     nothing came for QUIET; the ports' receive fds (or a timer of 1, later 10 ms, where one has none)
               and a timer for the engine's next deadline wake the loop

Nothing here holds the loop alive (ref=False): hub.join() and LoopExit work as without a stack. The cost is a
bounded spin after the last frame; the gain is that no frame waits for a timer or an interrupt under traffic.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import gevent
from gevent.hub import get_hub
from gevent.libev import corecext

from greendpdk import _fds, _places
from greendpdk._native import ffi, lib
from greendpdk._notices import Notices
from greendpdk._watcher import LevelWatcher

if TYPE_CHECKING:
    from greendpdk._stack import Stack

_PAIRS = 1024  # events taken at once; more are taken in the same turn
_SPIN_NS = 2_000  # inside one engine call while nothing else is to run: saves an epoll for each burst
_QUIET_NS = 500_000  # without a frame or a call before the loop sleeps: some round trips of a fast network
_TICK_S = 0.001  # receive delay of a sleeping port that has no fd; libev rounds waits up to this anyway
_DOZE_S, _DOZE_AFTER_NS = 0.01, 100_000_000  # after so long without a frame: 10 % of a core became 1.5 %, measured
# Where a port has no fd: longer than a tick and a spin. Two such stacks that talk by turns would otherwise each fall
# asleep before the other's tick, for ever: 600 round trips a second where there can be 10,000.
_QUIET_TICK_NS = 4_000_000
_SCRATCH = 256 * 1024  # the largest recv() in one copy; more than one socket buffer's worth
_FAILURES = 10  # turns that raise one after the other before the poller gives up
_NEVER = 2**63 - 1


class Loop(corecext.loop):  # type: ignore[misc]
    """gevent's libev loop, whose io() knows the stack's sockets by their fd."""

    def io(self, fd: int, events: int, ref: bool = True, priority: int | None = None) -> Any:
        """Make a watcher: fed by the stack for an fd of ours, else libev's own."""
        end = _fds.endpoint(fd)
        if end is None:
            return super().io(fd, events, ref, priority)
        return LevelWatcher(self, ref, priority).attach(end, events)

    def closing_fd(self, fd: int) -> bool:
        """Wake up whoever waits for the fd before it is closed."""
        end = _fds.endpoint(fd)
        if end is None:
            return bool(super().closing_fd(fd))
        return False  # Endpoint.close wakes its watchers itself


# gevent.core copies __all__ from the module that the loop's class names as its own.
Loop.__module__ = "gevent.libev.corecext"


def install() -> None:
    """Make gevent use Loop; a hub that runs another libev loop already keeps it, and does."""
    hub = gevent._hub_local.get_hub_if_exists()
    if hub is not None and hub.loop is not None:
        if not isinstance(hub.loop, corecext.loop):
            raise RuntimeError(
                f"greendpdk needs gevent's libev loop, but gevent already runs {type(hub.loop).__module__}: unset "
                "GEVENT_LOOP, or import and patch greendpdk before anything that uses gevent"
            )
        # Its io() does not know our sockets; their stand-in fds are kept in step, so that waiting on them works.
        return
    chosen = gevent.config.loop
    if not issubclass(chosen, corecext.loop):
        raise RuntimeError(
            f"greendpdk needs gevent's libev loop, but gevent is set to {chosen.__module__}: unset GEVENT_LOOP "
            "(libuv has no watcher that runs once in each turn)"
        )
    if chosen is corecext.loop:
        gevent.config.loop = Loop


class Poller:
    """Drive one stack from one hub's loop."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        install()
        self.hub = get_hub()
        self.spinning = False
        self.again: list[LevelWatcher] = []
        self.scratch = ffi.new("char[]", _SCRATCH)
        self.scratch_size = _SCRATCH
        self._busy = stack.settings.poll == "busy"
        self._quiet = _QUIET_TICK_NS if any(port.rx_fd < 0 for port in stack.ports) else _QUIET_NS
        self._pairs = ffi.new("uint32_t[]", 2 * _PAIRS)
        self._pairs_view = memoryview(ffi.buffer(self._pairs)).cast("I")
        self._next_in = ffi.new("int64_t *")
        self._frames = ffi.new("uint32_t *")
        self._last_work = 0
        self._deadline = _NEVER
        self._failures = 0
        self._sleepers: list[Any] = []
        self._ticks: list[Any] = []
        self._marks: list[tuple[Any, Any]] = []  # watchers with what they call, while asleep

    def start(self) -> None:
        """Begin to poll in every turn of the loop."""
        loop = self.hub.loop
        self._prepare = loop.prepare(ref=False)
        self._idle = loop.idle(ref=False)
        self._timer = loop.timer(0, ref=False)
        # Last before the kernel waits and first after it: what is between them the loop sleeps.
        self._marks = [
            (loop.prepare(ref=False, priority=loop.MINPRI), lib.gd_loop_asleep),
            (loop.check(ref=False, priority=loop.MAXPRI), lib.gd_loop_awake),
        ]
        self.notices = Notices(self.stack, self.hub)
        self._prepare.start(self._turn)
        self._sleepers = [loop.io(port.rx_fd, 1, ref=False) for port in self.stack.ports if port.rx_fd >= 0]
        if any(port.rx_fd < 0 for port in self.stack.ports):
            self._ticks = [loop.timer(seconds, seconds, ref=False) for seconds in (_TICK_S, _DOZE_S)]
        self.wake()
        self.notices.start()

    def stop(self) -> None:
        """Poll no more; sockets that are left raise EBADF, and who waits for them wakes up."""
        self.hub.loop.update_now()
        marks = [watcher for watcher, _ in self._marks]
        for watcher in (self._prepare, self._idle, self._timer, *self._sleepers, *self._ticks, *marks):
            watcher.stop()
            watcher.close()
        self._sleepers, self._ticks, self._marks = [], [], []
        self.notices.stop()
        self.spinning = True  # nobody needs to wake it any more
        for end in list(self.stack.sockets.values()):
            end.lose()
        self.stack.sockets.clear()

    def leave(self) -> None:
        """Do nothing more in a forked child: what is looked at is the parent's, and libev aborts on a closed number."""
        for watcher in (*self._sleepers, *self._ticks, *(mark for mark, _ in self._marks)):
            watcher.stop()
        self._ticks, self._marks = [], []
        self.notices.leave()

    def wake(self) -> None:
        """Spin now: something was queued, or something has come."""
        if self.spinning:
            return
        self._idle.start(int)  # a C callable that does nothing; first, as a signal's handler may break in after it
        self._last_work = time.monotonic_ns()
        for watcher in (*self._sleepers, *self._ticks):
            watcher.stop()
        for watcher, _ in self._marks:
            watcher.stop()
        self._timer.stop()
        self._deadline = _NEVER
        self.spinning = True
        if not self.notices.active:
            self.notices.arm()

    def flush(self, seconds: float) -> None:
        """Poll here, without the loop, until the peers have acknowledged everything or the time is over."""
        end = time.monotonic() + seconds
        fds = [port.rx_fd for port in self.stack.ports if port.rx_fd >= 0]
        while lib.gd_stack_unsent(self.stack.c) and (left := end - time.monotonic()) > 0:
            self._poll(0)
            wait = min(left, _TICK_S, max(self._next_in[0], 0) / 1e9)
            if not self._frames[0] and wait > 0:
                _select(fds, [], [], wait)

    def poll(self) -> int:
        """Do one poll now, for an application that computes for long; return the count of events."""
        try:
            return self._poll(0)
        except BaseException:
            self._prepare.start(self._mend)
            raise

    def _turn(self) -> None:
        if self.stack.dead:  # a forked child: the ports are the parent's
            self._prepare.stop()
            self._idle.stop()
            return
        try:
            if self.again:
                again, self.again = self.again, []
                for watcher in again:
                    watcher.refire()
            runnable = self.hub.loop.pendingcnt or len(self.hub.loop._callbacks)
            events = self._poll(_SPIN_NS if self.spinning and not runnable else 0)
            if not self._busy:
                self._adapt(events)
            self._failures = 0
        except Exception as error:
            self._prepare.start(self._mend)
            self._failed(error)
        except BaseException:  # of a signal's handler, where signal.signal is not ours: gevent takes it to main
            self._prepare.start(self._mend)
            raise

    def _mend(self) -> None:
        """Be awake, and tell everybody how things are: a turn was broken off, and what it knew is lost."""
        self._prepare.start(self._turn)
        if not self.stack.dead:
            self.again = []
            self.spinning = False
            self.wake()
            for end in list(self.stack.sockets.values()):
                end.post(end.ready())
        self._turn()

    def _poll(self, spin_ns: int) -> int:
        sockets = self.stack.sockets
        view = self._pairs_view
        total = 0
        while True:
            count: int = lib.gd_live_poll(self.stack.c, spin_ns, self._pairs, _PAIRS, self._next_in, self._frames)
            # Backwards: libev runs what was fed last first, so the first to be ready is served first.
            for at in range(2 * count - 2, -2, -2):
                end = sockets.get(view[at])
                if end is not None:
                    end.post(view[at + 1])
            total += count
            if count < _PAIRS:
                return total

    def _adapt(self, events: int) -> None:
        now = time.monotonic_ns()
        if events or self._frames[0] or self.again:
            self._last_work = now
            if not self.spinning:
                self.wake()
        elif self.spinning:
            if now - self._last_work > self._quiet and self._next_in[0] > 0:
                self._sleep(now)
            else:
                # A spinner that uses up its slice keeps its peer on the same core from answering.
                lib.gd_loop_yield(self.stack.c)
        else:
            self._set_timer(now)

    def _sleep(self, now: int) -> None:
        self.spinning = False
        self._idle.stop()
        for watcher in self._sleepers:
            watcher.start(int)
        for watcher, mark in self._marks:
            watcher.start(mark, self.stack.c)
        self._marks[0][0].feed(1, lib.gd_loop_asleep, self.stack.c)  # libev has listed this turn's already
        if self._ticks:
            self._ticks[0].start(self._tick)
        self._set_timer(now)

    def _tick(self) -> None:
        """The turn has polled; tick less often when nothing has come for long."""
        if self._ticks and time.monotonic_ns() - self._last_work > _DOZE_AFTER_NS:
            self._ticks[0].stop()
            self._ticks[1].start(int)

    def _set_timer(self, now: int) -> None:
        left = self._next_in[0]
        deadline = _NEVER if left == _NEVER else now + left
        if abs(deadline - self._deadline) < 1_000_000 and self._timer.active:  # libev's own resolution
            return
        self._timer.stop()
        self._timer.close()
        self._deadline = deadline
        self._timer = self.hub.loop.timer(max(left, 0) / 1e9 if left != _NEVER else 0, ref=False)
        if left != _NEVER:
            self._timer.start(self._expired, update=True)

    def _expired(self) -> None:
        self._deadline = _NEVER  # the next turn polls, and sets the timer anew
        if not self.notices.active:
            self.notices.arm()  # a lease may have ended

    def _failed(self, error: Exception) -> None:
        """Report, as gevent does for any callback; stop when it goes on, lest the report never ends."""
        by_signal = _places.is_programs(error.__traceback__)  # nothing here calls the program, but for its handlers
        self._failures += not by_signal
        self.hub.handle_error(None if by_signal else self, type(error), error, error.__traceback__)
        if self._failures >= _FAILURES:
            self._prepare.stop()
            self._idle.stop()
            failure = RuntimeError("greendpdk's poller failed and has stopped; the stack is not served any more")
            self.hub.handle_system_error(RuntimeError, failure)


def _select(fds: list[int], writes: list[int], errors: list[int], seconds: float) -> None:
    """Wait in the kernel's select even under the monkey patch: at exit no other greenlet shall run."""
    from gevent.monkey import get_original

    get_original("select", "select")(fds, writes, errors, seconds)


