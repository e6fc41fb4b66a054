"""A peer that speaks to one stack in raw segments: as wrong, as late and as often as a test wants.

Used by test_properties.py and tests/sim; numbers are relative, as in a .pkt script, and bytes are its pattern.
"""

from __future__ import annotations

from greendpdk._errors import check
from greendpdk._native import ffi, lib
from greendpdk.testing import Clock, Endpoint, Host
from greendpdk.testing._flow import pattern
from greendpdk.testing.endpoint import address_to_c
from greendpdk.testing.segment import ACK, SYN, Frame, Ip, Tcp, build, parse
from greendpdk.testing.wire import MAC_A, MAC_B

OURS, THEIRS = "10.0.0.1", "10.0.0.2"
WORD = 2**32


class RawPeer:
    """A connection that a host has accepted from us; `endpoint` is the host's end."""

    def __init__(self, isn: int = 0, receive_buffer: int = 0) -> None:
        self.clock = Clock()
        self.host = Host(self.clock, 1)
        ends = ffi.new("struct gd_port *[2]")
        check(lib.gd_pipe_pair(9000, MAC_A, MAC_B, ends, ends + 1))
        self.far = ends[1]
        self._room = ffi.new("uint8_t[]", 16384)
        self.host.attach(ends[0], OURS)
        check(lib.gd_stack_set_neighbour(self.host.c, self.host.ifindex, address_to_c(THEIRS), MAC_B))
        self.isn, self.their_isn = isn, 0
        self.acked = 0
        listener = self.host.socket()
        if receive_buffer:
            listener.setsockopt(1, 8, receive_buffer)
        listener.bind(("0.0.0.0", 80))
        listener.listen()
        self.segment(SYN, 0, 0, window=65535)
        self.their_isn = self.take()[-1].seq
        self.segment(ACK, 1, 0, ack=1)
        self.endpoint: Endpoint = listener.accept()
        self.take()

    def __enter__(self) -> RawPeer:
        return self

    def __exit__(self, *details: object) -> None:
        self.host.close()
        lib.gd_port_close(self.far)

    def segment(
        self, flags: int, seq: int, length: int, ack: int = 1, window: int = 65535, urgent: int = 0
    ) -> None:
        """Send a segment whose bytes are the pattern's at seq, and let the stack answer."""
        tcp = Tcp(
            1001,
            80,
            (self.isn + seq) % WORD,
            (self.their_isn + ack) % WORD if flags & ACK else 0,
            flags,
            window,
            urgent,
            payload=pattern(seq - 1 + (1 if flags & SYN else 0), length),
        )
        data = build(Frame(MAC_A, MAC_B, Ip(THEIRS, OURS, tcp)))
        check(lib.gd_pipe_inject(self.far, data, len(data), self.clock.now))
        self.poll()

    def poll(self) -> int:
        """Let the stack do all that it has to do now."""
        for _ in range(1000):
            deadline = self.host.poll()
            if deadline > self.clock.now:
                return deadline
        raise AssertionError("a thousand polls at one moment")

    def take(self) -> list[Tcp]:
        """Return the segments that the stack has sent."""
        found = []
        while (count := lib.gd_pipe_take(self.far, self._room, 16384, self.clock.now)) >= 0:
            frame = parse(bytes(ffi.buffer(self._room, count)))
            assert frame.errors == ()
            if isinstance(frame.body, Ip) and isinstance(frame.body.layer, Tcp):
                found.append(frame.body.layer)
                if found[-1].flags & ACK:
                    self.acked = (found[-1].ack - self.isn) % WORD
        return found
