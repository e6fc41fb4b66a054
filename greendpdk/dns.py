"""Names: getaddrinfo and its like over the stack, where a name server is reached through it; else the C library's.

Called by gevent, as the hub's resolver, for the socket module's functions and for names in connect, bind and sendto;
calls _dns_query.py (the servers), _dns_files.py (hosts, resolv.conf), _dns_order.py (RFC 6724) and _hostname.py. An
audit hook is told of each call once, as by CPython.

    servers     the setting `dns`, else those of DHCP leases and IPv6 routers, else /etc/resolv.conf's
    whose       ours if the servers are from the stack, or one of resolv.conf's is behind a port; decided each time
    a name      /etc/hosts ─► localhost (RFC 6761) ─► servers, with the search domains ─► sorted by RFC 6724
    no name     numeric hosts, services, flags: glibc's getaddrinfo with AI_NUMERICHOST, which asks nobody, so each
                error that it can raise is its own

Not gevent's resolver of the same kind (gevent.resolver.dnspython): that has no AI_ flags, no order, no TTL of its own,
one address a name in /etc/hosts, and errors of other classes. docs/decisions/ has more on it.
"""

from __future__ import annotations

import _socket
import ipaddress
import os
import sys
from _socket import AF_INET, AF_INET6, AF_UNSPEC, AI_NUMERICHOST, NI_NUMERICHOST, gaierror, herror
from dataclasses import dataclass, replace
from operator import index
from typing import TYPE_CHECKING, Any

from gevent.monkey import get_original
from gevent.resolver import AbstractResolver

from greendpdk import _dns_order, _hostname, _interfaces, _libc, _ports, _route, _stack
from greendpdk._dns_files import Config, Watched, parse_hosts, parse_resolv_conf
from greendpdk._ports import packed

if TYPE_CHECKING:
    from greendpdk._dns_query import Answer, Client, RdataType
    from greendpdk._stack import Stack

_get_ident = get_original("_thread", "get_ident")
_EAI = {  # h_errno to what getaddrinfo(3) makes of it, with gai_strerror's words
    1: (_socket.EAI_NONAME, "Name or service not known"),
    2: (_socket.EAI_AGAIN, "Temporary failure in name resolution"),
    3: (_socket.EAI_FAIL, "Non-recoverable failure in name resolution"),
    4: (_socket.EAI_NODATA, "No address associated with hostname"),
}
_HERRORS = {  # hstrerror's words
    1: "Unknown host",
    2: "Host name lookup failure",
    3: "Unknown server error",
    4: "No address associated with name",
}
_LOCALHOST = ((AF_INET6, "::1"), (AF_INET, "127.0.0.1"))
_ANY = {AF_INET: "0.0.0.0", AF_INET6: "::"}
_MISSING = "names over the stack (the setting dns) need the package dnspython: python -m pip install dnspython"


@dataclass(frozen=True)
class Found:
    """What a name stands for."""

    canonical: str
    aliases: tuple[str, ...]
    addresses: tuple[tuple[int, str], ...]  # (family, text)


def require() -> None:
    """Load what asks servers now: the first name shall not make other greenlets wait for it, nor miss it."""
    try:
        import greendpdk._dns_query  # noqa: F401
    except ImportError as error:
        raise RuntimeError(_MISSING) from error


def install(stack: Stack) -> None:
    """Put Resolver in front of this thread's resolver; whether the stack or the system answers is decided each time."""
    from gevent.hub import get_hub

    hub = get_hub()
    if not isinstance(hub.resolver, Resolver):
        hub.resolver = Resolver(hub.resolver)
    if hub.resolver.config(stack) is not None:
        require()


def uninstall() -> None:
    """Let the system's resolver answer alone, as before."""
    from gevent.hub import get_hub

    hub = get_hub()
    if isinstance(hub.resolver, Resolver):
        hub.resolver = hub.resolver.system


class Resolver(AbstractResolver):  # type: ignore[misc]
    """What gevent's hub resolves by: the C library's results and errors, from our name servers."""

    def __init__(self, system: Any, hosts: str = "/etc/hosts", resolv_conf: str = "/etc/resolv.conf") -> None:
        self.system = system
        self._hosts = Watched(hosts, parse_hosts)
        self._resolv_conf = Watched(resolv_conf, parse_resolv_conf)
        self._client: Client | None = None

    def close(self) -> None:
        """Release what the system's resolver holds."""
        self.system.close()

    # -- the five calls ---------------------------------------------------------------------------

    def getaddrinfo(
        self, host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> list[tuple[Any, ...]]:
        """Do as socket.getaddrinfo."""
        if _usable() is None:
            return self.system.getaddrinfo(host, port, family, type, proto, flags)  # type: ignore[no-any-return]
        if (_hostname.is_literal(host) and not flags & _socket.AI_ADDRCONFIG) or not _libc.takes(host, port):
            return _socket.getaddrinfo(host, port, family, type, proto, flags | AI_NUMERICHOST)
        sys.audit("socket.getaddrinfo", host, port, index(family), index(type), index(proto))
        return self.looked_up(host, port, family, type, proto, flags)

    def looked_up(
        self, host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> list[tuple[Any, ...]]:
        """Do as getaddrinfo, without an audit event: for a name within another call."""
        stack = _usable()
        if stack is None:
            return _libc.looked_up(self.system, host, port, family, type, proto, flags)
        host = _interfaces.numbered(host)
        if flags & _socket.AI_ADDRCONFIG:
            family, flags = _configured(stack, family), flags & ~_socket.AI_ADDRCONFIG
        try:
            return _libc.getaddrinfo(host, port, family, type, proto, flags | AI_NUMERICHOST)
        except gaierror as error:
            if error.errno != _socket.EAI_NONAME or flags & AI_NUMERICHOST or not host:
                raise
        if flags & _socket.AI_NUMERICSERV:  # it may have been the service
            _libc.getaddrinfo(None, port, family, type, proto, _socket.AI_NUMERICSERV)
        config = self.config(stack)
        every: list[tuple[Any, ...]]
        if config is None:
            every = _libc.looked_up(self.system, host, port, family, type, proto, flags)
            if not any(_route.reaches(stack, packed(_dns_order.address(_scoped(one)))) for one in every):
                return every  # all of it is the kernel's, the order too
        else:
            found = self._addresses(_hostname.text(host), family, flags, config)
            every = _expanded(found, port, type, proto, flags)
        canonical = every[0][3]
        every = _dns_order.ordered(every, _scoped, stack, _dns_order.policies.get())
        if canonical:  # it is the first one's, whichever that is now
            every = [(*one[:3], "", one[4]) for one in every]
            every[0] = *every[0][:3], canonical, every[0][4]
        return every

    def gethostbyname(self, hostname: Any, family: int = AF_INET) -> str:
        """Do as socket.gethostbyname."""
        if family == AF_INET and _hostname.is_special(hostname):
            return _socket.gethostbyname(hostname)
        sys.audit("socket.gethostbyname", hostname)
        return str(self.looked_up(_hostname.plain(hostname), None, family)[0][4][0])

    def gethostbyname_ex(self, hostname: Any, family: int = AF_INET) -> tuple[str, list[str], list[str]]:
        """Do as socket.gethostbyname_ex."""
        stack = _usable()
        config = None if stack is None else self.config(stack)
        if config is None:
            return self.system.gethostbyname_ex(hostname)  # type: ignore[no-any-return]
        everybody = hostname in ("<broadcast>", b"<broadcast>")
        if _hostname.is_special(hostname) and not everybody:
            return _socket.gethostbyname_ex(hostname)
        sys.audit("socket.gethostbyname", hostname)
        if everybody:
            raise _herror(1)
        _hostname.refuse_literal(hostname, family)
        found = self._addresses(_hostname.text(hostname), family, 0, config)
        return found.canonical, list(found.aliases), [text for _, text in found.addresses]

    def gethostbyaddr(self, ip_address: Any) -> tuple[str, list[str], list[str]]:
        """Do as socket.gethostbyaddr."""
        stack = _usable()
        config = None if stack is None else self.config(stack)
        if config is None or not ip_address or not isinstance(ip_address, str | bytes | bytearray):
            return self.system.gethostbyaddr(ip_address)  # type: ignore[no-any-return]
        sys.audit("socket.gethostbyaddr", ip_address)
        everybody = ip_address in ("<broadcast>", b"<broadcast>")
        text = "255.255.255.255" if everybody else str(self.looked_up(_hostname.plain(ip_address), None)[0][4][0])
        found = self._names_of(text, config)
        return found.canonical, list(found.aliases), [text]

    def getnameinfo(self, sockaddr: Any, flags: int) -> tuple[str, str]:
        """Do as socket.getnameinfo."""
        stack = _usable()
        config = None if stack is None else self.config(stack)
        if config is None and not _is_ours(sockaddr):
            return self.system.getnameinfo(sockaddr, flags)  # type: ignore[no-any-return]
        named = not flags & NI_NUMERICHOST
        numeric, service = _socket.getnameinfo(
            sockaddr, (flags & ~_socket.NI_NAMEREQD if named else flags) | NI_NUMERICHOST
        )
        if named and config is not None:
            try:
                name = self._names_of(numeric.partition("%")[0], config).canonical
            except herror as error:
                if error.args[0] == 2:
                    raise gaierror(*_EAI[2]) from None
            else:
                return self._local_name(name, flags), service
        if named and flags & _socket.NI_NAMEREQD:
            raise gaierror(*_EAI[1])
        return _port_named(numeric), service

    # -- where it is looked for -------------------------------------------------------------------

    def config(self, stack: Stack) -> Config | None:
        """Return whom to ask; None: the system's resolver."""
        config = self._resolv_conf.get()
        servers = stack.name_servers()
        if servers:
            search = dict.fromkeys(config.search + _ports.search_domains(stack.ports))
            return replace(config, servers=servers, search=tuple(search))
        return config if any(_through_a_port(server, stack) for server in config.servers) else None

    def _addresses(self, name: str, family: int, flags: int, config: Config) -> Found:
        """Look up a name that is no address; raise the gaierror that glibc would."""
        mapped = family == AF_INET6 and flags & _socket.AI_V4MAPPED
        families = (AF_INET6, AF_INET) if family == AF_UNSPEC or mapped else (family,)
        found = self._in_hosts(name, families) or _localhost(name, families)
        if found is None:
            _refuse_unasked(name)
            found = self._ask(name, families, config)
        if not mapped:
            return found
        sixes = tuple(one for one in found.addresses if one[0] == AF_INET6)
        fours = tuple((AF_INET6, f"::ffff:{text}") for kind, text in found.addresses if kind == AF_INET)
        return replace(found, addresses=sixes + fours if flags & _socket.AI_ALL or not sixes else sixes)

    def _in_hosts(self, name: str, families: tuple[int, ...]) -> Found | None:
        lines = self._hosts.get().by_name.get(name.rstrip(".").lower(), ())
        lines = [line for line in lines if line.family in families]
        if not lines:
            return None
        canonical, *aliases = lines[0].names
        addresses = dict.fromkeys((line.family, line.address) for line in lines)
        return Found(canonical, tuple(aliases), tuple(addresses))

    def _ask(self, name: str, families: tuple[int, ...], config: Config) -> Found:
        from greendpdk import _dns_query as query

        types = {AF_INET: query.A, AF_INET6: query.AAAA}
        wanted = [one for one in families if one in types and not (one == AF_INET6 and config.no_aaaa)]
        answers = self._search(name, tuple(types[one] for one in wanted), config) if wanted else []
        good = [(kind, answer) for kind, answer in zip(wanted, answers, strict=False) if answer.data]
        if not good:
            errors = [2 if answer.error == query.SERVER_FAILED else answer.error for answer in answers] or [4]
            raise gaierror(*_EAI[next((one for one in (2, 3, 4) if one in errors), 1)])
        first = good[0][1]
        return Found(
            first.canonical,
            tuple(alias for alias in first.aliases if alias != first.canonical),
            tuple((kind, text) for kind, answer in good for text in answer.data),
        )

    def _search(self, name: str, rdtypes: tuple[RdataType, ...], config: Config) -> list[Answer]:
        if self._client is None:
            from greendpdk._dns_query import Client

            self._client = Client()
        return self._client.search(name, rdtypes, config)

    def _names_of(self, text: str, config: Config) -> Found:
        """Look up an address; raise the herror that glibc would."""
        address = ipaddress.ip_address(text)
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        line = self._hosts.get().by_address.get(str(address))
        if line is not None:
            return Found(line.names[0], line.names[1:], ())
        if str(address) in ("127.0.0.1", "::1"):
            return Found("localhost", (), ())
        from greendpdk import _dns_query as query

        (answer,) = self._search(f"{address.reverse_pointer}.", (query.PTR,), config)
        if not answer.data:
            raise _herror(2 if answer.error == query.SERVER_FAILED else answer.error or 4)
        return Found(answer.data[0], answer.data[1:], ())

    def _local_name(self, name: str, flags: int) -> str:
        """Cut our own domain off for NI_NOFQDN."""
        domain = os.uname().nodename.partition(".")[2]
        return name.removesuffix(f".{domain}") if flags & _socket.NI_NOFQDN and domain else name


# ---- pieces ----


def _usable() -> Stack | None:
    stack = _stack.running()
    return None if stack is None or stack.dead or stack.thread != _get_ident() else stack


def _through_a_port(server: str, stack: Stack) -> bool:
    """Tell whether the stack reaches a server of /etc/resolv.conf; one on the loopback is this machine's own."""
    address = ipaddress.ip_address(server.partition("%")[0])
    return not address.is_loopback and not address.is_unspecified and _route.reaches(stack, packed(address))


def _localhost(name: str, families: tuple[int, ...]) -> Found | None:
    """RFC 6761 6.3: localhost and all below it are the loopback, and no server is asked."""
    labels = name.rstrip(".").lower()
    if labels != "localhost" and not labels.endswith(".localhost"):
        return None
    found = tuple(one for one in _LOCALHOST if one[0] in families)
    return Found(labels, (), found) if found else None


def _refuse_unasked(name: str) -> None:
    """Say that there is no such name where servers are not to be told of it (RFC 7686 2, RFC 6761 6.4)."""
    if name.rstrip(".").lower().rpartition(".")[2] in ("onion", "invalid"):
        raise gaierror(*_EAI[1])


def _configured(stack: Stack, family: int) -> int:
    """Narrow the family to those in which this host has an address beside the loopback's (AI_ADDRCONFIG)."""
    ours = {own.version for port in stack.ports for own in port.addresses}
    four = 4 in ours or _kernel_has(AF_INET, "127.0.0.1")
    six = 6 in ours or _kernel_has(AF_INET6, "::1")
    if family == AF_UNSPEC and four != six:
        return int(AF_INET if four else AF_INET6)
    if (family == AF_INET and not four) or (family == AF_INET6 and not six):
        raise gaierror(*_EAI[1])
    return family


def _kernel_has(family: int, literal: str) -> bool:
    try:
        _libc.getaddrinfo(literal, None, family, 0, 0, _socket.AI_ADDRCONFIG | AI_NUMERICHOST)
    except gaierror:
        return False
    return True


def _expanded(found: Found, port: Any, type: int, proto: int, flags: int) -> list[tuple[Any, ...]]:
    """Make getaddrinfo's entries: each address with each type and protocol that the service has."""
    shapes: dict[int, list[tuple[Any, ...]]] = {}
    every: list[tuple[Any, ...]] = []
    hint = AI_NUMERICHOST | flags & _socket.AI_NUMERICSERV
    for family, text in found.addresses:
        if family not in shapes:
            shapes[family] = _libc.getaddrinfo(_ANY[family], port, family, type, proto, hint)
        for _, kind, protocol, _, name in shapes[family]:
            address = (text, name[1]) if family == AF_INET else (_ipv6(text), name[1], 0, 0)
            every.append((family, kind, protocol, "", address))
    if flags & _socket.AI_CANONNAME:
        every[0] = *every[0][:3], found.canonical, every[0][4]
    return every


def _ipv6(text: str) -> str:
    """Spell it as the C library does (::ffff:192.0.2.1)."""
    return _socket.inet_ntop(AF_INET6, _socket.inet_pton(AF_INET6, text))


def _scoped(entry: tuple[Any, ...]) -> str:
    """Spell the address of one entry, with its scope."""
    address = entry[4]
    return f"{address[0]}%{address[3]}" if len(address) == 4 and address[3] else str(address[0])


def _is_ours(sockaddr: Any) -> bool:
    """Tell whether an address is on the link of a port, whose name the system does not know."""
    return isinstance(sockaddr, tuple) and len(sockaddr) == 4 and _port_of(sockaddr[3]) is not None


def _port_of(scope: Any) -> str | None:
    stack = _usable()
    return next((port.name for port in stack.ports if port.scope_id == scope), None) if stack else None


def _port_named(numeric: str) -> str:
    """Put a port's name in the place of its number behind a %."""
    address, _, scope = numeric.partition("%")
    name = _port_of(int(scope)) if scope.isdecimal() else None
    return f"{address}%{name}" if name else numeric


def _herror(number: int) -> herror:
    return herror(number, _HERRORS[number])
