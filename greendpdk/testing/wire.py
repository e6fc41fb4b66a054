"""Two stacks joined by a wire in memory, under one clock that is moved by hand.

Called by tests and by script.py's player (one stack); calls the engine (gd_stack_*, gd_pipe_*), clock.py, endpoint.py.

    with Wire(a_to_b=Fault(loss=0.01), seed=7) as wire:
        client, server = wire.connection()
        client.send(b"hello")
        wire.run_until(lambda: server.unread == 5)
"""

from __future__ import annotations

import contextlib
import hashlib
import socket
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from greendpdk._errors import check
from greendpdk._native import ffi, lib
from greendpdk.testing.clock import NEVER, Clock, S
from greendpdk.testing.endpoint import Endpoint, address_to_c

FOR_EVER = 1 << 62  # bytes: more than any test waits for
TURNS = 20_000  # polls at one moment of the clock before we call it a livelock
MAC_A, MAC_B = b"\x02\0\0\0\0\x0a", b"\x02\0\0\0\0\x0b"


@dataclass(frozen=True)
class Fault:
    """What a wire does to frames in one direction; chances of 0..1, times in nanoseconds."""

    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    corrupt: float = 0.0
    delay_ns: int = 0
    jitter_ns: int = 0
    reorder_ns: int = 0
    rate_bps: int = 0
    queue_frames: int = 0


@dataclass(frozen=True)
class Bulk:
    """What a stream of Wire.bulk came to."""

    received: int
    longest_pause_ns: int  # between two arrivals of bytes


def seed_bytes(seed: int) -> bytes:
    """Return 32 bytes for gd_config.seed."""
    return hashlib.sha256(b"greendpdk.testing %d" % seed).digest()


class Host:
    """One stack with one port. Keyword arguments are fields of struct gd_config."""

    def __init__(self, clock: Clock, seed: int = 0, **config: int) -> None:
        self.clock = clock
        self.endpoints: list[Endpoint] = []
        self.port: Any = None
        self.ifindex = 0
        self.address = ""
        settings = ffi.new("struct gd_config *", {"seed": list(seed_bytes(seed)), **config})
        out = ffi.new("struct gd_stack **")
        check(lib.gd_stack_new(settings, clock.now, out))
        self._c = out[0]

    @property
    def c(self) -> Any:
        """Return the engine's handle."""
        if self._c is None:
            raise ValueError("this host is closed")
        return self._c

    def attach(self, port: Any, address: str, prefix_length: int = 24) -> None:
        """Hand the port over and give it an address."""
        self.port = port
        self.ifindex = check(lib.gd_stack_attach(self.c, port, b"wire0"))
        check(lib.gd_stack_add_address(self.c, self.ifindex, address_to_c(address), prefix_length))
        self.address = address

    def poll(self) -> int:
        """Run one turn; return the next deadline."""
        return int(lib.gd_stack_poll(self.c, self.clock.now))

    def socket(self, type: int = socket.SOCK_STREAM, family: int = socket.AF_INET) -> Endpoint:
        """Make a socket."""
        return Endpoint(self, type, family=family)

    def listener(self, port: int = 80, backlog: int = 128) -> Endpoint:
        """Make a listening socket."""
        listener = Endpoint(self)
        listener.bind(("0.0.0.0", port))
        listener.listen(backlog)
        return listener

    def connect(self, address: tuple[str, int]) -> Endpoint:
        """Make a socket that has begun to connect."""
        client = Endpoint(self)
        with contextlib.suppress(BlockingIOError):
            client.connect(address)
        return client

    def events(self, most: int = 256) -> list[tuple[int, int]]:
        """Take (socket id, bits) pairs off the ready list."""
        pairs = ffi.new("uint32_t[]", 2 * most)
        count = check(lib.gd_stack_events(self.c, pairs, most))
        return [(pairs[2 * i], pairs[2 * i + 1]) for i in range(count)]

    def counters(self) -> dict[str, int]:
        """Return the engine's counters that are not zero."""
        found = {}
        for index in range(lib.gd_stack_counter_count()):
            if value := lib.gd_stack_counter(self.c, index):
                found[ffi.string(lib.gd_stack_counter_name(index)).decode()] = int(value)
        return found

    @property
    def buffer_bytes(self) -> int:
        """Return the bytes of socket buffers in use."""
        return int(lib.gd_stack_buffer_bytes(self.c))

    @property
    def sockets(self) -> int:
        """Return the number of control blocks alive."""
        return int(lib.gd_stack_sockets(self.c))

    @property
    def unsent(self) -> int:
        """Return the connections that still have something to send or to have acknowledged."""
        return int(lib.gd_stack_unsent(self.c))

    def close(self) -> None:
        """Free the stack and its sockets; nothing is sent. Closing twice is legal."""
        if self._c is not None:
            lib.gd_stack_free(self._c)
            self._c = None
            for endpoint in self.endpoints:
                endpoint._c = None
            self.endpoints.clear()


class Wire:
    """Hosts a (10.0.0.1) and b (10.0.0.2), and the wire between them."""

    def __init__(
        self,
        a_to_b: Fault | None = None,
        b_to_a: Fault | None = None,
        seed: int = 0,
        mtu: int = 1500,
        a: dict[str, int] | None = None,
        b: dict[str, int] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self.seed = seed
        ends = ffi.new("struct gd_port *[2]")
        check(lib.gd_pipe_pair(mtu, MAC_A, MAC_B, ends, ends + 1))
        self._ends = [ends[0], ends[1]]
        self.a = Host(self.clock, 2 * seed, **(a or {}))
        self.a.attach(ends[0], "10.0.0.1")
        self.b = Host(self.clock, 2 * seed + 1, **(b or {}))
        self.b.attach(ends[1], "10.0.0.2")
        self.fault(a_to_b or Fault(), b_to_a or Fault())
        self.turn()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    def fault(self, a_to_b: Fault, b_to_a: Fault) -> None:
        """Let frames suffer from now on, each direction by a seed of its own."""
        for number, (end, fault) in enumerate(zip(self._ends, (a_to_b, b_to_a), strict=True)):
            lib.gd_pipe_fault(end, ffi.new("struct gd_fault *", {**asdict(fault), "seed": 2 * self.seed + number}))

    def cut(self, down: bool = True) -> None:
        """Part the hosts, or (down=False) join them again."""
        for end in self._ends:
            lib.gd_pipe_down(end, int(down))

    def turn(self) -> int:
        """Poll both until nothing is left to do at this moment; return when there will be."""
        now, c_a, c_b = self.clock.now, self.a.c, self.b.c
        end_a, end_b = self._ends
        for _ in range(TURNS):
            next_a, next_b = lib.gd_stack_poll(c_a, now), lib.gd_stack_poll(c_b, now)
            deadline = min(next_a, next_b, lib.gd_pipe_next(end_a), lib.gd_pipe_next(end_b))
            if deadline > now:
                return int(deadline)
        raise RuntimeError(f"{TURNS} turns without an end at {self.clock.elapsed / S:.6f} s")

    def run_until(self, predicate: Callable[[], object], limit: int = 60 * S) -> int:
        """Let time pass until predicate holds, which may send and receive; return the nanoseconds it took.

        TimeoutError after limit.
        """
        began = self.clock.now
        self.turn()
        while not predicate():
            if not self.clock.jump(self.turn(), began + limit):
                counters = f"{self.a.counters()} {self.b.counters()}"
                raise TimeoutError(f"not within {limit / S} s (seed {self.seed}): {counters}")
            self.turn()
        return self.clock.now - began

    def advance(self, ns: int) -> None:
        """Let so much time pass."""
        end = self.clock.now + ns
        while self.clock.jump(self.turn(), end):
            pass
        self.turn()

    def settle(self, limit: int = 600 * S) -> None:
        """Let time pass until no timer is armed and no frame is under way, or for limit."""
        end = self.clock.now + limit
        while (deadline := self.turn()) != NEVER and self.clock.jump(deadline, end):
            pass

    def connection(self, port: int = 80, limit: int = 60 * S) -> tuple[Endpoint, Endpoint]:
        """Return an established connection, from a to b; its listener is closed."""
        listener = self.b.listener(port)
        client = self.a.connect((self.b.address, port))
        self.run_until(lambda: listener.ready & lib.GD_READ, limit)
        server = listener.accept()
        listener.close()
        return client, server

    def bulk(self, pairs: Sequence[tuple[Endpoint, Endpoint]], ns: int, size: int = FOR_EVER) -> list[Bulk]:
        """Move bytes from the first to the second of each pair for so long, or until each has got size of them.

        The same as calls of send and recv, but in C: a gigabit in seconds. The bytes are zeros.
        """
        bulks = ffi.new("struct gd_bulk[]", [(source.c, sink.c, size, size, 0, 0, 0) for source, sink in pairs])
        wire = ffi.new("struct gd_bulk_wire *", (self.a.c, self.b.c, *self._ends))
        until = self.clock.now + ns
        self.clock.now = int(lib.gd_bulk_run(wire, bulks, len(pairs), self.clock.now, until))
        if self.clock.now < until and any(bulk.received < size for bulk in bulks):
            raise RuntimeError(f"turns without an end at {self.clock.elapsed / S:.6f} s")
        return [Bulk(int(bulk.received), int(bulk.longest_pause)) for bulk in bulks]

    def close(self) -> None:
        """Free both stacks. Closing twice is legal."""
        self.a.close()
        self.b.close()
