"""Invariant: the published vectors of SipHash, an unbiased bounded random number, and RFC 1071's checksum."""
from __future__ import annotations

import os
import time
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

# vectors_sip64 of the reference implementation: key 00..0f, messages of length 0..63 with bytes 00, 01, 02, ...;
# the first sixteen, and the last.
SIPHASH = {
    0: "310e0edd47db6f72", 1: "fd67dc93c539f874", 2: "5a4fa9d909806c0d", 3: "2d7efbd796666785",
    4: "b7877127e09427cf", 5: "8da699cd64557618", 6: "cee3fe586e46c9cb", 7: "37d1018bf50002ab",
    8: "6224939a79f5f593", 9: "b0e4a90bdf82009e", 10: "f3b9dd94c5bb5d7a", 11: "a7ad6b22462fb3f4",
    12: "fbe50e86bc8f1e75", 13: "903d84c02756ea14", 14: "eef27a8e90ca23f7", 15: "e545be4961ca29a1",
    63: "724506eb4c328a95",
}


def test_siphash_matches_the_reference_vectors(ffi: Any, lib: Any) -> None:
    key = ffi.new("struct gd_key *", [0x0706050403020100, 0x0F0E0D0C0B0A0908])
    for length, expected in SIPHASH.items():
        assert lib.gd_siphash(key, bytes(range(length)), length).to_bytes(8, "little").hex() == expected


@given(bound=st.integers(1, 2**32 - 1), key=st.integers(0, 2**64 - 1))
def test_random_stays_below_its_bound(native: Any, bound: int, key: int) -> None:
    random = native.ffi.new("struct gd_random *", {"key": [key, 1]})
    assert all(0 <= native.lib.gd_random_below(random, bound) < bound for _ in range(20))


def test_random_reaches_every_value_about_equally(ffi: Any, lib: Any) -> None:
    random = ffi.new("struct gd_random *", {"key": [7, 8]})
    counts = [0] * 6
    for _ in range(6000):
        counts[lib.gd_random_below(random, 6)] += 1
    assert all(850 < count < 1150 for count in counts)


def test_random_repeats_itself_by_key(ffi: Any, lib: Any) -> None:
    def draw(key: int) -> list[int]:
        random = ffi.new("struct gd_random *", {"key": [key, 0]})
        return [lib.gd_random_next(random) for _ in range(8)]

    assert draw(1) == draw(1) != draw(2)
    assert len(set(draw(1))) == 8


def model(data: bytes) -> int:
    """Add up 16-bit words with end-around carry, the slow way."""
    total = 0
    for at in range(0, len(data), 2):
        total += int.from_bytes(data[at : at + 2].ljust(2, b"\0"), "big")
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


@given(data=st.binary(max_size=300), shift=st.integers(0, 7))
def test_checksum_agrees_with_the_slow_way(native: Any, data: bytes, shift: int) -> None:
    memory = native.ffi.new("uint8_t[]", bytes(shift) + data)
    got = native.lib.gd_checksum_finish(native.lib.gd_checksum_add(0, memory + shift, len(data)))
    assert got == model(data)


@given(data=st.binary(max_size=200), cut=st.integers(0, 100))
def test_checksum_of_parts_is_that_of_the_whole(native: Any, data: bytes, cut: int) -> None:
    lib, cut = native.lib, min(cut * 2, len(data) // 2 * 2)
    parts = lib.gd_checksum_add(lib.gd_checksum_add(0, data[:cut], cut), data[cut:], len(data) - cut)
    assert lib.gd_checksum_finish(parts) == model(data)


def test_checksum_of_the_largest_packet_does_not_overflow(lib: Any) -> None:
    data = b"\xff" * 65535
    assert lib.gd_checksum_finish(lib.gd_checksum_add(0xFFFF_FFFF, data, len(data))) == model(data + b"")


def test_checksum_of_a_segment_is_fast(ffi: Any, lib: Any) -> None:
    data, rounds = ffi.new("uint8_t[64000]"), 300
    start = time.perf_counter_ns()
    for _ in range(rounds):
        lib.gd_checksum_add(0, data, 64000)
    per_segment = (time.perf_counter_ns() - start) / rounds / 64000 * 1460
    # About 100 ns on a quiet machine; a bytewise loop takes 1,500. The sanitizers look at each read.
    assert per_segment < (15_000 if os.environ.get("GREENDPDK_SANITIZE") else 1000)
