"""What a network does to packets, as people write it: loss=0.02, delay="40ms", rate="10mbit".

Called by pytest_plugin.py (marks) and testing/_network.py; calls nothing: a mark is checked where no stack runs
too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

MTU_MIN, MTU_MAX = 576, 65535  # RFC 791: every host takes so much; the loopback's
QUEUE_MAX, QUEUE = 65536, 1000  # GD_FAULT_QUEUE; netem's `limit`, tc-netem(8)
REORDERED_NS = 10_000_000  # how much later a reordered packet comes: many packets, and far below TCP's least time-out
DIRECTIONS = {"both": (True, True), "out": (True, False), "in": (False, True)}
_NUMBER = r"(\d+(?:\.\d+)?|\.\d+)"
_TIME, _RATE = {"us": 1e3, "ms": 1e6, "s": 1e9}, {"bit": 1.0, "kbit": 1e3, "mbit": 1e6, "gbit": 1e9}
_CHANCE = "a chance: a number from 0 to 1, or '0%' to '100%'"
_HOUR_NS = 3600 * 10**9


class ConditionError(ValueError):
    """An argument that no network can have: the text names it and says what is allowed."""


@dataclass(frozen=True)
class Conditions:
    """The state of one or both directions; chances are 0..1, times in nanoseconds."""

    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    corrupt: float = 0.0
    delay: int = 0
    jitter: int = 0
    rate: int = 0  # bits a second; 0: no limit
    queue: int = 0  # packets that wait for the rate
    mtu: int | None = None  # of both directions
    seed: int | None = None  # None: the test's
    out: bool = True
    into: bool = True
    words: str = ""  # as they were given

    def __str__(self) -> str:
        return self.words or "nothing"

    @property
    def which(self) -> str:
        """Return "both ways", "out" or "in"."""
        return "both ways" if self.out and self.into else "out" if self.out else "in"

    def fault(self, seed: int) -> dict[str, Any]:
        """Return the fields of struct gd_fault."""
        return {
            "loss": self.loss, "duplicate": self.duplicate, "reorder": self.reorder, "corrupt": self.corrupt,
            "delay_ns": self.delay, "jitter_ns": self.jitter, "reorder_ns": REORDERED_NS, "rate_bps": self.rate,
            "queue_frames": self.queue, "seed": seed % 2**64,
        }  # fmt: skip


def read(given: Mapping[str, Any]) -> Conditions:
    """Read keyword arguments; ConditionError for a wrong one."""
    given = dict(given)
    unknown = sorted(set(given) - {*_READERS, "direction"})
    if unknown:
        raise ConditionError(f"there is no {unknown[0]!r}; there are: {', '.join(_READERS)}, direction")
    direction = given.pop("direction", "both")
    if not isinstance(direction, str) or direction not in DIRECTIONS:
        raise ConditionError(f"direction={direction!r}: it is one of {', '.join(map(repr, DIRECTIONS))}")
    values = {name: _READERS[name](name, value) for name, value in given.items() if value is not None}
    if values.get("jitter") and not values.get("delay"):
        raise ConditionError(f"jitter={given['jitter']!r}: it is what comes on top of a delay, so give delay too")
    if values.get("queue") and not values.get("rate"):
        raise ConditionError(f"queue={given['queue']!r}: packets queue for a rate, so give rate too")
    if values.get("rate"):
        values.setdefault("queue", QUEUE)
    words = " ".join(f"{name}={value}" for name, value in given.items() if value is not None and name != "seed")
    out, into = DIRECTIONS[direction]
    return Conditions(**values, out=out, into=into, words=words)


def ways(direction: str) -> tuple[bool, bool]:
    """Read a direction alone: (out, in)."""
    if direction not in DIRECTIONS:
        raise ConditionError(f"direction={direction!r}: it is one of {', '.join(map(repr, DIRECTIONS))}")
    return DIRECTIONS[direction]


def _chance(name: str, value: Any) -> float:
    number = -1.0
    if isinstance(value, str) and (match := re.fullmatch(rf"{_NUMBER}\s*%", value.strip())):
        number = float(match[1]) / 100
    elif isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
    if not 0 <= number <= 1:
        raise ConditionError(f"{name}={value!r}: it is {_CHANCE}")
    return number


def _scaled(value: Any, units: Mapping[str, float]) -> int | None:
    match = re.fullmatch(rf"{_NUMBER}\s*([a-z]+)", value.strip().lower()) if isinstance(value, str) else None
    return round(float(match[1]) * units[match[2]]) if match and match[2] in units else None


def _time(name: str, value: Any) -> int:
    number = 0 if value == 0 and not isinstance(value, bool) else _scaled(value, _TIME)
    if number is None or number > _HOUR_NS:
        raise ConditionError(f"{name}={value!r}: it is a time with its unit, up to an hour: '300us', '40ms', '1.5s'")
    return number


def _rate(name: str, value: Any) -> int:
    number = _scaled(value, _RATE)
    if not number or number < 1000:
        text = "it is bits a second with their unit, from '1kbit' on: '64kbit', '10mbit' or '1gbit'"
        raise ConditionError(f"{name}={value!r}: {text}")
    return number


def _integer(least: int, most: int, what: str) -> Any:
    def read_integer(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ConditionError(f"{name}={value!r}: it is {what} from {least} to {most}")
        return value

    return read_integer


_READERS: dict[str, Any] = {
    **dict.fromkeys(("loss", "duplicate", "reorder", "corrupt"), _chance),
    **dict.fromkeys(("delay", "jitter"), _time),
    "rate": _rate,
    "queue": _integer(1, QUEUE_MAX, "a number of packets"),
    "mtu": _integer(MTU_MIN, MTU_MAX, "a number of bytes"),
    "seed": _integer(0, 2**63 - 1, "a number"),
}
NAMES = frozenset({*_READERS, "direction"})
assert set(_READERS) < {field.name for field in fields(Conditions)}
