"""Play a script that has been read: one stack on one end of a wire, the script on the other, time moved by hand.

Called by script.py; calls _calls.py for system calls, _flow.py for packets, wire.py and clock.py for the stack.

    next statement ─► let time pass until it is due ─► inject · call · compare the next packet that was sent
                          each poll: frames sent ─► queue with their times; a blocked call tries again
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from greendpdk._errors import check
from greendpdk._native import ffi, lib
from greendpdk.testing._calls import Calls
from greendpdk.testing._compare import Comparer
from greendpdk.testing._lines import Call, Code, Script, Statement
from greendpdk.testing._packet import PacketLine
from greendpdk.testing._setup import Setup
from greendpdk.testing.clock import US, Clock, S
from greendpdk.testing.endpoint import address_to_c
from greendpdk.testing.segment import Arp, Frame, Icmp, Ip, build, parse
from greendpdk.testing.wire import MAC_A, MAC_B, TURNS, Host

ROOM = 65536
TIME_WAIT = 61 * S  # the engine's 60 s, and a tick


class ScriptError(AssertionError):
    """The stack did not do what the script says."""


def is_discovery(body: object) -> bool:
    """Tell whether it is what a host says of IPv6 by itself: neighbour discovery, MLD."""
    layer = body.layer if isinstance(body, Ip) and body.is_6 else None
    if isinstance(body, Ip) and isinstance(layer, bytes):  # behind a hop-by-hop header
        return body.proto == 0
    return isinstance(layer, Icmp) and layer.type >= 130


@dataclass(frozen=True)
class Sent:
    """A frame that the stack sent."""

    at: int
    frame: Frame


class Player:
    """One run of one script."""

    patience = 200 * S  # how long a packet of "*" time, or one that is late, is waited for: longer than any RTO
    lateness = 0  # how much later than due a statement may be played

    def __init__(self, script: Script, setup: Setup) -> None:
        self.script, self.setup = script, setup
        self.clock = Clock(setup.start)
        self.tolerance = setup.tolerance_usecs * US
        self.statement: Statement | None = None
        self.sent: list[Sent] = []
        self.log: list[str] = []
        self.open()
        self.comparer = Comparer(setup)
        self.calls = Calls(self)

    # -- the stack, which the oracle of tests/tcp changes for Linux's -----------------------------
    def open(self) -> None:
        """Make the stack that is played against."""
        setup = self.setup
        self.host = Host(self.clock, setup.seed, **setup.engine)
        ends = ffi.new("struct gd_port *[2]")
        check(lib.gd_pipe_pair(setup.mtu, MAC_A, MAC_B, ends, ends + 1))
        self.far = ends[1]
        self._room = ffi.new("uint8_t[]", ROOM)
        self.host.attach(ends[0], setup.local_ip, setup.prefix_length)
        gateway, everywhere = address_to_c(setup.gateway_ip), address_to_c("::" if setup.is_6 else "0.0.0.0")
        check(lib.gd_stack_add_route(self.host.c, everywhere, 0, gateway, self.host.ifindex))
        if not setup.arp:
            check(lib.gd_stack_set_neighbour(self.host.c, self.host.ifindex, gateway, MAC_B))

    def close(self) -> None:
        """Free it."""
        self.host.close()
        lib.gd_port_close(self.far)

    def deliver(self, frame: Frame) -> None:
        """Let a frame arrive there."""
        data = build(frame)
        check(lib.gd_pipe_inject(self.far, data, len(data), self.clock.now))

    def names(self) -> dict[str, Any]:
        """Return what the code of a script may ask."""
        host = self.host
        return {
            "state": self.calls.state,
            "info": self.calls.info,
            "counter": lambda name: host.counters().get(name, 0),
            "counters": host.counters,
            "buffer_bytes": lambda: host.buffer_bytes,
            "sockets": lambda: host.sockets,
            "now": self.seconds(),
        }

    def left_behind(self) -> str:
        """Tell what is still held once the sockets are closed; "" for nothing."""
        lib.gd_stack_abort_all(self.host.c, errno.ECONNABORTED)
        self.pass_time(self.clock.now + TIME_WAIT)
        if self.host.buffer_bytes or self.host.sockets:
            return f"{self.host.buffer_bytes} bytes of buffers, {self.host.sockets} sockets"
        return ""

    # -- time -------------------------------------------------------------------------------
    def poll(self) -> int:
        """Poll until the stack has nothing left to do now; return when it will have."""
        for _ in range(TURNS):
            deadline = self.host.poll()
            self.collect()
            went_on = self.calls.retry()
            if deadline > self.clock.now and not went_on:
                return min(deadline, self.calls.wake_at)
        raise self.error(f"{TURNS} polls without an end")

    def collect(self) -> None:
        """Take what has been sent."""
        while (count := lib.gd_pipe_take(self.far, self._room, ROOM, self.clock.now)) >= 0:
            frame = parse(bytes(ffi.buffer(self._room, count)))
            if not self.setup.arp and (isinstance(frame.body, Arp) or is_discovery(frame.body)):
                continue
            self.sent.append(Sent(self.clock.now, frame))

    def pass_time(self, until: int, enough: Callable[[], bool] = bool) -> None:
        """Let time pass, unless it is enough before."""
        deadline = self.poll()
        while not enough() and self.clock.jump(deadline, until):
            deadline = self.poll()
        self.poll()

    def _next_sent(self, until: int) -> Sent | None:
        """Wait for a frame."""
        deadline = self.poll()
        while not self.sent and self.clock.jump(deadline, until):
            deadline = self.poll()
        if not self.sent:
            self.poll()
        return self.sent.pop(0) if self.sent else None

    def seconds(self, at: int | None = None) -> float:
        """Return the script's time."""
        return ((self.clock.now if at is None else at) - self.clock.start) / S

    @property
    def first_isn(self) -> int | None:
        """Return the initial sequence number that the stack chose first."""
        return next((flow.local_shift for flow in self.comparer.flows.values() if flow.local_shift is not None), None)

    @property
    def since(self) -> int:
        """Return when the last statement was done: "+" counts from there."""
        return self.clock.now

    # -- statements -------------------------------------------------------------------------
    def run(self) -> None:
        """Play everything; ScriptError says what went wrong."""
        try:
            self.poll()
            if self.setup.is_6:  # until the address is known to be nobody else's
                began = self.clock.now
                self.pass_time(began + 3 * S)
                self.clock.start += self.clock.now - began
            if not self.setup.arp:
                self.sent.clear()
            for statement in self.script.statements:
                self.statement = statement
                self._play(statement)
            self._finish()
        finally:
            self.close()

    def _play(self, statement: Statement) -> None:
        when, what = statement.when, statement.what
        base = self.since if when.relative else self.clock.start
        start = self.since if when.any else base + round(when.start * S)
        end = start if when.to is None else base + round(when.to * S)
        if isinstance(what, PacketLine) and not what.inbound:
            self._expect(what, start, end, when.any)
            return
        if start < self.clock.now - self.lateness:
            raise self.error(f"due at {self.seconds(start):.6f}, which has passed")
        self.pass_time(start)
        if isinstance(what, PacketLine):
            self._inject(what)
        elif isinstance(what, Call):
            try:
                self.calls.begin(what, None if when.until is None else base + round(when.until * S))
            except ValueError as error:
                raise self.error(str(error)) from None
            self.poll()
        else:
            self._code(what)

    def _inject(self, line: PacketLine) -> None:
        frame = self.comparer.build(line)
        self.log.append(f"{self.seconds():10.6f} < {self.comparer.inbound_text(line)}")
        self.deliver(frame)
        self.poll()

    def _expect(self, line: PacketLine, start: int, end: int, any_time: bool) -> None:
        limit = self.clock.now + self.patience if any_time else max(end + self.tolerance, self.clock.now)
        sent = self._next_sent(limit)
        late = sent is None
        if sent is None:
            sent = self._next_sent(self.clock.now + self.patience)
        if sent is None:
            raise self.error("nothing was sent")
        wrong = self.differences(line, sent)
        self.log.append(f"{self.seconds(sent.at):10.6f} > {self.comparer.outbound_text(sent.frame)}")
        if not any_time and (late or not start - self.tolerance <= sent.at <= end + self.tolerance):
            span = f"{self.seconds(start):.6f}" + (f" to {self.seconds(end):.6f}" if end != start else "")
            wrong.insert(0, f"time: {span} expected, sent at {self.seconds(sent.at):.6f}")
        if wrong:
            raise self.error(*wrong, actual=self.comparer.outbound_text(sent.frame), at=sent.at)

    def differences(self, line: PacketLine, sent: Sent) -> list[str]:
        """Name everything in which a frame is not as its line says."""
        return self.comparer.differences(line, sent.frame)

    def _code(self, code: Code) -> None:
        names = self.names()
        try:
            exec(compile(code.source, self.script.name, "exec"), names)
        except AssertionError as error:
            detail = str(error) or "the assertion does not hold"
            known = {fd: self.calls.state(fd) for fd in self.calls.files}
            raise self.error(detail, f"states {known}, counters {names['counters']()}") from None

    def _finish(self) -> None:
        """Nothing else was sent, no call is left, and nothing is left of the sockets once they are closed."""
        self.calls.finish()
        self.poll()
        self.statement = None
        self.nothing_else()
        self.calls.close_all()
        if left := self.left_behind():
            raise self.error(f"left behind: {left}")

    def nothing_else(self) -> None:
        """Fail if a frame was sent that no line has claimed."""
        if self.sent:
            texts = [f"{self.seconds(one.at):.6f} {self.comparer.outbound_text(one.frame)}" for one in self.sent]
            raise self.error("also sent: " + "; ".join(texts))

    def error(self, *details: str, actual: str = "", at: int | None = None) -> ScriptError:
        """Make the error that shows what was expected, what came, and all before."""
        where = self.script.name
        lines = []
        if self.statement is not None:
            where += f":{self.statement.line}"
            lines.append(f"  expected  {self.statement.text}")
        if actual:
            lines.append(f"  actual    {self.seconds(at):.6f} > {actual}")
        head = f"{where}: at {self.seconds():.6f} s: {'; '.join(details)}"
        log = ["  so far"] + [f"  {entry}" for entry in self.log] if self.log else []
        return ScriptError("\n".join([head, *lines, *log]))
