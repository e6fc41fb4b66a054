"""The network of a running stack, as a test wants it: what is lost, late, slow or cut, now and from now on.

Called by applications' tests and by pytest_plugin.py; calls the shapers (core/port/shaper.c) before the ports of a
stack that was started for it (start() here, or pytest --dpdk).

    greendpdk.testing.start(vdev="none", loopback="stack")
    with network(loss=0.2, seed=7):
        ...
        network.partition(direction="in")

A packet of ours meets "out", one that comes meets "in". What the stack sends to itself goes out and comes in, but is
one packet: it meets what was set for both directions once.
"""

from __future__ import annotations

import errno
import time
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from greendpdk import _conditions, _stack
from greendpdk._conditions import ConditionError as ConditionError
from greendpdk._conditions import Conditions
from greendpdk._errors import check
from greendpdk._native import ffi, lib

LOOPBACK = 1  # gd_stack_new attaches it first
_PORTS = 64  # more than GD_NETIFS
_WAYS = (True, False)  # out, in
_HISTORY = 30  # events that a report shows


@dataclass(frozen=True)
class Counts:
    """What became of packets (ARP and its like are none) since the conditions were set."""

    packets: int = 0
    lost: int = 0
    reordered: int = 0
    duplicated: int = 0
    corrupted: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(a + b for a, b in zip(_five(self), _five(other), strict=True)))

    def __sub__(self, other: Counts) -> Counts:
        return Counts(*(a - b for a, b in zip(_five(self), _five(other), strict=True)))

    def __str__(self) -> str:
        names = ("lost", "reordered", "duplicated", "corrupted")
        found = [f"{getattr(self, name)} {name}" for name in names if getattr(self, name)]
        return ", ".join([f"{self.packets} packets", *found])


def _five(counts: Counts) -> tuple[int, ...]:
    return counts.packets, counts.lost, counts.reordered, counts.duplicated, counts.corrupted


def start(**settings: Any) -> _stack.Stack:
    """Start the stack, as greendpdk.start(), with what `network` needs in front of each port. Before patch_all()."""
    return _stack.start_shaped(**settings)


class Network:
    """The one network of this process's stack: `greendpdk.testing.network`, and the fixture of that name.

    Arguments are those of @pytest.mark.network. A wrong one raises ConditionError, a ValueError.
    """

    def __init__(self) -> None:
        self.seed = 0  # for conditions without one; the pytest plugin sets that of the test
        self.history: deque[tuple[float, str]] = deque(maxlen=_HISTORY)  # what was done to it, and when (monotonic)
        self._forget(None)

    def _forget(self, stack: _stack.Stack | None) -> None:
        self._stack = stack
        self._way: dict[bool, Conditions | None] = {True: None, False: None}
        self._down = {True: False, False: False}
        self._mtu: int | None = None
        self._begin: dict[tuple[int, bool], Counts] = {}
        self._shaped: dict[tuple[int, bool], Conditions | None] = {}  # what each shaper was told last

    # -- what one does with it ------------------------------------------------------------------

    def set(self, **conditions: Any) -> None:
        """Let packets suffer so from now on, in place of what was set for the same direction before.

        loss, duplicate, reorder, corrupt: chances (0.02, "2%") · delay, jitter: "40ms" · rate: "10mbit" ·
        queue: packets that wait for the rate · mtu: of the interface · seed · direction: "both", "out", "in".
        """
        self.apply(_conditions.read(conditions))

    def partition(self, direction: str = "both") -> None:
        """Lose every packet that way, ARP too, until heal(): connections stand, and nobody is told."""
        self._cut(direction, True)

    def heal(self, direction: str = "both") -> None:
        """End the partition; what was set by set() holds again."""
        self._cut(direction, False)

    def reset_connections(self) -> None:
        """Reset every connection of the stack: its program gets ConnectionResetError, its peer an RST."""
        stack = self.ready()
        self._note("reset_connections")
        lib.gd_stack_abort_all(stack.c, errno.ECONNRESET)
        stack.poller.wake()

    def clear(self) -> None:
        """Make the network perfect again. Packets that are under way arrive when they were to."""
        self.ready()
        self._way, self._mtu = {True: None, False: None}, None
        self._down = {True: False, False: False}
        self._show("clear", _WAYS)

    def counts(self, direction: str = "both") -> Counts:
        """Return what became of packets since the conditions of that direction were set."""
        return self._sum(direction, self._begin)

    def totals(self, direction: str = "both") -> Counts:
        """Return what became of packets since the stack was started."""
        return self._sum(direction, {})

    @contextmanager
    def __call__(self, **conditions: Any) -> Iterator[Network]:
        """Let packets suffer so within the block; afterwards all is as it was before."""
        wanted = _conditions.read(conditions)
        self.ready()
        before = dict(self._way), dict(self._down), self._mtu
        self.apply(wanted)
        try:
            yield self
        finally:
            if self._stack is _stack.running():
                self._way, self._down, self._mtu = dict(before[0]), dict(before[1]), before[2]
                self._show(f"as before: {self}", ())

    def __str__(self) -> str:
        words = [f"cut {_word(self._down)}"] if any(self._down.values()) else []
        out, into = self._way[True], self._way[False]
        found = [("both ways", out)] if out is into else [("out", out), ("in", into)]
        words += [f"{way} {where}, seed={self._seed_of(way)}" for where, way in found if way is not None]
        return "; ".join(words) or "perfect"

    # -- how -----------------------------------------------------------------------------------

    def _note(self, event: str) -> None:
        self.history.append((time.monotonic(), event))

    def _sum(self, direction: str, begin: Mapping[tuple[int, bool], Counts]) -> Counts:
        self.ready()
        chosen = dict(zip(_WAYS, _conditions.ways(direction), strict=True))
        total = Counts()
        for index, port in self.shapers():
            for out in (out for out in _WAYS if chosen[out]):
                found = _counts(port, out) - begin.get((index, out), Counts())
                if index == LOOPBACK and all(chosen.values()) and not out:
                    found = replace(found, packets=0)  # it was counted on its way out
                total += found
        return total

    def ready(self) -> _stack.Stack:
        """Return the stack; RuntimeError if there is none, or one without shapers."""
        stack = _stack.current()
        stack.check_usable()
        if not stack.shaped:
            raise RuntimeError(
                "this stack was started without what a network of tests needs: run `pytest --dpdk`, or call "
                "greendpdk.testing.start() before patch_all()"
            )
        if stack is not self._stack:
            self._forget(stack)
        return stack

    def apply(self, wanted: Conditions) -> None:
        """Do as set(), with arguments that were read before."""
        stack = self.ready()
        if wanted.mtu is not None:
            _check_mtu(stack, wanted.mtu)
        ways = [out for out, chosen in zip(_WAYS, (wanted.out, wanted.into), strict=True) if chosen]
        self._way.update(dict.fromkeys(ways, wanted))
        self._mtu = wanted.mtu
        self._show(f"set {wanted} {wanted.which}, seed={self._seed_of(wanted)}", ways)

    def _cut(self, direction: str, down: bool) -> None:
        self.ready()
        self._note(f"{'partition' if down else 'heal'} {direction}")
        for out, chosen in zip(_WAYS, _conditions.ways(direction), strict=True):
            if chosen:
                self._down[out] = down
        for _, port in self.shapers():
            for out in _WAYS:
                lib.gd_shaper_down(port, int(out), int(self._down[out]))

    def _show(self, event: str, ways: Collection[bool]) -> None:
        """Tell the shapers; those ways begin anew, and others where they change: counts, queues, random numbers."""
        stack = self.ready()
        self._note(event)
        for index, port in self.shapers():
            for out in _WAYS:
                lib.gd_shaper_down(port, int(out), int(self._down[out]))
                way = self._way[out]
                if index == LOOPBACK and not out and way is self._way[True]:
                    way = None  # met on the way out
                if out not in ways and self._shaped.get((index, out), self) is way:
                    continue
                self._shaped[index, out], self._begin[index, out] = way, _counts(port, out)
                seed = 2 * self._seed_of(way) + out if way else 0
                lib.gd_shaper_fault(port, int(out), ffi.new("struct gd_fault *", (way or Conditions()).fault(seed)))
            lib.gd_shaper_mtu(stack.c, index, min(self._mtu or 0, _own_mtu(stack, index)))
        stack.poller.wake()

    def _seed_of(self, way: Conditions) -> int:
        return self.seed if way.seed is None else way.seed

    def shapers(self) -> Iterator[tuple[int, Any]]:
        """Return the interfaces' numbers and their shapers, the loopback's first."""
        stack = self.ready()
        for index in range(LOOPBACK, _PORTS):
            port = lib.gd_stack_port(stack.c, index)
            if port != ffi.NULL:
                yield index, port

    def attached(self, index: int) -> None:
        """Let a port that has come since, maybe in another's place, suffer as the others do."""
        for out in _WAYS:
            self._shaped.pop((index, out), None)
        self._show("a port more", ())


def _word(down: dict[bool, bool]) -> str:
    return "both ways" if all(down.values()) else "out" if down[True] else "in"


def _counts(port: Any, out: bool) -> Counts:
    found = ffi.new("struct gd_shaped *")
    lib.gd_shaper_shaped(port, int(out), found)
    return Counts(*(int(getattr(found, name)) for name in ("frames", "lost", "late", "twice", "damaged")))


def _own_mtu(stack: _stack.Stack, index: int) -> int:
    """Return the MTU that the interface has without us."""
    check(lib.gd_shaper_mtu(stack.c, index, 0))
    return int(lib.gd_port_mtu(lib.gd_stack_port(stack.c, index)))


def _check_mtu(stack: _stack.Stack, mtu: int) -> None:
    from greendpdk._ports import IP6_MTU_MIN

    if mtu < IP6_MTU_MIN and any(own.version == 6 for port in stack.ports for own in port.address_states):
        raise ConditionError(f"mtu={mtu}: a port has an IPv6 address, and that needs {IP6_MTU_MIN} at least")
    most = max((int(lib.gd_port_mtu(port.c)) for port in stack.ports), default=mtu)
    if mtu > most:
        raise ConditionError(f"mtu={mtu}: it can be lowered only, and the longest of a port is {most}")


network = Network()
