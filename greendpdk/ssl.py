"""The standard library's ssl module over the stack.

Called by applications: directly, or as `ssl` after monkey.patch_all(). The classes are gevent's, made anew
over our socket class (gevent.ssl subclasses whatever gevent.socket.socket is when it is imported, so a copy
of the module is loaded here); only what touches an fd is replaced: _tls.TLS does the record work.
"""

from __future__ import annotations

import importlib.util
from types import ModuleType
from typing import Any

import gevent.socket
from gevent.monkey import get_original

from greendpdk._tls import TLS
from greendpdk._wrapper import socket
from greendpdk.socket import create_connection as _connect


def _gevent_ssl_over(socket_class: type) -> ModuleType:
    """Load gevent.ssl once more, with socket_class below its SSLSocket."""
    import ssl

    spec = importlib.util.find_spec("gevent.ssl")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    replaced = gevent.socket.socket, ssl.SSLContext, ssl.SSLSocket
    gevent.socket.socket = socket_class
    # gevent.ssl builds on what it finds: after an earlier gevent patch that would be gevent's class twice.
    ssl.SSLContext = get_original("ssl", "SSLContext")  # type: ignore[misc]
    ssl.SSLSocket = get_original("ssl", "SSLSocket")  # type: ignore[misc]
    try:
        spec.loader.exec_module(module)
    finally:
        gevent.socket.socket, ssl.SSLContext, ssl.SSLSocket = replaced  # type: ignore[misc]
    return module


_gevent = _gevent_ssl_over(socket)
for _name in _gevent.__all__:
    globals()[_name] = getattr(_gevent, _name)

__implements__ = list(_gevent.__implements__)
__all__ = list(_gevent.__all__)


class _Handover:
    """Show gevent's constructor a socket whose connection changes hands without an fd."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def fileno(self) -> Any:
        """Give the raw socket itself: our class takes it for an fd."""
        return self._sock._sock

    def detach(self) -> None:
        """Let go of the raw socket, which has a new owner."""
        self._sock._detach_socket("detached")
        self._sock._closed = True


class SSLSocket(_gevent.SSLSocket):  # type: ignore[misc,name-defined]
    """gevent's SSLSocket with OpenSSL on memory instead of an fd."""

    _plain = False

    def __init__(self, sock: Any = None, *args: Any, **kwargs: Any) -> None:
        if isinstance(sock, socket) and sock._is_stack():
            sock = _Handover(sock)
        super().__init__(sock, *args, **kwargs)

    def _SSLSocket__create_sslobj(self, server_side: bool = False, session: Any = None) -> TLS:
        hostname = self.server_hostname
        if isinstance(hostname, str):
            hostname = self.context._encode_hostname(hostname)
        return TLS(self, self.context, server_side, hostname, session)


SSLContext = _gevent.SSLContext
SSLContext.sslsocket_class = SSLSocket
vars(_gevent)["SSLSocket"] = SSLSocket  # wrap_socket() makes them by this name


def get_server_certificate(
    addr: tuple[str, int],
    ssl_version: int = _gevent.PROTOCOL_TLS_CLIENT,
    ca_certs: str | None = None,
    timeout: Any = ...,
) -> str:
    """Return the server's certificate as PEM; check it if ca_certs is given."""
    context = SSLContext(ssl_version)
    context.check_hostname = False
    context.verify_mode = _gevent.CERT_NONE if ca_certs is None else _gevent.CERT_REQUIRED
    if ca_certs is not None:
        context.load_verify_locations(ca_certs)
    limit = {} if timeout is ... else {"timeout": timeout}
    with _connect(addr, **limit) as sock, context.wrap_socket(sock, server_hostname=addr[0]) as tls:
        return str(_gevent.DER_cert_to_PEM_cert(tls.getpeercert(True)))
