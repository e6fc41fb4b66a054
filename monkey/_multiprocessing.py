"""multiprocessing in a patched program: waiting for its pipes and semaphores does not hold the loop.

Put in place by _patch.py with os. A Pool's handlers are threads that read pipes: as greenlets, the first blocking read
held all of them, for ever. And a child that multiprocessing forks goes on with the greenlet that forked alone, as
fork(2) has it for threads: copies of the others would read their parent's pipes and accept its connections.
"""

from __future__ import annotations

import functools
import gc
import multiprocessing
import os
import time
from collections.abc import Callable
from typing import Any

import gevent
from gevent.hub import get_hub
from gevent.libev import corecext
from gevent.monkey import get_original
from gevent.os import fork_and_watch
from gevent.socket import wait_read, wait_write

_LONGEST_S = 0.01  # between two tries of a semaphore, which no loop can wait for
_PIPE_BUF = 4096  # bytes that a pipe takes without waiting once it is writable: pipe(7)
_set_blocking = get_original("os", "set_blocking")


def _read(fd: int, size: int) -> bytes:
    while True:
        wait_read(fd)
        try:
            return os.read(fd, size)
        except BlockingIOError:  # of a socket, which is non-blocking after the patch
            continue


def _write(fd: int, data: Any) -> int:
    while True:
        wait_write(fd)
        try:
            return os.write(fd, memoryview(data)[:_PIPE_BUF])
        except BlockingIOError:
            continue


def _acquire(acquire: Callable[..., bool], block: bool = True, timeout: float | None = None) -> bool:
    """Acquire a semaphore; while another process has it, try again and again."""
    end = None if timeout is None else time.monotonic() + timeout
    wait = 0.0001
    while not acquire(False):
        left = wait if end is None else end - time.monotonic()
        if not block or left <= 0:
            return False
        gevent.sleep(min(wait, left))
        wait = min(2 * wait, _LONGEST_S)
    return True


def _watched(spawn: Callable[..., int]) -> Callable[..., int]:
    """Have os.waitpid wait for a program as for a forked child: libev takes the status of every child that ends."""

    @functools.wraps(spawn)
    def spawn_and_watch(*args: Any) -> int:
        loop = get_hub().loop
        if not loop.default:
            return spawn(*args)
        loop.install_sigchld()
        return int(fork_and_watch(fork=functools.partial(spawn, *args)))

    return spawn_and_watch


def _go_on_alone(_: Any) -> None:
    """In a child: have nothing wake the copies of the parent's greenlets."""
    method = getattr(multiprocessing.current_process(), "_start_method", None) or multiprocessing.get_start_method()
    if method != "fork":
        return  # another program, whose greenlets are its own
    for waiting in get_hub().loop._callbacks:
        waiting.stop()
    for watcher in gc.get_objects():
        if isinstance(watcher, corecext.io | corecext.timer):
            watcher.stop()


@functools.cache
def install() -> None:
    """Change multiprocessing's classes, once."""
    from multiprocessing import connection, util
    from multiprocessing.synchronize import SemLock

    pipe = connection.Pipe

    def blocking_pipe(duplex: bool = True) -> Any:
        ends = pipe(duplex)
        for end in ends:
            _set_blocking(end.fileno(), True)  # a child without the patch reads it as it is
        return ends

    def make_methods(self: Any) -> None:
        self.acquire = functools.partial(_acquire, self._semlock.acquire)
        self.release = self._semlock.release

    connection.Pipe = functools.wraps(pipe)(blocking_pipe)
    connection.Connection._recv.__defaults__ = (_read,)  # type: ignore[attr-defined]
    connection.Connection._send.__defaults__ = (_write,)  # type: ignore[attr-defined]
    SemLock._make_methods = make_methods  # type: ignore[attr-defined]
    SemLock.__enter__ = lambda self: self.acquire()  # type: ignore[method-assign]
    util.spawnv_passfds = _watched(util.spawnv_passfds)
    util.register_after_fork(_go_on_alone, _go_on_alone)
