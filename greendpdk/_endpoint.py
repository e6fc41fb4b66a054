"""One connection, listener or datagram socket: what all Python objects and fds of it share.

Called by _raw.py (operations), loop.Poller (events), _fds.py; calls the engine and, for the kernel's half, _socket.

    made            c = engine's handle, k = None, not settled: options go to c and are kept for k
    settled stack   c, bound to an address of ours or connected through a port of ours
    settled kernel  k alone; c was closed, the options were replayed
    both            c and k, bound to the same port of the wildcard: a listener, or UDP
    closed or lost  neither: everything is EBADF (close, stop(), a forked child)
"""

from __future__ import annotations

import _socket
import errno
import os
from typing import TYPE_CHECKING, Any

from gevent.monkey import get_original

from greendpdk import _fds, _group, _libc, _route
from greendpdk._address import ANY4, ANY6, LOOPBACK4, LOOPBACK6, MAPPED, is_any
from greendpdk._errors import check
from greendpdk._native import ffi, lib
from greendpdk._watcher import LevelWatcher

if TYPE_CHECKING:
    from greendpdk._stack import Stack

get_ident = get_original("_thread", "get_ident")
_BOTH_TRIES = 32  # ephemeral ports of the stack that the kernel may have in use
_PEERS = 1024  # heard by the kernel's half and remembered; for others the routes decide
_NOBODY: dict[tuple[bytes, int], None] = {}  # most sockets have no such peer, and share this
_POLL_BITS = (
    (1, lib.GD_READ), (2, lib.GD_PRI), (4, lib.GD_WRITE), (8, lib.GD_ERR), (16, lib.GD_HUP), (0x2000, lib.GD_RDHUP),
)  # fmt: skip


class Endpoint:
    """The shared state; refs counts fds in the table and raw sockets that have none yet."""

    __slots__ = (
        "__weakref__", "_kernel_io", "by_device", "c", "family", "fds", "groups_by_kernel", "id", "k", "kept",
        "kernels_turn", "lent", "nonblocking", "options", "peers_by_kernel", "poller", "proto", "pumps", "refs",
        "scratch", "scratch_size", "settled", "stack", "standin", "thread", "timeouts", "type", "watchers",
        "writes_shut",
    )  # fmt: skip

    def __init__(self, stack: Stack, family: int, type: int, proto: int, c: Any = None) -> None:
        if get_ident() != stack.thread:
            wrong_thread()
        if c is None:
            out = ffi.new("struct gd_sock **")
            check(lib.gd_sock_new(stack.c, family, type, out))
            c = out[0]
        self.stack, self.poller, self.thread = stack, stack.poller, stack.thread
        self.scratch, self.scratch_size = stack.poller.scratch, stack.poller.scratch_size
        self.family, self.type, self.proto = family, type, proto
        self._kernel_io: Any = None
        self.c: Any = c
        self.k: Any = None  # a non-blocking _socket.socket
        self.id = lib.gd_sock_id(c)
        self.settled = False
        self.kernels_turn = False  # the stack's half has been served last, so the kernel's is asked first
        self.peers_by_kernel = _NOBODY  # whose last datagram came in by the kernel's half
        self.nonblocking = False  # O_NONBLOCK as fcntl shows it: each Python object waits by its own timeout
        self.timeouts: tuple[float, float] | None = None  # SO_RCVTIMEO, SO_SNDTIMEO in seconds, if either is set
        self.by_device = False  # bound to a port of the stack (_devices.py): it has no other half
        self.pumps: list[Any] = []  # _pump.Pump: kernel fds that stand for it
        self.groups_by_kernel: bool | None = None  # whose interface IP_MULTICAST_IF named
        self.options: list[_group.Option] = []
        self.refs = 1
        self.lent = 0  # references that forked children have (_share.py)
        self.fds: set[int] = set()
        self.kept = -1  # of the fds, the one that goes on for the children's sake
        self.standin: _fds.StandIn | None = None
        self.watchers: list[Any] = []  # StackWatcher, _interest.Entry, _arrivals.Mark
        stack.sockets[self.id] = self

    @property
    def open(self) -> bool:
        """Tell whether there is anything behind it."""
        return self.c is not None or self.k is not None

    # -- readiness ---------------------------------------------------------------------------------

    def ready(self) -> int:
        """Ask for the level: GD_ bits."""
        bits: int = lib.gd_sock_ready(self.c) if self.c is not None else 0
        return bits | self._kernel_ready() if self.k is not None else bits

    def _kernel_ready(self) -> int:
        poll = get_original("select", "poll")()
        poll.register(self.k, 1 | 2 | 4 | 0x2000)
        found = dict(poll.poll(0)).get(self.k.fileno(), 0)
        return sum(ours for theirs, ours in _POLL_BITS if found & theirs)

    def post(self, bits: int) -> None:
        """Take an event from the poller: wake who waits for it."""
        for watcher in reversed(self.watchers):  # libev runs the last one fed first: first come, first served
            if bits & watcher.bits and watcher.active:
                watcher.feed(1, watcher.callback, *watcher.args)
        if self.standin is not None:
            self.sync()

    def sync(self) -> None:
        """Keep the stand-in fd in step."""
        if self.standin is None or self.c is None:
            return
        bits = self.ready()
        self.standin.show(self, bits)
        if self.k is not None:
            self._watch_kernel(not bits & lib.GD_READ)

    def _watch_kernel(self, watch: bool) -> None:
        """Bring the stand-in in step when the kernel's half becomes readable (once: its watcher is level-triggered)."""
        if self._kernel_io is None:
            self._kernel_io = self.poller.hub.loop.io(self.k.fileno(), 1, ref=False)
        if watch and not self._kernel_io.active:
            self._kernel_io.start(self.sync)
        elif not watch:
            self._kernel_io.stop()

    def _moved(self) -> None:
        """Tell the epolls that have it: what is the kernel's of it, the kernel's epoll watches."""
        for watcher in list(self.watchers):
            moved = getattr(watcher, "moved", None)
            if moved is not None:
                moved()

    def _close_kernel(self) -> None:
        if self._kernel_io is not None:
            self._kernel_io.stop()
            self._kernel_io.close()
            self._kernel_io = None
        if self.k is not None:
            self.k.close()
            self.k = None
            self.kernels_turn = False
            self.peers_by_kernel = _NOBODY

    # -- whose it is ------------------------------------------------------------------------------

    def settle_bind(self, addr: bytes, port: int, scope: int = 0) -> None:
        """Bind in the stack, the kernel, or (the wildcard and groups) both; scope is the kernel's."""
        if not self.settled and not self.by_device and not _route.owns(self.stack, addr) and not _group.is_group(addr):
            self._to_kernel()
            self.bind_kernel(self.k, addr, port, scope)
        elif (is_any(addr) or _group.is_group(addr)) and not self.settled and not self.by_device:
            self._bind_both(addr, port, scope)
        else:
            check(lib.gd_sock_bind(self.c, addr, port))
        self.settled = True

    def settle_peer(self, addr: bytes) -> bytes:
        """Decide by the peer's address, before a connect; return the address to connect to."""
        ours = self.by_device or (self.settled and self.k is None)
        stack = self.c is not None and (ours or _route.reaches(self.stack, addr))
        if not stack and self.c is not None:
            self._to_kernel()
        elif stack and self.k is not None:
            self._close_kernel()  # it was bound to both
            self._moved()
        self.settled = True
        if is_any(addr):  # Linux: connecting to the wildcard means this host
            return LOOPBACK4 if addr == ANY4 else LOOPBACK6
        return addr

    def half_for(self, addr: bytes, port: int) -> bool:
        """Tell whether an unconnected datagram to addr goes out of the stack; else there is a kernel half now."""
        if self.c is None or self.by_device or (self.settled and self.k is None and not self._unbound()):
            return self.c is not None
        if (addr, port) not in self.peers_by_kernel and _group.reaches(self, addr):
            return True
        if self.k is None:
            self.k = self._make_kernel()
            self._moved()
        return False

    def hear(self, source: Any) -> None:
        """Remember whom the kernel's half has heard: an answer takes its question's way, whatever the routes say."""
        self.kernels_turn = False
        if self.c is None or not isinstance(source, tuple):
            return
        packed = _socket.inet_pton(self.family, source[0].partition("%")[0])
        peer = packed if len(packed) == len(ANY6) else MAPPED + packed, source[1]
        if self.peers_by_kernel is _NOBODY:
            self.peers_by_kernel = {}
        self.peers_by_kernel.pop(peer, None)  # to the end: the ones not heard for longest are forgotten first
        self.peers_by_kernel[peer] = None
        if len(self.peers_by_kernel) > _PEERS:
            del self.peers_by_kernel[next(iter(self.peers_by_kernel))]

    def settle_listen(self) -> None:
        """Listen on an ephemeral port of both, as Linux does for a listen without a bind."""
        if not self.settled:
            self.settle_bind(ANY4 if self.family == _socket.AF_INET else ANY6, 0)

    def _unbound(self) -> bool:
        return lib.gd_sock_port(self.c) == 0

    def _bind_both(self, addr: bytes, port: int, scope: int) -> None:
        check(lib.gd_sock_bind(self.c, addr, port))
        room, bound = ffi.new("uint8_t[16]"), ffi.new("uint16_t *")
        for left in range(_BOTH_TRIES, 0, -1):
            check(lib.gd_sock_getsockname(self.c, room, bound))
            kernel = self._make_kernel()
            try:
                self.bind_kernel(kernel, addr, bound[0], scope)
            except OSError as error:
                kernel.close()
                if _group.is_group(addr) and error.errno != errno.EADDRINUSE:
                    return  # on a link that the kernel does not have
                self._renew()
                if port or error.errno != errno.EADDRINUSE or left == 1:
                    raise
                check(lib.gd_sock_bind(self.c, addr, 0))
            else:
                self.k = kernel
                self._moved()
                return

    def keep(self, option: _group.Option) -> None:
        """Keep an option for a half that the socket may get: the last of a kind, or of one membership."""
        several = _group.concerns(*option[:2])
        self.options = [one for one in self.options if one != option and (several or one[:2] != option[:2])]
        self.options.append(option)

    def _renew(self) -> None:
        """Take a fresh engine handle: a bind cannot be taken back."""
        out = ffi.new("struct gd_sock **")
        check(lib.gd_sock_new(self.stack.c, self.family, self.type, out))
        self._drop_engine()
        self.c, self.id = out[0], lib.gd_sock_id(out[0])
        self.stack.sockets[self.id] = self
        for level, name, value, length in self.options:
            lib.gd_sock_setsockopt(self.c, level, name, ffi.NULL if value is None else value, length)

    def _for_kernel(self, addr: bytes, port: int, scope: int = 0) -> tuple[Any, ...]:
        if self.family == _socket.AF_INET:
            return _socket.inet_ntoa(addr[12:]), port
        return _socket.inet_ntop(_socket.AF_INET6, addr), port, 0, scope

    def bind_kernel(self, kernel: Any, addr: bytes, port: int, scope: int) -> None:
        """Bind a kernel socket without a second audit event."""
        _libc.bind(kernel.fileno(), self.family, self._for_kernel(addr, port, scope))

    def _make_kernel(self) -> _socket.socket:
        kernel = _socket.socket(self.family, self.type, self.proto)
        kernel.setblocking(False)
        for option in self.options:
            _group.replay(kernel, option)
        return kernel

    def _to_kernel(self) -> _socket.socket:
        kernel = self.k if self.k is not None else self._make_kernel()
        self.k = kernel
        self._drop_engine()
        for fd in list(self.fds):  # a number that was asked for keeps its value, and is the kernel's socket now
            os.dup2(kernel.fileno(), fd, inheritable=False)
        _fds.drop_stand_in(self)
        self._moved()
        return kernel

    # -- the end ----------------------------------------------------------------------------------

    def release(self) -> None:
        """Give one reference back; the last one closes."""
        self.refs -= 1
        if self.refs > 0:
            return
        self._close_kernel()
        if self.c is not None:
            if get_ident() != self.thread:  # a finaliser may run in any thread
                self.poller.hub.loop.run_callback_threadsafe(self._drop_engine)
            else:
                self._drop_engine()
        self._wake_all()

    def lose(self) -> None:
        """Forget the engine's handle without a word to the peer: the stack ends, or this is a forked child."""
        self.c = None
        self._wake_all()

    def _drop_engine(self) -> None:
        handle, self.c = self.c, None
        if handle is not None and not self.stack.dead:
            self.stack.sockets.pop(self.id, None)
            lib.gd_sock_close(handle)
            if not self.poller.spinning:
                self.poller.wake()

    def _wake_all(self) -> None:
        if get_ident() != self.thread:
            return
        for watcher in list(self.watchers):
            if watcher.active and (isinstance(watcher, LevelWatcher) or self.refs > 0):
                watcher.fire_later()


def wrong_thread() -> None:
    """Refuse: the engine is not thread-safe, and the greenlets that wait are another hub's."""
    raise RuntimeError(
        "this socket belongs to greendpdk's stack, which is used from the native thread that started it only; "
        "use greenlets (gevent.spawn), or a kernel socket, in other threads"
    )
