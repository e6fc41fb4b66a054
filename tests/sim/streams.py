"""Streams of known bytes over a Wire: what is sent, what must arrive, and the turns between.

Used by the tests of this folder and by tests/tcp/test_properties.py.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field

from greendpdk.testing import Endpoint, Wire
from greendpdk.testing.clock import S

_BLOCK = bytes((i * 31 + (i >> 8) * 17) & 255 for i in range(65536 + 256))


def stream_bytes(seed: int, start: int, length: int) -> bytes:
    """Return bytes [start, start + length) of stream number seed."""
    parts = []
    while length > 0:
        block, offset = divmod(start, 65536)
        shift = (block * 97 + seed * 41) % 251
        take = min(length, 65536 - offset)
        parts.append(_BLOCK[shift + offset % 65000 : shift + offset % 65000 + min(take, 65000 - offset % 65000)])
        start += len(parts[-1])
        length -= len(parts[-1])
    return b"".join(parts)


@dataclass
class Stream:
    """One direction of a connection: total bytes from one endpoint to the other, then FIN."""

    source: Endpoint
    sink: Endpoint
    total: int
    seed: int = 0
    chunk: int = 65536  # of one send and one recv call
    sent: int = 0
    received: int = 0
    ended: bool = False
    wrong: list[str] = field(default_factory=list)

    def push(self) -> None:
        """Send what the stack takes."""
        with contextlib.suppress(BlockingIOError):
            while self.sent < self.total:
                want = min(self.chunk, self.total - self.sent)
                self.sent += self.source.send(stream_bytes(self.seed, self.sent, want))
            if self.sent == self.total and self.source.state in ("ESTABLISHED", "CLOSE-WAIT"):
                self.source.shutdown(1)

    def pull(self) -> None:
        """Receive what there is, and compare it."""
        with contextlib.suppress(BlockingIOError):
            while not self.ended:
                data = self.sink.recv(self.chunk)
                if not data:
                    self.ended = True
                    break
                if data != stream_bytes(self.seed, self.received, len(data)):
                    self.wrong.append(f"{len(data)} bytes at {self.received}")
                self.received += len(data)

    @property
    def done(self) -> bool:
        """Tell if the other side has seen the end."""
        return self.ended or bool(self.wrong)


def run(wire: Wire, streams: list[Stream], limit: int = 3600 * S) -> int:
    """Move all streams to their ends; return the nanoseconds it took. Compare whole values at the end."""

    def step() -> bool:
        for stream in streams:
            if not stream.done:
                stream.push()
                stream.pull()
        return all(stream.done for stream in streams)

    took = wire.run_until(step, limit)
    assert [(one.received, one.wrong) for one in streams] == [(one.total, []) for one in streams], f"seed {wire.seed}"
    return took


def assert_nothing_left(wire: Wire) -> None:
    """Close everything, let TIME-WAIT pass, and see that neither stack holds anything."""
    for host in (wire.a, wire.b):
        for endpoint in list(host.endpoints):
            endpoint.close()
    wire.advance(200 * S)
    left = [(host.buffer_bytes, host.sockets, host.unsent) for host in (wire.a, wire.b)]
    assert left == [(0, 0, 0), (0, 0, 0)], f"buffer bytes, sockets, unsent; seed {wire.seed}"
