"""Runs this folder with --fresh only (`make dist-test`): it installs packages, which takes minutes and PyPI."""
from __future__ import annotations

from pathlib import Path

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave these tests out of `make test`."""
    if config.getoption("--fresh"):
        return
    here = [item for item in items if Path(__file__).parent in item.path.parents]
    config.hook.pytest_deselected(items=here)
    items[:] = [item for item in items if item not in here]
