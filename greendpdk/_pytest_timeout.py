"""pytest-timeout under --dpdk: its two methods, made to work where threads are greenlets and a hub does the waiting.

Registered by pytest_plugin.py; calls pytest-timeout's own reports.

    signal   Python runs the handler in whatever greenlet is on. In the hub, where a waiting test leaves the processor,
             the exception would be printed and forgotten: it is thrown into the test's greenlet instead
    thread   threading.Timer would be a greenlet, and a test that never waits would never let it run: a native thread
"""

from __future__ import annotations

import gc
import signal
import traceback
from types import FrameType
from typing import Any

import pytest


@pytest.hookimpl(optionalhook=True)
def pytest_timeout_set_timer(item: Any, settings: Any) -> bool:
    """Set the timer in place of pytest-timeout's own (first result); item.cancel_timeout is what that calls."""
    item.cancel_timeout = _by_signal(item, settings) if settings.method == "signal" else _by_thread(item, settings)
    return True


def _by_signal(item: Any, settings: Any) -> Any:
    from greenlet import getcurrent

    test = getcurrent()

    def handler(number: int, frame: FrameType | None) -> None:
        from pytest_timeout import timeout_sigalrm

        __tracebackhide__ = True
        _show_greenlets(item)
        try:
            timeout_sigalrm(item, settings)
        except BaseException as error:
            if getcurrent() is test:
                raise
            _throw(test, error)

    def cancel() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)

    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, settings.timeout)
    return cancel


def _throw(test: Any, error: BaseException) -> None:
    from gevent.hub import get_hub

    get_hub().loop.run_callback(test.throw, error)


def _show_greenlets(item: Any) -> None:
    """Show where each greenlet waits, as pytest-timeout does with threads: they are what a program has here."""
    from gevent.hub import Hub
    from greenlet import greenlet

    terminal = item.config.get_terminal_writer()
    for found in gc.get_objects():
        frame = found.gr_frame if isinstance(found, greenlet) and not isinstance(found, Hub) else None
        if frame is not None:
            terminal.sep("~", title=f"Stack of {getattr(found, 'name', None) or 'the main greenlet'}")
            terminal.write("".join(traceback.format_stack(frame)))


def _by_thread(item: Any, settings: Any) -> Any:
    from greendpdk.monkey import get_original

    start, allocate = get_original("_thread", ["start_new_thread", "allocate_lock"])
    over = allocate()
    over.acquire()

    def wait() -> None:
        if not over.acquire(True, settings.timeout):
            from pytest_timeout import timeout_timer

            if capture := item.config.pluginmanager.getplugin("capturemanager"):
                capture.suspend_global_capture(in_=True)
            _show_greenlets(item)
            timeout_timer(item, settings)

    def cancel() -> None:
        if over.locked():
            over.release()

    start(wait, ())
    return cancel
