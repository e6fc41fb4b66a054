"""In which order the addresses of a name are tried: destination address selection (RFC 6724 6).

Called by dns.py; calls the engine's route table for what the stack reaches, and the kernel for the rest.

Rules 4 (home addresses) and 7 (encapsulation) have nothing to work on here. Rule 9, the longest matching prefix, stops
at the length of the source's own prefix (RFC 6724 2.2); so among IPv4 addresses it prefers a neighbour, and leaves the
order of the others to the name server, which may shuffle them to spread load.
"""

from __future__ import annotations

import _socket
import ipaddress
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from greendpdk import _libc, _route
from greendpdk._dns_files import Policy, Rules, Watched, parse_gai_conf
from greendpdk._native import ffi, lib
from greendpdk._ports import packed, unpacked

if TYPE_CHECKING:
    from greendpdk._stack import Stack

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_KERNEL_PREFIX = 64  # of an address of the kernel's, which no call tells: RFC 4291 2.5.1; none for IPv4


def ordered(found: Sequence[Any], address_of: Callable[[Any], str], stack: Stack, policy: Policy) -> list[Any]:
    """Sort by RFC 6724; address_of tells the address of one as text (a scope id may stand behind a %)."""
    if len({address_of(one) for one in found}) < 2:
        return list(found)
    keys = {text: _key(text, stack, policy) for text in map(address_of, found)}
    return sorted(found, key=lambda one: keys[address_of(one)])  # rule 10: stable


def _key(text: str, stack: Stack, policy: Policy) -> tuple[int | bool, ...]:
    """Make what sorts the better destination first."""
    to = address(text)
    source, length, deprecated = _source(text, to, stack)
    precedence = _look_up(policy.precedence, to)
    scope = _scope(to, policy)
    if source is None:
        return True, True, True, True, -precedence, scope, 0
    return (
        False,  # rule 1: unusable destinations last
        scope != _scope(source, policy),  # 2
        deprecated,  # 3
        _look_up(policy.label, to) != _look_up(policy.label, source),  # 5
        -precedence,  # 6
        scope,  # 8
        -min(_common(to, source), length),  # 9
    )


def address(text: str) -> Address:
    """Read what getaddrinfo gives; an IPv4 address in IPv6's clothes is an IPv4 address."""
    found = ipaddress.ip_address(text.partition("%")[0])
    return (found.version == 6 and found.ipv4_mapped) or found


def _source(text: str, to: Address, stack: Stack) -> tuple[Address | None, int, bool]:
    """Find what a socket would send from: (address, its prefix's length, deprecated); None: the address is no use."""
    sixteen = packed(to)
    if not _route.reaches(stack, sixteen):
        source = _kernel_source(text, to)
        return source, _KERNEL_PREFIX if to.version == 6 else 0, False
    room = ffi.new("uint8_t[16]")
    if lib.gd_stack_route(stack.c, sixteen, room) < 0:
        return None, 0, False
    source = unpacked(bytes(room))
    if source.version != to.version:
        return None, 0, False
    for port in stack.ports:
        for own, state in port.address_states.items():
            if own.ip == source:
                return source, own.network.prefixlen, state == "deprecated"
    return source, to.max_prefixlen if source.is_loopback else 0, False


def _kernel_source(text: str, to: Address) -> Address | None:
    """Ask the kernel as the C library does: connect a datagram socket, and look."""
    scope = text.partition("%")[2]
    family = _socket.AF_INET if to.version == 4 else _socket.AF_INET6
    found = _libc.source(family, (str(to), 9, 0, int(scope) if scope.isdecimal() else 0))
    return None if found is None else address(found)


def _mapped(one: Address) -> ipaddress.IPv6Address:
    return ipaddress.IPv6Address(packed(one))


def _look_up(rules: Rules, one: Address) -> int:
    mapped = _mapped(one)
    return next((value for prefix, value in rules if mapped in prefix), 0)


def _scope(one: Address, policy: Policy) -> int:
    """Return the scope as RFC 6724 3.1 and 3.2 have it: 2 the link, 5 the site, 14 the world."""
    if one.version == 6:
        if one.is_multicast:
            return one.packed[1] & 15
        return 2 if one.is_link_local or one.is_loopback else 5 if one.is_site_local else 14
    return _look_up(policy.scopev4, one)


def _common(a: Address, b: Address) -> int:
    """Count the leading bits that are the same."""
    return a.max_prefixlen - (int(a) ^ int(b)).bit_length()


policies = Watched("/etc/gai.conf", parse_gai_conf)
