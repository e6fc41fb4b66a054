"""The throughput table against its snapshot, and the bars that goodput at 1 Gbit/s must hold.

All of it is virtual time: a cell that has changed comes from a change of the engine. table.py says what a cell is.
"""

from __future__ import annotations

import math

import pytest
from table import EXPECTED, PAGE, Cell, average, cells, measure, read, run

pytestmark = pytest.mark.needs("speed")
# A change that only shifts which frames are lost moves a lossy cell by some percent; a regression moves more, or many.
CELL, CLEAN_CELL, ALL = 0.12, 0.02, 0.04
LINE = 1e3 * 1448 / (1500 + 14)  # Mbit/s of payload that fit
MSS = 1448


REORDERED = [(1, 0.25), (1, 1), (20, 1), (20, 3), (20, 5), (100, 25)]
SHORT_QUEUE = Cell(0, 100, "32 MiB", queue=2000)


def reordered(rtt: int, hold: float, share: float = 0.05) -> Cell:
    return Cell(0, rtt, "32 MiB" if rtt == 100 else "auto", reorder=share, hold=hold)


@pytest.fixture(scope="module")
def found() -> dict[Cell, tuple[float, float]]:
    """Measure on all CPUs what several tests look at: the table, and a few cells more."""
    return run([*cells(), SHORT_QUEUE, *(reordered(*one) for one in REORDERED)])


@pytest.mark.slow
def test_table_is_as_it_was(found: dict[Cell, tuple[float, float]]) -> None:
    """If the change is wanted: make table, and look at the diff."""
    expected = read()
    ratios = {cell: found[cell][0] / mbits for cell, mbits in expected.items()}
    wrong = {
        f"{cell}": f"{found[cell][0]:.2f} Mbit/s, expected {expected[cell]:.2f}"
        for cell, ratio in ratios.items()
        if abs(ratio - 1) > (CELL if cell.loss else CLEAN_CELL)
    }
    assert wrong == {}
    lossy = [math.log(ratio) for cell, ratio in ratios.items() if cell.loss]
    assert abs(sum(lossy) / len(lossy)) < ALL


def test_page_shows_the_snapshot() -> None:
    assert EXPECTED.read_text() in PAGE.read_text()


def mathis(loss: float, rtt_ms: float) -> float:
    """Return what Mathis, Semke and Mahdavi (1997) estimate for Reno with SACK: Mbit/s."""
    return MSS * 8 / (rtt_ms / 1e3) * 1.22 / math.sqrt(loss) / 1e6


def test_one_percent_of_loss_at_20_ms_leaves_what_mathis_estimates() -> None:
    assert average(Cell(0.01, 20))[0] >= mathis(0.01, 20)


@pytest.mark.slow
@pytest.mark.parametrize("cell", [Cell(0, 100, "32 MiB"), SHORT_QUEUE], ids=["queue_of_one_bdp", "queue_of_a_quarter"])
def test_long_fat_pipe_is_full_after_ten_seconds(found: dict[Cell, tuple[float, float]], cell: Cell) -> None:
    assert found[cell][0] >= 0.9 * LINE


@pytest.mark.slow
@pytest.mark.parametrize(("rtt", "loss"), [(1, 0.001), (20, 0.001), (20, 0.01), (100, 0.01)])
def test_four_flows_share_a_lossy_wire(found: dict[Cell, tuple[float, float]], rtt: int, loss: float) -> None:
    assert found[Cell(loss, rtt, flows=4)][1] >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize(("rtt", "before"), [(1, 1), (20, 30)])
def test_four_flows_share_a_clean_wire(rtt: int, before: int) -> None:
    """CUBIC's cycle is nine seconds long at 20 ms: it takes a few to even out who was first."""
    assert measure(Cell(0, rtt, flows=4), seconds=(before, 10)).jain >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize(("rtt", "hold"), REORDERED)
def test_five_percent_reordered_costs_little(found: dict[Cell, tuple[float, float]], rtt: int, hold: float) -> None:
    """Held back by up to 3 ms and by a quarter of the round trip; on 1 ms, by as much as a whole one."""
    assert found[reordered(rtt, hold)][0] >= 0.8 * found[reordered(rtt, 0, 0)][0]
