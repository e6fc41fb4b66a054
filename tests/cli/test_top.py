"""greendpdk top shows a live process, on a terminal of 80 columns and as text."""
from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from typing import Any

import pytest
from peer import ROOT
from watched import Watched

from greendpdk.cli import _view

pytestmark = pytest.mark.needs("dpdk")


class Terminal:
    """The command on a terminal of 80 by 24."""

    def __init__(self, *words: str) -> None:
        self.fd, other = pty.openpty()
        subprocess.run(["stty", "rows", "24", "cols", "80"], stdin=other, check=True)
        command = [sys.executable, "-m", "greendpdk", "top", "-d", "0.1", *words]
        self.run = subprocess.Popen(command, cwd=ROOT, stdin=other, stdout=other, stderr=other,
                                    env={**os.environ, "TERM": "xterm"})
        os.close(other)
        self.text = ""

    def until(self, word: str, seconds: float = 20) -> None:
        end = time.monotonic() + seconds
        while word not in self.text:
            assert select.select([self.fd], [], [], max(end - time.monotonic(), 0))[0], self.text
            self.text += os.read(self.fd, 1 << 16).decode()

    def end(self) -> int:
        """Return its exit status; the screen is the user's again."""
        self.until("\x1b[?1049l")
        return self.run.wait(20)


@pytest.fixture
def terminal(watched: Watched) -> Iterator[Terminal]:
    """Show the watched process."""
    made = Terminal("-p", str(watched.run.pid))
    yield made
    made.run.kill()
    made.run.wait()
    os.close(made.fd)


def test_the_screen_is_live_and_q_ends_it(watched: Watched, terminal: Terminal) -> None:
    terminal.until("ESTAB 600, LISTEN 1")
    terminal.text = ""
    terminal.until(f"pid {watched.run.pid}")  # drawn again
    os.write(terminal.fd, b"q")
    assert terminal.end() == 0


def test_ctrl_c_ends_it_without_a_traceback(terminal: Terminal) -> None:
    terminal.until("ESTAB 600")
    terminal.run.send_signal(signal.SIGINT)
    assert terminal.end() == 128 + signal.SIGINT
    assert "Traceback" not in terminal.text


def test_sigterm_gives_the_terminal_back(terminal: Terminal) -> None:
    terminal.until("ESTAB 600")
    before = termios.tcgetattr(terminal.fd)[3] & termios.ECHO
    terminal.run.send_signal(signal.SIGTERM)
    assert terminal.end() == 128 + signal.SIGTERM
    assert not before and termios.tcgetattr(terminal.fd)[3] & termios.ECHO


def test_the_end_of_the_process_is_one_sentence() -> None:
    watched = Watched()
    terminal = Terminal("-p", str(watched.run.pid))
    try:
        terminal.until("ESTAB 600")
        watched.end()
        terminal.until(f"greendpdk top: process {watched.run.pid}")  # has ended; or its stack has just stopped
        assert terminal.end() == 1 and "Traceback" not in terminal.text
    finally:
        terminal.run.kill()
        terminal.run.wait()
        os.close(terminal.fd)


def test_batch_is_plain_text_of_80_columns(watched: Watched, greendpdk: Any) -> None:
    text = greendpdk("top", "-b", "-n", "2", "-d", "0.05", "-p", str(watched.run.pid)).stdout
    first, second = text.split("\n\n")
    for screen in (first, second):
        assert screen.startswith("greendpdk top ") and f"pid {watched.run.pid}, up 0:" in screen
        for part in ("loop     busy ", "polls ", "sockets  ESTAB 600, LISTEN 1", "retransmits ", "lo ", "HANDLER"):
            assert part in screen
    assert max(map(len, text.splitlines())) <= 80 and "\x1b" not in text


@pytest.mark.parametrize("words, says", [
    (("-d", "0"), "above 0"), (("-d", "nan"), "nan: give seconds above 0"), (("-d", "inf"), "above 0"),
    (("-p", "1"), "process 1 runs no stack"),
])  # fmt: skip
def test_a_mistake_is_one_sentence(watched: Watched, greendpdk: Any, words: tuple[str, ...], says: str) -> None:
    done = greendpdk("top", "-b", *words, status=1)
    assert says in done.stderr and len(done.stderr.splitlines()) == 1


def look(at: float, received: int, longest: int, moved: int) -> _view.Look:
    loop = {f"{name}_ns": moved for name in ("busy", "polling", "greenlets", "spinning", "asleep", "longest")}
    rows = [{"id": number, "proto": "tcp", "local": f"[2001:db8::{number}:aaaa:bbbb:cccc:dddd]:80", "recv_q": 0,
             "send_q": 9, "peer": "[2001:db8:ffff::1]:50000", "received": received * number} for number in range(1, 40)]
    top = {"loop": {**loop, "polls": moved, "frames": moved, "events": moved}, "states": {"ESTAB": 39},
           "handler/0": {"name": "work", "where": "f (app.py:1)", "count": 2, "total_us": 9000, "longest_us": longest},
           "held/0": {"where": "f (app.py:9)", "ms": 250},
           "port/lo": {"rx_packets": moved, "tx_packets": 0, "rx_bytes": moved, "tx_bytes": 0}}  # fmt: skip
    names = ("buffer_bytes", "tcp_retransmits", "tcp_timeouts", "tcp_fast_retransmits", "tcp_out_of_order",
             "tcp_passive_opens", "tcp_active_opens", "tcp_drop_memory")  # fmt: skip
    return _view.Look(at, top, dict.fromkeys(names, moved), rows)


def test_rates_are_of_the_time_between_two_looks_and_the_busiest_come_first() -> None:
    info = {"pid": 7, "program": "app.py", "since": 0.0}
    screen = _view.Screen(info, look(100.0, 0, 8000, 0), look(102.0, 1000, 8000, 500_000_000))
    lines = [text for text, _ in _view.lines(screen, 80, 24)]
    assert len(lines) <= 24 and max(map(len, lines)) <= 80
    assert lines[0].endswith("pid 7, up 0:01:42")
    assert "busy  25.0%" in lines[2] and "f (app.py:9)" in "\n".join(lines)
    assert "tcp_drop_memory 250000000.0" in "\n".join(lines)
    first = lines[next(at for at, line in enumerate(lines) if line.startswith("LOCAL")) + 1]
    assert first.split()[1:] == ["[2001:db8:f~f::1]:50000", "156k", "0", "9"]


@pytest.mark.parametrize("value, text", [
    (0, "0"), (0.25, "0.2"), (12.4, "12"), (999, "999"), (1000, "1k"), (1234, "1.23k"), (56_789, "56.8k"),
    (4.56e9, "4.56G"),
])  # fmt: skip
def test_numbers_are_short(value: float, text: str) -> None:
    assert _view.number(value) == text
