"""The ports of a stack: their addresses as they are now, their DHCP leases, and the wait for both at the start.

Called by _stack.py, pytest_plugin.py, monkey/ and applications (Stack.ports); calls the engine and loop's poll.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gevent.monkey import get_original

from greendpdk._address import SCOPE_BASE
from greendpdk._config_ports import AUTO, DHCP, Address, Interface, Route
from greendpdk._errors import ConfigError, check
from greendpdk._native import ffi, lib

LEASE_SECONDS = 30.0  # four DISCOVERs (after 0, 4, 12 and 28 s); a program that waits longer looks hung
DAD_SECONDS = 5.0  # one question, one second, twice for an address made of a prefix that has just come
ROUTER_SECONDS = 15.0  # three questions (after 1 s, then 4 and 8 s apart) and the second that an address takes
IP6_MTU_MIN = 1280  # RFC 8200 5
_LOOK_SECONDS = 0.01  # between two looks at a port that has no fd
_MAPPED = bytes(10) + b"\xff\xff"  # ::ffff:0:0/96, how the engine holds IPv4


_STATES = (
    (lib.GD_ADDRESS_DUPLICATE, "duplicate"),
    (lib.GD_ADDRESS_TENTATIVE, "tentative"),
    (lib.GD_ADDRESS_DEPRECATED, "deprecated"),
)


@dataclass(frozen=True)
class Lease:
    """What a DHCP server has lent, as it is now."""

    address: ipaddress.IPv4Interface
    server: ipaddress.IPv4Address
    gateway: ipaddress.IPv4Address | None
    dns: tuple[str, ...]
    domain: str  # where names are searched; empty: the server says none
    mtu: int | None
    seconds_left: int | None  # None: for ever


@dataclass(frozen=True)
class Port:
    """A device that a stack owns."""

    name: str
    driver: str
    ifindex: int  # the stack's number for it, not the kernel's
    c: Any
    rx_fd: int
    device: str  # as the settings name it: a NIC's PCI address may be shorter there
    wanted: tuple[Interface | str, ...]  # its part of the setting `address`
    tap: tuple[Interface, ...]  # the kernel's end, if it is a net_tap
    stack: Any  # the engine's handle

    @property
    def addresses(self) -> tuple[Interface, ...]:
        """Return the addresses that it has now and can use, in the order of their coming."""
        return tuple(own for own, state in self.address_states.items() if state in ("preferred", "deprecated"))

    @property
    def address_states(self) -> dict[Interface, str]:
        """Return all its addresses: preferred, deprecated, tentative (for a second) or duplicate (never used)."""
        found: dict[Interface, str] = {}
        addr, bits = ffi.new("uint8_t[16]"), ffi.new("int *")
        at = 0
        while lib.gd_stack_address(self.stack, self.ifindex, at, addr, bits) == 0:
            state = lib.gd_stack_address_state(self.stack, self.ifindex, at)
            name = next((name for bit, name in _STATES if state & bit), "preferred")
            found[ipaddress.ip_interface((unpacked(bytes(addr)), bits[0]))] = name
            at += 1
        return found

    @property
    def scope_id(self) -> int:
        """Return what names the port's link beside a link-local address: ("fe80::1", 80, 0, port.scope_id)."""
        return SCOPE_BASE + self.ifindex

    @property
    def advertised_dns(self) -> tuple[str, ...]:
        """Return the name servers that IPv6 routers tell of (RFC 8106)."""
        found: list[str] = []
        addr = ffi.new("uint8_t[16]")
        while lib.gd_stack_nameserver(self.stack, self.ifindex, len(found), addr) == 0:
            server = ipaddress.IPv6Address(addr[0:2] + b"\0\0" + addr[4:16] if addr[0] == 0xFE else bytes(addr))
            found.append(f"{server}%{self.scope_id}" if server.is_link_local else str(server))
        return tuple(found)

    @property
    def lease(self) -> Lease | None:
        """Return the DHCP lease that is in force; None: there is none."""
        status = _status(self)
        if not any(bytes(status.address)):
            return None
        address, server, gateway = (_ip4(bytes(four)) for four in (status.address, status.server, status.gateway))
        names = bytes(status.dns)
        return Lease(
            ipaddress.IPv4Interface((address, status.prefix_length)),
            server,
            gateway if int(gateway) else None,
            tuple(str(_ip4(names[at : at + 16])) for at in range(0, 16 * status.dns_count, 16)),
            ffi.string(status.domain).decode(),
            status.mtu or None,
            None if status.seconds_left == 2**32 - 1 else int(status.seconds_left),
        )


def packed(address: Address) -> bytes:
    """Spell an address as the engine does: IPv4 as v4-mapped."""
    return address.packed if address.version == 6 else _MAPPED + address.packed


def unpacked(sixteen: bytes) -> Address:
    """Read the engine's spelling."""
    return _ip4(sixteen) if sixteen.startswith(_MAPPED) else ipaddress.IPv6Address(sixteen)


def _ip4(sixteen: bytes) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address(sixteen[12:])


def _status(port: Port) -> Any:
    status = ffi.new("struct gd_dhcp_status *")
    check(lib.gd_dhcp_status(port.stack, port.ifindex, status))
    return status


# ---- setting up ----


def check_mtu(port: Port) -> None:
    """Refuse IPv6 on a link that is too short for it."""
    mtu = int(lib.gd_port_mtu(port.c))
    if mtu < IP6_MTU_MIN and any(own == AUTO or (not isinstance(own, str) and own.version == 6) for own in port.wanted):
        raise ConfigError("mtu", mtu, f"IPv6 on the port {port.name} needs {IP6_MTU_MIN} at least")


def configure(port: Port, gateways: tuple[Address, ...]) -> None:
    """Give a port what its settings say; what comes from others (DHCP, routers) is begun, not awaited."""
    for own in port.wanted:
        if own == DHCP:
            check(lib.gd_dhcp_start(port.stack, port.ifindex, _hostname()), f"DHCP on the port {port.name}")
        elif own == AUTO:
            check(lib.gd_stack_autoconf(port.stack, port.ifindex), f"IPv6 on the port {port.name}")
        elif not isinstance(own, str):
            result = lib.gd_stack_add_address(port.stack, port.ifindex, packed(own.ip), own.network.prefixlen)
            check(result, f"the address {own} on the port {port.name}")
    for gateway in gateways:
        everywhere = ipaddress.ip_network("0.0.0.0/0" if gateway.version == 4 else "::/0")
        add_route(Route(everywhere, gateway, port.name), [port])


def _hostname() -> bytes:
    """Return what the server is told that we are called, as Linux's clients do: one label of at most 63 bytes."""
    name = socket.gethostname().partition(".")[0]
    return b"" if name == "localhost" else name.encode()[:63]


def add_route(route: Route, ports: list[Port]) -> None:
    """Add one of the setting `routes`: on the port that it names, else on the one that has the gateway's network."""
    port = next((port for port in ports if _carries(port, route)), None)
    if port is None:
        networks = ", ".join(str(own.network) for port in ports for own in port.addresses)
        raise ConfigError("routes", str(route), f"its gateway is in no network of a port: {networks}")
    gateway = packed(route.via) if route.via else ffi.NULL
    to = route.to
    result = lib.gd_stack_add_route(port.stack, packed(to.network_address), to.prefixlen, gateway, port.ifindex)
    check(result, f"the route {route} on the port {port.name}")
    if route.src:
        where = packed(to.network_address), to.prefixlen, port.ifindex
        check(lib.gd_stack_route_source(port.stack, *where, packed(route.src)), f"the source of the route {route}")


def _carries(port: Port, route: Route) -> bool:
    if route.dev is not None:
        return route.dev in (port.name, port.device)
    return any(route.via in own.network for own in port.addresses)


def release(ports: list[Port]) -> bool:
    """Give the leases back; tell whether there were any."""
    return sum(lib.gd_dhcp_stop(port.stack, port.ifindex) == 0 for port in ports) > 0


# ---- waiting ----


def wait(stack: Any, ports: list[Port], done: Callable[[], bool], seconds: float) -> bool:
    """Poll here, before there is a loop, until done() or for so long; tell whether it is done."""
    select = get_original("select", "select")
    fds = [port.rx_fd for port in ports if port.rx_fd >= 0]
    end = time.monotonic() + seconds
    pairs, next_in, frames = ffi.new("uint32_t[2]"), ffi.new("int64_t *"), ffi.new("uint32_t *")
    while True:
        lib.gd_live_poll(stack, 0, pairs, 0, next_in, frames)
        left = end - time.monotonic()
        if done() or left <= 0:
            return done()
        if not frames[0] and next_in[0] > 0:
            select(fds, [], [], min(left, next_in[0] / 1e9, _LOOK_SECONDS))


def wait_for_leases(stack: Any, ports: list[Port]) -> None:
    """Wait until every port that asks for an address has one, or say what was seen instead."""
    asking = [port for port in ports if DHCP in port.wanted]
    if asking and not wait(stack, ports, lambda: all(port.lease for port in asking), LEASE_SECONDS):
        late = next(port for port in asking if not port.lease)
        raise ConfigError("address", DHCP, f"on {late.name} there was no lease in {LEASE_SECONDS:.0f} s: {_seen(late)}")


def wait_for_ipv6(stack: Any, ports: list[Port]) -> None:
    """Wait until no address is tentative, and a router has spoken where one was asked for; say what went wrong."""
    asking = [port for port in ports if AUTO in port.wanted]

    def settled() -> bool:
        return not any("tentative" in port.address_states.values() for port in ports)

    def advertised(port: Port) -> bool:
        return lib.gd_stack_routers(port.stack, port.ifindex) > 0 or any(
            own.version == 6 and own not in port.wanted and not own.ip.is_link_local for own in port.addresses
        )

    def hopeless(port: Port) -> str:  # without an address of the link no router can be asked
        taken = (own for own, state in port.address_states.items() if state == "duplicate" and own.ip.is_link_local)
        return next(map(str, taken), "")

    def decided() -> bool:
        return all(advertised(port) or hopeless(port) for port in asking)

    wait(stack, ports, decided, ROUTER_SECONDS if asking else 0)
    for late in asking:
        if advertised(late):
            continue
        if own := hopeless(late):
            raise ConfigError("address", AUTO, f"on {late.name} another host has {own}, made of our MAC: set mac")
        raise ConfigError(
            "address", AUTO, f"on {late.name} no router advertised itself or a prefix in {ROUTER_SECONDS:.0f} s: give "
            "a CIDR such as 'fd00::2/64'"
        )  # fmt: skip
    wait(stack, ports, settled, DAD_SECONDS)
    for port in ports:
        for own6, state in port.address_states.items():
            if state == "duplicate" and own6 in port.wanted:
                raise ConfigError("address", str(own6), f"on {port.name} another host has that address")


def _seen(port: Port) -> str:
    """Say in words how far the client came."""
    status = _status(port)
    if status.conflicts:
        return "another host answered ARP for the address that was offered: look for whoever has set it by hand"
    if status.naks:
        return f"the server refused what it had offered (DHCPNAK, {status.naks} times): its log says why"
    if status.unusable:
        return f"of {status.offers} offers none could be used: they lack the lease's time or the server, or are wrong"
    if status.offers:
        return "a server offered an address and did not grant it: its log says why"
    return (
        f"{status.discovers} questions (DHCPDISCOVER), no offer: is there a server on that network? Otherwise give a "
        "CIDR such as '198.18.0.2/24'"
    )


def name_servers(ports: list[Port]) -> tuple[str, ...]:
    """Return the name servers of all leases and routers, each once."""
    leased = [server for port in ports if (lease := port.lease) for server in lease.dns]
    return tuple(dict.fromkeys(leased + [server for port in ports for server in port.advertised_dns]))


def search_domains(ports: list[Port]) -> tuple[str, ...]:
    """Return the domains of all leases, each once."""
    leases = [lease for port in ports if (lease := port.lease)]
    return tuple(dict.fromkeys(lease.domain.rstrip(".") for lease in leases if lease.domain.rstrip(".")))
