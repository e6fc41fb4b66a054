"""The stack's sockets in forked children: the parent's half, which does for a child what it asks for.

Called by os.fork (hooks), by the loop when a child has asked; calls _raw.py for the child, _pump.py. _remote.py is the
child's half. A child has a copy of the engine's memory, but the ports' queues are the parent's, so the sockets stay:

    child   recv(), accept(), ... ─► _remote.RemoteSocket ──┐ one SOCK_SEQPACKET pair for each child:
    parent  the same try_ call on the same endpoint ◄───────┘ (call, id, arguments) ─► (errno, result) and fds

As with the kernel's file table, each open socket is the child's too until it closes it, ends or executes another
program: only then is a connection that the parent has closed at its end. A fork costs one reference for each socket.
"""

from __future__ import annotations

import _socket
import array
import errno
import marshal
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gevent.monkey import is_object_patched

from greendpdk import _fds, _stack
from greendpdk._endpoint import get_ident

if TYPE_CHECKING:
    from greendpdk._endpoint import Endpoint
    from greendpdk._raw import RawSocket

# What may be asked for by name: methods of RawSocket; those of _TRIES as try_..., where None is EAGAIN.
_CALLS = {"bind", "connect_ex", "getpeername", "getsockname", "getsockopt", "listen", "setsockopt", "shutdown"}
_TRIES = {"recvmsg", "send", "sendmsg", "sendto"}
_TURN = 16  # calls of one child before the loop goes on
MESSAGE = 160 * 1024  # more than the largest datagram; the pair's buffer holds 208 KiB
exec_follows = 0  # while gevent's Popen forks: the child executes a program at once, which has no use for it
_shares: set[Share] = set()
_forking: list[tuple[Share, _socket.socket]] = []


class Share:
    """What one child may use, and the end of the pair that it asks through."""

    def __init__(self, stack: Any, ends: dict[int, Endpoint]) -> None:
        self.held = ends
        for end in ends.values():
            end.refs += 1
        self._stack = stack
        self._numbers: dict[int, int] = {}  # by the endpoint's id: made for this child
        self._here, self.there = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        self._here.setblocking(False)
        for sock in (self._here, self.there):
            sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDBUF, 2 * MESSAGE)
        self._watcher: Any = None

    def begin(self) -> None:
        """Serve from now on; nobody is held alive by it, as no kernel waits for children to end."""
        self.there.close()
        self._watcher = self._stack.poller.hub.loop.io(self._here.fileno(), 1, ref=False)
        self._watcher.start(self._serve)
        _shares.add(self)

    def end(self) -> None:
        """Let go of what the child had: it has ended, or is another program now."""
        _shares.discard(self)
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()
        self._here.close()
        self.there.close()
        held, self.held = self.held, {}
        for end in held.values():
            self._drop(end)

    def _drop(self, end: Endpoint) -> None:
        fd = self._numbers.pop(end.id, -1)
        if fd >= 0:
            _fds.forget(fd)
        end.release()

    def leave(self) -> None:
        """Forget it in the child, where it is a copy."""
        self._here.close()
        self.held = {}

    def _serve(self) -> None:
        for _ in range(_TURN):
            try:
                message = self._here.recv(MESSAGE)
            except BlockingIOError:
                return
            except OSError:
                message = b""
            if not message:
                self.end()
                return
            name, number, args = marshal.loads(message)
            fds: list[int] = []
            try:
                answer: tuple[int, Any] = (0, self._do(name, number, args, fds))
            except OSError as error:
                answer = (error.errno or errno.EIO, error.strerror)
            except Exception as error:
                answer = (-1, f"{type(error).__name__}: {error}")
            if name != "close":
                self._answer(answer, fds)
            for fd in fds if name != "fileno" else ():
                _fds._close(fd)

    def _answer(self, answer: tuple[int, Any], fds: list[int]) -> None:
        sent = fds[:1]
        rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array.array("i", sent))] if sent else []
        try:
            self._here.sendmsg([marshal.dumps(answer)], rights)
        except OSError:
            self.end()  # it asks without waiting for answers, or is gone

    def _do(self, name: str, number: int, args: tuple[Any, ...], fds: list[int]) -> Any:
        if name == "fork":
            share = Share(self._stack, dict(self.held))
            fds.append(share.there.detach())
            share.begin()
            return None
        end = self.held.get(number)
        if end is None or not end.open:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        if name == "close":
            self._drop(self.held.pop(number))
            return None
        raw = _lend(end)
        try:
            return self._call(raw, name, args, fds)
        finally:
            raw._closed = True  # lent, not given: nothing is released

    def _call(self, raw: RawSocket, name: str, args: tuple[Any, ...], fds: list[int]) -> Any:
        if name in _CALLS:
            return getattr(raw, name)(*args)
        if name in _TRIES:
            return _tried(getattr(raw, f"try_{name}")(*args))
        special: dict[str, Callable[..., Any]] = {"accept": self._accept, "fileno": self._fileno, "pump": self._pump}
        return special[name](raw, fds)

    def _accept(self, raw: RawSocket, fds: list[int]) -> Any:
        taken, address = _tried(raw.try_accept())
        if isinstance(taken, int):
            fds.append(taken)
            return 0, address
        taken._closed = True  # its reference is the child's
        self.held[taken.end.id] = taken.end
        return taken.end.id, address

    def _fileno(self, raw: RawSocket, fds: list[int]) -> None:
        end = raw.end
        if not end.fds:
            end.refs += 1
            self._numbers[end.id] = _fds.number(end)
        fds.append(next(iter(end.fds)))

    def _pump(self, raw: RawSocket, fds: list[int]) -> None:
        from greendpdk import _pump

        fds.append(_pump.make(raw.end))


def _lend(end: Endpoint) -> RawSocket:
    from greendpdk._raw import RawSocket

    return RawSocket(end)


def _tried(result: Any) -> Any:
    if result is None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return result


def _before_fork() -> None:
    stack = _stack.running()
    if stack is None or stack.dead or exec_follows or get_ident() != stack.thread:
        return
    if not is_object_patched("os", "fork"):
        return  # a parent that waits in the kernel for its child would not hear it: the sockets are EBADF there
    ends = {number: end for number, end in stack.sockets.items() if end.c is not None}
    if ends:
        share = Share(stack, ends)
        _forking.append((share, share.there))


def _after_in_parent() -> None:
    while _forking:
        _forking.pop()[0].begin()


def taken_in_child() -> _socket.socket | None:
    """Give the child's end of the pair to the child, and forget what is the parent's."""
    there = None
    while _forking:
        share, there = _forking.pop()
        share.leave()
    for share in list(_shares):
        share.leave()  # of older siblings
    _shares.clear()
    return there


os.register_at_fork(before=_before_fork, after_in_parent=_after_in_parent)
