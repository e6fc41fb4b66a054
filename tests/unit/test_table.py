"""Invariant: a table finds exactly what was inserted and not removed, however it has grown."""
from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st


def nodes_of(lib: Any, ffi: Any, table: Any, hash_: int) -> list[int]:
    """List the addresses of the nodes with that hash."""
    found, node = [], lib.gd_table_first(table, hash_)
    while node != ffi.NULL:
        if node.hash == hash_:
            found.append(int(ffi.cast("uintptr_t", node)))
        node = node.next
    return found


@given(
    steps=st.lists(
        st.tuples(st.booleans(), st.integers(0, 40), st.one_of(st.integers(0, 8), st.integers(0, 2**64 - 1))),
        max_size=120,
    )
)
def test_table_agrees_with_a_dict(native: Any, steps: list[tuple[bool, int, int]]) -> None:
    ffi, lib = native.ffi, native.lib
    table, nodes = ffi.new("struct gd_table *"), ffi.new("struct gd_node[41]")
    model: dict[int, int] = {}
    assert lib.gd_table_init(table, 2) == 0
    for insert, number, hash_ in steps:
        if not insert:
            model.pop(number, None)
            lib.gd_table_remove(table, nodes + number)
        elif number not in model:
            model[number] = hash_
            lib.gd_table_insert(table, nodes + number, hash_)
        assert table.count == len(model)
    for hash_ in {step[2] for step in steps}:
        expected = {int(ffi.cast("uintptr_t", nodes + n)) for n, h in model.items() if h == hash_}
        found = nodes_of(lib, ffi, table, hash_)
        assert set(found) == expected and len(found) == len(expected)
    lib.gd_table_free(table)


def test_table_doubles_so_that_chains_stay_short(ffi: Any, lib: Any) -> None:
    table, nodes = ffi.new("struct gd_table *"), ffi.new("struct gd_node[5000]")
    assert lib.gd_table_init(table, 4) == 0
    for number in range(5000):
        lib.gd_table_insert(table, nodes + number, number)
    assert table.mask + 1 >= 4096
    for number in range(5000):
        lib.gd_table_remove(table, nodes + number)
        lib.gd_table_remove(table, nodes + number)
    assert table.count == 0
    lib.gd_table_free(table)
