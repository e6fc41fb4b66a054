"""TLS over a raw socket: OpenSSL works on memory, this moves the bytes.

Called by ssl.SSLSocket as its _sslobj; calls _ssl's object over two MemoryBIOs and the raw socket's recv/send.
The standard library's way hands OpenSSL an fd, which a stack socket does not have.

    application ─► write ─► [ OpenSSL ] ─► out ─► pending ─► raw.send      all of it before write() returns
    application ◄─ read  ◄─ [ OpenSSL ] ◄─ in  ◄─ one record ◄─ raw.recv   no more than OpenSSL asks for

One record at a time (RFC 8446 5.1: five bytes of header with the length): bytes that waited in `in` would be
invisible to select(), and a loop that asks select() before each read would hang on them.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import ref

if TYPE_CHECKING:
    from greendpdk.ssl import SSLSocket

_HEADER = 5
_PLAIN = 16384  # RFC 8446 5.1: the largest plaintext of a record; ciphertext never piles up beyond one


class _Owner:
    """What OpenSSL's callbacks are given; gevent.ssl takes the SSLSocket out of it."""

    __slots__ = ("__weakref__", "_sslsock")

    def __init__(self, sock: SSLSocket) -> None:
        self._sslsock = ref(sock)


class TLS:
    """Speak _ssl._SSLSocket's methods over a raw socket that may report EAGAIN at any byte."""

    def __init__(self, sock: SSLSocket, context: Any, server_side: bool, hostname: Any, session: Any) -> None:
        self._sock = ref(sock)
        self._owner = _Owner(sock)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context._wrap_bio(
            self._in, self._out, server_side, hostname, owner=self._owner, session=session
        )
        self._header = bytearray()
        self._body = 0  # bytes of the record that have not come yet
        self._pending = memoryview(b"")
        self._written = 0  # of a write() that was told to come again

    def __getattr__(self, name: str) -> Any:
        return getattr(self._object, name)

    @property
    def context(self) -> Any:
        """Return the context; a server name callback may set another."""
        return self._object.context

    @context.setter
    def context(self, value: Any) -> None:
        self._object.context = value

    @property
    def session(self) -> Any:
        """Return the session, for a later connection to resume."""
        return self._object.session

    @session.setter
    def session(self, value: Any) -> None:
        self._object.session = value

    def do_handshake(self) -> None:
        """Run the handshake, or raise what to wait for."""
        self._run(self._object.do_handshake)
        self._flush()

    def read(self, *args: Any) -> Any:
        """Decrypt: read(n) or read(n, buffer)."""
        result = self._run(self._object.read, *args)
        self._flush_now()  # an answer of the protocol's own (tickets, key update) may wait for the next call
        return result

    def write(self, data: Any) -> int:
        """Encrypt and send all of it; told to come again (with the same data), go on where it stopped."""
        view = memoryview(data).cast("B")
        self._flush()
        while self._written < len(view):
            self._written += self._run(self._object.write, view[self._written : self._written + _PLAIN])
            self._flush()
        self._written = 0
        return len(view)

    def shutdown(self) -> Any:
        """Say close_notify and wait for the peer's; return the raw socket, as _ssl does."""
        self._run(self._object.shutdown)
        self._flush()
        return self._raw()

    def verify_client_post_handshake(self) -> None:
        """Ask the client for its certificate now."""
        self._run(self._object.verify_client_post_handshake)
        self._flush()

    def _raw(self) -> Any:
        sock = self._sock()
        if sock is None:
            raise ValueError("TLS of a socket that is gone")
        return sock._sock

    def _run(self, call: Any, *args: Any) -> Any:
        while True:
            try:
                return call(*args)
            except ssl.SSLWantReadError:
                if not self._flush_now() and call != self._object.read:
                    raise self._want_write() from None
                # A reader goes on: what is pending is another greenlet's write, and if both ends' readers waited
                # for room, neither end would ever make any.
                self._fill()
            except ssl.SSLError:
                self._say_alert()
                raise

    def _flush(self) -> None:
        if not self._flush_now():
            raise self._want_write()

    @staticmethod
    def _want_write() -> ssl.SSLWantWriteError:
        return ssl.SSLWantWriteError(ssl.SSL_ERROR_WANT_WRITE, "The operation did not complete (write)")

    def _flush_now(self) -> bool:
        """Send what is encrypted; False: the raw socket takes no more now."""
        while self._pending or self._out.pending:
            if not self._pending:
                self._pending = memoryview(self._out.read())
            try:
                sent = self._raw().send(self._pending)
            except BlockingIOError:
                return False
            self._pending = self._pending[sent:]
        return True

    def _say_alert(self) -> None:
        with suppress(OSError):  # the alert is a courtesy; the error that caused it is what the caller gets
            self._flush_now()

    def _fill(self) -> None:
        """Fetch the rest of one header or of one record."""
        want = self._body or _HEADER - len(self._header)
        try:
            data = self._raw().recv(want)
        except BlockingIOError:
            raise ssl.SSLWantReadError(
                ssl.SSL_ERROR_WANT_READ, "The operation did not complete (read)"
            ) from None
        if not data:
            self._in.write_eof()
            return
        self._in.write(data)
        if self._body:
            self._body -= len(data)
            return
        self._header += data
        if len(self._header) == _HEADER:
            self._body = int.from_bytes(self._header[3:], "big")
            self._header.clear()
