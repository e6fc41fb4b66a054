"""greendpdk top: a live screen of a running process: its ports, connections, losses, its loop and who holds it.

Called by cli/__init__.py; calls _client.py, _view.py for the lines, and rich for the screen.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import select
import shutil
import signal
import sys
import time
from collections.abc import Iterator

from greendpdk.cli import _client, _view

_CONNECTIONS = 2000  # looked at; each page of some 60 holds the process's loop for a millisecond


def main(words: list[str]) -> int:
    """Show it until q, Ctrl-C, or the process ends; 1 if there is nobody to ask."""
    options = _parser().parse_args(words)
    try:
        _client.check_seconds("--delay", options.delay)
        with _client.choose(options.pid) as process:
            _run(process, options)
    except _client.ClientError as error:
        print(f"greendpdk top: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="greendpdk top", description="Show live what a process does that runs over greendpdk.",
        epilog="keys: q ends it. Rates are of the last DELAY seconds",
    )  # fmt: skip
    _client.add_option(parser)
    parser.add_argument("-d", "--delay", type=float, default=1.0, metavar="SECONDS", help="between two looks (1)")
    parser.add_argument("-n", "--count", type=int, metavar="N", help="end after N screens")
    parser.add_argument("-b", "--batch", action="store_true", help="plain text, one screen after the other")
    return parser


def _run(process: _client.Process, options: argparse.Namespace) -> None:
    batch = options.batch or not (sys.stdin.isatty() and sys.stdout.isatty())
    screens = itertools.islice(_screens(process, options.delay, None if batch else sys.stdin.fileno()), options.count)
    if batch:
        for number, screen in enumerate(screens):
            lines = _view.lines(screen, shutil.get_terminal_size((80, 50)).columns, None)
            print(*([""] if number else []), *(text for text, _ in lines), sep="\n", flush=True)
        return
    _live(screens)


def _live(screens: Iterator[_view.Screen]) -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console()
    # The terminal is put back at these two as well.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    with _keys(), Live(console=console, screen=True, auto_refresh=False) as live:
        live.update(Text("looking ..."), refresh=True)
        for screen in screens:
            text = Text(no_wrap=True, overflow="crop")
            for line, style in _view.lines(screen, console.width, console.height - 1):
                text.append(f"{line}\n", style)
            live.update(text, refresh=True)


@contextlib.contextmanager
def _keys() -> Iterator[None]:
    """Let a key be read when it is hit."""
    import termios
    import tty

    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    tty.setcbreak(fd)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def _screens(process: _client.Process, delay: float, keys: int | None) -> Iterator[_view.Screen]:
    """Yield one every `delay` seconds, until q is hit."""
    info = process.ask("info")
    info["since"] = time.monotonic() - info["uptime_s"]
    before = _look(process)
    while not _wait(keys, delay):
        now = _look(process)
        yield _view.Screen(info, before, now)
        before = now


def _wait(keys: int | None, delay: float) -> bool:
    """Return True if q was hit."""
    if keys is None:
        time.sleep(delay)
        return False
    end = time.monotonic() + delay
    while (left := end - time.monotonic()) > 0:
        if select.select([keys], [], [], left)[0] and os.read(keys, 1) in (b"q", b"Q", b"\x04", b""):
            return True
    return False


def _look(process: _client.Process) -> _view.Look:
    top, counters = process.ask("top"), process.ask("counters")
    rows = list(itertools.islice(process.pages("sockets"), _CONNECTIONS))
    return _view.Look(time.monotonic(), top, counters, rows)
