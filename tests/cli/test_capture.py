"""greendpdk capture writes what tshark reads, and ends as it was told to."""
from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from peer import ROOT
from watched import Watched

pytestmark = [pytest.mark.needs("dpdk"), pytest.mark.needs("tshark")]


def tshark(path: Path, *fields: str) -> list[list[str]]:
    words = ["tshark", "-r", str(path), "-T", "fields", *(word for field in fields for word in ("-e", field))]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_tshark_reads_a_capture(watched: Watched, greendpdk: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.pcapng"
    watched.do("talk")
    done = greendpdk("capture", "-p", str(watched.run.pid), "-c", "20", str(path), "tcp and greater 100")
    watched.line()
    rows = tshark(path, "frame.interface_name", "frame.packet_flags_direction", "tcp.len", "ip.src")
    assert len(rows) == 20 and "20 frames captured" in done.stderr
    assert {(name, int(flags, 16), source) for name, flags, _, source in rows} == {("lo", 1, "127.0.0.1")}
    assert all(int(length) % 100 == 0 for _, _, length, _ in rows)


def test_ctrl_c_ends_it_with_a_whole_file(watched: Watched, tmp_path: Path) -> None:
    path = tmp_path / "x.pcapng"
    words = [sys.executable, "-m", "greendpdk", "capture", "-p", str(watched.run.pid), str(path)]
    run = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    while not path.exists() or not path.stat().st_size:  # the header is there once it captures
        assert run.poll() is None
        os.sched_yield()
    watched.do("talk")
    watched.line()
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=20)
    assert run.returncode == 0 and "frames captured" in said
    tshark(path, "frame.number")


def test_the_next_capture_can_begin_when_one_has_ended(watched: Watched, greendpdk: Any, tmp_path: Path) -> None:
    for name in ("a", "b"):
        greendpdk("capture", "-p", str(watched.run.pid), "-d", "0.1", str(tmp_path / name))


def test_options_may_come_after_the_file_and_the_filter(watched: Watched, greendpdk: Any, tmp_path: Path) -> None:
    greendpdk("capture", str(tmp_path / "x"), "-p", str(watched.run.pid), "tcp", "port", "80", "-d", "0.1")


def test_a_wrong_filter_is_one_sentence(watched: Watched, greendpdk: Any, tmp_path: Path) -> None:
    done = greendpdk("capture", "-p", str(watched.run.pid), str(tmp_path / "x"), "tcp porto", status=1)
    assert "syntax error" in done.stderr and len(done.stderr.splitlines()) == 1
    assert "FilterError" not in done.stderr


def test_a_terminal_is_told_how_to_see_and_how_to_end(watched: Watched, tmp_path: Path) -> None:
    fd, other = pty.openpty()
    words = [sys.executable, "-m", "greendpdk", "capture", "-d", "0", "-p", str(watched.run.pid)]
    for name, status in (("-", 1), (str(tmp_path / "x.pcapng"), 0)):
        assert subprocess.run([*words, name], cwd=ROOT, stdout=other, stderr=other, timeout=60,
                              check=False).returncode == status
    os.close(other)
    said = b""
    with contextlib.suppress(OSError):  # EIO at its end
        while data := os.read(fd, 4096):
            said += data
    os.close(fd)
    first, second, third = said.decode().splitlines()
    assert first == "greendpdk capture: a terminal shows no pcapng: name a file, or add | tshark -r -"
    assert second.startswith(f"capturing from {watched.run.pid} (") and second.endswith("x.pcapng; Ctrl-C ends it")
    assert third == "0 frames captured"


def test_a_time_that_makes_no_sense_is_refused(greendpdk: Any) -> None:
    done = greendpdk("capture", "-d", "nan", "-", status=1)
    assert done.stderr == "greendpdk capture: --duration nan: give seconds above 0\n"
