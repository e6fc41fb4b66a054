"""The lines of `greendpdk top`, made of two looks at a process. Called by top.py; calls nothing.

Each is a text of at most the width, and a style of rich's. 80 columns are enough; more make long names whole.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Line = tuple[str, str]
HEAD, TITLE, PLAIN, BAD = "bold", "bold reverse", "", "bold red"
_LISTED = 8  # connections and handlers where the screen has no height
_RESENT = ("tcp_retransmits", "tcp_timeouts", "tcp_fast_retransmits", "tcp_out_of_order")


@dataclass(frozen=True)
class Look:
    """What a process said at one time."""

    at: float
    top: dict[str, Any]
    counters: dict[str, Any]
    rows: list[dict[str, Any]]


@dataclass(frozen=True)
class Screen:
    """Two looks, and who was looked at; info has `since` when it runs besides."""

    info: dict[str, Any]
    before: Look
    now: Look

    def rate(self, name: str, of: str = "counters") -> float:
        """Return how fast a number has moved, a second."""
        was, now = getattr(self.before, of), getattr(self.now, of)
        return float(now.get(name, 0) - was.get(name, 0)) / (self.now.at - self.before.at)

    def loop(self, name: str) -> float:
        """Return the same of the loop's numbers."""
        was, now = self.before.top["loop"], self.now.top["loop"]
        return float(now[name] - was[name]) / (self.now.at - self.before.at)


def lines(screen: Screen, width: int, height: int | None) -> list[Line]:
    """Return the screen; the lists at its end take what is left of the height."""
    found = [*_head(screen), *_loop(screen), *_tcp(screen), *_ports(screen)]
    handlers, held, connections = list(_handlers(screen)), list(_held(screen)), list(_connections(screen, width))
    left = 2 * _LISTED + 6 if height is None else height - len(found)
    found += handlers[: max(left // 2, 3)]
    found += held[:3]
    found += connections[: max(left - min(len(handlers), max(left // 2, 3)) - min(len(held), 3), 2)]
    return [(text[:width].rstrip(), style) for text, style in (found if height is None else found[:height])]


def _head(screen: Screen) -> Iterator[Line]:
    info = screen.info
    up = int(screen.now.at - info["since"])
    clock = time.strftime("%H:%M:%S")
    yield f"greendpdk top {clock}  pid {info['pid']}, up {up // 3600}:{up // 60 % 60:02}:{up % 60:02}", HEAD
    yield f"{info['program']}", PLAIN


def _loop(screen: Screen) -> Iterator[Line]:
    share = {name: 100 * screen.loop(f"{name}_ns") / 1e9 for name in ("busy", "polling", "greenlets", "spinning",
                                                                        "asleep")}  # fmt: skip
    busy = min(share["busy"], 100.0)
    yield (f"loop     busy {busy:5.1f}% (engine {share['polling']:.1f}, greenlets {share['greenlets']:.1f})  spinning "
           f"{share['spinning']:.1f}%  asleep {share['asleep']:.1f}%", BAD if busy > 90 else PLAIN)  # fmt: skip
    polls = screen.loop("polls") or 1.0
    longest = screen.now.top["loop"]["longest_ns"] / 1e6
    yield (f"         polls {number(screen.loop('polls'))}/s  frames {screen.loop('frames') / polls:.2f}, events "
           f"{screen.loop('events') / polls:.2f} a poll  longest turn {longest:.1f} ms", PLAIN)  # fmt: skip


def _tcp(screen: Screen) -> Iterator[Line]:
    states = ", ".join(f"{name.replace('_', '-')} {count}" for name, count in screen.now.top["states"].items())
    yield f"sockets  {states or 'none'}", PLAIN
    held = number(screen.now.counters["buffer_bytes"])
    yield (f"buffers  {held}B   connections +{screen.rate('tcp_passive_opens'):.0f} in, "
           f"+{screen.rate('tcp_active_opens'):.0f} out /s", PLAIN)  # fmt: skip
    retransmits, timeouts, fast, disorder = map(screen.rate, _RESENT)
    yield (f"tcp      retransmits {retransmits:.1f}/s (timeouts {timeouts:.1f}, fast {fast:.1f})  out of order "
           f"{disorder:.1f}/s", BAD if retransmits > 10 else PLAIN)  # fmt: skip
    drops = {name: screen.rate(name) for name in screen.now.counters if "_drop_" in name}
    worst = sorted((name for name in drops if drops[name] > 0), key=lambda name: -drops[name])[:2]
    yield (f"drops    {sum(drops.values()):.1f}/s  " + "  ".join(f"{name} {drops[name]:.1f}" for name in worst),
           PLAIN)  # fmt: skip


def _ports(screen: Screen) -> Iterator[Line]:
    yield f"{'PORT':14}{'IN pps':>9}{'bit/s':>9}{'OUT pps':>10}{'bit/s':>9}{'lost/s':>9}", TITLE
    now = {**screen.now.counters, **screen.now.top}
    before = {**screen.before.counters, **screen.before.top}
    seconds = screen.now.at - screen.before.at
    for name in sorted(key for key, value in now.items() if key.startswith("port/") and isinstance(value, dict)):
        rates = {key: (value - before.get(name, {}).get(key, value)) / seconds for key, value in now[name].items()}
        lost = sum(rates.get(key, 0.0) for key in ("rx_missed", "rx_errors", "tx_errors", "rx_no_buffer"))
        yield (f"{name.removeprefix('port/'):14}{number(rates['rx_packets']):>9}{number(8 * rates['rx_bytes']):>9}"
               f"{number(rates['tx_packets']):>10}{number(8 * rates['tx_bytes']):>9}{number(lost):>9}",
               BAD if lost else PLAIN)  # fmt: skip


def _handlers(screen: Screen) -> Iterator[Line]:
    yield f"{'HANDLER: where it gave way':48}{'times':>9}{'mean':>11}{'longest':>11}", TITLE
    for name, row in screen.now.top.items():
        if name.startswith("handler/"):
            what = f"{row['name']}: {row['where']}" if not row["where"].startswith(row["name"]) else row["where"]
            yield (f"{middle(what, 47):48}{number(row['count']):>9}{row['total_us'] / row['count'] / 1000:>8.2f} ms"
                   f"{row['longest_us'] / 1000:>8.2f} ms", PLAIN)  # fmt: skip


def _held(screen: Screen) -> Iterator[Line]:
    """Show who held the loop for longer than `blocked`, the longest first."""
    held = [row for name, row in screen.now.top.items() if name.startswith("held/")]
    for row in sorted(held, key=lambda row: -row["ms"]):
        yield f"held for {row['ms']} ms: {row['where']}", BAD


def _connections(screen: Screen, width: int) -> Iterator[Line]:
    room = max((width - 32) // 2, 20)
    yield f"{'LOCAL':{room}}{'PEER':{room}}{'IN bit/s':>9}{'OUT bit/s':>10}{'queued':>12}", TITLE
    seconds = screen.now.at - screen.before.at
    was = {row["id"]: row for row in screen.before.rows if "id" in row}
    moved = []
    for row in screen.now.rows:
        old = was.get(row.get("id", 0))
        if old is not None:
            rates = [8 * (row.get(key, 0) - old.get(key, 0)) / seconds for key in ("received", "sent")]
            if any(rate > 0 for rate in rates):
                moved.append((rates, row))
    for (received, sent), row in sorted(moved, key=lambda one: -sum(one[0])):
        yield (f"{middle(row['local'], room - 1):{room}}{middle(row['peer'], room - 1):{room}}{number(received):>9}"
               f"{number(sent):>10}{row['recv_q'] + row['send_q']:>12,}", PLAIN)  # fmt: skip


def number(value: float) -> str:
    """Spell it in five characters or so: 999, 12.3k, 4.56G."""
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g}{unit}" if value < 1000 * size else f"{value / size:.0f}{unit}"
    return f"{value:.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def middle(text: str, room: int) -> str:
    """Cut from the middle what does not fit."""
    if len(text) <= room:
        return text
    return f"{text[: (room - 1) // 2]}~{text[len(text) - room + 1 + (room - 1) // 2 :]}"
