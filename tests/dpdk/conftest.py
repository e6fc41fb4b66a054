"""A namespace per module, greendpdk at one end of its tap and Linux at the other.

Called by pytest; calls netns.py and peer.py. With --reference a second namespace and a veth stand in
for greendpdk, so that Linux is at both ends.
"""
from __future__ import annotations

from collections.abc import Iterator

import pytest
from netns import Namespace
from peer import Side

STACK, KERNEL = "198.18.0.2", "198.18.0.1"


@pytest.fixture(scope="module")
def net() -> Iterator[Namespace]:
    """Make the namespace in which the tap and Linux's sockets live."""
    with Namespace() as made:
        yield made


@pytest.fixture(scope="module")
def stack(net: Namespace, request: pytest.FixtureRequest) -> Iterator[Side]:
    """Start the process that runs over greendpdk."""
    if not request.config.getoption("--reference"):
        side = Side(net, "stack", STACK)
        yield side
        assert side.close() == 0
        return
    with Namespace() as other:
        net.join(other, f"{KERNEL}/24", f"{STACK}/24")
        side = Side(other, "kernel", STACK)
        yield side
        side.close()


@pytest.fixture(scope="module")
def kernel(net: Namespace, stack: Side) -> Iterator[Side]:
    """Start the process that runs over Linux, once the stack's port has given it an address."""
    side = Side(net, "kernel", KERNEL)
    yield side
    side.close()


@pytest.fixture(params=["stack_listens", "kernel_listens"])
def sides(request: pytest.FixtureRequest, stack: Side, kernel: Side) -> tuple[Side, Side]:
    """Give (listening side, connecting side), both ways round."""
    return (stack, kernel) if request.param == "stack_listens" else (kernel, stack)
