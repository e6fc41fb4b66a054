"""Invariant: whatever order segments and reads come in, urgent data is where Linux's rules (tcp_check_urg, tcp_urg,
tcp_recvmsg, tcp_recv_urg), written down here once more and byte by byte, say that it is."""
from __future__ import annotations

import errno
import socket
from dataclasses import dataclass, field

from hypothesis import example, given, settings
from hypothesis import strategies as st
from raw_peer import RawPeer

from greendpdk._native import lib
from greendpdk.testing import Endpoint
from greendpdk.testing._flow import pattern
from greendpdk.testing.segment import ACK, URG

SIOCATMARK = 0x8905
SPAN = 60  # bytes of the stream that a run is about


@dataclass
class Model:
    """A receiver; numbers count from the stream's first byte, 0."""

    read: int = 0
    mark: int = 0
    urgent: str = ""  # "", "awaited", "here", "read"
    inline: bool = False
    here: set[int] = field(default_factory=set)

    @property
    def next(self) -> int:
        """The first byte that is missing."""
        at = self.read
        while at in self.here:
            at += 1
        return at

    @property
    def hole(self) -> bool:
        """The next read passes over a byte."""
        return self.urgent != "" and self.mark == self.read and not self.inline

    def segment(self, seq: int, length: int, pointer: int | None) -> None:
        """Take a segment."""
        if seq < self.next and seq + length <= self.next:
            return  # nothing of it is new: it never comes so far (RFC 9293 3.10.7.4)
        if pointer is not None:
            mark = seq + max(pointer - 1, 0)
            if mark >= self.next and not (self.urgent and mark <= self.mark):
                if self.hole and self.read in self.here:
                    self.read += 1
                self.urgent, self.mark = "awaited", mark
        if self.urgent == "awaited" and seq <= self.mark < seq + length:
            self.urgent = "here"
        self.here |= set(range(seq, seq + length))

    def recv(self, size: int, peek: bool) -> bytes | int:
        """Read of the stream."""
        at, end = self.read, self.next
        if self.hole and at in self.here:
            at += 1
        elif self.urgent and at < self.mark < end:
            end = self.mark
        got = pattern(at, min(size, end - at))
        if not peek:
            self.read = at + len(got)
            if self.urgent and self.read > self.mark:
                self.urgent = ""
        return got or errno.EAGAIN

    def recv_urgent(self, peek: bool) -> bytes | int:
        """Read the urgent byte."""
        if self.inline or self.urgent in ("", "read"):
            return errno.EINVAL
        if self.urgent == "awaited":
            return errno.EAGAIN
        self.urgent = self.urgent if peek else "read"
        return pattern(self.mark, 1)


SEGMENT = st.tuples(st.just("segment"), st.integers(0, SPAN), st.integers(0, 12), st.none() | st.integers(0, 20))
STEPS = st.lists(
    SEGMENT
    | st.tuples(st.just("recv"), st.integers(1, 30), st.booleans())
    | st.tuples(st.just("urgent"), st.booleans())
    | st.tuples(st.just("inline"), st.booleans()),
    min_size=1, max_size=40,
)


def outcome(endpoint: Endpoint, size: int, flags: int) -> bytes | int:
    try:
        return endpoint.recv(size, flags)
    except OSError as error:
        return error.errno or 0


@settings(max_examples=150, deadline=None)
@given(STEPS)
@example([("segment", 0, 1, 0), ("segment", 0, 0, 2)])  # an old pointer in a segment that is old
def test_urgent_data_is_where_linux_has_it(steps: list[tuple]) -> None:
    model = Model()
    with RawPeer(isn=2**32 - 30) as peer:
        end = peer.endpoint
        for what, *words in steps:
            if what == "segment":
                seq, length, pointer = words
                model.segment(seq, length, pointer)
                peer.segment(ACK | (0 if pointer is None else URG), 1 + seq, length, urgent=pointer or 0)
            elif what == "inline":
                end.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, int(words[0]))
                model.inline = words[0]
            elif what == "recv":
                peek = socket.MSG_PEEK if words[1] else 0
                assert outcome(end, words[0], peek) == model.recv(*words)
            else:
                peek = socket.MSG_PEEK if words[0] else 0
                assert outcome(end, 1, socket.MSG_OOB | peek) == model.recv_urgent(words[0])
            assert bool(end.ready & lib.GD_PRI) == (model.urgent == "here")
            assert end.ioctl(SIOCATMARK) == (model.urgent != "" and model.mark == model.read)
            assert bool(end.ready & lib.GD_READ) == (model.next - model.read > model.hole)
            before = model.urgent and not model.inline and model.mark < model.next
            assert end.unread == (model.mark if before else model.next) - model.read


def test_urgent_byte_beyond_a_gap_is_read_at_once() -> None:
    with RawPeer() as peer:
        peer.segment(ACK | URG, 11, 10, urgent=4)
        assert peer.endpoint.ready & (lib.GD_PRI | lib.GD_READ) == lib.GD_PRI
        assert peer.endpoint.recv(1, socket.MSG_OOB) == pattern(13, 1)
        peer.segment(ACK, 1, 10)
        assert peer.endpoint.recv(100) == pattern(0, 13)
        assert peer.endpoint.recv(100) == pattern(14, 6)
