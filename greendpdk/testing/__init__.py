"""Test TCP code without a network: two stacks joined by a wire in memory, under a clock that is moved by hand.

`Wire` has two stacks, and faults between them; `play` plays a packetdrill script against one stack.
"""

from greendpdk._tcp_info import TcpInfo, tcp_info
from greendpdk.testing.clock import Clock
from greendpdk.testing.endpoint import Endpoint
from greendpdk.testing.script import ScriptError, play
from greendpdk.testing.wire import Fault, Host, Wire

__all__ = ["Clock", "Endpoint", "Fault", "Host", "ScriptError", "TcpInfo", "Wire", "play", "tcp_info"]
