"""make stdlib: CPython's and gevent's own socket tests on the stack's loopback, measured against stock gevent.

Called by the Makefile; calls process.py for each module, expected.py for what is known. Fails if a test that passes
under stock gevent does not pass here and has no stated reason, or if a kernel socket was opened meanwhile.
"""
from __future__ import annotations

import argparse
import importlib.util
import platform
import sys
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from importlib.metadata import version

import expected
import modules
import process

GREENDPDK = expected.HOWS.index("greendpdk")
GEVENT = expected.HOWS.index("gevent")

# Tests that ask the kernel for an AF_INET or AF_INET6 socket by name, so they shall get one: module -> test -> why.
KERNEL: dict[str, dict[str, str]] = {
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
    with ThreadPoolExecutor(options.jobs) as pool:
        runs = {name: [pool.submit(process.run, how, name, options.k, options.verbose) for how in hows]
                for name in chosen}
        report = Report(known, baseline, options.k)
        for name, futures in runs.items():
            report.add(name, [future.result() for future in futures])
            if options.baseline and not options.k:  # after each: a run that is broken off has not been for nothing
                expected.write(here(), {one: report.account.get(one, known.get(one, {}))
                                        for one in [*modules.CPYTHON, *modules.GEVENT]
                                        if one in report.account or one in known})
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
    for name in ("test.test_socket", "gevent.tests.test__socket"):
        try:
            found = importlib.util.find_spec(name)
        except ModuleNotFoundError:
            found = None
        if found is None:
            package = f"libpython{sys.version_info.major}.{sys.version_info.minor}-testsuite"
            return f"no {name} here: Python's own tests are a package of their own on Debian (apt install {package})"
    return None


def here() -> str:
    """Name what the results depend on."""
    return f"CPython {platform.python_version()}, gevent {version('gevent')}"


class Report:
    """Compares module by module, prints as it goes, and keeps what is to be written down."""

    def __init__(self, known: expected.Account, baseline: bool, only: str | None) -> None:
        self.known, self.baseline, self.only = known, baseline, only
        self.account: expected.Account = {}
        self.broken: list[str] = []
        self.better: list[str] = []
        self.totals = [0, 0, 0]

    def add(self, name: str, outcomes: list[process.Outcome]) -> None:
        """Take one module's outcomes: of all three columns, or of greendpdk alone."""
        known, rows = self.known.get(name, {}), {}
        ours = outcomes[-1]
        tests = {test: None for outcome in outcomes for test in outcome.tests}
        for test in tests:
            results = [outcome.tests.get(test, ("fail", "not there")) for outcome in outcomes]
            states, texts = tuple(state for state, _ in results), [text for _, text in results]
            before = expected.of(known, test)
            if not self.baseline:
                states, texts = (*before.states[:GREENDPDK], *states), ["", "", *texts]
            rows[test] = expected.Row(states, "" if set(states) == {"ok"} else
                                      expected.explain(known, test, states, texts))
            self._judge(f"{name}::{test}", states, before, texts[-1])
        self._count_kernel(name, ours)
        self.account[name] = rows
        counts = [sum(row.states[column] == "ok" for row in rows.values()) for column in range(3)]
        self.totals = [total + count for total, count in zip(self.totals, counts, strict=True)]
        print(f"{name:42} plain {counts[0]:4}  gevent {counts[1]:4}  greendpdk {counts[2]:4}  of {len(rows):4}  "
              f"{ours.seconds:5.1f} s", flush=True)

    def _judge(self, test: str, states: tuple[str, ...], before: expected.Row, text: str) -> None:
        ours, theirs = states[GREENDPDK], states[GEVENT]
        excused = before.states[GREENDPDK] == ours and not before.reason.startswith(expected.UNSAID)
        if ours != "ok" and theirs == "ok" and not (excused and before.reason):
            self.broken.append(f"{test}: {expected.line_of(text)}")
        elif ours == "fail" and before.states[GREENDPDK] == "ok" and before.states[GEVENT] != "ok":
            self.broken.append(f"{test}: passed before: {expected.line_of(text)}")
        elif ours == "ok" and before.states[GREENDPDK] != "ok":
            self.better.append(test)

    def _count_kernel(self, name: str, ours: process.Outcome) -> None:
        for test, count in ours.kernel.items():
            if count > 0 and test not in KERNEL.get(name, {}):
                self.broken.append(f"{name}::{test}: opened {count} kernel sockets")

    def end(self) -> int:
        """Print the sums, and what is wrong."""
        print(f"{'all':42} plain {self.totals[0]:4}  gevent {self.totals[1]:4}  greendpdk {self.totals[2]:4}")
        if self.better and not self.baseline:
            print(f"\n{len(self.better)} pass that expected.txt does not know of (make stdlib BASELINE=1):")
            print("\n".join(f"  {one}" for one in self.better))
        if self.broken:
            print(f"\n{len(self.broken)} broken:")
            print("\n".join(f"  {one}" for one in self.broken))
        return 1 if self.broken else 0


if __name__ == "__main__":
    sys.exit(main())
