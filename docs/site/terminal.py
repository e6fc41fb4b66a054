"""Make the pictures of a terminal, docs/terminal.svg and demo.svg, by real runs: `python docs/site/terminal.py`.

Calls greendpdk's commands in a network namespace of its own; rich draws what they print. As root, or as a user who may
have namespaces.
"""
from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from io import StringIO
from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.text import Text

from greendpdk._namespace import enter_namespace
from greendpdk.cli import _client, _view, top

ROOT = Path(__file__).parent.parent.parent
COLUMNS = 100
STACK = "198.18.0.2"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": str(COLUMNS), "no_proxy": "*",
                            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
SERVE = "greendpdk -m flask --app flask_app run --host 198.18.0.2 --port 8080"
ASK = f"curl -s {STACK}:8080/bytes/400000000 --limit-rate 20M -o /dev/null"
LOOK = ["greendpdk ss -tn", "greendpdk stat 'net_tap0.*_bytes' 'tcp_out'"]


def words_of(command: str) -> list[str]:
    return ["bash", "-c", command.replace("greendpdk ", f"exec {sys.executable} -m greendpdk ", 1)]


def main() -> None:
    """Draw both."""
    enter_namespace()
    draw("demo", "no root, no NIC, no hugepages", demo)
    draw("terminal", "an unmodified Flask app on a TCP/IP stack of its own", look)


def draw(name: str, title: str, scene: object) -> None:
    console = Console(record=True, width=COLUMNS, file=StringIO())
    scene(console)  # type: ignore[operator]
    svg = console.export_svg(title=title)
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.S)  # nothing is loaded from elsewhere
    (ROOT / "docs" / f"{name}.svg").write_text(re.sub(r"[ \t]+$", "", svg, flags=re.M))


def prompt(console: Console, command: str) -> None:
    console.print(Text.assemble(("$ ", "bold green"), (command, "bold")), soft_wrap=True)


def run(console: Console, command: str, more: str = "") -> None:
    """Show a command and what it prints; `more` are words that are not shown."""
    prompt(console, command)
    done = subprocess.run(words_of(command + more), cwd=ROOT, env=ENVIRONMENT | {"FORCE_COLOR": "1"},
                          stdout=subprocess.PIPE, text=True, check=True)
    console.print(Text.from_ansi(done.stdout.rstrip().expandtabs()))


def demo(console: Console) -> None:
    """Show `greendpdk demo`."""
    run(console, "greendpdk demo")


def look(console: Console) -> None:
    """Serve, fetch, look."""
    quiet = {"cwd": ROOT / "examples", "env": ENVIRONMENT, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(words_of(SERVE), **quiet)
    while subprocess.run(words_of(f"curl -s {STACK}:8080/"), **quiet, check=False).returncode:
        time.sleep(0.1)
    asking = [subprocess.Popen(words_of("exec " + ASK), **quiet) for _ in range(2)]
    time.sleep(2)
    for command in (SERVE + " &", ASK + " &", ASK + " &"):
        prompt(console, command)
    for command in LOOK:
        run(console, command, f" -p {server.pid}")  # others on this host may have stacks too
    prompt(console, "greendpdk top")
    with _client.choose(server.pid) as process:
        *_, screen = islice(top._screens(process, 1.0, None), 2)
    for text, style in _view.lines(screen, COLUMNS, 24):
        console.print(Text(text, style))
    for program in (*asking, server):
        program.terminate()
        program.wait()


if __name__ == "__main__":
    main()
