"""Names resolved over the stack: gevent's dnspython resolver, whose sockets are ours under the patch.

Called by monkey/ when GREENDPDK_DNS is set, or by an application; calls gevent.resolver.dnspython. Without
name servers nothing changes: the C library resolves in a native thread, through the kernel.
"""

from __future__ import annotations

from collections.abc import Sequence


def install(servers: Sequence[str]) -> None:
    """Ask these name servers from now on, over our UDP sockets (/etc/hosts is read first, as before)."""
    import gevent
    from gevent.hub import get_hub

    gevent.config.resolver_nameservers = list(servers)
    try:
        from gevent.resolver.dnspython import Resolver
    except ImportError as error:
        raise RuntimeError(
            "the setting dns (GREENDPDK_DNS) needs the package dnspython: python -m pip install dnspython"
        ) from error
    gevent.config.resolver = Resolver
    get_hub().resolver = Resolver(hub=get_hub())
