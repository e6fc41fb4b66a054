"""TLS over a raw socket: OpenSSL works on memory, this moves the bytes and does the waiting.

Called by ssl.SSLSocket as its _sslobj; calls _ssl's object over two MemoryBIOs and the raw socket's recv/send.
The standard library's way hands OpenSSL an fd, which a stack socket does not have. Blocking, deadlines and
what is raised are those of _ssl._SSLSocket (Modules/_ssl.c).

    application ─► write ─► [ OpenSSL ] ─► out ─► sealed ─► raw.send         all of it before write() returns
    application ◄─ read  ◄─ [ OpenSSL ] ◄─ in  ◄─ raw.try_peek               some records at once
                                 └── n bytes taken ─► raw.try_skip(n)

Bytes leave the socket when OpenSSL has taken them, one record at a time, and not when they are copied to `in`:
so select() tells the truth about what has not been read, as over an fd, and what follows the close_notify is
there for the plain socket after unwrap().
"""

from __future__ import annotations

import _socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from weakref import ref

from greendpdk._raw import RawSocket

_PEEK = 65536  # four records (RFC 8446 5.2: at most 16 KiB and 261 bytes each), for one look at the socket
_PIECE = 65536  # plaintext for one call of OpenSSL, which makes four records; ciphertext never piles up beyond
_ANSWERS = 4 * _PIECE  # bytes that may wait to be sent while reading goes on: more than a write() of ours leaves
_LATE = "The {} operation timed out"


class TLS:
    """Speak _ssl._SSLSocket's methods over a raw socket that may report EAGAIN at any byte."""

    def __init__(self, sock: Any, context: Any, server_side: bool, hostname: Any, session: Any) -> None:
        self._sock = ref(sock)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context._wrap_bio(self._in, self._out, server_side, hostname, owner=sock, session=session)
        self._peeked = 0  # bytes that went to `in` and that the raw socket still has
        self._sealed = memoryview(b"")
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
        """Run the handshake."""
        end = self._deadline()
        self._run(end, "handshake", self._object.do_handshake)
        self._flush(end, "handshake")

    def read(self, *args: Any) -> Any:
        """Decrypt: read(n) or read(n, buffer)."""
        if self._unsent() > _ANSWERS:
            self._flush(self._deadline(), "read")
        if not self._in.pending and not self._object.pending():
            self._fill()  # else OpenSSL would only ask for it, by an exception
        result = self._run(self._deadline(), "read", self._object.read, *args)
        self._flush_now()  # an answer of the protocol's own (tickets, key update) may wait for the next call
        return result

    def write(self, data: Any) -> int:
        """Encrypt and send all of it; told to come again (with the same data), go on where it stopped."""
        view = memoryview(data).cast("B")
        if self._written > len(view):
            raise _bad_length()
        end = self._deadline()
        done, self._written = self._written, 0
        try:
            self._flush(end, "write")
            while True:
                done += self._run(end, "write", self._object.write, view[done : done + _PIECE])
                self._flush(end, "write")
                if done >= len(view):
                    return len(view)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, TimeoutError):
            self._written = done
            raise

    def shutdown(self) -> Any:
        """Say close_notify and wait for the peer's; return the socket, as _ssl does."""
        end = self._deadline()
        self._run(end, "read", self._object.shutdown)
        self._flush(end, "write")
        return self._owner()

    def verify_client_post_handshake(self) -> None:
        """Ask the client for its certificate now."""
        self._object.verify_client_post_handshake()
        self._flush(self._deadline(), "write")

    def _owner(self) -> Any:
        sock = self._sock()
        if sock is None:
            raise ValueError("TLS of a socket that is gone")
        return sock

    # -- waiting ----------------------------------------------------------------------------------

    def _deadline(self) -> float | None:
        limit = self._owner().timeout
        return None if limit is None else time.monotonic() + limit

    def _wait(self, end: float | None, what: str, write: bool) -> None:
        """Wait for the raw socket; without blocking, say what to wait for."""
        sock = self._owner()
        if sock.timeout != 0.0:
            sock._wait_until(end, write, _LATE.format(what))
        elif write:
            raise ssl.SSLWantWriteError(ssl.SSL_ERROR_WANT_WRITE, "The operation did not complete (write)")
        else:
            raise ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "The operation did not complete (read)")

    def _run(self, end: float | None, what: str, call: Callable[..., Any], *args: Any) -> Any:
        """Call OpenSSL, with what it asks for, until it is content."""
        while True:
            try:
                result = call(*args)
            except ssl.SSLWantReadError:
                # What is unsent is the question to which OpenSSL wants the answer, so it goes first; but a reader
                # goes on: there it is another greenlet's write, and if both ends' readers waited for room, neither
                # end would ever make any. Not without a bound: who sends key updates or renegotiations and reads none
                # of the answers would fill our memory with them. Over an fd OpenSSL stops at once there.
                while not self._flush_now() and (what != "read" or self._unsent() > _ANSWERS):
                    self._wait(end, what, write=True)
                while not self._fill():
                    self._wait(end, what, write=False)
            except ssl.SSLError:
                self._take()
                self._say_alert()
                raise
            else:
                self._take()
                return result

    # -- bytes in ---------------------------------------------------------------------------------

    def _fill(self) -> bool:
        """Show OpenSSL what has come, or the end; False: nothing yet."""
        self._take()
        if self._peeked:
            return True  # another greenlet was here while this one waited
        raw = self._owner()._sock
        data = raw.try_peek(_PEEK) if raw.__class__ is RawSocket else _kernel(raw.recv, _PEEK, _socket.MSG_PEEK)
        if data:
            self._peeked = self._in.write(data)
        elif data is not None:
            self._in.write_eof()
        return data is not None

    def _take(self) -> None:
        """Let the raw socket go on to what OpenSSL has not taken."""
        left = self._in.pending
        if left == self._peeked:
            return
        taken, self._peeked = self._peeked - left, left
        raw = self._owner()._sock
        if raw.__class__ is RawSocket:
            raw.try_skip(taken)
        else:
            _kernel(raw.recv, taken, _socket.MSG_TRUNC)

    # -- bytes out --------------------------------------------------------------------------------

    def _unsent(self) -> int:
        return len(self._sealed) + int(self._out.pending)

    def _flush(self, end: float | None, what: str) -> None:
        while not self._flush_now():
            self._wait(end, what, write=True)

    def _flush_now(self) -> bool:
        """Send what is encrypted; False: the raw socket takes no more now."""
        while self._sealed or self._out.pending:
            if not self._sealed:
                self._sealed = memoryview(self._out.read())
            raw = self._owner()._sock
            sent = raw.try_send(self._sealed) if raw.__class__ is RawSocket else _kernel(raw.send, self._sealed)
            if sent is None:
                return False
            self._sealed = self._sealed[sent:]
        return True

    def _say_alert(self) -> None:
        with suppress(OSError):  # the alert is a courtesy; the error that caused it is what the caller gets
            self._flush_now()


def _kernel(call: Callable[..., Any], *args: Any) -> Any:
    """Call the kernel's raw socket; None for what would block, as RawSocket's try_ methods have it."""
    try:
        return call(*args)
    except BlockingIOError:
        return None


def _bad_length() -> ssl.SSLError:
    """Make what OpenSSL says to less data than it has of the write already."""
    error = ssl.SSLError(ssl.SSL_ERROR_SSL, "[SSL: BAD_LENGTH] bad length")
    error.library, error.reason = "SSL", "BAD_LENGTH"
    return error
