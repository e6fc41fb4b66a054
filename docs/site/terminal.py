"""Make the README's picture of a terminal, docs/terminal.svg, by real runs: `.venv/bin/python docs/site/terminal.py`.

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
from pathlib import Path

from rich.console import Console
from rich.text import Text

from greendpdk._namespace import enter_namespace

ROOT = Path(__file__).parent.parent.parent
COLUMNS = 118
STACK = "198.18.0.2"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": str(COLUMNS), "no_proxy": "*",
                            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
SERVE = "greendpdk -m flask --app flask_app run --host 198.18.0.2 --port 8080"
ASK = f"curl -s {STACK}:8080/bytes/200000000 --limit-rate 20M -o /dev/null"
LOOK = ["greendpdk ss -tn", "greendpdk ss -tin state established", "greendpdk stat 'net_tap0.*_bytes' 'tcp_out'"]


def words_of(command: str) -> list[str]:
    return ["bash", "-c", command.replace("greendpdk ", f"{sys.executable} -m greendpdk ", 1)]


def main() -> None:
    """Serve, fetch, look; draw."""
    enter_namespace()
    console = Console(record=True, width=COLUMNS, file=StringIO())
    quiet = {"cwd": ROOT / "examples", "env": ENVIRONMENT, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(words_of(SERVE), **quiet)
    probe = words_of(f"curl -s {STACK}:8080/")
    while subprocess.run(probe, **quiet, check=False).returncode:
        time.sleep(0.1)
    asking = subprocess.Popen(words_of(ASK), **quiet)
    time.sleep(2)
    for command in (SERVE + " &", ASK + " &", *LOOK):
        console.print(Text.assemble(("$ ", "bold green"), (command, "bold")), soft_wrap=True)
        if command in LOOK:
            asked = f"{command} -p {server.pid}"  # others on this host may have stacks too
            done = subprocess.run(words_of(asked), cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True,
                                  check=True)
            console.print(Text(done.stdout.rstrip().expandtabs()))
    for program in (asking, server):
        program.terminate()
        program.wait()
    svg = console.export_svg(title="an unmodified Flask app on a TCP/IP stack of its own")
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.S)  # nothing is loaded from elsewhere
    (ROOT / "docs" / "terminal.svg").write_text(re.sub(r"[ \t]+$", "", svg, flags=re.M))


if __name__ == "__main__":
    main()
