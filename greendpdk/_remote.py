"""The stack's sockets in a forked child: the child's half of _share.py.

Called by _making.py (after a fork) and, as the kernel's half of an endpoint, by _raw.py, _endpoint.py and _watcher.py;
asks the parent. A RemoteSocket answers to what those call of a _socket.socket. Asking blocks the child, as a system
call does, until the parent's loop has had a turn; waiting for readiness does not: the stand-in fd, which the parent
keeps in step, shows it.

Only the greenlet that forked goes on with stack sockets, as only the thread that forked survives a fork: the copies of
the parent's other greenlets that wait for one never wake up, lest they take what is the parent's.
"""

from __future__ import annotations

import _socket
import array
import contextlib
import errno
import marshal
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from greendpdk import _fds, _share
from greendpdk._address import parse, show
from greendpdk._endpoint import Endpoint
from greendpdk._raw import RawSocket
from greendpdk._watcher import StackWatcher

if TYPE_CHECKING:
    from greendpdk._stack import Stack

_CHUNK = 64 * 1024
_ENDED = "the parent, which has greendpdk's stack, has ended"
_ERRORS: dict[str, type[Exception]] = {one.__name__: one for one in (TypeError, ValueError, OverflowError)}
_channel: Channel | None = None


class Channel:
    """The pair to the parent."""

    def __init__(self, there: _socket.socket) -> None:
        self._pair = there
        self.pid = os.getpid()
        self._turn = 0
        self._answers: dict[int, tuple[Any, int] | None] = {}  # None: asked for. A signal's handler may ask meanwhile
        self._closed: list[int] = []  # not told yet

    def ask(self, name: str, number: int, *args: Any) -> tuple[Any, int]:
        """Have the parent do it; return what it returned, and an fd or -1."""
        self._turn = turn = self._turn + 1
        self._answers[turn] = None
        try:
            if self._closed:
                self._tell(0)
            self._send((turn, name, number, tuple(map(_plain, args))))
            while (answer := self._answers[turn]) is None:
                self._receive()
        finally:
            del self._answers[turn]  # what comes after an exception out of a signal's handler is for nobody
        (kind, result), fd = answer
        if kind.__class__ is str:
            raise _ERRORS.get(kind, RuntimeError)(result)
        if kind:
            raise OSError(kind, result)
        return result, fd

    def _send(self, message: tuple[Any, ...], flags: int = 0) -> None:
        data = marshal.dumps(message)
        if len(data) > _share.MESSAGE:  # the parent would see a part of it
            raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
        try:
            self._pair.send(data, flags)
        except (BrokenPipeError, ConnectionResetError):
            raise OSError(errno.EBADF, _ENDED) from None

    def _receive(self) -> None:
        """Take one answer, to this question or to one whose asker was interrupted by it."""
        try:
            data, rights, _, _ = self._pair.recvmsg(_share.MESSAGE, _socket.CMSG_SPACE(4), _socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:
            data, rights = b"", []
        if not data:
            raise OSError(errno.EBADF, _ENDED)
        fds = array.array("i")
        for _, _, value in rights:
            fds.frombytes(value[:4])
        turn, *answer = marshal.loads(data)
        if turn in self._answers:
            self._answers[turn] = (answer, fds[0] if fds else -1)
        elif fds:
            os.close(fds[0])

    def close_for(self, number: int) -> None:
        """Have the parent give a socket back, some time: a child that ends must not wait for it."""
        self._closed.append(number)
        with contextlib.suppress(OSError):  # full: with the next one; or the parent has ended, and its sockets
            self._tell(_socket.MSG_DONTWAIT)

    def _tell(self, flags: int) -> None:
        self._send((0, "close", 0, tuple(self._closed)), flags)
        self._closed.clear()

    def fork(self) -> _socket.socket | None:
        """Have a pair made for a child of this child."""
        try:
            return _socket.socket(fileno=self.ask("fork", 0)[1])
        except OSError:
            return None

    def close(self) -> None:
        """Close this process's copy."""
        self._pair.close()


def _plain(value: Any) -> Any:
    """Make what marshal takes."""
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, tuple | list):
        return tuple(map(_plain, value))
    if isinstance(value, str | bytes | bool | float | None):
        return value
    return bytes(value)


class RemoteSocket:
    """A socket of the parent's stack."""

    __slots__ = ("_channel", "_end", "_fd", "_given", "_number")

    def __init__(self, channel: Channel, end: Endpoint) -> None:
        self._channel, self._end, self._number = channel, end, end.id
        self._fd = self._given = -1

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in _share._CALLS:
            raise AttributeError(name)
        return lambda *args: self._channel.ask(name, self._number, *args)[0]

    def _resolved(self, address: Any) -> Any:
        """Resolve a name here: the parent answers from its hub, which must not wait for a name server."""
        if not isinstance(address, tuple):
            return address
        return *show(self._end.family, *parse(self._end.family, address, "connect"))[:2], *address[2:]

    def bind(self, address: Any) -> None:
        """Bind."""
        self._channel.ask("bind", self._number, self._resolved(address))

    def connect_ex(self, address: Any) -> int:
        """Begin to connect, or tell how it goes."""
        return int(self._channel.ask("connect_ex", self._number, self._resolved(address))[0])

    def fileno(self) -> int:
        """Return a number that is as ready as the socket; made by the parent."""
        if self._fd < 0:
            self._fd = self._channel.ask("fileno", self._number)[1]
        return self._fd

    def send(self, data: Any, flags: int = 0) -> int:
        """Send what goes into one message to the parent: all of a datagram."""
        view = memoryview(data).cast("B")
        if self._end.type == _socket.SOCK_STREAM:
            view = view[:_CHUNK]
        return int(self._channel.ask("send", self._number, view, flags)[0])

    def sendto(self, data: Any, flags: int, address: Any) -> int:
        """Send one datagram."""
        view = memoryview(data).cast("B")
        return int(self._channel.ask("sendto", self._number, view, flags, self._resolved(address))[0])

    def sendmsg(self, buffers: Any, ancdata: Any = (), flags: int = 0, address: Any = None) -> int:
        """Send several buffers as one message."""
        data = b"".join(bytes(memoryview(buffer)) for buffer in buffers)
        if self._end.type == _socket.SOCK_STREAM:
            data = data[:_CHUNK]
        return int(self._channel.ask("sendmsg", self._number, (data,), ancdata, flags, self._resolved(address))[0])

    def recvmsg(self, size: int, ancsize: int = 0, flags: int = 0) -> tuple[Any, ...]:
        """Receive (data, ancillary data, flags, address)."""
        got: tuple[Any, ...] = self._channel.ask("recvmsg", self._number, min(size, _CHUNK), ancsize, flags)[0]
        return got

    def recvmsg_into(self, buffers: Any, ancsize: int = 0, flags: int = 0) -> tuple[Any, ...]:
        """Receive into several buffers."""
        views = [memoryview(buffer).cast("B") for buffer in buffers]
        data, *rest = self.recvmsg(sum(map(len, views)), ancsize, flags)
        at = 0
        for view in views:
            part = data[at : at + len(view)]
            view[: len(part)] = part
            at += len(part)
        return (len(data), *rest)

    def _accept(self) -> tuple[Any, Any]:
        (number, address), fd = self._channel.ask("accept", self._number)
        if not number:
            return fd, address
        made = _copy_of(self._end, number)
        made.k = RemoteSocket(self._channel, made)
        made.stack.sockets[number] = made  # for a child of this child
        return RawSocket(made), address

    def kernel_fd(self) -> int:
        """Return a kernel fd that the parent copies from and to, for a program to be executed."""
        return self._channel.ask("pump", self._number)[1]

    def given(self) -> int:
        """Return the kernel fd of which a program's stdin and stdout are copies: they are one connection."""
        if self._given < 0:
            self._given = self.kernel_fd()
        return self._given

    def leave(self) -> None:
        """Close this process's numbers of it."""
        for fd in (self._fd, self._given):
            if fd >= 0:
                os.close(fd)
        self._fd = self._given = -1

    def close(self) -> None:
        """Give this process's share of it back."""
        self._end.stack.sockets.pop(self._number, None)
        self.leave()
        if self._channel.pid == os.getpid():
            self._channel.close_for(self._number)


def _copy_of(end: Endpoint, number: int) -> Endpoint:
    """Make an endpoint of a connection that was accepted from end."""
    made = Endpoint.__new__(Endpoint)
    for name in Endpoint.__slots__:
        if name != "__weakref__" and hasattr(end, name):
            setattr(made, name, getattr(end, name))
    made.c, made.standin, made._kernel_io = None, None, None
    made.id, made.refs, made.fds, made.watchers, made.options = number, 1, set(), [], []
    made.pumps, made.lent, made.kept = [], 0, -1
    return made


def take_over(stack: Stack) -> None:
    """Make the copies of the parent's sockets use the parent, if there is a pair to it; else they are EBADF."""
    global _channel
    there = _share.taken_in_child()
    if _channel is not None:
        there = _grandchild(there)
    _channel = Channel(there) if there is not None else None
    for end in list(stack.sockets.values()):
        for watcher in end.watchers:
            if isinstance(watcher, StackWatcher):
                watcher.stop()
        end.watchers = []
        _forget_children(end)
        if not end.refs:
            del stack.sockets[end.id]  # the parent has closed it, and a sibling has not
            end.c = end.k = None
            continue
        if end.c is not None:
            end.c = None
            _fds.drop_stand_in(end)
            end._close_kernel()
        if end.k is not None:  # of this child's parent, which is a child itself
            end.k.leave()
            end.k = None
        if _channel is not None:
            end.k = RemoteSocket(_channel, end)


def _forget_children(end: Endpoint) -> None:
    """Leave the references of this process's siblings, and of the pumps, which go on in the parent."""
    end.refs, end.lent = end.refs - end.lent, 0
    for pump in end.pumps:
        pump.leave()
        end.refs -= 1
    end.pumps = []
    if end.kept >= 0:
        end.refs += 1  # so that nothing is closed
        _fds.forget(end.kept)
        end.refs -= 1


_pending: list[_socket.socket | None] = []


def _before_fork() -> None:
    if _channel is not None and _channel.pid == os.getpid():
        _pending.append(None if _share.exec_follows else _channel.fork())


def _after_in_parent() -> None:
    while _pending:
        there = _pending.pop()
        if there is not None:
            there.close()


def _grandchild(there: _socket.socket | None) -> _socket.socket | None:
    """Find the pair that the parent had asked for; its own is not this process's."""
    assert _channel is not None
    while _pending:
        there = _pending.pop()
    _channel.close()
    return there


os.register_at_fork(before=_before_fork, after_in_parent=_after_in_parent)
