"""greendpdk doctor: what greendpdk needs of this host, whether it is there, and what to do where it is not.

Called by cli/__init__.py; calls _checks.py. Exit status 1 if something is missing that every use needs.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from greendpdk.cli import _checks
from greendpdk.cli._checks import FAIL, NOTE, OK

_COLOUR = {OK: "green", NOTE: "yellow", FAIL: "red"}


def main(words: list[str]) -> int:
    """Check; show; return 1 if nothing can run."""
    parser = argparse.ArgumentParser(
        prog="greendpdk doctor", description="Check what greendpdk needs of this host, and say what to do.",
        epilog="ok: as it should be.  note: something that only some uses need.  fail: nothing runs without it.",
    )  # fmt: skip
    parser.add_argument("-j", "--json", action="store_true", help="JSON")
    options = parser.parse_args(words)
    found = _checks.run()
    if options.json:
        print(json.dumps([asdict(check) for check in found], indent=1))
    else:
        _show(found)
    return 1 if any(check.state == FAIL for check in found) else 0


def _show(found: list[_checks.Check]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    for check in found:
        text = Text(check.found)
        if check.todo:
            text.append(f"\n→ {check.todo}", style="bold")
        table.add_row(Text(check.state, style=_COLOUR[check.state]), check.what, text)
    console = Console()
    with console.capture() as capture:
        console.print(table)
    print(*(line.rstrip() for line in capture.get().splitlines()), sep="\n")
