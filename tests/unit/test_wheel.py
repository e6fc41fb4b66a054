"""Invariant: a timer fires once, never early, at the first run a tick after its time; next is never late."""
from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

TICK = 1 << 20
NEVER = 2**64 - 1
SECOND = 10**9
HOUR = 3600 * SECOND


class Wheel:
    """One wheel and its timers, by number."""

    def __init__(self, native: Any, now: int) -> None:
        self.ffi, self.lib = native.ffi, native.lib
        self.now = now
        self.wheel = self.ffi.new("struct gd_wheel *")
        self.timers: list[Any] = []
        self.fired: list[tuple[int, int]] = []
        self.then: dict[int, Callable[[int], None]] = {}
        self.lib.gd_wheel_init(self.wheel, now)
        wheels.append(self)

    def timer(self) -> int:
        """Make one; return its number."""
        self.timers.append(self.ffi.new("struct gd_timer *"))
        self.lib.gd_timer_init(self.timers[-1], self.lib.on_timer)
        return len(self.timers) - 1

    def set(self, number: int, at: int) -> None:
        """Arm or move it."""
        self.lib.gd_timer_set(self.wheel, self.timers[number], at)

    def cancel(self, number: int) -> None:
        """Take it off."""
        self.lib.gd_timer_cancel(self.wheel, self.timers[number])

    def run(self, now: int) -> list[int]:
        """Move the clock; return who fired."""
        before = len(self.fired)
        self.now = now
        self.lib.gd_wheel_run(self.wheel, now)
        return [number for number, _ in self.fired[before:]]

    def next(self) -> int:
        """Return the wheel's deadline."""
        return int(self.lib.gd_wheel_next(self.wheel))

    def fire(self, timer: Any, now: int) -> None:
        """Note who fired, and do what the test asked for then."""
        number = self.timers.index(timer)
        assert timer.at == NEVER
        self.fired.append((number, now))
        if number in self.then:
            self.then[number](now)


wheels: list[Wheel] = []


@pytest.fixture
def wheel(native: Any) -> Iterator[Callable[[int], Wheel]]:
    """Make wheels whose timers call back into them."""

    @native.ffi.def_extern("on_timer")
    def on_timer(timer: Any, now: int) -> None:
        wheels[-1].fire(timer, now)

    yield lambda now: Wheel(native, now)
    wheels.clear()


def test_empty_wheel_has_no_deadline(wheel: Callable[[int], Wheel]) -> None:
    w = wheel(5 * SECOND)
    assert w.next() == NEVER
    assert w.run(HOUR) == []


@pytest.mark.parametrize("wait", [1, TICK, 63 * TICK, 64 * TICK, 65 * TICK, SECOND, HOUR, 24 * HOUR, 10**6 * HOUR])
def test_next_leads_to_the_timer_and_never_past_it(wheel: Callable[[int], Wheel], wait: int) -> None:
    w = wheel(123_456_789_123)
    w.set(w.timer(), w.now + wait)
    at, steps = w.now + wait, 0
    while not w.fired:
        deadline = w.next()
        assert w.now <= deadline < at + TICK
        w.run(deadline)
        steps += 1
    assert at <= w.fired[0][1] < at + TICK
    assert steps <= 8
    assert w.next() == NEVER


def test_an_hour_at_once_fires_in_order_of_ticks(wheel: Callable[[int], Wheel]) -> None:
    w = wheel(0)
    waits = [HOUR, 3, 40 * TICK, 70 * SECOND, 5 * TICK, 64 * 64 * TICK]
    for wait in waits:
        w.set(w.timer(), wait)
    assert w.run(2 * HOUR) == sorted(range(len(waits)), key=lambda number: waits[number])


def test_moving_and_cancelling_leave_no_stale_deadline(wheel: Callable[[int], Wheel]) -> None:
    w = wheel(0)
    number = w.timer()
    w.set(number, SECOND)
    w.set(number, HOUR)
    assert w.run(2 * SECOND) == []
    w.cancel(number)
    w.cancel(number)
    assert w.next() == NEVER
    assert list(w.wheel.occupied) == [0] * 8
    assert w.run(2 * HOUR) == []


def test_timer_armed_for_the_past_fires_in_the_next_run(wheel: Callable[[int], Wheel]) -> None:
    w = wheel(10 * SECOND)
    number = w.timer()
    w.set(number, 3 * SECOND)
    assert w.next() <= w.now
    assert w.run(w.now) == [number]
    assert w.run(w.now) == []


def test_timer_that_rearms_itself_for_now_does_not_hang_the_run(wheel: Callable[[int], Wheel]) -> None:
    w = wheel(0)
    number = w.timer()
    w.then[number] = lambda now: w.set(number, now - 5 * TICK)
    w.set(number, SECOND)
    assert w.run(10 * SECOND) == [number]
    assert w.next() <= w.now
    assert w.run(10 * SECOND) == [number]


def test_firing_timer_cancels_and_moves_others_due_in_the_same_run(wheel: Callable[[int], Wheel]) -> None:
    w = wheel(0)
    first, second, third = w.timer(), w.timer(), w.timer()
    w.then[first] = lambda now: (w.cancel(second), w.set(third, now + SECOND))[0]
    for number in (first, second, third):
        w.set(number, SECOND)
    assert w.run(2 * SECOND) == [first]
    assert w.run(4 * SECOND) == [third]
    assert w.next() == NEVER


def test_clock_that_steps_back_fires_nothing_early(wheel: Callable[[int], Wheel]) -> None:
    w = wheel(10 * SECOND)
    number = w.timer()
    w.set(number, 11 * SECOND)
    assert w.run(5 * SECOND) == []
    assert w.run(12 * SECOND) == [number]


def test_end_of_time_is_never_reached(wheel: Callable[[int], Wheel]) -> None:
    w = wheel(NEVER - 10 * TICK)
    w.set(w.timer(), NEVER - 1)
    w.set(w.timer(), NEVER)
    assert w.run(NEVER - 9 * TICK) == []
    assert w.run(NEVER - 1) in ([], [0])


steps = st.lists(
    st.tuples(
        st.sampled_from(["set", "set", "set", "cancel", "run", "next"]),
        st.integers(0, 7),
        st.one_of(st.integers(0, 200 * TICK), st.integers(0, 5 * HOUR), st.integers(0, 2**56)),
    ),
    max_size=60,
)


@given(start=st.integers(0, 2**60), steps=steps)
def test_wheel_agrees_with_a_heap(native: Any, start: int, steps: list[tuple[str, int, int]]) -> None:
    @native.ffi.def_extern("on_timer")
    def on_timer(timer: Any, now: int) -> None:
        w.fire(timer, now)

    w = Wheel(native, start)
    armed: dict[int, int] = {}
    for _ in range(8):
        w.timer()
    for what, number, value in steps:
        if what == "set":
            armed[number] = w.now + value
            w.set(number, armed[number])
        elif what == "cancel":
            armed.pop(number, None)
            w.cancel(number)
        else:
            now = w.next() if what == "next" and armed else w.now + value
            heap = [(at, n) for n, at in armed.items()]
            heapq.heapify(heap)
            must = {n for at, n in heap if at + TICK <= now}
            may = {n for at, n in heap if at <= now}
            fired = w.run(max(now, w.now))
            assert must <= set(fired) <= may and len(fired) == len(set(fired))
            for gone in fired:
                del armed[gone]
        deadline = w.next()
        assert (deadline == NEVER) == (not armed)
        if armed:
            assert deadline < min(armed.values()) + TICK
    wheels.clear()
