"""Compilers for tests that build the engine anew: run one, and know when there is nothing to do.

Used by tests/unit/internals.py and tests/fuzz/harness.py, which also run outside of pytest.
"""
from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parent.parent


def load_file(name: str, path: Path) -> ModuleType:
    """Import a file that is in no package we may import yet."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load_maker() -> ModuleType:
    """Import greendpdk/_build.py alone: the package needs what it builds."""
    return load_file("_gd_build", ROOT / "greendpdk" / "_build.py")


def run(words: list[str]) -> None:
    """Run a compiler, which no sanitizer need watch; show what it said if it failed."""
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}\n{done.stdout}{done.stderr}")


def digest(paths: list[Path], words: list[str]) -> str:
    """Hash the files' names and contents, and the words."""
    sha = hashlib.sha256("\0".join(words).encode())
    for path in paths:
        sha.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return sha.hexdigest()[:20]
