"""A process of an ordinary user: nobody, without capabilities. Used by tests that run as root but claim otherwise.

The Python that runs the tests may be out of such a user's reach (pyenv below /root): then the distribution's of the
same version takes its place, with the same packages.
"""
from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
USER = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")


@functools.cache
def python() -> str | None:
    """Return a Python that this user can run; None if there is none."""
    system = f"/usr/bin/python{sys.version_info[0]}.{sys.version_info[1]}"
    for found in (sys.executable, system):
        done = subprocess.run([*USER, "sh", "-c", '"$0" -c ""', found], capture_output=True, check=False)
        if done.returncode == 0:
            return found
    return None


def path() -> str:
    """Return PYTHONPATH for it."""
    return ":".join([str(ROOT), sysconfig.get_path("platlib"), sysconfig.get_path("purelib")])


def can_make_namespaces() -> bool:
    """Ask the kernel as that user: some distributions forbid it to all but root."""
    ask = [*USER, "unshare", "-Urn", "true"]
    return python() is not None and subprocess.run(ask, capture_output=True, check=False).returncode == 0


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Make a folder that everybody may read: each pytest of the same user shuts pytest's own again."""
    with tempfile.TemporaryDirectory(prefix="gd-") as made:
        os.chmod(made, 0o755)
        yield Path(made)
