"""Lets the tests of this folder import raw_peer.py and the streams of tests/sim. Read by pytest."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "sim")]
