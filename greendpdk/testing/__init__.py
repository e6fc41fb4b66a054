"""Test TCP code without a network: two stacks joined by a wire in memory, under a clock that is moved by hand.

`Wire` has two stacks, and faults between them; `play` plays a packetdrill script against one stack.

A stack that runs, in real time: `start()` it, or run `pytest --dpdk`; then `network` makes its packets suffer, and
`Peer` is a second stack to talk to.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from greendpdk._tcp_info import TcpInfo, tcp_info
from greendpdk.testing.clock import Clock
from greendpdk.testing.endpoint import Endpoint
from greendpdk.testing.script import ScriptError, play
from greendpdk.testing.wire import Fault, Host, Wire

if TYPE_CHECKING:
    from greendpdk.testing._network import ConditionError, Counts, Network, network, start
    from greendpdk.testing._peer import Peer

__all__ = [
    "Clock", "ConditionError", "Counts", "Endpoint", "Fault", "Host", "Network", "Peer", "ScriptError", "TcpInfo",
    "Wire", "network", "play", "start", "tcp_info",
]  # fmt: skip

_RUNNING = {"Peer": "_peer"} | dict.fromkeys(("ConditionError", "Counts", "Network", "network", "start"), "_network")


def __getattr__(name: str) -> object:
    """Load what needs gevent on its first use only."""
    if name not in _RUNNING:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_RUNNING[name]}"), name)
    globals()[name] = value
    return value
