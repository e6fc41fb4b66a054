"""How a program that `greendpdk run` runs ends: as under `python`, in exit status, output and signals.

Called by __init__.py and run.py; calls _stack.stop.

    ends, SystemExit     the interpreter's own way: status, or the text on stderr and 1
    exception            the program's traceback without our frames and runpy's, by sys.excepthook, and 1
    KeyboardInterrupt    death by SIGINT after atexit, as CPython does it (a shell shows 130); no traceback
    SIGTERM, SIGHUP      where the program leaves them as they are: first what the kernel would do for its sockets

The last row is the one thing that is not left alone. A killed program's kernel sockets are closed by the kernel: their
data goes out, then a FIN. The stack dies with its process, and each peer would wait until its own time-out.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import NoReturn

_GRACE = 5.0  # seconds for data and FINs after SIGTERM: half of what `docker stop` waits before SIGKILL
_FATAL = (signal.SIGTERM, signal.SIGHUP)
_defaults: list[signal.Signals] = []  # those that are to be caught again


def guarded(program: Callable[[], object]) -> int:
    """Run it; show an exception as the interpreter would, without the frames that are ours and runpy's."""
    try:
        program()
    except SystemExit:
        raise
    except KeyboardInterrupt as error:
        if sys.excepthook is not sys.__excepthook__:  # the program has its own, which is to see it
            _show(error)
        interrupted()
    except BaseException as error:
        _show(error)
        return 1
    return 0


def interrupted() -> NoReturn:
    """End as after a KeyboardInterrupt that nobody caught, without its traceback."""
    sys.excepthook = _silent
    raise KeyboardInterrupt


def prepare() -> None:
    """Let SIGTERM and SIGHUP close the stack's sockets if they are to kill."""
    _defaults.extend(number for number in _FATAL if signal.getsignal(number) is signal.SIG_DFL)
    _catch()
    # A child has no sockets of its own to close, and CPython forgets a signal that comes while it forks: for that
    # moment, and in the child, the signals kill.
    os.register_at_fork(before=_release, after_in_parent=_catch)


def _catch() -> None:
    while _defaults:
        signal.signal(_defaults.pop(), _die)


def _release() -> None:
    for number in _FATAL:
        if signal.getsignal(number) is _die:
            with contextlib.suppress(ValueError):  # a native thread forks, which may set none
                signal.signal(number, signal.SIG_DFL)
                _defaults.append(number)


def _die(number: int, _: FrameType | None) -> None:
    """Send what is left and FINs, then die of the signal; a second one kills at once.

    It may run in the midst of the program's code, but not of ours (greendpdk.signal).
    """
    _release()
    from greendpdk import _stack

    try:
        running = _stack.running()
        if running is not None and not running.dead:
            _stack.stop(_GRACE)
    finally:
        os.kill(os.getpid(), number)


def _silent(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)


def _show(error: BaseException) -> None:
    trace = error.__traceback__
    while trace is not None and _is_ours(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    sys.excepthook(type(error), error.with_traceback(trace), trace)


def _is_ours(file: str) -> bool:
    ours = os.path.dirname(__file__)
    return os.path.dirname(file) == ours or file.startswith("<frozen runpy") or os.path.basename(file) == "runpy.py"
