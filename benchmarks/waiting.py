"""Measure selectors that wait in gevent's loop: the standard EpollSelector over greendpdk's epoll, and gevent's own
GeventSelector, which gevent's patch puts in its place. One process, one run, rounds interleaved; needs no root.

    one ready     select() while one of the registered sockets has a byte: of the kernel's, and of the stack's loopback
    wake          a byte is sent, select() waits for it, it is read: what a turn of an asyncio server is made of
    (un)register  a socket joins the set and leaves it

Run as `python benchmarks/waiting.py`. Calls greendpdk with no port.
"""
from __future__ import annotations

import argparse
import os
import platform
import selectors
import socket as standard
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from greendpdk import monkey

monkey.patch_all(vdev="none", loopback="stack")

import gevent.selectors  # noqa: E402 (its poll is the patched one)

READ = selectors.EVENT_READ
SELECTORS: dict[str, Callable[[], Any]] = {
    "EpollSelector": selectors.EpollSelector,
    "GeventSelector": gevent.selectors.GeventSelector,
}


@contextmanager
def pairs(kind: str, count: int) -> Iterator[list[tuple[Any, Any]]]:
    """Make connected sockets: (who writes, who is waited for)."""
    with ExitStack() as stack:
        made = []
        for _ in range(count):
            if kind == "kernel":
                pair = standard.socketpair()
            else:
                pair = standard.socket(type=standard.SOCK_DGRAM), standard.socket(type=standard.SOCK_DGRAM)
                pair[1].bind(("127.0.0.1", 0))
                pair[0].connect(pair[1].getsockname())
            for sock in pair:
                stack.callback(sock.close)
            made.append(pair)
        yield made


def one_ready(selector: Any, ends: list[tuple[Any, Any]], times: int) -> float:
    ends[0][0].send(b"x")
    selector.select(1)
    begun = time.perf_counter()
    for _ in range(times):
        found = selector.select(1)
    took = time.perf_counter() - begun
    assert len(found) == 1
    ends[0][1].recv(1)
    return took


def wake(selector: Any, ends: list[tuple[Any, Any]], times: int) -> float:
    writer, reader = ends[-1]
    begun = time.perf_counter()
    for _ in range(times):
        writer.send(b"x")
        while not selector.select(1):
            pass
        reader.recv(1)
    return time.perf_counter() - begun


def register(selector: Any, ends: list[tuple[Any, Any]], times: int) -> float:
    reader = ends[0][1]
    begun = time.perf_counter()
    for _ in range(times):
        selector.unregister(reader)
        selector.register(reader, READ)
    return time.perf_counter() - begun


MEASURES = {"one ready": one_ready, "wake": wake, "(un)register": register}


def measure(rounds: int, times: int) -> dict[tuple[str, str, int], dict[str, list[float]]]:
    """Return the microseconds of each round by (measure, kind of sockets, how many) and selector."""
    results: dict[tuple[str, str, int], dict[str, list[float]]] = {}
    for kind in ("kernel", "stack"):
        for count in (1, 100, 1000):
            with pairs(kind, count) as ends, ExitStack() as stack:
                made = {name: stack.enter_context(make()) for name, make in SELECTORS.items()}
                for selector in made.values():
                    for _, reader in ends:
                        selector.register(reader, READ)
                for number in range(rounds + 1):  # the first round warms up
                    for title, run in MEASURES.items():
                        for name, selector in made.items():
                            took = run(selector, ends, times) / times * 1e6
                            if number:
                                results.setdefault((title, kind, count), {}).setdefault(name, []).append(took)
    return results


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description="EpollSelector over greendpdk beside gevent's selector")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--times", type=int, default=300, help="calls of each measurement")
    options = parser.parse_args()
    print(f"Linux {platform.release()}, {os.cpu_count()} cores, Python {platform.python_version()}; "
          f"medians of {options.rounds} rounds of {options.times} calls, in microseconds a call\n")
    print(f"{'':14}{'sockets':>14}" + "".join(f"{name:>16}" for name in SELECTORS))
    for (title, kind, count), values in sorted(measure(options.rounds, options.times).items()):
        cells = "".join(f"{statistics.median(values[name]):16.1f}" for name in SELECTORS)
        print(f"{title:14}{count:>7} {kind:6}{cells}")


if __name__ == "__main__":
    main()
