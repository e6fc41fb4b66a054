"""Network namespaces of a test run: made, entered, joined, removed.

Used by the fixtures of tests/dpdk and tests/apps and by benchmarks/; calls iproute2 and setns(2).
A name carries the pid of the run, so that conftest.py can tell what a run has left behind.
"""
from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from types import TracebackType
from typing import Any

CLONE_NEWNET = 0x40000000  # <sched.h>
GRACE = 5.0  # seconds that a program gets between SIGINT and SIGKILL

_serial = itertools.count()
_libc = ctypes.CDLL(None, use_errno=True)


def names(prefix: str = "gd-") -> list[str]:
    """List the namespaces of this machine whose name begins so."""
    text = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    return [line.split()[0] for line in text.splitlines() if line.startswith(prefix)]


def sweep() -> list[str]:
    """Remove what a killed run has left: namespaces named after a pid that is no more."""
    ours = (re.fullmatch(r"gd-(\d+)-\d+", name) for name in names())
    stale = [found[0] for found in ours if found and not os.path.exists(f"/proc/{found[1]}")]
    for name in stale:
        _remove(name)
    return stale


def _remove(name: str) -> None:
    pids = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=False)
    for pid in pids.stdout.split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    subprocess.run(["ip", "netns", "delete", name], check=True)


def _setns(fd: int) -> None:
    if _libc.setns(fd, CLONE_NEWNET):
        errno = ctypes.get_errno()
        raise OSError(errno, f"setns: {os.strerror(errno)}")


class Namespace:
    """A namespace with lo up. Its programs end with it."""

    def __init__(self) -> None:
        self.name = f"gd-{os.getpid()}-{next(_serial)}"
        self.programs: list[subprocess.Popen[Any]] = []
        self.resources = contextlib.ExitStack()  # what is to be closed with it
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        self.ip("link", "set", "lo", "up")

    def __enter__(self) -> Namespace:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def ip(self, *words: str) -> str:
        """Run `ip` inside and return what it printed."""
        done = subprocess.run(["ip", "-n", self.name, *words], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"ip {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Move the calling thread inside; sockets made meanwhile stay there when it leaves."""
        with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{self.name}") as inside:
            _setns(inside.fileno())
            try:
                yield
            finally:
                _setns(home.fileno())

    def popen(self, argv: list[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a program inside."""
        program = subprocess.Popen(["ip", "netns", "exec", self.name, *argv], **options)
        self.programs.append(program)
        return program

    def run(self, argv: list[str], *, timeout: float = 30, check: bool = True, text: bool = True,
            **options: Any) -> subprocess.CompletedProcess[Any]:
        """Run a program inside to its end."""
        done = subprocess.run(["ip", "netns", "exec", self.name, *argv], capture_output=True, text=text,
                              timeout=timeout, check=False, **options)
        if check and done.returncode:
            raise RuntimeError(f"{argv} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done

    def join(self, other: Namespace, here: str, there: str) -> None:
        """Join two namespaces by a veth pair; here and there are CIDRs."""
        self.ip("link", "add", "veth0", "type", "veth", "peer", "name", "veth0", "netns", other.name)
        for side, cidr in ((self, here), (other, there)):
            side.ip("address", "add", cidr, "dev", "veth0")
            side.ip("link", "set", "veth0", "up")

    def close(self) -> None:
        """End the programs and remove the namespace."""
        for program in self.programs:
            end(program)
        self.resources.close()
        _remove(self.name)


def end(program: subprocess.Popen[Any], grace: float = GRACE) -> int:
    """Interrupt a program as Ctrl-C does, kill it if that does not help, and return its status."""
    if program.poll() is None:
        program.send_signal(signal.SIGINT)
    try:
        return program.wait(grace)
    except subprocess.TimeoutExpired:
        program.kill()
        return program.wait()
