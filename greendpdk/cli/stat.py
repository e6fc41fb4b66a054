"""greendpdk stat: the named counters of a running process, and their rates.

Called by cli/__init__.py; calls _client.py.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import sys
import time

from greendpdk.cli import _client

_GAUGES = frozenset({"buffer_bytes", "sockets"})  # they go up and down: a rate says nothing


def main(words: list[str]) -> int:
    """Show them; 1 if there is nobody to ask."""
    options = _parser().parse_intermixed_args(words)
    try:
        with _client.choose(options.pid) as process:
            return _run(process, options)
    except _client.ClientError as error:
        print(f"greendpdk stat: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="greendpdk stat", description="Show the named counters of a process that runs over greendpdk.",
        epilog="PATTERN is a name, or a shell pattern such as 'tcp_drop_*'. docs: what each counts stands in "
        "core/util/stats.def",
    )  # fmt: skip
    _client.add_option(parser)
    parser.add_argument("-w", "--watch", type=float, nargs="?", const=1.0, metavar="SECONDS",
                        help="again and again, with the rate a second (default: every second)")  # fmt: skip
    parser.add_argument("-c", "--count", type=int, metavar="N", help="with --watch: end after N")
    parser.add_argument("-z", "--zeros", action="store_true", help="also those that have not moved from 0")
    parser.add_argument("-j", "--json", action="store_true", help="JSON")
    parser.add_argument("patterns", nargs="*", metavar="PATTERN", help="which of them")
    return parser


def _run(process: _client.Process, options: argparse.Namespace) -> int:
    _client.check_seconds("--watch", options.watch)
    before, then = _wanted(process, options.patterns), time.monotonic()
    if options.patterns and not before:
        raise _client.ClientError(f"no counter is named like {' '.join(options.patterns)}: greendpdk stat -z lists all")
    _show(before, {}, options)
    left = options.count
    while options.watch is not None and (left is None or (left := left - 1) > 0):
        time.sleep(options.watch)
        after, now = _wanted(process, options.patterns), time.monotonic()
        _show(after, {name: (value - before.get(name, 0)) / (now - then) for name, value in after.items()}, options)
        before, then = after, now
    return 0


def _wanted(process: _client.Process, patterns: list[str]) -> dict[str, int]:
    counters: dict[str, int] = {}
    for name, value in process.ask("counters").items():
        port = name.removeprefix("port/")
        counters.update({f"{port}.{of_port}": number for of_port, number in value.items()}
                        if isinstance(value, dict) else {name: value})  # fmt: skip
    return {name: value for name, value in sorted(counters.items())
            if not patterns or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)}  # fmt: skip


def _show(counters: dict[str, int], rates: dict[str, float], options: argparse.Namespace) -> None:
    shown = {name: value for name, value in counters.items() if value or options.zeros}
    if options.json:
        per_second = {name: round(rates[name], 3) for name in shown if name in rates}
        print(json.dumps({"counters": shown, "per_second": per_second}), flush=True)
        return
    width = max(map(len, shown), default=0)
    for name, value in shown.items():
        rate = f" {rates[name]:>14,.1f}/s" if name in rates and name not in _GAUGES and rates[name] else ""
        print(f"{name:{width}} {value:>16}{rate}")
    if options.watch is not None:
        print(flush=True)
