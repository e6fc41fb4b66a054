"""One wait for many sockets: what select and poll sleep in.

Called by select.py and, as a watcher, by _endpoint.py. Where _interest.py keeps a set from wait to wait, this is made
for one and costs two list operations a socket. Whoever wakes up looks again: an event may be over by then.

    the stack's event ─────────────► Mark.feed ─► one watcher ─► the greenlet
    the kernel's fd ─► libev's own ──────┘
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from gevent.hub import get_hub
from gevent.timeout import Timeout

from greendpdk import _running

if TYPE_CHECKING:
    from greendpdk._endpoint import Endpoint


class Mark:
    """What stands among the watchers of each endpoint of which the same events are awaited."""

    __slots__ = ("_watcher", "bits")
    callback, args = None, ()  # what Endpoint.post looks at

    def __init__(self, watcher: Any, bits: int) -> None:
        self._watcher, self.bits = watcher, bits

    @property
    def active(self) -> bool:
        """Tell whether somebody waits."""
        return bool(self._watcher.active)

    def feed(self, *_: object) -> None:
        """Take an event, as a watcher."""
        if self._watcher.active:
            self._watcher.feed(1, self._watcher.callback, *self._watcher.args)

    moved = feed  # the socket has become the kernel's, or has a half there now: to be waited for otherwise

    def fire_later(self) -> None:
        """Take the end of the stack, whose poller may have stopped: as one of gevent's callbacks."""
        self._watcher.loop.run_callback(self.feed)


def wait(
    sets: Iterable[tuple[Iterable[Endpoint], int]], kernel: Iterable[tuple[int, int]], seconds: float | None
) -> None:
    """Wait until one of the events comes, or the time is over: GD_ bits of endpoints, libev's events of kernel fds."""
    hub = get_hub()
    watcher = hub.loop.fork()  # fed, as in _watcher.py
    marks = [(Mark(watcher, bits), ends) for ends, bits in sets]
    for mark, ends in marks:
        for end in ends:
            end.watchers.append(mark)
    kernels = [hub.loop.io(fd, events, ref=False) for fd, events in kernel]
    for io in kernels:
        io.start(Mark(watcher, 0).feed)
    late = Timeout._start_new_or_dummy(seconds)
    _running.keep()
    try:
        hub.wait(watcher)
    except Timeout as timeout:
        if timeout is not late:
            raise
    finally:
        late.close()
        for io in kernels:
            io.stop()
            io.close()
        for mark, ends in marks:
            for end in ends:
                if mark in end.watchers:  # a forked child has dropped them
                    end.watchers.remove(mark)
        watcher.close()
