"""Whose a new socket is: made by family and type, found by its number, refused in the wrong thread, dead after fork.

Called by _wrapper.py; calls _fds.py, _remote.py, _stack.py and makes _raw.RawSocket.
"""

from __future__ import annotations

import _socket
import os
from operator import index
from typing import Any

from greendpdk import _fds, _handover, _remote, _stack
from greendpdk._address import parse
from greendpdk._endpoint import Endpoint, get_ident, wrong_thread
from greendpdk._raw import RawSocket
from greendpdk._route import reaches

_INET = (_socket.AF_INET, _socket.AF_INET6)
_PROTOS = {_socket.SOCK_STREAM: (0, _socket.IPPROTO_TCP), _socket.SOCK_DGRAM: (0, _socket.IPPROTO_UDP)}
_TYPE_FLAGS = _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC
_in_child = False


def raw_for(owner: Any, family: int, kind: int, proto: int, fileno: Any) -> RawSocket | None:
    """Make or find the raw socket; None: it is the kernel's, and gevent's constructor does it."""
    if fileno is not None:
        raw = _raw_of(fileno)
        if raw is not None:
            owner._audit("socket.__new__", owner, family, kind, proto)
            _call_it(raw, family, kind, proto)
        return raw
    family = _socket.AF_INET if family == -1 else index(family)
    asked = _socket.SOCK_STREAM if kind == -1 else index(kind)
    kind = asked & ~_TYPE_FLAGS
    proto = 0 if proto == -1 else index(proto)
    if family not in _INET or proto not in _PROTOS.get(kind, ()):
        return None
    if _in_child and _stack.running() is None:
        return None
    stack = _stack.current()
    if stack.dead or get_ident() != stack.thread:
        return None  # a child of fork, or another native thread: connect refuses what is the stack's
    owner._audit("socket.__new__", owner, family, asked, proto)
    return RawSocket(Endpoint(stack, family, kind, proto))


def _raw_of(fileno: Any) -> RawSocket | None:
    """Find what is behind a number, or take a raw socket itself for one."""
    if fileno.__class__ is RawSocket:
        return fileno if not fileno._closed else RawSocket(fileno.end)
    end = _fds.adopt(fileno) if isinstance(fileno, int) else None
    if end is None and isinstance(fileno, int):
        _handover.refuse_to_receive(fileno)
    return None if end is None else RawSocket(end, fileno)


def _call_it(raw: RawSocket, family: int, kind: int, proto: int) -> None:
    """Let it be what the caller says that it is, as CPython does; -1 is what it is."""
    raw.family = raw.family if family == -1 else family
    raw.type = raw.type if kind == -1 else kind & ~_TYPE_FLAGS
    raw.proto = raw.proto if proto == -1 else proto


def refuse_foreign_thread(raw: Any, address: Any) -> None:
    """Raise in a thread that cannot use the stack, rather than go past it through the kernel."""
    stack = _stack.running()
    if stack is None or stack.dead or get_ident() == stack.thread or raw.family not in _INET:
        return
    if reaches(stack, parse(raw.family, address, "connect")[0]):
        wrong_thread()


def _after_fork_in_child() -> None:
    global _in_child
    _in_child = True
    stack = _stack.running()
    if stack is not None:
        stack.dead = True
        _remote.take_over(stack)


os.register_at_fork(after_in_child=_after_fork_in_child)
