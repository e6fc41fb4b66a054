"""The standard library's select module over the stack's sockets and kernel fds in one set: select, poll, epoll.

Called by applications (as `select` after monkey.patch_all()), the standard selectors and gevent.select; calls the
engine for our fds, the kernel for the others; waits in _arrivals.py, or, where only epoll can, in _interest.py as epoll
does. Only the calling greenlet waits. A socket object of ours is asked as it is, which needs no number.
"""

from __future__ import annotations

import errno
import math
import operator
import os
import select as _kernel
import time
import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Self

import gevent.select as _gevent
from gevent.monkey import get_original

from greendpdk import _arrivals, _fds
from greendpdk._endpoint import Endpoint, get_ident, wrong_thread
from greendpdk._interest import EDGE, ERR, EVENTS, HUP, IN, OUT, PRI, RDHUP, Found, Interest, bits_of, yield_turn
from greendpdk._native import lib
from greendpdk._raw import RawSocket
from greendpdk._stack import running
from greendpdk._watcher import READ, READ_BITS, WRITE, WRITE_BITS
from greendpdk._wrapper import socket

if TYPE_CHECKING:  # the names that are put there below, in the standard library's types
    from select import *  # noqa: F403
else:
    error = OSError

__implements__ = ["epoll", "poll", "select"]
__all__ = ["epoll", "error", "poll", "select"]
for _name in vars(_kernel):
    if _name.startswith(("EPOLL", "POLL", "PIPE")):
        globals()[_name] = getattr(_kernel, _name)
        __all__.append(_name)

_select, _poll, _epoll = get_original("select", ["select", "poll", "epoll"])
_READABLE, _WRITABLE, _EXCEPTIONAL = IN | HUP | ERR | RDHUP, OUT | ERR, PRI  # POLLIN_SET etc. of fs/select.c
_BITS = (READ_BITS, WRITE_BITS & ~lib.GD_HUP, lib.GD_PRI)  # the same in the engine's bits
_LIBEV = {IN: READ, OUT: WRITE, IN | OUT: READ | WRITE}  # other masks are epoll's to wait for
_FD_SETSIZE = 1024
_INT_MAX = 2**31 - 1
Parted = tuple[list[tuple[Any, Endpoint]], dict[int, list[Any]]]  # (item, endpoint) of ours; the kernel's by their fd


def _fileno(item: Any) -> int:
    """Do as PyObject_AsFileDescriptor."""
    if isinstance(item, int):
        fd: Any = item
    else:
        ask = getattr(item, "fileno", None)
        if ask is None:
            raise TypeError("argument must be an int, or have a fileno() method.")
        fd = ask()
        if not isinstance(fd, int):
            raise TypeError("fileno() returned a non-integer")
    if fd < 0:
        raise ValueError(f"file descriptor cannot be a negative integer ({fd})")
    return int(fd)


def _stack_end(fd: int) -> Endpoint | None:
    end = _fds.endpoint(fd)
    if end is None or end.c is None:
        return None
    if get_ident() != end.thread:
        wrong_thread()
    return end


# -- select -----------------------------------------------------------------------------------------


def select(  # type: ignore[no-redef]
    rlist: Iterable[Any], wlist: Iterable[Any], xlist: Iterable[Any], timeout: Any = None
) -> Any:
    """Wait until a file object is readable, writable or exceptional, or timeout seconds are over; three lists."""
    if timeout is not None:
        if not hasattr(timeout, "__float__") and not hasattr(timeout, "__index__"):
            raise TypeError("timeout must be a float or None")
        timeout = float(timeout)
        if math.isnan(timeout):
            raise ValueError("Invalid value NaN (not a number)")
        if timeout < 0:
            raise ValueError("timeout must be non-negative")
    lists: list[Any] = [each if isinstance(each, list | tuple) else list(each) for each in (rlist, wlist, xlist)]
    if timeout == 0:
        yield_turn(_poller_of_stack())
        return _look([_parted(items) for items in lists])
    sets = [_parted(items) for items in lists]
    ready = _look(sets)
    if any(ready):
        yield_turn(_poller_of_stack())
        return ready
    deadline = None if timeout is None else time.monotonic() + timeout
    while (awaited := _awaited(sets)) is not None:
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            return ready
        _arrivals.wait(*awaited, left)
        ready = _look(sets)
        if any(ready):
            return ready
        if awaited[1]:
            break  # libev would tell for ever what select does not ask for, a hang-up; epoll tells it once
    masks: dict[int, int] = {}
    for items, mask in zip(lists, (_READABLE, _WRITABLE, _EXCEPTIONAL), strict=True):
        for item in items:
            fd = _fileno(item)
            masks[fd] = masks.get(fd, 0) | mask
    return _wait(masks, deadline, lambda: _look([_parted(items) for items in lists]), any)


def _poller_of_stack() -> Any:
    stack = running()
    return None if stack is None else stack.poller


def _wait(masks: dict[int, int], deadline: float | None, look: Callable[[], Any], is_ready: Callable[..., bool]) -> Any:
    """Look again whenever something of it is ready, until look() finds it too or the time is over."""
    interest = Interest()
    try:
        for fd, mask in masks.items():
            try:
                interest.add(fd, mask & 0x2FFF | EDGE)  # else what look() does not ask for, a hang-up, is told for ever
            except PermissionError:
                continue  # a regular file: always ready for what look() has asked for
        while True:
            left = None if deadline is None else max(deadline - time.monotonic(), 0)
            interest.wait(left, len(masks) or 1)
            ready = look()
            if is_ready(ready) or left is not None and time.monotonic() >= (deadline or 0):
                return ready
    finally:
        interest.close()


def _select_now(rlist: Any, wlist: Any, xlist: Any, timeout: float) -> Any:
    """Ask once, without waiting: our sockets here, the rest in the kernel."""
    return _look([_parted(rlist), _parted(wlist), _parted(xlist)])


def _parted(items: Any) -> Parted:
    """Part a list; a socket of the stack needs no number to be asked."""
    ours: list[tuple[Any, Endpoint]] = []
    theirs: dict[int, list[Any]] = {}
    for item in items:
        raw = item._sock if item.__class__ is socket else None
        if raw.__class__ is RawSocket and raw._fd < 0 and not raw._closed and raw.end.c is not None:
            if get_ident() != raw.end.thread:
                wrong_thread()
            ours.append((item, raw.end))
            continue
        fd = _fileno(item)
        end = _stack_end(fd)
        if end is not None:
            ours.append((item, end))
        else:
            theirs.setdefault(fd, []).append(item)
    return ours, theirs


def _look(sets: list[Parted]) -> tuple[list[Any], list[Any], list[Any]]:
    """Return which items of each list are ready."""
    (reads, kernel_r), (writes, kernel_w), (exceptions, kernel_x) = sets
    ours = _ready(reads, _BITS[0]), _ready(writes, _BITS[1]), _ready(exceptions, _BITS[2])
    if not (kernel_r or kernel_w or kernel_x):
        return ours
    found = _select(list(kernel_r), list(kernel_w), list(kernel_x), 0)
    for mine, theirs, fds in zip(ours, (kernel_r, kernel_w, kernel_x), found, strict=True):
        mine += [item for fd in fds for item in theirs[fd]]
    return ours


def _ready(ours: list[tuple[Any, Endpoint]], bits: int) -> list[Any]:
    if not ours:
        return []
    ask = lib.gd_sock_ready
    return [item for item, end in ours if (ask(end.c) if end.k is None and end.c is not None else end.ready()) & bits]


def _awaited(sets: list[Parted]) -> tuple[list[tuple[list[Endpoint], int]], list[tuple[int, int]]] | None:
    """Return what _arrivals.wait takes; None: only epoll waits for the kernel's exceptions, or one is closed by now."""
    if sets[2][1]:
        return None
    ends, kernel = [], []
    for (ours, theirs), bits, events in zip(sets, _BITS, (READ, WRITE, 0), strict=True):
        ends.append(([end for _, end in ours], bits))
        kernel += [(fd, events) for fd in theirs]
        for _, end in ours:
            if end.c is None or end.k is not None and not events:
                return None
            if end.k is not None:
                kernel.append((end.k.fileno(), events))
    return ends, kernel


_gevent._original_select = _select_now  # gevent.select.select asks it before it waits


# -- poll -------------------------------------------------------------------------------------------


class poll:  # type: ignore[no-redef]
    """Make a polling object, as select.poll; a class, as a function would be bound where it is a class's attribute."""

    def __new__(cls) -> Polling:  # type: ignore[misc]
        made = object.__new__(Polling)
        made._kernel, made._masks, made._polling = _poll(), {}, False
        return made


class Polling:
    """What select.poll() returns."""

    _kernel: Any
    _masks: dict[int, int]
    _polling: bool

    def __new__(cls) -> Polling:
        raise TypeError(f"cannot create '{cls.__module__}.{cls.__name__}' instances")

    def register(self, fd: Any, eventmask: int = IN | PRI | OUT, /) -> None:
        """Add a file descriptor, or set its events."""
        number = _fileno(fd)
        _fds.endpoint(number)  # forgets a number that was closed behind our back: _look does not ask each time
        self._kernel.register(number, eventmask)
        self._masks[number] = eventmask

    def modify(self, fd: Any, eventmask: int, /) -> None:
        """Set the events of a file descriptor; FileNotFoundError if it was not registered."""
        number = _fileno(fd)
        self._kernel.modify(number, eventmask)
        self._masks[number] = eventmask

    def unregister(self, fd: Any, /) -> None:
        """Remove a file descriptor; KeyError if it was not registered."""
        number = _fileno(fd)
        self._kernel.unregister(number)
        del self._masks[number]

    def poll(self, timeout: Any = None, /) -> Found:
        """Wait for events, at most timeout milliseconds (None or negative: for ever); return (fd, events) pairs."""
        seconds = _from_milliseconds(timeout)
        if self._polling:
            raise RuntimeError("concurrent poll() invocation")
        self._polling = True
        try:
            return self._wait(seconds)
        finally:
            self._polling = False

    def _wait(self, seconds: float | None) -> Found:
        if seconds == 0:
            yield_turn(_poller_of_stack())
            return self._look()[0]
        found, awaited = self._look()
        if found:
            yield_turn(_poller_of_stack())
            return found
        deadline = None if seconds is None else time.monotonic() + seconds
        while awaited is not None:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return found
            _arrivals.wait([(ends, bits_of(mask)) for mask, ends in awaited[0].items()], awaited[1], left)
            found, awaited = self._look()
            if found:
                return found
        return _wait(dict(self._masks), deadline, lambda: self._look()[0], bool)  # type: ignore[no-any-return]

    def _look(self) -> tuple[Found, tuple[dict[int, list[Endpoint]], list[tuple[int, int]]] | None]:
        """Return what is ready, and what to wait for: endpoints by their mask, kernel fds; None: only epoll can."""
        ours: dict[int, int] = {}
        sets: dict[int, list[Endpoint]] = {}
        kernel: list[tuple[int, int]] = []
        table, thread, ready = _fds._table, get_ident(), lib.gd_sock_ready
        for fd, mask in self._masks.items():
            end = table.get(fd)
            if end is None or end.c is None:
                kernel.append((fd, _LIBEV.get(mask, 0)))
                continue
            if end.thread != thread:
                wrong_thread()
            if end.k is not None:
                kernel.append((end.k.fileno(), _LIBEV.get(mask, 0)))
            ours[fd] = EVENTS[ready(end.c) if end.k is None else end.ready()] & (mask | ERR | HUP)
            sets.setdefault(mask, []).append(end)
        awaited = (sets, kernel) if all(events for _, events in kernel) else None
        if len(ours) == len(self._masks):
            return [(fd, events) for fd, events in ours.items() if events], awaited
        # The kernel sees the stand-ins of ours: what it says of them counts for nothing.
        found = dict(self._kernel.poll(0)) | ours
        return [(fd, found[fd]) for fd in self._masks if found.get(fd)], awaited


def _from_milliseconds(timeout: Any) -> float | None:
    if timeout is None:
        return None
    if not hasattr(timeout, "__float__") and not hasattr(timeout, "__index__"):
        raise TypeError("timeout must be an integer or None")
    milliseconds = math.ceil(timeout) if timeout > 0 else math.floor(timeout)  # -0.1 is for ever, as in CPython
    if milliseconds > _INT_MAX:
        raise OverflowError("timeout is too large")
    return None if milliseconds < 0 else milliseconds / 1000


# -- epoll ------------------------------------------------------------------------------------------


class epoll:  # type: ignore[no-redef]
    """As select.epoll; its fd is an epoll of the kernel's, where the kernel's fds are."""

    _sets: weakref.WeakValueDictionary[int, Interest] = weakref.WeakValueDictionary()

    def __init__(self, sizehint: int = -1, flags: int = 0) -> None:
        kernel = _epoll(sizehint, flags)
        self._open(Interest(kernel), kernel.fileno())

    def _open(self, interest: Interest, fd: int) -> None:
        self._interest, self._fd, self._closed = interest, fd, False
        self._sets[fd] = interest

    @classmethod
    def fromfd(cls, fd: int, /) -> Self:
        """Make one of an fd of an epoll; of one of ours, it has the same set."""
        known = cls._sets.get(fd)
        made = cls.__new__(cls)
        made._open(Interest(_epoll.fromfd(fd)) if known is None or known.closed else known, fd)
        made._interest.epoll()  # what is in it already
        return made

    @property
    def closed(self) -> bool:
        """Tell whether it is closed."""
        return self._closed

    def _set(self) -> Interest:
        if self._closed:
            raise ValueError("I/O operation on closed epoll object")
        if self._interest.closed:  # through another object with the same fd
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self._interest

    def fileno(self) -> int:
        """Return its fd: readable, to select and to another epoll, when something in the set is ready."""
        self._set().beacon()
        return self._fd

    def close(self) -> None:
        """Close it; closing twice is legal."""
        self._closed = True
        self._interest.close()

    def register(self, fd: Any, eventmask: int = IN | PRI | OUT) -> None:
        """Add a file descriptor: FileExistsError if it is there, PermissionError if it cannot be waited for."""
        self._set().add(_fileno(fd), operator.index(eventmask) & 0xFFFFFFFF)

    def modify(self, fd: Any, eventmask: int) -> None:
        """Set the events of a file descriptor: FileNotFoundError if it is not registered."""
        self._set().change(_fileno(fd), operator.index(eventmask) & 0xFFFFFFFF)

    def unregister(self, fd: Any) -> None:
        """Remove a file descriptor: FileNotFoundError if it is not registered."""
        self._set().discard(_fileno(fd))

    def poll(self, timeout: Any = None, maxevents: int = -1) -> Found:
        """Wait for events, at most timeout seconds (None or negative: for ever); return (fd, events) pairs."""
        interest = self._set()
        if timeout is not None:
            if not hasattr(timeout, "__float__") and not hasattr(timeout, "__index__"):
                raise TypeError("timeout must be an integer or None")
            if timeout * 1000 > _INT_MAX:
                raise OverflowError("timeout is too large")
            timeout = None if timeout < 0 else timeout
        if maxevents == -1:
            maxevents = _FD_SETSIZE - 1
        elif maxevents <= 0:
            raise ValueError(f"maxevents must be greater than 0, got {maxevents}")
        return interest.wait(timeout, maxevents)

    def __enter__(self) -> Self:
        self._set()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if "_interest" in vars(self):
            self.close()


