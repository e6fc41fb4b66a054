"""make stdlib: CPython's and gevent's own socket tests on the stack's loopback, measured against stock gevent.

Called by the Makefile; calls process.py for each module, expected.py for what is known. Fails if a test that passes
under stock gevent does not pass here and has no stated reason, or if a kernel socket was opened meanwhile.
"""
from __future__ import annotations

import argparse
import importlib.util
import platform
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from importlib.metadata import version

import expected
import modules
import process

GREENDPDK = expected.HOWS.index("greendpdk")
GEVENT = expected.HOWS.index("gevent")

# Tests that shall have a kernel socket, which they ask for by name: module -> test (a pattern) -> why.
KERNEL: dict[str, dict[str, str]] = {
    "test_socket": {
        "GeneralModuleTests.test_csocket_repr": "it makes a _socket.socket",
        "GeneralModuleTests.test_socket_fileno_re*": "it gives numbers that are no socket's; none is opened",
    },
    "test_asyncio.test_base_events": {
        "BaseEventLoopWithSelectorTests.test_create_server_stream_bittype": "it listens unbound: on the wildcard",
    },
    "test__socket": {"TestTCP.test_attributes": "it compares with the original class"},
    "test__ssl": {"TestSSL.test_attributes": "it compares with the original class"},
    "test__socket_errors": {"*": "it finds an unused port by an original socket"},
    "test__socket_send_memoryview": {"TestSendBuiltinSocket.*": "it is about the original class"},
}


def main() -> int:
    """Run what is asked for; return the exit status."""
    options = _options()
    if missing := unmet():
        print(missing, file=sys.stderr)
        return 2
    asked = [*options.modules, *(modules.QUICK if options.quick else ())]
    chosen = [name for name in [*modules.CPYTHON, *modules.GEVENT]
              if not asked or any(fnmatchcase(name, one) or fnmatchcase(name.rpartition(".")[2], one) for one in asked)]
    if not chosen:
        print(f"no such module: {' '.join(options.modules)}", file=sys.stderr)
        return 2
    versions, known = expected.read()
    baseline = options.baseline or versions != here()
    if versions != here() and not options.baseline:
        print(f"expected.txt is of {versions or 'nothing yet'}, this is {here()}: stock gevent is measured too")
    hows = expected.HOWS if baseline else ("greendpdk",)
    report = Report(known, baseline, strict=options.quick)
    for one in (signal.SIGTERM, signal.SIGINT):  # SIGINT is ignored behind a shell's &
        signal.signal(one, signal.default_int_handler)
    with ThreadPoolExecutor(options.jobs) as pool:
        runs = {name: [pool.submit(process.run, how, name, options.k, options.verbose)
                       for how in (hows if name in modules.CPYTHON else hows[-2:])] for name in chosen}
        try:
            for name, futures in runs.items():
                report.add(name, [future.result() for future in futures])
                if options.baseline and not options.k:  # after each: what has been measured stays if it is broken off
                    expected.write(here(), report.account, [*modules.CPYTHON, *modules.GEVENT])
        except KeyboardInterrupt:
            process.STOP.set()
            pool.shutdown(cancel_futures=True)
            return 130
    return report.end()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make stdlib")
    parser.add_argument("modules", nargs="*", help="modules (patterns allowed); default: all")
    parser.add_argument("-k", metavar="TEXT", help="only tests with this in Class.name")
    parser.add_argument("--baseline", action="store_true", help="measure plain CPython and stock gevent too, and write "
                        "expected.txt anew")
    parser.add_argument("--quick", action="store_true", help="only the modules that make test runs")
    parser.add_argument("--jobs", type=int, default=2, help="processes at once")
    parser.add_argument("-v", "--verbose", action="store_true", help="show each failure in full, and what was printed")
    return parser.parse_args()


def unmet() -> str | None:
    """Say what is missing: a distribution's interpreter often comes without its own tests."""
    try:
        if importlib.util.find_spec("test.test_socket") is not None:
            return None
    except ModuleNotFoundError:
        pass  # without the package itself
    package = f"libpython{sys.version_info.major}.{sys.version_info.minor}-testsuite"
    return f"this Python comes without its own tests: a package of its own on Debian (apt install {package})"


def here() -> str:
    """Name what the results depend on."""
    return f"CPython {platform.python_version()}, gevent {version('gevent')}"


class Report:
    """Compares module by module, prints as it goes, and keeps what is to be written down."""

    def __init__(self, known: expected.Account, baseline: bool, strict: bool) -> None:
        self.known, self.baseline, self.strict = known, baseline, strict
        self.account: expected.Account = {}
        self.broken: list[str] = []
        self.better: list[str] = []
        self.second: list[str] = []  # passed with the machine to themselves: they have limits in time
        self.totals = [0, 0, 0]

    def add(self, name: str, outcomes: list[process.Outcome]) -> None:
        """Take one module's outcomes: of all three columns, or of greendpdk alone."""
        known, rows = self.known.get(name, {}), {}
        ours = outcomes[-1]
        if len(outcomes) == 2:
            outcomes = [outcomes[0], *outcomes]  # gevent's own tests run on gevent, patched or not
        tests = {test: None for outcome in outcomes for test in outcome.tests}
        if len(tests) > 1:
            tests.pop("module", None)  # it could not be loaded in one of the columns
        for test in tests:
            results = [outcome.tests.get(test) or outcome.tests.get("module", ("fail", "not there"))
                       for outcome in outcomes]
            before = expected.of(known, test)
            if not self.baseline:
                results = [*((state, "") for state in before.states[:GREENDPDK]), *results]
            if not self.strict and self._is_worse(_states(results), before):
                again = process.run("greendpdk", name, test).tests.get(test, ("fail", ""))
                if again[0] == "ok":
                    self.second.append(f"{name}::{test}: {expected.line_of(results[-1][1])}")
                    results[GREENDPDK] = again
            states, texts = _states(results), [text for _, text in results]
            rows[test] = expected.Row(states, "" if set(states) == {"ok"} else
                                      expected.explain(known, test, states, texts))
            self._judge(f"{name}::{test}", states, before, texts[-1])
        self._count_kernel(name, ours)
        self.account[name] = rows
        counts = [sum(row.states[column] == "ok" for row in rows.values()) for column in range(3)]
        self.totals = [total + count for total, count in zip(self.totals, counts, strict=True)]
        print(f"{name:42} plain {counts[0]:4}  gevent {counts[1]:4}  greendpdk {counts[2]:4}  of {len(rows):4}  "
              f"{ours.seconds:5.1f} s", flush=True)

    def _is_worse(self, states: tuple[str, ...], before: expected.Row) -> bool:
        """Tell whether a test does not pass that passes under stock gevent, or passed here, without a reason given."""
        excused = before.states[GREENDPDK] == states[GREENDPDK] and before.reason[:1] not in ("", expected.UNSAID)
        passed = states[GEVENT] == "ok" or before.reason != "" and before.states[GREENDPDK] == "ok"
        return states[GREENDPDK] != "ok" and passed and not excused

    def _judge(self, test: str, states: tuple[str, ...], before: expected.Row, text: str) -> None:
        if self._is_worse(states, before):
            self.broken.append(f"{test}: {expected.line_of(text)}")
        elif states[GREENDPDK] == "ok" and before.states[GREENDPDK] != "ok":
            self.better.append(test)

    def _count_kernel(self, name: str, ours: process.Outcome) -> None:
        for test, count in ours.kernel.items():
            if count > 0 and not any(fnmatchcase(test, one) for one in KERNEL.get(name, {})):
                self.broken.append(f"{name}::{test}: opened {count} kernel sockets")

    def end(self) -> int:
        """Print the sums, and what is wrong."""
        print(f"{'all':42} plain {self.totals[0]:4}  gevent {self.totals[1]:4}  greendpdk {self.totals[2]:4}")
        if self.better and not self.baseline:
            print(f"\n{len(self.better)} pass that expected.txt does not know of (make stdlib BASELINE=1):")
            print("\n".join(f"  {one}" for one in self.better))
        if self.second:
            print(f"\n{len(self.second)} passed by themselves, and not among the others:")
            print("\n".join(f"  {one}" for one in self.second))
        if self.broken:
            print(f"\n{len(self.broken)} broken:")
            print("\n".join(f"  {one}" for one in self.broken))
        return 1 if self.broken else 0


def _states(results: list[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(state for state, _ in results)


if __name__ == "__main__":
    sys.exit(main())
