"""The throughput table: loss x round trip x buffers x flows, over a wire of 1 Gbit/s, in virtual time.

`make table` writes expected.txt and docs/performance.md's copy anew; test_throughput.py compares, and holds the bars.
Each cell is the goodput of all flows together, in Mbit/s, once they have had time to grow; lossy cells are the mean of
three seeds. Frames are lost in both directions. The queue before the wire holds what the wire holds.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import re
import socket
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from greendpdk.testing import Endpoint, Fault, Wire
from greendpdk.testing.clock import MS, S

EXPECTED = Path(__file__).parent / "expected.txt"
PAGE = Path(__file__).parent.parent.parent / "docs" / "performance.md"
RATE = 1_000_000_000
FRAME = 1514
LOSSES = (0.0, 0.001, 0.005, 0.01, 0.02, 0.05)
RTTS = (1, 20, 100)  # ms
BUFFERS = {"64 KiB": 65536, "auto": 0, "32 MiB": 32 << 20}  # SO_RCVBUF and SO_SNDBUF, as setsockopt is told
FLOWS = (1, 4)
# Seconds before and while it is measured, by round trip: a clean wire is filled in seconds and then stays full, while
# losses are hundreds of events only over a longer time, at a rate that costs little.
CLEAN = {1: (1, 1), 20: (10, 4), 100: (10, 3)}
LOSSY = {1: (0.5, 3), 20: (1, 60), 100: (5, 200)}
SEEDS = (1, 2, 3)


@dataclass(frozen=True)
class Cell:
    """One setting; loss as a chance, rtt in ms, queue in frames (0: as many as the wire holds), hold in ms."""

    loss: float
    rtt: int
    buffer: str = "auto"
    flows: int = 1
    queue: int = 0
    reorder: float = 0.0
    hold: float = 0.0


@dataclass(frozen=True)
class Result:
    """Mbit/s of each flow."""

    flows: list[float]

    @property
    def total(self) -> float:
        return sum(self.flows)

    @property
    def jain(self) -> float:
        """Return Jain's index of fairness: 1 if all are equal, 1/n if one has all."""
        return self.total**2 / len(self.flows) / sum(flow**2 for flow in self.flows)


def connect(wire: Wire, size: int, port: int) -> tuple[Endpoint, Endpoint]:
    """Return a connection whose sender and receiver were given that buffer size before they met."""
    listener, client = wire.b.socket(), wire.a.socket()
    if size:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)
    listener.bind(("0.0.0.0", port))
    listener.listen()
    with contextlib.suppress(BlockingIOError):
        client.connect((wire.b.address, port))
    wire.run_until(lambda: listener.ready)
    return client, listener.accept()


def measure(cell: Cell, seed: int = 1, seconds: tuple[float, float] | None = None) -> Result:
    """Run one cell, for so many seconds before and while it is measured."""
    before, during = seconds or (LOSSY if cell.loss else CLEAN)[cell.rtt]
    queue = cell.queue or max(100, RATE * cell.rtt // 1000 // 8 // FRAME)
    faults = [
        Fault(loss=cell.loss, delay_ns=cell.rtt * MS // 2, rate_bps=RATE, queue_frames=queue, reorder=reorder,
              reorder_ns=int(cell.hold * MS))
        for reorder in (cell.reorder, 0.0)
    ]
    with Wire(*faults, seed=seed) as wire:
        pairs = [connect(wire, BUFFERS[cell.buffer], 80 + number) for number in range(cell.flows)]
        wire.bulk(pairs, int(before * S))
        return Result([bulk.received * 8 / during / 1e6 for bulk in wire.bulk(pairs, int(during * S))])


def average(cell: Cell) -> tuple[float, float]:
    """Return the goodput of all flows and their fairness, over the seeds where chance plays a part."""
    results = [measure(cell, seed) for seed in (SEEDS if cell.loss else SEEDS[:1])]
    return fmean(result.total for result in results), fmean(result.jain for result in results)


def run(cells: Iterable[Cell]) -> dict[Cell, tuple[float, float]]:
    """Run cells on all CPUs, the long ones first."""
    order = sorted(cells, key=lambda cell: (cell.loss, -cell.rtt))
    with multiprocessing.get_context("spawn").Pool() as pool:
        return dict(zip(order, pool.map(average, order, chunksize=1), strict=True))


def cells() -> list[Cell]:
    """List the table's cells in its order."""
    return [Cell(loss, rtt, buffer, flows) for flows in FLOWS for buffer in BUFFERS for rtt in RTTS for loss in LOSSES]


def text(results: dict[Cell, tuple[float, float]]) -> str:
    """Return the table as expected.txt has it."""
    lines = [f"{'flows':5} {'buffers':>7} {'rtt ms':>6}" + "".join(f"{loss:>8.1%}" for loss in LOSSES)]
    for flows in FLOWS:
        for buffer in BUFFERS:
            for rtt in RTTS:
                row = [results[Cell(loss, rtt, buffer, flows)][0] for loss in LOSSES]
                lines.append(f"{flows:5} {buffer:>7} {rtt:6}" + "".join(f"{mbits:8.2f}" for mbits in row))
    return "\n".join(lines) + "\n"


def read() -> dict[Cell, float]:
    """Return what expected.txt has."""
    rows = [line.rsplit(maxsplit=len(LOSSES) + 1) for line in EXPECTED.read_text().splitlines()[1:]]
    return {
        Cell(loss, int(row[1]), row[0].split(maxsplit=1)[1], int(row[0].split()[0])): float(mbits)
        for row in rows
        for loss, mbits in zip(LOSSES, row[2:], strict=True)
    }


def main() -> None:
    """Write the snapshot, and the page that shows it."""
    table = text(run(cells()))
    EXPECTED.write_text(table)
    PAGE.write_text(re.sub(r"(?<=```text\n).*?(?=```)", table, PAGE.read_text(), flags=re.S))
    sys.stdout.write(table)


if __name__ == "__main__":
    main()
