"""Names resolved over the stack: gevent's dnspython resolver, whose sockets are ours under the patch.

Called by monkey/ when GREENDPDK_DNS is set or a DHCP lease names servers, or by an application; calls
gevent.resolver.dnspython. Without name servers nothing changes: the C library resolves in a native thread, through
the kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

Servers = Sequence[str] | Callable[[], Sequence[str]]


def install(servers: Servers) -> None:
    """Ask these name servers from now on, over our UDP sockets (/etc/hosts is read first, as before).

    A function is called before each question, as a DHCP lease may name others when it is renewed.
    """
    import gevent
    from gevent.hub import get_hub

    try:
        from gevent.resolver import dnspython
    except ImportError as error:
        raise RuntimeError(
            "the setting dns (GREENDPDK_DNS) needs the package dnspython: python -m pip install dnspython"
        ) from error
    dnspython.resolver._resolver = _names(dnspython, servers)
    gevent.config.resolver = dnspython.Resolver
    get_hub().resolver = dnspython.Resolver(hub=get_hub())


def _names(dnspython: ModuleType, servers: Servers) -> Any:
    """Make what gevent's resolver asks: /etc/hosts, then the servers; with the names that dnspython 2 calls it by."""
    resolver = dnspython.resolver
    resolver.default_resolver = resolver.Resolver(configure=False)  # /etc/resolv.conf is the kernel's, and may not be

    class Names(dnspython._DualResolver):  # type: ignore[misc,name-defined]
        resolve_name = resolver.Resolver.resolve_name

        def resolve(self, name: Any, rdtype: Any, raise_on_no_answer: bool = True, **_: Any) -> Any:
            return self.query(name, rdtype, raise_on_no_answer=raise_on_no_answer)

    names = Names()
    network = names.network_resolver

    def query(*args: Any, **kwargs: Any) -> Any:  # gevent calls it by the name of dnspython 1
        now = servers() if callable(servers) else servers
        if now:  # between two leases those of the last one are asked
            network.nameservers = list(now)
        return network.resolve(*args, **kwargs)

    network.query = query
    return names
