"""The stack's sockets in forked children: the parent's half, which does for a child what it asks for.

Called by os.fork (hooks), by the loop when a child has asked; calls _raw.py for the child, _pump.py. _remote.py is the
child's half. A child has a copy of the engine's memory, but the ports' queues are the parent's, so the sockets stay:

    child   recv(), accept(), ... ─► _remote.RemoteSocket ──┐ one SOCK_SEQPACKET pair for each child:
    parent  the same try_ call on the same endpoint ◄───────┘ (turn, call, id, arguments) ─► (turn, errno, result), fds

As with the kernel's file table, each open socket is the child's too until it closes it, ends or executes another
program: only then is a connection that the parent has closed at its end. A fork costs one reference for each socket.
A child is trusted as a copy of the parent: it may call what is named here, and bad marshal data can crash the parent.
"""

from __future__ import annotations

import _socket
import array
import errno
import marshal
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gevent
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
_forking: list[Share] = []  # by the stack's thread alone; another one may fork at the same moment


class Share:
    """What one child may use, and the end of the pair that it asks through."""

    def __init__(self, stack: Any, ends: dict[int, Endpoint]) -> None:
        self._stack = stack
        self._here, self.there = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        self._here.setblocking(False)
        self.there.setblocking(True)  # whatever socket.setdefaulttimeout() says
        for sock in (self._here, self.there):
            sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDBUF, 2 * MESSAGE)
        self.held = ends  # last: without a pair (EMFILE) nobody would give them back
        for end in ends.values():
            _take(end)
        self.thread = get_ident()
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
            _give_back(end)

    def leave(self) -> None:
        """Forget it in the child, where it is a copy."""
        if self._watcher is not None:
            self._watcher.stop()  # first: libev aborts on a number that is closed
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
            try:
                turn, name, number, args = marshal.loads(message)
            except (ValueError, TypeError, EOFError):
                self.end()  # not by our half
                return
            if name == "close":
                for one in args:
                    if one in self.held:
                        _give_back(self.held.pop(one))
            elif name == "shutdown":
                gevent.spawn(self._reply, turn, name, number, args)  # may wait for a pump, which the hub must not
            else:
                self._reply(turn, name, number, args)

    def _reply(self, turn: int, name: str, number: int, args: tuple[Any, ...]) -> None:
        fds: list[int] = []
        try:
            answer: tuple[Any, ...] = (turn, 0, self._do(name, number, args, fds))
        except OSError as error:
            answer = (turn, error.errno or errno.EIO, error.strerror)
        except Exception as error:
            answer = (turn, type(error).__name__, str(error))
        rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self._here.sendmsg([marshal.dumps(answer)], rights)
        except OSError:
            self.end()  # it asks without waiting for answers, or is gone
        for fd in fds if name != "fileno" else ():
            _fds._close(fd)

    def _do(self, name: str, number: int, args: tuple[Any, ...], fds: list[int]) -> Any:
        if name == "fork":
            share = Share(self._stack, dict(self.held))
            fds.append(share.there.detach())
            share.begin()
            return None
        end = self.held.get(number)
        if end is None or not end.open:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
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
        taken.end.lent += 1
        self.held[taken.end.id] = taken.end
        return taken.end.id, address

    def _fileno(self, raw: RawSocket, fds: list[int]) -> None:
        end = raw.end
        if not end.fds:
            end.refs += 1
            end.kept = _fds.number(end)
        fds.append(next(iter(end.fds)))

    def _pump(self, raw: RawSocket, fds: list[int]) -> None:
        from greendpdk import _pump

        fds.append(_pump.make(raw.end))


def _take(end: Endpoint) -> None:
    end.refs += 1
    end.lent += 1


def _give_back(end: Endpoint) -> None:
    end.lent -= 1
    if not end.lent and end.kept >= 0:
        _fds.forget(end.kept)
    end.release()


def own(end: Endpoint) -> int:
    """Count the references that are this process's own, and not its children's."""
    return end.refs - end.lent - (end.kept >= 0)


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
    ends = {number: end for number, end in stack.sockets.items() if end.c is not None and own(end)}
    if ends:
        _forking.append(Share(stack, ends))


def _after_in_parent() -> None:
    while _forking and get_ident() == _forking[-1].thread:
        _forking.pop().begin()


def taken_in_child() -> _socket.socket | None:
    """Give the child's end of the pair to the child, and forget what is the parent's."""
    there = None
    while _forking:
        share = _forking.pop()
        there = share.there if get_ident() == share.thread else None
        share.leave()
    for share in list(_shares):
        share.leave()  # of older siblings
    _shares.clear()
    return there


os.register_at_fork(before=_before_fork, after_in_parent=_after_in_parent)
