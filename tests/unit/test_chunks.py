"""Invariant: a buffer gives back what was written to it, owns chunks only for that, and never passes the cap.

And what it may take is its fair share (buffer.h's rules 1 to 3), no more and no less.
"""

from __future__ import annotations

import errno
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from internals import load

CHUNK = 4096
CAP = 40 * CHUNK
RINGS = 2 * 64 * 8  # bytes of two rings at most


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
        """Append takes all, or as much as its share allows."""
        data = pattern(seed, length)
        buffer, islands = self.buffers[which], self.islands[which]
        room, held = self.lib.gd_buffer_room(self.pool, buffer), buffer.chunks * CHUNK
        took = self.lib.gd_buffer_append(self.pool, buffer, data, length)
        assert 0 <= took <= length
        if not islands:  # else some chunks were there
            assert took <= room and (took == min(length, room) or self.pool.used + CHUNK > CAP - RINGS)
        if length and held < self.lib.GD_RESERVE and CAP - self.pool.used >= 2 * CHUNK:
            assert took >= min(length, CHUNK)
        have = self.bytes[which]
        have += data[:took]
        self.islands[which] = {at: byte for at, byte in self.islands[which].items() if at >= len(have)}

    @rule(
        which=st.integers(0, 1),
        seed=st.integers(0, 255),
        gap=st.integers(0, 5 * CHUNK),
        length=st.integers(1, CHUNK * 2),
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
    def cut(self, which: int) -> None:
        """What lies beyond len goes, and its chunks."""
        self.lib.gd_buffer_cut(self.pool, self.buffers[which])
        self.islands[which].clear()
        buffer = self.buffers[which]
        assert buffer.chunks == (buffer.offset + buffer.len + CHUNK - 1) // CHUNK or buffer.len == 0

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
        chunks = rings = 0
        for buffer, have, islands in zip(self.buffers, self.bytes, self.islands, strict=True):
            mine = sum(buffer.ring[slot] != self.ffi.NULL for slot in range(buffer.slots))
            chunks += mine
            rings += buffer.slots * 8 if buffer.slots > 1 else 0
            assert mine == buffer.chunks
            if not have and not islands and buffer.ring == self.ffi.NULL:
                assert (mine, buffer.slots, buffer.offset) == (0, 0, 0)
            needed = {(buffer.offset + at) // CHUNK for at in [*range(0, len(have), 512), *islands]}
            assert mine >= len(needed)
        assert self.pool.used == chunks * CHUNK + rings <= CAP
        assert self.pool.taken == chunks * CHUNK <= self.pool.owned


TestBuffers = Buffers.TestCase
TestBuffers.settings = settings(max_examples=60, stateful_step_count=40, deadline=None, derandomize=True)


def test_buffer_owns_nothing_when_it_was_read_empty(ffi: Any, lib: Any) -> None:
    pool, buffer = ffi.new("struct gd_chunk_pool *"), ffi.new("struct gd_buffer *")
    lib.gd_pool_init(pool, CAP)
    assert lib.gd_buffer_append(pool, buffer, bytes(10000), 10000) == 10000
    assert pool.used == 3 * CHUNK + 4 * 8
    lib.gd_buffer_consume(pool, buffer, 5000, False)
    assert pool.used == 2 * CHUNK + 4 * 8
    lib.gd_buffer_consume(pool, buffer, 5000, False)
    assert (pool.used, buffer.ring, buffer.slots) == (0, ffi.NULL, 0)
    lib.gd_pool_free(pool)


def test_message_of_one_chunk_needs_no_ring(ffi: Any, lib: Any) -> None:
    pool, buffer = ffi.new("struct gd_chunk_pool *"), ffi.new("struct gd_buffer *")
    lib.gd_pool_init(pool, CAP)
    assert lib.gd_buffer_append(pool, buffer, b"question", 8) == 8
    assert (pool.used, buffer.slots) == (CHUNK, 1)
    assert buffer.ring == ffi.addressof(buffer[0], "only")
    assert lib.gd_buffer_append(pool, buffer, bytes(CHUNK), CHUNK) == CHUNK
    assert (pool.used, buffer.slots) == (2 * CHUNK + 4 * 8, 4)
    lib.gd_buffer_clear(pool, buffer)
    assert pool.used == 0
    lib.gd_pool_free(pool)


def test_chunks_of_one_buffer_serve_the_next(ffi: Any, lib: Any) -> None:
    pool, buffer = ffi.new("struct gd_chunk_pool *"), ffi.new("struct gd_buffer *")
    lib.gd_pool_init(pool, 1000 * CHUNK)
    for _ in range(50):
        assert lib.gd_buffer_append(pool, buffer, bytes(60 * CHUNK), 60 * CHUNK) == 60 * CHUNK
        lib.gd_buffer_clear(pool, buffer)
    assert pool.owned == 64 * CHUNK
    lib.gd_pool_free(pool)


def fill(ffi: Any, lib: Any, pool: Any, buffer: Any) -> int:
    """Append until no more is taken; return the chunks held."""
    while lib.gd_buffer_append(pool, buffer, bytes(CHUNK), CHUNK):
        pass
    return int(buffer.chunks)


def test_each_of_n_that_want_all_gets_the_same_share(ffi: Any, lib: Any) -> None:
    """They take turns, as connections do: 1/(n + 1) of three quarters each, and one share is left."""
    pool = ffi.new("struct gd_chunk_pool *")
    for n in (1, 2, 3, 9):
        lib.gd_pool_init(pool, 400 * CHUNK)
        buffers = [ffi.new("struct gd_buffer *") for _ in range(n)]
        for _ in range(300):
            for buffer in buffers:
                lib.gd_buffer_append(pool, buffer, bytes(CHUNK), CHUNK)
        shares = [buffer.chunks for buffer in buffers]
        assert all(abs(share - 300 / (n + 1)) < 3 for share in shares), (n, shares)
        for buffer in buffers:
            lib.gd_buffer_clear(pool, buffer)
        lib.gd_pool_free(pool)


def test_hog_leaves_the_reserve_to_all_the_others(ffi: Any, lib: Any) -> None:
    """One takes all it can; 256 others get four chunks each of the last quarter, and the cap refuses the next."""
    pool, hog = ffi.new("struct gd_chunk_pool *"), ffi.new("struct gd_buffer *")
    lib.gd_pool_init(pool, 4096 * CHUNK)
    others = [ffi.new("struct gd_buffer *") for _ in range(300)]
    assert fill(ffi, lib, pool, hog) <= 1536
    held = [fill(ffi, lib, pool, other) for other in others]
    assert held[0] > 100 and min(held[:250]) >= 4
    assert held[-1] == 0 and pool.used <= pool.cap < pool.used + 2 * CHUNK
    assert lib.gd_buffer_append(pool, hog, bytes(CHUNK), CHUNK) == 0
    lib.gd_buffer_clear(pool, hog)
    assert fill(ffi, lib, pool, others[-1]) >= 4
    for other in others:
        lib.gd_buffer_clear(pool, other)
    assert (pool.used, pool.taken) == (0, 0)
    lib.gd_pool_free(pool)


def test_bytes_out_of_order_get_nothing_of_the_reserve(ffi: Any, lib: Any) -> None:
    pool, hog, other = (ffi.new(f"struct gd_{kind} *") for kind in ("chunk_pool", "buffer", "buffer"))
    lib.gd_pool_init(pool, 400 * CHUNK)
    assert lib.gd_buffer_may_spare(pool, other, 1000)
    extra = [ffi.new("struct gd_buffer *") for _ in range(12)]
    for buffer in (hog, *extra):
        fill(ffi, lib, pool, buffer)
    assert lib.gd_pool_room(pool, 0) >= CHUNK
    assert not lib.gd_buffer_may_spare(pool, other, 1000)
    for buffer in (hog, *extra):
        lib.gd_buffer_clear(pool, buffer)
    lib.gd_pool_free(pool)


def test_memory_of_a_large_buffer_goes_back_to_the_system(ffi: Any, lib: Any) -> None:
    """Slabs that are empty are freed but for sixteen; what is left serves, in whatever order chunks come and go."""
    pool = ffi.new("struct gd_chunk_pool *")
    lib.gd_pool_init(pool, 100_000 * CHUNK)
    buffers = [ffi.new("struct gd_buffer *") for _ in range(7)]
    for turn in range(700):
        for buffer in buffers:
            assert lib.gd_buffer_append(pool, buffer, bytes(CHUNK), CHUNK) == CHUNK
        lib.gd_buffer_consume(pool, buffers[turn % 7], 3 * CHUNK if turn > 20 else 0, False)
    assert pool.owned >= pool.taken > 30 * 64 * CHUNK
    for buffer in buffers:
        lib.gd_buffer_clear(pool, buffer)
    assert (pool.used, pool.taken, pool.owned) == (0, 0, 16 * 64 * CHUNK)
    assert fill(ffi, lib, pool, buffers[0]) > 2000
    lib.gd_buffer_clear(pool, buffers[0])
    lib.gd_pool_free(pool)
    assert pool.owned == 0
