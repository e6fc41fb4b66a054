"""greendpdk capture: the frames of a running process, to a pcapng file or a pipe.

Called by cli/__init__.py; calls _client.py. The process sends them to a Unix socket that this one makes, so the file is
this user's, and the capture ends with this command however it ends.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import BinaryIO

from greendpdk.cli import _client

_PACKET = 6  # the block type of a frame
_FILTER_MOST = 700  # bytes: DPDK reads a command of 1,024


def main(words: list[str]) -> int:
    """Capture until the count, the time or Ctrl-C."""
    options = _parser().parse_intermixed_args(words)
    file, *wanted = options.words
    try:
        if file == "-" and sys.stdout.isatty():
            raise _client.ClientError("a terminal shows no pcapng: name a file, or add | tshark -r -")
        _client.check_seconds("--duration", options.duration or None)
        with _client.choose(options.pid) as process, _listener(process.pid) as listener:
            process.ask(f"capture,{listener.getsockname()},{options.snaplen},{_filter(wanted)}")
            connection, _ = listener.accept()
            with connection, _open(file) as out:
                _begin(process, file)
                frames = _copy(connection, out, options)
                _report(process, frames)
    except (_client.ClientError, OSError) as error:
        print(f"greendpdk capture: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="greendpdk capture",
        usage="greendpdk capture [-h] [-p PID] [-c N] [-d SECONDS] [-s BYTES] FILE [FILTER ...]",
        description="Write the frames of a process that runs over greendpdk to a file that "
        "Wireshark and tshark read, with their direction; one that was dropped has the counter's name as its comment.",
        epilog="FILTER is pcap-filter(7)'s: tcp port 80 and host 10.0.0.1.   greendpdk capture - | tshark -r -",
    )  # fmt: skip
    _client.add_option(parser)
    parser.add_argument("-c", "--count", type=int, metavar="N", help="end after N frames")
    parser.add_argument("-d", "--duration", type=float, metavar="SECONDS", help="end after that time")
    parser.add_argument("-s", "--snaplen", type=int, default=0, metavar="BYTES", help="of each frame (default: all)")
    parser.add_argument("words", nargs="+", metavar="FILE [FILTER ...]", help="a .pcapng file, or - for standard "
                        "output; then which frames (default: all)")  # fmt: skip
    return parser


def _filter(words: list[str]) -> str:
    text = " ".join(words)
    if (size := len(os.fsencode(text))) > _FILTER_MOST:
        raise _client.ClientError(f"the filter has {size} bytes, and may have {_FILTER_MOST}")
    return text


@contextlib.contextmanager
def _listener(pid: int) -> Iterator[socket.socket]:
    """Listen where that process may connect, and nobody else but root."""
    place = tempfile.mkdtemp(prefix="greendpdk-capture-")
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(f"{place}/frames")
            owner = os.stat(f"/proc/{pid}").st_uid
            for path in (place, f"{place}/frames"):
                if owner != os.geteuid():
                    os.chown(path, owner, -1)
            listener.listen(1)
            listener.settimeout(_client.SECONDS)
            yield listener
    finally:
        shutil.rmtree(place)


@contextlib.contextmanager
def _open(name: str) -> Iterator[BinaryIO]:
    if name == "-":
        yield sys.stdout.buffer
        return
    with open(name, "wb") as file:
        yield file


def _begin(process: _client.Process, file: str) -> None:
    """Say what goes on where somebody waits for it, as tcpdump does."""
    if sys.stderr.isatty():
        where = "standard output" if file == "-" else file
        print(f"capturing from {process.pid} ({process.program}) to {where}; Ctrl-C ends it", file=sys.stderr)


def _copy(connection: socket.socket, out: BinaryIO, options: argparse.Namespace) -> int:
    """Pass on whole blocks; return how many frames they held."""
    end = None if options.duration is None else time.monotonic() + options.duration
    frames, buffer = 0, bytearray()
    try:
        while options.count is None or frames < options.count:
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                break
            connection.settimeout(left)
            try:
                data = connection.recv(1 << 20)
            except TimeoutError:
                break
            if not data:
                break  # the process has ended
            buffer += data
            frames += _pass_on(buffer, out, None if options.count is None else options.count - frames)
            out.flush()
    except KeyboardInterrupt:
        pass
    return frames


def _pass_on(buffer: bytearray, out: BinaryIO, most: int | None) -> int:
    """Write the whole blocks of buffer, up to that many frames, and take them out of it."""
    at = frames = 0
    while len(buffer) - at >= 8 and (most is None or frames < most):
        kind, length = struct.unpack_from("=II", buffer, at)
        if len(buffer) - at < length:
            break
        frames += kind == _PACKET
        at += length
    out.write(buffer[:at])
    del buffer[:at]
    return frames


def _report(process: _client.Process, frames: int) -> None:
    dropped = 0
    with contextlib.suppress(_client.ClientError):  # it may have ended
        dropped = process.ask("capture")["dropped"]
    left_out = f", {dropped} left out: this command did not keep up" if dropped else ""
    print(f"{frames} frames captured{left_out}", file=sys.stderr)
