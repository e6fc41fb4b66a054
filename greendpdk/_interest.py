"""What epoll waits with, and select and poll of mixed sets: fds of the stack and the kernel, and who may be ready.

Called by select.py and, as a watcher, by _endpoint.py; calls the engine for the stack's fds, the kernel's epoll for all
others. It is the kernel's own way (fs/eventpoll.c), so a look costs what is ready, not what is registered:

    the stack's event ─► Entry.feed ─► `_ready` ─► collect(): asked again, as another may have read meanwhile
                                          ▲              │ level-triggered and ready: back to the end of the list
                                          └──────────────┘ not ready, or edge-triggered: off, until the next event
    kernel fds, and the kernel's halves of sockets that have both ─► one epoll of the kernel's

An Entry stands among its endpoint's watchers, so a packet costs nothing more than for any other waiter.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from typing import TYPE_CHECKING, Any

from gevent import getcurrent, sleep
from gevent.event import Event
from gevent.hub import get_hub
from gevent.monkey import get_original

from greendpdk import _fds, _running
from greendpdk._endpoint import get_ident, wrong_thread
from greendpdk._native import lib

if TYPE_CHECKING:
    from greendpdk._endpoint import Endpoint

IN, PRI, OUT, ERR, HUP, RDHUP = 0x001, 0x002, 0x004, 0x008, 0x010, 0x2000  # <linux/eventpoll.h>
RDNORM, WRNORM = 0x040, 0x100
EXCLUSIVE, ONESHOT, EDGE = 1 << 28, 1 << 30, 1 << 31
_WITH_EXCLUSIVE = IN | OUT | ERR | HUP | 1 << 29 | EDGE | EXCLUSIVE  # EPOLLEXCLUSIVE_OK_BITS
_EVENTS_OF = (
    (lib.GD_READ, IN | RDNORM), (lib.GD_WRITE, OUT | WRNORM), (lib.GD_PRI, PRI), (lib.GD_ERR, ERR), (lib.GD_HUP, HUP),
    (lib.GD_RDHUP, RDHUP),
)  # fmt: skip
EVENTS = [sum(events for bit, events in _EVENTS_OF if bits & bit) for bits in range(64)]
kernel_epoll = get_original("select", "epoll")
Found = list[tuple[int, int]]


def bits_of(mask: int) -> int:
    """Return the engine's bits of the events; hang-up and errors are always told."""
    return sum(bit for bit, events in _EVENTS_OF if events & (mask | ERR | HUP))


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def stack_end(fd: int) -> Endpoint | None:
    """Find the endpoint that the stack serves by this number; None: ask the kernel about it."""
    end = _fds.adopt(fd)
    if end is None or end.c is None:
        return None
    if get_ident() != end.thread:
        wrong_thread()
    return end


class Entry:
    """One fd of the stack in one set."""

    __slots__ = ("bits", "end", "events", "fd", "half", "interest", "mask")
    active, callback, args = True, None, ()  # what Endpoint.post looks at

    def __init__(self, interest: Interest, fd: int, end: Endpoint, mask: int) -> None:
        self.interest, self.fd, self.end, self.half = interest, fd, end, -1
        self.set(mask)
        end.watchers.append(self)
        self.moved()

    def set(self, mask: int) -> None:
        """Take the events to tell of; hang-up and errors are always told."""
        self.mask = mask
        self.events = mask | ERR | HUP
        self.bits = bits_of(mask)
        self.interest.feed(self)

    def look(self) -> int:
        """Ask for what it is ready for now."""
        return EVENTS[lib.gd_sock_ready(self.end.c)] & self.events if self.end.c is not None else 0

    def told(self, events: int) -> bool:
        """Take note that events were told; return whether to tell of them again while they last."""
        if self.mask & ONESHOT:
            self.events = self.bits = 0
            if self.half >= 0:
                self.interest.epoll().modify(self.half, 0)
        return not self.mask & (ONESHOT | EDGE)

    def feed(self, *_: Any) -> None:
        """Take an event, as a watcher: it may be ready."""
        self.interest.feed(self)

    def fire_later(self) -> None:
        """Take the end of the endpoint: whoever waits looks again."""
        self.interest.feed(self)

    def moved(self) -> None:
        """Follow the socket when it becomes the kernel's, gets a half there, or loses it."""
        interest, end = self.interest, self.end
        if end.c is None and end.k is not None:
            interest.remove(self)
            with contextlib.suppress(OSError):
                interest.epoll().register(self.fd, self.mask)
        elif end.k is not None and self.half < 0:
            self.half = end.k.fileno()
            interest.epoll().register(self.half, self.mask)
            interest.halves[self.half] = self
        elif end.k is None:
            interest.halves.pop(self.half, None)
            self.half = -1

    def drop(self) -> None:
        """Leave the endpoint."""
        if self in self.end.watchers:
            self.end.watchers.remove(self)
        if self.interest.halves.pop(self.half, None) is not None and self.interest.kernel is not None:
            with contextlib.suppress(OSError, ValueError):
                self.interest.kernel.unregister(self.half)
        self.half = -1

    stop = close = drop


class Interest:
    """A set of fds to wait for."""

    def __init__(self, kernel: Any = None) -> None:
        self.kernel = kernel
        self.entries: dict[int, Entry] = {}
        self.halves: dict[int, Entry] = {}  # by the fd of the kernel's half
        self.closed = False
        self._ready: dict[int, Entry] = {}
        self._event = Event()
        self._beacon = -1
        self._kernel_first = False
        self._sleepers = 0
        self._asks_kernel = False  # something may be in its epoll: only then it is asked
        self._watches_kernel = False
        self._watcher: Any = None
        self._hub: Any = None
        self._poller: Any = None

    def epoll(self) -> Any:
        """Return the kernel's epoll, to put a fd in; it is made when there is one."""
        if self.kernel is None:
            self.kernel = kernel_epoll()
        if not self._asks_kernel:
            self._asks_kernel = True
            self._event.set()  # who waits shall wait for it too
        return self.kernel

    # -- what is in it ------------------------------------------------------------------------------

    def add(self, fd: int, mask: int) -> None:
        """Register; EEXIST, EINVAL, and what epoll_ctl(2) raises for a kernel fd."""
        end = stack_end(fd)
        self._present(fd)
        if end is None:
            self.epoll().register(fd, mask)
            return
        if fd in self.entries:
            raise _error(errno.EEXIST)
        if mask & EXCLUSIVE and mask & ~_WITH_EXCLUSIVE:
            raise _error(errno.EINVAL)
        self._poller = end.poller
        if mask & EDGE:
            poll(end.poller)  # an event of before is no edge
        self.entries[fd] = Entry(self, fd, end, mask)

    def change(self, fd: int, mask: int) -> None:
        """Set the events anew, and be ready anew for those that are true; ENOENT, EINVAL."""
        entry = self._present(fd)
        if entry is None:
            self._not_ours(fd)
            self.epoll().modify(fd, mask)
            return
        if (mask | entry.mask) & EXCLUSIVE:
            raise _error(errno.EINVAL)
        entry.set(mask)
        if entry.half >= 0:
            self.epoll().modify(entry.half, mask)

    def discard(self, fd: int) -> None:
        """Unregister; ENOENT."""
        entry = self._present(fd)
        if entry is None:
            self._not_ours(fd)
            self.epoll().unregister(fd)
        else:
            self.remove(entry)

    def _not_ours(self, fd: int) -> None:
        if stack_end(fd) is not None:
            raise _error(errno.ENOENT)  # and not among the kernel's: there it would be the stand-in

    def _present(self, fd: int) -> Entry | None:
        """Find the entry, unless its fd was closed since: then the number may be another's by now."""
        entry = self.entries.get(fd)
        if entry is not None and fd not in entry.end.fds:
            self.remove(entry)
            return None
        return entry

    def remove(self, entry: Entry) -> None:
        """Forget an entry."""
        self.entries.pop(entry.fd, None)
        self._ready.pop(entry.fd, None)
        entry.drop()

    def close(self) -> None:
        """Forget all of them, and wake who waits; closing twice is legal."""
        if self.closed:
            return
        self.closed = True
        for entry in list(self.entries.values()):
            self.remove(entry)
        self._stop_watcher()
        if self._beacon >= 0:
            _fds._close(self._beacon)
            self._beacon = -1
        if self.kernel is not None:
            self.kernel.close()
        self._event.set()

    # -- what is ready ------------------------------------------------------------------------------

    def feed(self, entry: Entry) -> None:
        """Put an entry on the list of those that may be ready."""
        if self._beacon >= 0 and not self._ready and entry.look():
            os.eventfd_write(self._beacon, 1)
        self._ready[entry.fd] = entry
        if self._sleepers:
            self._event.set()

    def collect(self, limit: int) -> Found:
        """Take at most limit fds that are ready, without waiting; the two kinds have precedence by turns."""
        found: dict[int, int] = {}
        self._kernel_first = not self._kernel_first
        parts = (self._collect_kernel, self._collect_stack)
        for part in parts if self._kernel_first else parts[::-1]:
            if len(found) < limit:
                part(found, limit)
        return list(found.items())

    def _collect_kernel(self, found: dict[int, int], limit: int) -> None:
        if not self._asks_kernel:
            return
        for fd, events in self.kernel.poll(0, limit - len(found)):
            if fd == self._beacon:
                continue
            entry = self.halves.get(fd)
            if entry is not None:
                entry.told(events)
                fd = entry.fd
            found[fd] = found.get(fd, 0) | events

    def _collect_stack(self, found: dict[int, int], limit: int) -> None:
        if not self._ready:
            return
        batch, self._ready = self._ready, {}
        again: dict[int, Entry] = {}
        for fd, entry in batch.items():
            if len(found) >= limit:
                self._ready[fd] = entry
            elif fd not in entry.end.fds or not entry.end.open:
                self.remove(entry)
            elif events := entry.look():
                found[fd] = found.get(fd, 0) | events
                if entry.told(events):
                    again[fd] = entry
        self._ready.update(again)
        if self._beacon >= 0 and not self._ready:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._beacon)

    def beacon(self) -> None:
        """Show in the kernel's epoll, too, that fds of the stack are ready: for a set that is in another one."""
        if self._beacon < 0:
            self._ready = {fd: entry for fd, entry in self._ready.items() if entry.look()}
            self._beacon = os.eventfd(1 if self._ready else 0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            self.epoll().register(self._beacon, IN)

    # -- waiting ------------------------------------------------------------------------------------

    def wait(self, seconds: float | None, limit: int) -> Found:
        """Wait for at least one fd to be ready; let the network and other greenlets have a turn in any case."""
        found = self.collect(limit)
        if not found and seconds == 0:
            yield_turn(self._poller)
            return [] if self.closed else self.collect(limit)
        if found:
            yield_turn(self._poller)
            return found
        deadline = None if seconds is None else time.monotonic() + seconds
        while not found:
            left = None if deadline is None else deadline - time.monotonic()
            if self.closed or left is not None and left <= 0:
                break
            self._block(left)
            if not self.closed:
                found = self.collect(limit)
        return found

    def _block(self, seconds: float | None) -> None:
        event, hub = self._event, get_hub()
        event.clear()
        if self._watcher is None or self._hub is not hub or self._asks_kernel != self._watches_kernel:
            self._stop_watcher()
            self._hub, self._watches_kernel = hub, self._asks_kernel
            # An async watcher that nobody sends to never fires; like any watcher it tells the hub that somebody waits.
            self._watcher = hub.loop.io(self.kernel.fileno(), 1) if self._watches_kernel else hub.loop.async_()
        watcher = self._watcher
        if not watcher.active:
            watcher.start(self._wake)
        self._sleepers += 1
        _running.keep()
        try:
            event.wait(seconds)
        finally:
            self._sleepers -= 1
            if not self._sleepers:
                watcher.stop()

    def _wake(self) -> None:
        if self._watcher is not None:
            self._watcher.stop()  # level-triggered: it would go on until the greenlet has had its turn
        self._event.set()

    def _stop_watcher(self) -> None:
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()
            self._watcher = None


def poll(poller: Any) -> None:
    """Let the network have a turn, and hand out its events."""
    if poller is not None and not poller.stack.dead and get_ident() == poller.stack.thread:
        poller.poll()


def yield_turn(poller: Any) -> None:
    """Let the network and the greenlets that can run have a turn: a loop of looks shall not starve them."""
    poll(poller)
    if getcurrent() is not get_hub():
        _running.keep()
        sleep(0)
