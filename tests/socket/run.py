"""Run a piece of a program in a process of its own: patching, forking and settings are for a process's life."""
from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(code: str, *words: str, check: bool = True, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the code (or `-m` words) with the given environment on top; fail with its output."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("GREENDPDK", "GEVENT"))}
    env |= {"GREENDPDK_VDEV": "none", "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error::ResourceWarning"} | environ
    command = [sys.executable, *(words or ("-c", textwrap.dedent(code)))]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    if check and done.returncode:
        raise AssertionError(f"exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done
