"""Invariant: the islands are the maximal runs of what was added beyond the left edge, whatever the order and overlap.

The numbers stand next to the wrap of the sequence space.
"""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

BASE = 2**32 - 2000  # the left edge
MSS = 1460


@pytest.fixture
def islands(native: Any) -> Iterator[Any]:
    made = native.ffi.new("struct gd_islands *")
    yield made
    native.lib.gd_islands_clear(made)


def seq(offset: int) -> int:
    return (BASE + offset) % 2**32


def runs(numbers: set[int]) -> list[tuple[int, int]]:
    """Return the maximal runs of consecutive numbers."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and found[-1][1] == number:
            found[-1][1] = number + 1
        else:
            found.append([number, number + 1])
    return [(start, end) for start, end in found]


def held(made: Any) -> list[tuple[int, int]]:
    return [((made.at[i].start - BASE) % 2**32, (made.at[i].end - BASE) % 2**32) for i in range(made.count)]


def reported(native: Any, made: Any, most: int = 4) -> list[tuple[int, int]]:
    blocks = native.ffi.new("struct gd_range[4]")
    count = native.lib.gd_islands_report(made, blocks, most)
    return [((blocks[i].start - BASE) % 2**32, (blocks[i].end - BASE) % 2**32) for i in range(count)]


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["add", "add", "add", "join"]), st.integers(1, 4000), st.integers(1, 400)),
        max_size=60,
    )
)
def test_islands_agree_with_a_set_of_numbers(native: Any, steps: list[tuple[str, int, int]]) -> None:
    ffi, lib = native.ffi, native.lib
    made, model, edge = ffi.new("struct gd_islands *"), set[int](), 0
    for step, start, length in steps:
        if step == "add" and start > edge:
            wanted = set(range(start, start + length))
            assert lib.gd_islands_have(made, seq(start), seq(start + length)) == (wanted <= model)
            if lib.gd_islands_add(made, seq(start), seq(start + length)):
                model |= wanted
                assert reported(native, made)[0] in [run for run in runs(model) if run[0] <= start < run[1]]
        elif step == "join":
            edge = max(edge, start)
            while edge in model:
                edge += 1
            assert lib.gd_islands_join(made, seq(max(start, edge))) == seq(edge)
            model = {number for number in model if number > edge}
        assert held(made) == runs(model)
        assert made.bytes == len(model)
        blocks = reported(native, made)
        assert len(blocks) == min(4, made.count) and len(set(blocks)) == len(blocks) and set(blocks) <= set(held(made))
    lib.gd_islands_clear(made)


def test_what_changed_last_is_reported_first(native: Any, islands: Any) -> None:
    """RFC 2018 4."""
    for start in (9000, 1000, 5000, 3000):
        native.lib.gd_islands_add(islands, seq(start), seq(start + 100))
    assert [start for start, _ in reported(native, islands)] == [3000, 5000, 1000, 9000]
    native.lib.gd_islands_add(islands, seq(9100), seq(9200))
    assert reported(native, islands) == [(9000, 9200), (3000, 3100), (5000, 5100), (1000, 1100)]
    native.lib.gd_islands_touch(islands, seq(1050))
    assert reported(native, islands, 2) == [(1000, 1100), (9000, 9200)]


def test_window_full_of_holes_is_remembered_whole(native: Any, islands: Any) -> None:
    for number in range(2000):
        assert native.lib.gd_islands_add(islands, seq(2 * MSS * number + 1), seq(2 * MSS * number + 1 + MSS))
    assert islands.count == 2000


def test_crumbs_cost_no_more_memory_than_a_32nd_of_what_they_fill(native: Any, islands: Any) -> None:
    kept = [native.lib.gd_islands_add(islands, seq(2 * number + 1), seq(2 * number + 2)) for number in range(1000)]
    assert kept == [True] * 16 + [False] * 984
    assert native.lib.gd_islands_add(islands, seq(2), seq(3))  # joins two: that needs no room
    assert islands.count == 15


def test_last_island_gives_the_memory_back(native: Any, islands: Any) -> None:
    native.lib.gd_islands_add(islands, seq(100), seq(200))
    assert native.lib.gd_islands_join(islands, seq(100)) == seq(200)
    assert islands.at == native.ffi.NULL
