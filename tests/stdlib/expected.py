"""The committed account of all three columns: expected.txt, read, compared and written.

Called by run.py and test_stdlib.py. For each module a line with how many tests pass, then each test that does not
pass in all three columns, and why:

    == test_poll: plain 10, gevent 9, greendpdk 10 of 11
    ok   fail ok    PollTests.test_x  | TypeError: ...
    skip skip skip  CANTest.* (7)     | SocketCan required for this test.
"""
from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("expected.txt")
HOWS = ("plain", "gevent", "greendpdk")
UNSAID = "?"  # begins a reason that nobody has looked at yet


@dataclass(frozen=True)
class Row:
    """What becomes of a test in each column, and why it does not pass in all."""

    states: tuple[str, str, str]
    reason: str


Account = dict[str, dict[str, Row]]


def read() -> tuple[str, Account]:
    """Return the versions that the file was measured with, and its rows by module and test (or `Class.*`)."""
    version, account = "", {}
    if not FILE.exists():
        return version, account
    for line in FILE.read_text().splitlines():
        if line.startswith("# measured with "):
            version = line.removeprefix("# measured with ")
        elif line.startswith("== "):
            rows = account.setdefault(line[3:].partition(":")[0], {})
        elif line and not line.startswith("#"):
            states, name, reason = re.fullmatch(r"(\w+ +\w+ +\S+) +(.*?) +\| ?(.*)", line).groups()
            rows[re.sub(r" \(\d+\)$", "", name)] = Row(tuple(states.split()), reason)
    return version, account


def of(rows: dict[str, Row], test: str) -> Row:
    """Give a test's row; a test that is not named passes in all columns."""
    return rows.get(test) or rows.get(test.rpartition(".")[0] + ".*") or Row(("ok", "ok", "ok"), "")


def explain(known: dict[str, Row], test: str, states: tuple[str, str, str], texts: list[str]) -> str:
    """Keep the reason that the file has for the same states, or give what the test said, to be looked at."""
    before = of(known, test)
    if before.states == states and before.reason and not before.reason.startswith(UNSAID):
        return before.reason
    said = next((text for state, text in reversed(list(zip(states, texts, strict=True))) if state != "ok"), "")
    last = line_of(said)
    return last if states[2] == "ok" or set(states) == {"skip"} else f"{UNSAID} {last}"


def line_of(text: str) -> str:
    """Pick the line of a traceback that says what it was."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()] or [""]
    raised = [line for line in lines if re.match(r"[\w.]+(Error|Exception|Exit|Warning|Fail\w+|timeout)\b", line)]
    return (lines[0] if re.match("hung|the process died", lines[0]) else (raised or lines)[-1]).strip()[:150]


def write(versions: str, account: Account, modules: list[str]) -> None:
    """Write the file, in the order of modules; one that is not in the account stays as it stands there."""
    before = _blocks()
    lines = ["# Written by make stdlib BASELINE=1, which keeps the reasons; a reason after ? nobody has looked at yet.",
             f"# measured with {versions}"]
    for module in modules:
        block = _block(module, account[module]) if module in account else before.get(module)
        lines += ["", *block] if block else []
    FILE.write_text("\n".join(lines) + "\n")


def _blocks() -> dict[str, list[str]]:
    text = FILE.read_text() if FILE.exists() else ""
    return {part.partition(":")[0]: ("== " + part.rstrip()).splitlines() for part in text.split("\n== ")[1:]}


def _block(module: str, rows: dict[str, Row]) -> list[str]:
    passed = ", ".join(f"{how} {sum(row.states[column] == 'ok' for row in rows.values())}"
                       for column, how in enumerate(HOWS))
    return [f"== {module}: {passed} of {len(rows)}",
            *(f"{row.states[0]:4} {row.states[1]:4} {row.states[2]:5} {name} | {row.reason}"
              for name, row in _grouped(rows).items())]


def _grouped(rows: dict[str, Row]) -> dict[str, Row]:
    """Leave out what passes everywhere; rows of a whole class that are alike become one."""
    classes: dict[str, list[Row]] = defaultdict(list)
    for test, row in rows.items():
        classes[test.rpartition(".")[0]].append(row)
    grouped = {}
    for test, row in sorted(rows.items()):
        owner = test.rpartition(".")[0]
        if set(row.states) == {"ok"}:
            continue
        if owner and len(classes[owner]) > 1 and len(Counter(classes[owner])) == 1:
            grouped[f"{owner}.* ({len(classes[owner])})"] = row
        else:
            grouped[test] = row
    return grouped
