"""The standard library's ssl module over the stack.

Called by applications: directly, or as `ssl` after monkey.patch_all(). The classes are gevent's, made anew
over our socket class (gevent.ssl subclasses whatever gevent.socket.socket is when it is imported, so a copy
of the module is loaded here); only what touches an fd is replaced: _tls.TLS does the record work.
"""

from __future__ import annotations

import importlib.util
import warnings
from ssl import CERT_NONE, PROTOCOL_TLS, SSLEOFError
from types import ModuleType
from typing import TYPE_CHECKING, Any

import gevent.socket
from gevent.monkey import get_original
from gevent.socket import timeout_default

from greendpdk._tls import TLS
from greendpdk._wrapper import socket
from greendpdk.socket import create_connection as _connect

if TYPE_CHECKING:  # the names that are put there below, in the standard library's types
    from ssl import *  # noqa: F403


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
        end = sock._sock.end
        if end.c is not None and not end.stack.dead:
            # gevent's constructor looks for a reset that has come already; the loopback takes one poll to send it
            # and one to deliver it.
            end.poller.poll()
            end.poller.poll()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def fileno(self) -> Any:
        """Give the raw socket itself: our class takes it for an fd."""
        return self._sock._sock

    def detach(self) -> None:
        """Let go of the raw socket, which has a new owner."""
        self._sock._detach_socket("detached")
        self._sock._closed = True


class _Callback:
    """What gevent.ssl makes of a callback of the user's: its own looks for the socket, which ours is given."""

    __slots__ = ("user_function",)

    def __init__(self, user_function: Any) -> None:
        self.user_function = user_function

    def __call__(self, *args: Any) -> Any:
        return self.user_function(*args)


class SSLSocket(_gevent.SSLSocket):  # type: ignore[misc,name-defined,no-redef]
    """gevent's SSLSocket with OpenSSL on memory instead of an fd, and with CPython's exceptions where they differ."""

    _sslobj: TLS | None
    _connected = False

    def __init__(self, sock: Any = None, *args: Any, _context: Any = None, **options: Any) -> None:
        if _context is None:
            what = f"{self.__class__.__name__} does not have a public constructor."
            raise TypeError(f"{what} Instances are returned by SSLContext.wrap_socket().")
        try:
            options["server_hostname"] = _context._encode_hostname(options.get("server_hostname"))
        except ValueError:
            sock.close()  # Python 3.13: what cannot be wrapped is closed, not lost
            raise
        if isinstance(sock, socket) and sock._is_stack():
            sock = _Handover(sock)
        try:
            super().__init__(sock, *args, _context=_context, **options)
        except BaseException:
            if self._connected:  # it has the connection already; who interrupted the handshake has no other way to it
                self.close()
            raise

    def _SSLSocket__create_sslobj(self, server_side: bool = False, session: Any = None) -> TLS:
        return TLS(self, self.context, server_side, self.server_hostname, session)

    def _tls(self, what: str) -> TLS:
        tls: TLS | None = self._sslobj
        if tls is None:
            raise ValueError(f"{what} on closed or unwrapped SSL socket.")
        return tls

    def _real_connect(self, addr: Any, connect_ex: bool) -> Any:
        if self._sslobj is not None:
            raise ValueError("attempt to connect already-connected SSLSocket!")
        return super()._real_connect(addr, connect_ex)

    def do_handshake(self, block: bool = False) -> None:
        """Run the handshake; with block set, wait for it even without a timeout."""
        self._check_connected()
        limit = self.timeout
        if limit == 0.0 and block:
            self.settimeout(None)
        try:
            self._sslobj.do_handshake()  # type: ignore[union-attr]
        finally:
            self.settimeout(limit)

    def read(self, len: int = 1024, buffer: Any = None) -> Any:
        """Read up to len bytes, or into the buffer."""
        tls = self._tls("Read")
        try:
            return tls.read(len) if buffer is None else tls.read(len, buffer)
        except SSLEOFError:
            if not self.suppress_ragged_eofs:
                raise
            return b"" if buffer is None else 0

    def write(self, data: Any) -> int:
        """Write all of the data; return how much that is."""
        return self._tls("Write").write(data)

    def send(self, data: Any, flags: int = 0, timeout: Any = timeout_default) -> int:
        if self._sslobj is None:
            return socket.send(self, data, flags, timeout)
        if flags:
            raise ValueError(f"non-zero flags not allowed in calls to send() on {self.__class__}")
        return self.write(data)

    def sendall(self, data: Any, flags: int = 0) -> None:
        if self._sslobj is None:
            socket.sendall(self, data, flags)
            return
        if flags:
            raise ValueError(f"non-zero flags not allowed in calls to sendall() on {self.__class__}")
        self.write(data)

    def unwrap(self) -> SSLSocket:
        """Say and await close_notify; return the socket, which goes on in the clear."""
        if self._sslobj is None:
            raise ValueError(f"No SSL wrapper around {self}")
        self._sslobj.shutdown()
        self._sslobj = None
        return self

    def selected_npn_protocol(self) -> None:
        """Return None: NPN is gone."""
        warnings.warn("ssl NPN is deprecated, use ALPN instead", DeprecationWarning, stacklevel=2)


_gevent.SSLContext.sslsocket_class = SSLSocket
_set_msg_callback = _gevent.SSLContext._msg_callback.fset


def _set_msg_callback_only(context: Any, callback: Any) -> None:
    """Set it, and leave ssl.SSLContext as it was: gevent's setter puts its own class there, patched or not."""
    import ssl

    standard = ssl.SSLContext
    try:
        _set_msg_callback(context, callback)
    finally:
        ssl.SSLContext = standard  # type: ignore[misc]


_gevent.SSLContext._msg_callback = _gevent.SSLContext._msg_callback.setter(_set_msg_callback_only)
vars(_gevent).update(SSLSocket=SSLSocket, _Callback=_Callback)


def wrap_socket(  # type: ignore[no-redef]
    sock: Any,
    keyfile: Any = None,
    certfile: Any = None,
    server_side: bool = False,
    cert_reqs: int = CERT_NONE,
    ssl_version: int = PROTOCOL_TLS,
    ca_certs: Any = None,
    do_handshake_on_connect: bool = True,
    suppress_ragged_eofs: bool = True,
    ciphers: Any = None,
) -> SSLSocket:
    """Wrap a socket as Python 3.11 and gevent's servers do, with a context made of the arguments."""
    if server_side and not certfile:
        raise ValueError("certfile must be specified for server-side operations")
    if keyfile and not certfile:
        raise ValueError("certfile must be specified")
    context = _gevent.SSLContext(ssl_version)
    context.verify_mode = cert_reqs
    if ca_certs:
        context.load_verify_locations(ca_certs)
    if certfile:
        context.load_cert_chain(certfile, keyfile)
    if ciphers:
        context.set_ciphers(ciphers)
    return context.wrap_socket(  # type: ignore[no-any-return]
        sock,
        server_side=server_side,
        do_handshake_on_connect=do_handshake_on_connect,
        suppress_ragged_eofs=suppress_ragged_eofs,
    )


def get_server_certificate(  # type: ignore[no-redef]
    addr: tuple[str, int],
    ssl_version: int = _gevent.PROTOCOL_TLS_CLIENT,
    ca_certs: str | None = None,
    timeout: Any = ...,
) -> str:
    """Return the server's certificate as PEM; check it if ca_certs is given."""
    context = _gevent.SSLContext(ssl_version)
    context.check_hostname = False
    context.verify_mode = _gevent.CERT_NONE if ca_certs is None else _gevent.CERT_REQUIRED
    if ca_certs is not None:
        context.load_verify_locations(ca_certs)
    limit = {} if timeout is ... else {"timeout": timeout}
    with _connect(addr, **limit) as sock, context.wrap_socket(sock, server_hostname=addr[0]) as tls:
        return str(_gevent.DER_cert_to_PEM_cert(tls.getpeercert(True)))
