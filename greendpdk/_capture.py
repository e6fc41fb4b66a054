"""Capture a stack's frames as pcapng, which Wireshark and tshark read: direction, and why a frame was dropped.

Called by _telemetry.py (greendpdk capture) and greendpdk.testing; calls the engine (core/net/capture.c) and libpcap's
compiler of filters by ctypes.
"""

from __future__ import annotations

import _socket
import contextlib
import ctypes
import struct
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from greendpdk import __version__
from greendpdk._errors import check
from greendpdk._native import ffi, lib

if TYPE_CHECKING:
    from greendpdk._stack import Stack

ROOM = 4 << 20  # bytes of frames that wait to be read; then they are left out, and counted
_SECTION, _INTERFACE = 0x0A0D0D0A, 1  # pcapng's block types
_ETHERNET, _NANOSECONDS = 1, 9  # LINKTYPE_, if_tsresol
_NAME, _TSRESOL, _USERAPPL = 2, 9, 4  # options
_PAUSE_S = 0.02  # between two looks at the ring
_LIBRARIES = ("libpcap.so.0.8", "libpcap.so.1")


class FilterError(ValueError):
    """A filter that libpcap does not compile, or no libpcap; the text says which."""


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint), ("instructions", ctypes.c_void_p))


class Filter:
    """A filter in pcap-filter(7)'s words, compiled for Ethernet frames."""

    def __init__(self, text: str) -> None:
        self._pcap = _libpcap()
        self._program = _Program()
        dead = ctypes.c_void_p(self._pcap.pcap_open_dead(_ETHERNET, 0xFFFF))
        try:
            if self._pcap.pcap_compile(dead, ctypes.byref(self._program), text.encode(), 1, 0xFFFFFFFF) < 0:
                raise FilterError(f"{text!r}: {self._pcap.pcap_geterr(dead).decode()}")
        finally:
            self._pcap.pcap_close(dead)
        self.match = ffi.cast("gd_match *", ctypes.cast(self._pcap.bpf_filter, ctypes.c_void_p).value)
        self.program = ffi.cast("void *", self._program.instructions)

    def __del__(self) -> None:
        if self._program.instructions:
            self._pcap.pcap_freecode(ctypes.byref(self._program))


def _libpcap() -> Any:
    for name in _LIBRARIES:
        with contextlib.suppress(OSError):
            library = ctypes.CDLL(name)
            library.pcap_open_dead.restype = ctypes.c_void_p
            library.pcap_geterr.restype = ctypes.c_char_p
            return library
    raise FilterError("a filter needs libpcap: apt install libpcap0.8")


class Capture:
    """What a stack (the engine's handle) receives and sends from now on, until stop(). One at a time for each stack.

    interfaces: (index, name) of each. OSError EALREADY if it is captured already, FilterError for a wrong filter.
    """

    def __init__(
        self, stack: Any, interfaces: Sequence[tuple[int, str]], filter: str = "", snaplen: int = 0, *, offset_ns: int
    ) -> None:
        self._stack = stack
        self.interfaces = dict(interfaces)
        self._filter = Filter(filter) if filter.strip() else None
        match, program = (self._filter.match, self._filter.program) if self._filter else (ffi.NULL, ffi.NULL)
        check(lib.gd_capture_start(stack, ROOM, snaplen, offset_ns, match, program), "the stack is captured already")
        self._buffer = ffi.new("char[]", ROOM)

    def header(self) -> bytes:
        """Return the blocks that a file begins with."""
        text = _option(_USERAPPL, f"greendpdk {__version__}".encode()) + bytes(4)
        section = _block(_SECTION, struct.pack("=IHHq", 0x1A2B3C4D, 1, 0, -1) + text)
        names = [self.interfaces.get(index, "") for index in range(1, max(self.interfaces, default=0) + 1)]
        resolution = _option(_TSRESOL, bytes([_NANOSECONDS]))
        interfaces = [_option(_NAME, name.encode()) + resolution + bytes(4) for name in names]
        return section + b"".join(
            _block(_INTERFACE, struct.pack("=HHI", _ETHERNET, 0, 0) + options) for options in interfaces
        )

    def read(self) -> bytes:
        """Return the blocks since the last call; b"" if there are none."""
        count = lib.gd_capture_take(self._stack, self._buffer, ROOM)
        return bytes(ffi.buffer(self._buffer, count))

    def counts(self) -> tuple[int, int]:
        """Return how many frames were captured, and how many were left out as nobody had read what there was."""
        both = ffi.new("uint64_t[2]")
        lib.gd_capture_counts(self._stack, both, both + 1)
        return int(both[0]), int(both[1])

    def stop(self) -> None:
        """Capture no more."""
        lib.gd_capture_stop(self._stack)


def of_running(stack: Stack, filter: str = "", snaplen: int = 0) -> Capture:
    """Begin to capture the running stack's ports and its loopback."""
    interfaces = [(1, "lo"), *((port.ifindex, port.name) for port in stack.ports)]
    offset = time.time_ns() - stack.now()
    return Capture(stack.c, interfaces, filter, snaplen, offset_ns=offset)


def stream(stack: Stack, path: str, filter: str, snaplen: int) -> Any:
    """Send a capture to a Unix socket until its other end goes, in a greenlet, which is returned."""
    import gevent
    from gevent.socket import socket

    connection = socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        connection.connect(path)
        capture = of_running(stack, filter, snaplen)
    except BaseException:
        connection.close()
        raise
    return gevent.spawn(_feed, stack, capture, connection)


def _feed(stack: Stack, capture: Capture, connection: Any) -> None:
    with connection, contextlib.suppress(OSError):  # EPIPE: who asked has seen enough
        try:
            connection.sendall(capture.header())
            while not stack.dead:
                data = capture.read()
                connection.settimeout(None)  # a slow reader is waited for: what does not fit meanwhile is counted
                connection.sendall(data)
                connection.settimeout(_PAUSE_S)
                with contextlib.suppress(TimeoutError):
                    if not connection.recv(1):
                        break
        finally:
            if not stack.dead:
                capture.stop()


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("=HH", code, len(value)) + value + bytes(-len(value) % 4)


def _block(kind: int, body: bytes) -> bytes:
    length = len(body) + 12
    return struct.pack("=II", kind, length) + body + struct.pack("=I", length)
