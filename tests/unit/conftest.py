"""The engine's internals, compiled for these tests. Read by pytest; calls internals.py."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import internals
import pytest
from frames import Host
from frames6 import Host6
from hypothesis import settings

# The seed is fixed so that a run repeats itself; a failure prints what to add to find more.
settings.register_profile("unit", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("unit")


@pytest.fixture(scope="session")
def native() -> Any:
    """Return the module with ffi and lib."""
    return internals.load()


@pytest.fixture(scope="session")
def ffi(native: Any) -> Any:
    """Return cffi's handle of it."""
    return native.ffi


@pytest.fixture(scope="session")
def lib(native: Any) -> Any:
    """Return its functions."""
    return native.lib


@pytest.fixture
def host(native: Any) -> Iterator[Host]:
    """Return a stack, 10.0.0.1/24, with its wire's other end in the test's hand."""
    made = Host(native)
    yield made
    made.close()


@pytest.fixture
def host6(native: Any) -> Iterator[Host6]:
    """Return the same with 2001:db8::1/64 too, and its neighbour 2001:db8::2 known."""
    made = Host6(native)
    yield made
    made.close()
