"""Run `python -m greendpdk ARGUMENTS` and write the counters to a file when it ends.

Started by conftest.py as `runner.py FILE ARGUMENTS`. The app is not touched: the counters are read after it, and
before greendpdk's own end.
"""
from __future__ import annotations

import json
import os
import runpy
import sys
from pathlib import Path


def main() -> None:
    """Take the file's name off the command line and run the rest."""
    file = Path(sys.argv.pop(1))
    sys.path[0] = os.getcwd()  # as `python -m` has it
    try:
        runpy.run_module("greendpdk", run_name="__main__", alter_sys=True)
    finally:
        import greendpdk

        file.write_text(json.dumps(greendpdk.counters()))


if __name__ == "__main__":
    main()
