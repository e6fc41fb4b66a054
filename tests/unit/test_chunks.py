"""Invariant: a buffer gives back what was written to it, owns chunks only for that, and never passes the cap."""
from __future__ import annotations

import errno
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from internals import load

CHUNK = 4096
CAP = 40 * CHUNK


def pattern(seed: int, length: int) -> bytes:
    """Bytes that differ by place and by seed."""
    return bytes((seed * 7 + at * 31 + (at >> 8)) & 0xFF for at in range(length))


class Buffers(RuleBasedStateMachine):
    """Two buffers under one cap, against dicts of offset to byte."""

    def __init__(self) -> None:
        super().__init__()
        native = load()
        self.ffi, self.lib = native.ffi, native.lib
        self.pool = self.ffi.new("struct gd_chunk_pool *")
        self.lib.gd_pool_init(self.pool, CAP)
        self.buffers = [self.ffi.new("struct gd_buffer *") for _ in range(2)]
        self.bytes: list[bytearray] = [bytearray(), bytearray()]  # contiguous
        self.islands: list[dict[int, int]] = [{}, {}]  # offset from head -> byte, at len or beyond

    def teardown(self) -> None:
        for buffer in self.buffers:
            self.lib.gd_buffer_clear(self.pool, buffer)
        assert self.pool.used == 0
        self.lib.gd_pool_free(self.pool)

    @rule(which=st.integers(0, 1), seed=st.integers(0, 255), length=st.integers(0, 6 * CHUNK))
    def append(self, which: int, seed: int, length: int) -> None:
        """Append takes all, or as much as the cap allows."""
        data = pattern(seed, length)
        room = CAP - self.pool.used
        took = self.lib.gd_buffer_append(self.pool, self.buffers[which], data, length)
        assert 0 <= took <= length
        if length <= room:
            assert took == length
        have = self.bytes[which]
        have += data[:took]
        self.islands[which] = {at: byte for at, byte in self.islands[which].items() if at >= len(have)}

    @rule(
        which=st.integers(0, 1), seed=st.integers(0, 255),
        gap=st.integers(0, 5 * CHUNK), length=st.integers(1, CHUNK * 2),
    )
    def island(self, which: int, seed: int, gap: int, length: int) -> None:
        """Write beyond len: all or nothing."""
        at, data, before = len(self.bytes[which]) + gap, pattern(seed, length), self.pool.used
        rc = self.lib.gd_buffer_write(self.pool, self.buffers[which], at, data, length)
        if rc == 0:
            self.islands[which].update(enumerate(data, at))
        else:
            assert rc == -errno.ENOBUFS and self.pool.used == before

    @rule(which=st.integers(0, 1))
    def extend(self, which: int) -> None:
        """What became contiguous joins."""
        have, islands = self.bytes[which], self.islands[which]
        start = len(have)
        while len(have) in islands:
            have.append(islands.pop(len(have)))
        self.lib.gd_buffer_extend(self.buffers[which], len(have) - start)

    @precondition(lambda self: any(self.bytes))
    @rule(which=st.integers(0, 1), part=st.floats(0, 1))
    def consume(self, which: int, part: float) -> None:
        """Drop from the head; islands keep their places."""
        length = round(len(self.bytes[which]) * part)
        keep = bool(self.islands[which])
        self.lib.gd_buffer_consume(self.pool, self.buffers[which], length, keep)
        del self.bytes[which][:length]
        self.islands[which] = {at - length: byte for at, byte in self.islands[which].items()}

    @rule(which=st.integers(0, 1))
    def clear(self, which: int) -> None:
        """Everything goes."""
        self.lib.gd_buffer_clear(self.pool, self.buffers[which])
        self.bytes[which].clear()
        self.islands[which].clear()

    @invariant()
    def same_bytes(self) -> None:
        """Every byte reads back, at any offset."""
        for buffer, have, islands in zip(self.buffers, self.bytes, self.islands, strict=True):
            assert buffer.len == len(have)
            for at, length in ((0, len(have)), (len(have) // 3, len(have) // 2)):
                out = self.ffi.new("uint8_t[]", length + 1)
                self.lib.gd_buffer_read(buffer, at, out, length)
                assert bytes(out)[:length] == have[at : at + length]
            for at in list(islands)[:: max(1, len(islands) // 8)]:
                out = self.ffi.new("uint8_t[1]")
                self.lib.gd_buffer_read(buffer, at, out, 1)
                assert out[0] == islands[at]

    @invariant()
    def owns_what_it_holds(self) -> None:
        """Chunks are counted, under the cap, and none stays with an empty buffer."""
        chunks = 0
        for buffer, have, islands in zip(self.buffers, self.bytes, self.islands, strict=True):
            mine = sum(buffer.ring[slot] != self.ffi.NULL for slot in range(buffer.slots))
            chunks += mine
            if not have and not islands and buffer.ring == self.ffi.NULL:
                assert (mine, buffer.slots, buffer.offset) == (0, 0, 0)
            needed = {(buffer.offset + at) // CHUNK for at in [*range(0, len(have), 512), *islands]}
            assert mine >= len(needed)
        assert self.pool.used == chunks * CHUNK <= CAP
        assert self.pool.owned >= self.pool.used


TestBuffers = Buffers.TestCase
TestBuffers.settings = settings(max_examples=60, stateful_step_count=40, deadline=None, derandomize=True)


def test_buffer_owns_nothing_when_it_was_read_empty(ffi: Any, lib: Any) -> None:
    pool, buffer = ffi.new("struct gd_chunk_pool *"), ffi.new("struct gd_buffer *")
    lib.gd_pool_init(pool, CAP)
    assert lib.gd_buffer_append(pool, buffer, bytes(10000), 10000) == 10000
    assert pool.used == 3 * CHUNK
    lib.gd_buffer_consume(pool, buffer, 5000, False)
    assert pool.used == 2 * CHUNK
    lib.gd_buffer_consume(pool, buffer, 5000, False)
    assert (pool.used, buffer.ring, buffer.slots) == (0, ffi.NULL, 0)
    lib.gd_pool_free(pool)


def test_chunks_of_one_buffer_serve_the_next(ffi: Any, lib: Any) -> None:
    pool, buffer = ffi.new("struct gd_chunk_pool *"), ffi.new("struct gd_buffer *")
    lib.gd_pool_init(pool, 100 * CHUNK)
    for _ in range(50):
        assert lib.gd_buffer_append(pool, buffer, bytes(60 * CHUNK), 60 * CHUNK) == 60 * CHUNK
        lib.gd_buffer_clear(pool, buffer)
    assert pool.owned == 64 * CHUNK
    lib.gd_pool_free(pool)
