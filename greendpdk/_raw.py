"""The raw socket under gevent's socket class: what _socket.socket is there, over the engine.

Called by socket.py and, as `_sock`, by gevent (servers, pywsgi, ssl); calls the engine through cffi. It never
blocks: what would block is None from the try_ methods, BlockingIOError from the ones that the standard
library has. A RawSocket is one fd's worth: dup() makes another over the same endpoint.
"""

from __future__ import annotations

import _socket
import os
import sys
import warnings
from _socket import IPPROTO_TCP, SO_ERROR, SOL_SOCKET
from typing import Any

from greendpdk import _devices, _fds, _group, _sockopt
from greendpdk._address import kernel_scope, parse, show
from greendpdk._endpoint import Endpoint, get_ident
from greendpdk._errors import check, would_block
from greendpdk._native import ffi, lib
from greendpdk._transfer import EAGAIN, RawTransfer, bad_fd

SIOCATMARK = 0x8905  # <linux/sockios.h>
_DEFAULT_BACKLOG = 128  # CPython's listen() without an argument


class RawSocket(RawTransfer):
    """Speak _socket.socket's methods over one endpoint."""

    __slots__ = ("__weakref__", "_closed", "_fd", "end", "family", "proto", "timeout", "type")

    def __init__(self, end: Endpoint, fd: int = -1) -> None:
        self._closed = True
        self.end = end
        self.family, self.type, self.proto = end.family, end.type, end.proto
        self.timeout = 0.0  # falsy: gevent's StreamServer asks for it
        self._fd = fd
        self._closed = False

    # -- names ------------------------------------------------------------------------------------

    def _name(self, ask: Any, kernel: str) -> Any:
        c = self._engine()
        if c is None:
            return getattr(self.end.k, kernel)()
        addr, port = ffi.new("uint8_t[16]"), ffi.new("uint16_t *")
        check(ask(c, addr, port))
        return show(self.family, ffi.buffer(addr)[:], port[0])

    def getsockname(self) -> Any:
        """Return the local address."""
        return self._name(lib.gd_sock_getsockname, "getsockname")

    def getpeername(self) -> Any:
        """Return the peer's address."""
        return self._name(lib.gd_sock_getpeername, "getpeername")

    # -- opening ----------------------------------------------------------------------------------

    def bind(self, address: Any, owner: Any = None) -> None:
        """Bind in the stack, the kernel, or both, by the address; owner is whom an audit hook is told of."""
        c = self._engine()
        addr, port = parse(self.family, address, "bind")
        sys.audit("socket.bind", owner or self, address)
        if c is not None:
            self.end.settle_bind(addr, port, kernel_scope(address))
            self._done(0)
        elif isinstance(self.end.k, _socket.socket):
            self.end.bind_kernel(self.end.k, addr, port, kernel_scope(address))
        else:
            self.end.k.bind(address)

    def settle(self, address: Any) -> Any:
        """Decide by the peer whose socket this is; return the address, resolved: a name may have others next time."""
        if self._engine() is None:
            return address
        addr, port = parse(self.family, address, "connect")
        addr = self.end.settle_peer(addr)
        if self.end.c is not None:
            return show(self.family, addr, port)
        return self.end._for_kernel(addr, port)[0], *address[1:]

    def connect_ex(self, address: Any) -> int:
        """Begin to connect, or tell how it goes: an errno, 0 when it is done."""
        if self._engine() is None:
            return self.end.k.connect_ex(address)  # type: ignore[no-any-return]
        addr, port = parse(self.family, address, "connect")
        addr = self.end.settle_peer(addr)
        if self.end.c is None:
            return self.end.k.connect_ex(address)  # type: ignore[no-any-return]
        result: int = lib.gd_sock_connect(self.end.c, addr, port)
        self._done(0)
        return -result

    def connect(self, address: Any) -> None:
        """Begin to connect; raise BlockingIOError while it goes on."""
        check(-self.connect_ex(address))

    def listen(self, backlog: int = _DEFAULT_BACKLOG) -> None:
        """Accept connections from now on, in each half that is bound."""
        end = self.end
        if self._engine() is not None:
            end.settle_listen()
        if end.k is not None:
            end.k.listen(backlog)  # first: another may listen there by now, and then neither half shall
        if end.c is not None:
            self._done(lib.gd_sock_listen(end.c, max(backlog, 0)))

    def try_accept(self) -> tuple[Any, Any] | None:
        """Take a connection, from each half in turn: (RawSocket, or the kernel's fd; address); None: there is none."""
        end = self.end
        c = self._engine()
        if end.kernels_turn and (got := self._try_kernel_accept()) is not None:
            return got
        if c is not None:
            out = ffi.new("struct gd_sock **")
            result = lib.gd_live_accept(c, out)
            if result == 0:
                raw = RawSocket(Endpoint(end.stack, end.family, end.type, end.proto, out[0]))
                raw.end.settled = True
                end.kernels_turn = end.k is not None
                raw.end.timeouts = end.timeouts
                self._done(0)
                return raw, raw._accepted_from()
            if result != EAGAIN:
                self._done(result)
        return None if end.k is None else self._try_kernel_accept()

    def _try_kernel_accept(self) -> tuple[Any, Any] | None:
        end = self.end
        end.kernels_turn = False
        try:
            return end.k._accept()  # type: ignore[no-any-return]
        except BlockingIOError:
            return None
        finally:
            end.sync()

    def _accepted_from(self) -> Any:
        try:
            return self.getpeername()
        except OSError:  # reset while it waited in the backlog; the next call will tell
            return show(self.family, bytes(16), 0)

    def _accept(self) -> tuple[Any, Any]:
        """Do what gevent's StreamServer calls: its socket class takes a RawSocket for an fd."""
        got = self.try_accept()
        if got is None:
            raise would_block()
        return got

    def shutdown(self, how: int) -> None:
        """Close one direction or both."""
        for pump in list(self.end.pumps):
            pump.drain()  # what a child has written before it ended goes first
        c = self._engine()
        if c is None:
            self.end.k.shutdown(how)
        else:
            self._done(lib.gd_sock_shutdown(c, how))

    # -- options ----------------------------------------------------------------------------------

    def setsockopt(self, *args: Any) -> None:
        """Set an option; before the socket is settled it is kept for the kernel as well."""
        end = self.end
        c = self._engine()
        if c is None:
            end.k.setsockopt(*args)
            return
        option = level, name, value, length = _sockopt.encode(args)
        if _devices.concerns(level, name):
            _devices.setsockopt(end, option)
            self._done(0)
            return
        if _group.concerns(level, name):
            _group.setsockopt(end, option)
            self._done(0)
            return
        self._done(lib.gd_sock_setsockopt(c, level, name, ffi.NULL if value is None else value, length))
        end.keep(option)
        if level == SOL_SOCKET and name in _sockopt.TIMEOUTS:
            end.timeouts = _sockopt.timeouts(c)
        if end.k is not None:
            end.k.setsockopt(*args)

    def getsockopt(self, level: int, name: int, buflen: int = 0) -> int | bytes:
        """Read an option: an int, or buflen bytes."""
        end = self.end
        c = self._engine()
        if c is None:
            return end.k.getsockopt(level, name, buflen)  # type: ignore[no-any-return]
        if level == IPPROTO_TCP and name in _sockopt.TELL_TIMES:
            end.poller.poll()  # the engine's time is the last poll's, which may be long ago
        size = ffi.new("uint32_t *", _sockopt.room(buflen))
        room = ffi.new("char[]", size[0])
        check(lib.gd_sock_getsockopt(c, level, name, room, size))
        if level == SOL_SOCKET and name == SO_ERROR:
            end.sync()
            if end.k is not None and not any(ffi.unpack(room, size[0])):
                return end.k.getsockopt(level, name, buflen)  # type: ignore[no-any-return]
        return _sockopt.decode(ffi.unpack(room, size[0]), buflen)

    def linger_seconds(self) -> int:
        """Return how long close() shall wait by SO_LINGER; 0 also where it resets, or the kernel has the socket."""
        end = self.end
        if end.c is None or end.stack.dead or get_ident() != end.thread:
            return 0
        return int(lib.gd_sock_linger(end.c))

    def unacked(self) -> int:
        """Return the bytes, and the FIN, that the peer has not acknowledged."""
        return 0 if self.end.c is None else int(lib.gd_sock_unacked(self.end.c))

    def awaits(self, want: int) -> bool:
        """Tell whether fewer bytes are unread, and more may come before an end, an error or an urgent byte."""
        c = self._engine()
        return c is not None and lib.gd_sock_awaits(c, want) > 0

    def at_mark(self) -> bool:
        """Tell whether the next byte is urgent, or was (sockatmark(3))."""
        return self.end.c is not None and lib.gd_sock_ioctl(self.end.c, SIOCATMARK) > 0

    # -- life -------------------------------------------------------------------------------------

    def fileno(self) -> int:
        """Give the socket a number, at the first call."""
        if self._closed:
            return -1
        if self._fd < 0:
            self._fd = _fds.number(self.end)
        return self._fd

    def lost_number(self) -> bool:
        """Tell whether another object has closed the number that this one was made of."""
        return self._fd >= 0 and not _fds.holds(self._fd, self.end)

    def dup(self) -> RawSocket:
        """Make another raw socket, with a number of its own, over the same endpoint."""
        self.fileno()
        self.end.refs += 1
        return RawSocket(self.end, _fds.number(self.end))

    def share(self) -> RawSocket:
        """Hand this fd over to a new object; this one is detached, and no number is made."""
        other = RawSocket(self.end, self._fd)
        self._closed = True
        self._fd = -1
        return other

    def detach(self) -> int:
        """Give the number away: the table holds the connection until it is closed."""
        fd = self.fileno()
        self._closed = True
        self._fd = -1
        return fd

    def to_kernel_fd(self) -> int:
        """Give a socket that became the kernel's away as its fd."""
        fd, self._fd = self._fd, -1
        self._closed = True
        if fd >= 0:
            _fds.forget(fd, close=False)
            return fd
        fd = os.dup(self.end.k.fileno())
        self.end.release()
        return fd

    def close(self) -> None:
        """Close this fd; the connection ends with the last one."""
        if self._closed:
            return
        self._closed = True
        if self._fd < 0:
            self.end.release()
            return
        fd, self._fd = self._fd, -1
        if not _fds.forget(fd):
            raise bad_fd()  # os.close was there first

    def setblocking(self, flag: bool) -> None:
        """Do nothing: the raw socket never blocks."""

    def settimeout(self, value: float | None) -> None:
        """Do nothing: the raw socket never blocks."""

    def gettimeout(self) -> float:
        """Return that it never blocks."""
        return 0.0

    def getblocking(self) -> bool:
        """Return that it never blocks."""
        return False

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"fd={self._fd if self._fd >= 0 else 'stack'}"
        text = f"<socket object, {state}, family={self.family}, type={self.type}, proto={self.proto}"
        for label, ask in (("laddr", self.getsockname), ("raddr", self.getpeername)):
            try:
                text += f", {label}={ask()}"
            except (OSError, RuntimeError):
                continue
        return text + ">"

    def __del__(self) -> None:
        if not self._closed:
            try:
                warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=2)
            finally:  # where warnings are errors, too
                self.close()
