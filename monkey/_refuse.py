"""Modules whose sockets are their own, in C, and would wait for ever for a connection of ours: `import` says so.

Put in place by _patch.py with the socket class. uvicorn and others that try uvloop first go on with asyncio's loop,
as they do where it is not installed.
"""

from __future__ import annotations

import sys
from typing import Any

REFUSED = {
    "uvloop": "uvloop reads sockets by itself, in C, and would never see a connection of greendpdk: use asyncio's own "
    "loop (uvicorn --loop asyncio)",
}


class Finder:
    """Refuse to find what is in REFUSED."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> None:
        """Raise for a module that cannot work; leave all others to the next finder."""
        if name in REFUSED:
            raise ImportError(REFUSED[name], name=name)


def install() -> None:
    """Refuse from now on, before any other finder is asked."""
    if Finder not in sys.meta_path:
        sys.meta_path.insert(0, Finder)
