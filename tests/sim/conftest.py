"""Lets the tests of this folder import streams.py. Read by pytest."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
