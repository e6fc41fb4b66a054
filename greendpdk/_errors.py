"""From the engine's -errno to the exception that the standard library would raise.

Called by _stack.py, _endpoint.py, _raw.py, testing/; calls nothing.
"""

from __future__ import annotations

import errno
import os


class ConfigError(ValueError):
    """A setting has a value that cannot be: the message names it, the value, and what is allowed."""

    def __init__(self, setting: str, value: object, allowed: str) -> None:
        name = f"{setting} (GREENDPDK_{setting.upper()})"
        super().__init__(f"{name} is {value!r}, but {allowed}")
        self.setting, self.value = setting, value


def check(result: int, about: str = "") -> int:
    """Return what is not an error; raise the OSError whose number a negative result holds."""
    if result >= 0:
        return result
    raise error(-result, about)


def error(number: int, about: str = "") -> OSError:
    """Make the OSError (Python picks the subclass by the number); `about` is what was tried, or what to do."""
    text = os.strerror(number)
    return OSError(number, f"{text}: {about}" if about else text)


def would_block() -> OSError:
    """Make what a non-blocking socket raises."""
    return error(errno.EAGAIN)
