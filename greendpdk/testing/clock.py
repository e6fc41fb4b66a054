"""A clock that stands still until it is moved, and so makes an hour of TCP time pass in milliseconds.

Called by wire.py and script.py's player; calls nothing.
"""

from __future__ import annotations

US = 1_000
MS = 1_000_000
S = 1_000_000_000
NEVER = 2**64 - 1


class Clock:
    """Virtual time in nanoseconds."""

    def __init__(self, start: int = 1000 * S) -> None:
        self.start = start
        self.now = start

    @property
    def elapsed(self) -> int:
        """Return the nanoseconds since the clock was made."""
        return self.now - self.start

    def advance(self, ns: int) -> None:
        """Move the clock on."""
        if ns < 0:
            raise ValueError(f"time does not run backwards: {ns} ns")
        self.now += ns

    def jump(self, at: int, limit: int = NEVER) -> bool:
        """Move to `at`, but not beyond `limit` and never back; tell if `at` was reached."""
        self.now = max(self.now, min(at, limit))
        return at <= limit
