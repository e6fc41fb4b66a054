"""greendpdk: a TCP/IP stack on DPDK for unmodified blocking-style Python.

Names are looked up on first use: importing the package alone loads neither gevent nor the compiled engine, so that
`python -m greendpdk._build` runs before there is one and a missing dependency is reported in one sentence.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from greendpdk._config import Settings
    from greendpdk._errors import ConfigError
    from greendpdk._pump import kernel_fd
    from greendpdk._stack import Stack, counters, poll, running, start, stop, version

    __version__: str

__all__ = ["ConfigError", "Settings", "Stack", "counters", "kernel_fd", "poll", "running", "start", "stop", "version"]

_HOME = {"Settings": "_config", "ConfigError": "_errors", "kernel_fd": "_pump"}


def __getattr__(name: str) -> object:
    if name == "__version__":
        return _version()
    if name not in __all__:
        raise AttributeError(f"module 'greendpdk' has no attribute {name!r}")
    try:
        module = import_module(f"greendpdk.{_HOME.get(name, '_stack')}")
    except ImportError as error:
        from greendpdk._missing import explained

        raise explained(error) from None
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _version() -> str:
    """Return what the installed package calls itself, which is its git tag's name (setuptools-scm)."""
    from importlib import metadata

    try:
        return metadata.version("greendpdk")
    except metadata.PackageNotFoundError:  # a source tree on PYTHONPATH
        return "0+unknown"
