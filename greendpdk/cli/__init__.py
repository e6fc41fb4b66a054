"""The command line, `greendpdk` or `python -m greendpdk`: which command is meant.

Called by __main__.py and the console script; calls one module here for each command, whose main(words) returns the
exit status. A first word that is no command belongs to `run`, so that `greendpdk app.py` runs app.py.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

COMMANDS = {
    "run": "run a program over the stack (also without the word: greendpdk app.py)",
    "demo": "unmodified apps over DPDK, in a network namespace of its own",
    "doctor": "what greendpdk needs of this host, and what to do where it is missing",
    "devices": "the NICs and drivers that DPDK could use here",
    "ss": "connections of a running process",
    "capture": "frames of a running process, to a pcapng file",
    "stat": "named counters of a running process, and their rates",
    "top": "a live screen of a running process: rates, connections, its loop and who holds it",
}
PROGRAM = "greendpdk"


def main(words: list[str] | None = None) -> int:
    """Run one command."""
    words = sys.argv[1:] if words is None else words
    if words[:1] in (["--version"], ["-V"]):
        return _version()
    name = words[0] if words and words[0] in COMMANDS else "run"
    try:
        status: int = import_module(f"greendpdk.cli.{name}").main(words[1:] if words[:1] == [name] else words)
        if name != "run":  # a program's own output is the interpreter's, as its errors are the program's
            sys.stdout.flush()
    except KeyboardInterrupt:
        from greendpdk.cli._ending import interrupted

        interrupted()
    except BrokenPipeError:  # `greendpdk ss | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def overview() -> str:
    """Return the list of commands, for the help."""
    return "\n".join(f"  {name:9} {text}" for name, text in COMMANDS.items())


def _version() -> int:
    from greendpdk import __version__

    try:
        from greendpdk import version
    except ImportError as error:
        print(f"greendpdk {__version__}")
        print(f"greendpdk: {error}", file=sys.stderr)
        return 1
    print(version())
    return 0
