"""TCP over a path that loses packets at random both ways, beside Linux over the same path in the same run.

Like with like: both senders are told the same congestion control. A loss-based one lives on a window of 1.2 / √p
segments and spends its time in time-outs when that is small, on Linux as here: at 5 % it moves little, at 20 % next to
nothing. `pytest -m slow tests/dpdk/test_loss.py` moves 50 MB each way.
"""
from __future__ import annotations

from collections.abc import Iterator

import lossy
import pytest
from lossy import Path

pytestmark = [pytest.mark.needs("tap", "nft"), pytest.mark.slow]
MEGABYTE = 1_000_000
TIMES = 5  # as long as Linux takes, at most; and a moment in which this machine did something else
MOMENT = 1.0
# Seconds without a byte: time-outs of 0.2 s, doubled each time that the repair is lost too. Two in a row are usual in
# thousands of losses at 1 %, four at 20 %.
PAUSE = {1: 1.5, 5: 3.5, 20: 7.0}


@pytest.fixture(scope="module")
def path() -> Iterator[Path]:
    with lossy.path() as made:
        yield made


def compare(path: Path, direction: str, size: int, algorithm: str, percent: int) -> None:
    """Move as much by Linux and by the stack, and hold the bars."""
    path.lose(percent)
    if direction == "to_far":
        linux, _ = path.move(path.linux, path.far, size, algorithm)
        ours, pause = path.move(path.stack, path.far, size, algorithm)
    else:
        linux, _ = path.move(path.far, path.linux, size, algorithm)
        ours, pause = path.move(path.far, path.stack, size, algorithm)
    print(f"{algorithm} {percent} % {direction}: {ours:.2f} s, Linux {linux:.2f} s, longest pause {pause:.2f} s")
    assert ours < TIMES * linux + MOMENT
    assert pause < PAUSE[percent]


@pytest.mark.parametrize("direction", ["to_far", "from_far"])
@pytest.mark.parametrize(("percent", "megabytes"), [(1, 50), (5, 2)])
def test_cubic_keeps_up_with_linux(path: Path, direction: str, percent: int, megabytes: int) -> None:
    compare(path, direction, megabytes * MEGABYTE, "cubic", percent)
