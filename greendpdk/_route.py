"""Whose is an address: the stack's or the kernel's (docs: "the kernel keeps what is the kernel's").

Called by _endpoint.py and socket.py when a socket is bound, connected or sends; calls the engine's route table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from greendpdk._address import is_any, is_link_local, is_loopback, scope_of
from greendpdk._native import ffi, lib

if TYPE_CHECKING:
    from greendpdk._stack import Stack


def reaches(stack: Stack, addr: bytes) -> bool:
    """Tell whether traffic to addr goes through the stack; else it is the kernel's."""
    if is_any(addr) or is_loopback(addr):  # connecting to the wildcard means this host, as on Linux
        return stack.settings.loopback == "stack"
    if is_link_local(addr) and not scope_of(addr):  # of no link of ours
        return False
    return bool(lib.gd_stack_route(stack.c, addr, ffi.new("uint8_t[16]")) >= 0)


def owns(stack: Stack, addr: bytes) -> bool:
    """Tell whether addr can be bound in the stack (the wildcard can, and in the kernel too)."""
    if is_loopback(addr):
        return stack.settings.loopback == "stack"
    return is_any(addr) or bool(lib.gd_stack_is_local(stack.c, addr))
