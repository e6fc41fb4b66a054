"""Find the processes that run a stack, and ask one: DPDK telemetry's protocol over its Unix socket.

Called by the commands that look into a process; calls the kernel. The other side is _telemetry.py there.
A message is one packet (SOCK_SEQPACKET): the command out, JSON {command: answer} back.
"""

from __future__ import annotations

import argparse
import contextlib
import glob
import json
import os
import re
import socket
from collections.abc import Iterator
from typing import Any

from greendpdk._device import runtime_directory

SECONDS = 10.0  # to wait for an answer; a process whose loop is held says so after 3
_MOST = 1 << 20
_AGE = 1e9  # seconds; time.sleep() takes ten times that
_NAME = re.compile(r"greendpdk-([0-9]+)")


class ClientError(Exception):
    """What went wrong, in a sentence for the user."""


class Process:
    """A process that runs a stack, connected."""

    def __init__(self, pid: int, path: str) -> None:
        self.pid, self.path = pid, path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(SECONDS)
        try:
            self._socket.connect(path)
            self._socket.recv(_MOST)  # version, pid, max_output_len
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Process:
        return self

    @property
    def program(self) -> str:
        """What it was started with, in a few words."""
        return _program(self.pid)

    def __exit__(self, *details: object) -> None:
        self._socket.close()

    def ask(self, command: str) -> dict[str, Any]:
        """Return the answer to /greendpdk/<command>; ClientError if there is none, or it is an error."""
        try:
            self._socket.send(f"/greendpdk/{command}".encode())
            data = self._socket.recv(_MOST)
        except TimeoutError:
            raise ClientError(f"process {self.pid} has not answered for {SECONDS:.0f} s") from None
        except OSError as error:
            raise ClientError(f"process {self.pid} has ended ({error.strerror})") from None
        if not data:
            raise ClientError(f"process {self.pid} has ended")
        try:
            (answer,) = json.loads(data, object_hook=_printable).values()
        except (ValueError, AttributeError):
            raise ClientError(f"the answer of process {self.pid} makes no sense: is it of another version?") from None
        if not isinstance(answer, dict):
            asked = command.partition(",")[0]
            raise ClientError(f"process {self.pid} does not know {asked!r}: is it of another version?")
        if "error" in answer:
            raise ClientError(f"process {self.pid}: {answer['error']}")
        return answer

    def pages(self, command: str, words: str = "") -> Iterator[dict[str, Any]]:
        """Yield the rows of an answer that comes in pages; one that moved between two pages may come twice."""
        cursor = "0"
        while True:
            answer = self.ask(f"{command},{cursor}{words}")
            cursor = str(answer.pop("next"))
            yield from answer.values()
            if cursor == "0":
                return


def find() -> list[tuple[int, str]]:
    """List (pid, path of the socket) of every process that this user may ask, whether it lives or not."""
    own = [os.environ.get(name) for name in ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR")]
    own += ["/var/run", "/tmp", runtime_directory()]
    if os.geteuid() == 0:
        own += [*glob.glob("/run/user/*"), *glob.glob("/tmp/greendpdk-*")]
    found: dict[str, int] = {}
    for place in own:
        for path in glob.glob(f"{glob.escape(place)}/dpdk/greendpdk-*/dpdk_telemetry.v2") if place else ():
            if match := _NAME.fullmatch(os.path.basename(os.path.dirname(path))):
                found[os.path.realpath(path)] = int(match[1])
    return sorted((pid, path) for path, pid in found.items())


def processes() -> list[Process]:
    """Connect to all that live and let us."""
    found = []
    for pid, path in find():
        with contextlib.suppress(OSError):
            found.append(Process(pid, path))
    return found


def add_option(parser: argparse.ArgumentParser) -> None:
    """Offer -p/--pid."""
    parser.add_argument("-p", "--pid", type=int, metavar="PID", help="the process (default: the only one that runs)")


def check_seconds(option: str, value: float | None) -> None:
    """Refuse a time that no clock can wait for; None: it is not given."""
    if value is not None and not 0 < value < _AGE:
        raise ClientError(f"{option} {value:g}: give seconds above 0")


def choose(pid: int | None) -> Process:
    """Connect to the process of that pid, or to the only one there is."""
    found = processes()
    for process in found:
        if process.pid == pid or (pid is None and len(found) == 1):
            for other in found:
                if other is not process:
                    other.__exit__()
            return process
    for process in found:
        process.__exit__()
    if pid is not None:
        raise ClientError(f"process {pid} runs no stack that this user may ask; {_others(found)}")
    raise ClientError(f"which of them? Give -p PID: {_hint(found)}" if found else _hint(found))


def _others(found: list[Process]) -> str:
    return f"these do: {_hint(found)}" if found else _hint(found)


def _hint(found: list[Process]) -> str:
    if not found:
        return (
            "no process of this user runs greendpdk with telemetry (it is off with telemetry=off, and with vdev=none "
            "unless telemetry=on)"
        )
    return ", ".join(f"{process.pid} ({process.program})" for process in found)


def _program(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
    except OSError:
        return "?"
    return _plain(b" ".join(words[1:4]).decode(errors="replace").strip()[:60])


def _plain(text: str) -> str:
    """Let another user's process say nothing to this one's terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _printable(answer: dict[str, Any]) -> dict[str, Any]:
    return {_plain(name): _plain(value) if isinstance(value, str) else value for name, value in answer.items()}
