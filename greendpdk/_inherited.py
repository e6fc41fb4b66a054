"""A process that multiprocessing has started (spawn, forkserver) goes without the ports that its parent has.

Called by _stack.py. Such a process imports the program's main module anew, patches with it, and would open the ports a
second time, which no port allows. Its sockets are the kernel's, as of a program whose addresses no port routes.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import sys
from pathlib import Path

from greendpdk._config import Settings
from greendpdk._config_ports import device_name

_NAME = "_GREENDPDK_PORTS"  # in the environment: "PID PORT PORT ..."
_log = logging.getLogger("greendpdk")


def tell_children(settings: Settings) -> None:
    """Have the processes that this one starts know of its ports."""
    if settings.devices:
        os.environ[_NAME] = " ".join([str(os.getpid()), *map(device_name, settings.devices)])


def forget() -> None:
    """Have them know that there are none any more."""
    if _owner() == os.getpid():
        del os.environ[_NAME]


def usable(settings: Settings) -> Settings:
    """Return the settings, without devices if this is a process of multiprocessing, and its parent has one of them."""
    taken = set(os.environ.get(_NAME, "").split()[1:]).intersection(map(device_name, settings.devices))
    if not taken or _owner() not in _parents():
        return settings
    return dataclasses.replace(
        settings, vdev=(), pci=(), address=(), gateway=(), tap_address=(), routes=(), lcore=None, metrics=None
    )


def tell() -> None:
    """Say that there are no ports here."""
    _log.info("multiprocessing started this process, and %d has the ports: sockets are the kernel's here", _owner())


def _owner() -> int:
    return int(os.environ.get(_NAME, "0").split()[0])


def _parents() -> set[int]:
    """Return the processes that may have had multiprocessing start this one; none if something else did."""
    process = sys.modules.get("multiprocessing.process")
    if process is None:
        return set()
    parent = process.parent_process()  # None while the main module is imported
    if parent is not None:
        return {parent.pid}
    if not getattr(process.current_process(), "_inheriting", False):
        return set()
    server = os.getppid()
    return {server, _parent_of(server)} if "multiprocessing.forkserver" in sys.modules else {server}


def _parent_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except FileNotFoundError:
        return 0
