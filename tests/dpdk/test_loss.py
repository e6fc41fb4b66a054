"""TCP over a path that loses packets at random both ways, beside Linux over the same path in the same run.

Like with like: both senders are told the same congestion control. A loss-based one lives on a window of 1.2 / √p
segments and spends its time in time-outs when that is small, on Linux as here: at 5 % it moves little, at 20 % next to
nothing. So the 50 MB each way go by BBR, which is what some kernels have as their default.
"""
from __future__ import annotations

from collections.abc import Iterator
from statistics import median

import lossy
import pytest
from lossy import Path
from peer import Side

pytestmark = [pytest.mark.needs("tap", "nft"), pytest.mark.slow]
MEGABYTE = 1_000_000
TIMES = 5  # as long as Linux takes, at most; the figures of a quiet machine, nearer to 2, are in docs/performance.md
# Seconds in which this machine did something else: both take less than one at best; a busy core shows in ours first.
MOMENT = 10.0
# Seconds without a byte: time-outs of 0.2 s, doubled each time that the repair is lost too. Two in a row are usual in
# thousands of losses at 1 %, four at 20 %; and as above.
PAUSE = {1: 3.0, 5: 7.0, 20: 14.0}
# Interleaved, and the medians compared: at 20 % a few time-outs are most of the time that it takes. One is enough where
# half of what is allowed was not used.
ROUNDS = 3


@pytest.fixture(scope="module")
def path() -> Iterator[Path]:
    with lossy.path() as made:
        yield made


def compare(path: Path, direction: str, size: int, algorithm: str, percent: int) -> None:
    """Move as much by Linux and by the stack, and hold the bars."""
    path.lose(percent)
    ends = {side: (side, path.far) if direction == "to_far" else (path.far, side) for side in (path.linux, path.stack)}
    rounds: list[dict[Side, tuple[float, float]]] = []
    for _ in range(ROUNDS):
        rounds.append({side: path.move(*pair, size, algorithm) for side, pair in ends.items()})
        linux, ours = (median(one[side][0] for one in rounds) for side in ends)
        pause = median(one[path.stack][1] for one in rounds)
        if ours < (TIMES * linux + MOMENT) / 2 and pause < PAUSE[percent] / 2:
            break  # no chance is worth twice the bar
    print(f"{algorithm} {percent} % {direction}: {ours:.2f} s, Linux {linux:.2f} s, longest pause {pause:.2f} s")
    assert ours < TIMES * linux + MOMENT
    assert pause < PAUSE[percent]


@pytest.mark.parametrize("direction", ["to_far", "from_far"])
@pytest.mark.parametrize(("percent", "megabytes"), [(1, 10), (5, 1)])
def test_cubic_keeps_up_with_linux(path: Path, direction: str, percent: int, megabytes: int) -> None:
    compare(path, direction, megabytes * MEGABYTE, "cubic", percent)


@pytest.mark.needs("bbr")
@pytest.mark.parametrize("direction", ["to_far", "from_far"])
@pytest.mark.parametrize("percent", [1, 5, 20])
def test_fifty_megabytes_by_bbr_keep_up_with_linux(path: Path, direction: str, percent: int) -> None:
    compare(path, direction, 50 * MEGABYTE, "bbr", percent)


def test_damaged_packets_are_dropped_and_counted(path: Path) -> None:
    """A byte of one in fifty is written over on the way: the checksum tells, and what arrives is byte-exact."""
    path.damage(2)
    before = path.stack.call("greendpdk", "counters").get("tcp_drop_checksum", 0)
    path.move(path.far, path.stack, 10 * MEGABYTE, "cubic")
    dropped = path.stack.call("greendpdk", "counters")["tcp_drop_checksum"] - before
    path.move(path.stack, path.far, 10 * MEGABYTE, "cubic")
    assert 70 < dropped < 300  # of some 6,900
