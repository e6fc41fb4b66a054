"""Lets the tests of this folder import raw_peer.py, oracle.py and the streams of tests/sim, and asks Linux only where
--oracle says so. Read by pytest.
"""
from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "sim")]


def pytest_configure(config: pytest.Config) -> None:
    """Name our marker."""
    config.addinivalue_line("markers", "oracle: played against Linux in real time; only with --oracle")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave Linux out unless it is asked for."""
    if config.getoption("--oracle"):
        return
    slow = [item for item in items if item.get_closest_marker("oracle")]
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if not item.get_closest_marker("oracle")]
