"""The application's side of a script: system calls on the stack's sockets, blocking ones included.

Called by _player.py; calls endpoint.py. Bytes sent are the stream's pattern at their place, bytes received must be.

A call that would block waits in `pending` and is tried again after each poll, while later statements go on; it must
end when its "..." says. packetdrill allows one such call at a time, and so do we.
"""

from __future__ import annotations

import errno
import functools
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from greendpdk._native import lib
from greendpdk._tcp_info import TcpInfo, tcp_info
from greendpdk.testing._constants import constant, sockaddr
from greendpdk.testing._flow import pattern
from greendpdk.testing._lines import Call, Ellipsis_, Expr, Name, Statement, StructValue
from greendpdk.testing.clock import MS, NEVER
from greendpdk.testing.endpoint import Address, Endpoint

if TYPE_CHECKING:
    from greendpdk.testing._player import Player

Attempt = Callable[[], int]
T = TypeVar("T")
POLL_BITS = {"POLLIN": lib.GD_READ, "POLLOUT": lib.GD_WRITE, "POLLRDHUP": lib.GD_RDHUP, "POLLPRI": lib.GD_PRI}
SIOCATMARK = 0x8905
ALWAYS_BITS = {"POLLERR": lib.GD_ERR, "POLLHUP": lib.GD_HUP}


@dataclass
class File:
    """An open socket, and how far its streams have come."""

    endpoint: Endpoint
    blocking: bool = True
    sent: int = 0
    received: int = 0


@dataclass
class Pending:
    """A call that blocks."""

    statement: Statement | None
    call: Call
    attempt: Attempt
    end: int


class Calls:
    """The open files of a script, and the call that blocks."""

    def __init__(self, player: Player) -> None:
        self.player = player
        self.files: dict[int, File] = {}
        self.pending: Pending | None = None
        self.wake_at = NEVER  # poll()'s time-out
        self.made: Endpoint | None = None  # by socket or accept, until the script has named its number

    # -- running ------------------------------------------------------------------------------
    def begin(self, call: Call, end: int | None) -> None:
        """Run a call; end: it blocks until then."""
        if self.pending is not None:
            self._wait_for_pending()
        method = getattr(self, f"_do_{call.name}", None)
        if method is None:
            raise self.player.error(f"no such call: {call.name}")
        attempt: Attempt = method(*call.args)
        if end is None:
            self._finish(call, self._try(attempt))
            return
        self.pending = Pending(self.player.statement, call, attempt, end)
        self.retry()

    def _try(self, attempt: Attempt) -> tuple[int, str]:
        try:
            return attempt(), ""
        except WouldBlock:
            raise self.player.error("the call blocks; give it a time to end: +0...0.1") from None
        except OSError as error:
            return -1, errno_name(error)

    def retry(self) -> bool:
        """Try the blocked call again; tell if it has ended, so that there may be something to send."""
        pending = self.pending
        if pending is None:
            return False
        player, late = self.player, self.player.clock.now > pending.end + self.player.tolerance
        sent_before = [file.sent + file.received for file in self.files.values()]
        try:
            outcome = pending.attempt(), ""
        except WouldBlock:
            if late:
                player.statement = pending.statement
                raise player.error(f"{pending.call.name} still blocks") from None
            return sent_before != [file.sent + file.received for file in self.files.values()]
        except OSError as error:
            outcome = -1, errno_name(error)
        self.pending, self.wake_at = None, NEVER
        held, player.statement = player.statement, pending.statement
        if late or player.clock.now < pending.end - player.tolerance:
            now, end = player.seconds(), player.seconds(pending.end)
            raise player.error(f"{pending.call.name} returned {outcome} at {now:.6f}, {end:.6f} expected")
        self._finish(pending.call, outcome)
        player.statement = held
        return True

    def _wait_for_pending(self) -> None:
        if self.pending is not None:
            self.player.pass_time(self.pending.end + self.player.tolerance + 1, lambda: self.pending is None)

    def finish(self) -> None:
        """Let the blocked call end, at the end of the script."""
        self._wait_for_pending()

    def close_all(self) -> None:
        """Close what the script has left open."""
        for file in self.files.values():
            file.endpoint.close()
        self.files.clear()

    def _finish(self, call: Call, outcome: tuple[int, str]) -> None:
        value, name = outcome
        made, self.made = self.made, None
        text = f"{call.name} = {value}{' ' + name if name else ''}"
        self.player.log.append(f"{self.player.seconds():10.6f}   {text}")
        if made is not None:
            if not isinstance(call.result, int) or call.result < 0:
                made.close()
                raise self.player.error(f"{call.name} succeeded")
            self.files[call.result] = File(made)
            return
        if isinstance(call.result, Ellipsis_):
            return
        want = constant(call.result)
        if value != want or name != call.errno:
            raise self.player.error(f"{call.name} returned {value}{' ' + name if name else ''}")

    def state(self, fd: int) -> str:
        """Return the state of a script's socket."""
        return self.files[fd].endpoint.state

    def info(self, fd: int) -> TcpInfo:
        """Return TCP_INFO of a script's socket."""
        return tcp_info(self.files[fd].endpoint)

    def _file(self, fd: Expr) -> File:
        if not isinstance(fd, int) or fd not in self.files:
            raise OSError(errno.EBADF, "no such file")
        return self.files[fd]

    # -- opening ------------------------------------------------------------------------------
    def _do_socket(self, domain: Expr, type: Expr, protocol: Expr) -> Attempt:
        def attempt() -> int:
            family = socket.AF_INET6 if self.player.setup.is_6 else socket.AF_INET
            self.made = self.player.host.socket(constant(type) & 15, family)
            return 0

        return attempt

    def _do_bind(self, fd: Expr, address: Expr, length: Expr) -> Attempt:
        setup = self.player.setup

        def attempt() -> int:
            self._file(fd).endpoint.bind(sockaddr(address, (setup.local_ip, setup.bind_port)))
            return 0

        return attempt

    def _do_listen(self, fd: Expr, backlog: Expr) -> Attempt:
        def attempt() -> int:
            self._file(fd).endpoint.listen(constant(backlog))
            return 0

        return attempt

    def _do_accept(self, fd: Expr, address: Expr, length: Expr, flags: Expr = 0) -> Attempt:
        def attempt() -> int:
            file = self._file(fd)
            self.made = self._blocking(file, file.endpoint.accept)
            return 0

        return attempt

    def _do_connect(self, fd: Expr, address: Expr, length: Expr) -> Attempt:
        setup = self.player.setup
        to = sockaddr(address, (setup.remote_ip, setup.connect_port))
        began = False

        def attempt() -> int:
            nonlocal began
            file = self._file(fd)
            if not began:
                began = True
                try:
                    file.endpoint.connect(to)
                    return 0
                except BlockingIOError as error:
                    if not file.blocking or error.errno != errno.EINPROGRESS:
                        raise
            if not file.endpoint.ready & (lib.GD_WRITE | lib.GD_ERR | lib.GD_HUP):
                raise WouldBlock
            if code := file.endpoint.take_error():
                raise OSError(code, "connect")
            return 0

        return attempt

    def _blocking(self, file: File, call: Callable[[], T], flags: int = 0) -> T:
        try:
            return call()
        except BlockingIOError:
            if file.blocking and not flags & (socket.MSG_DONTWAIT | socket.MSG_OOB):
                raise WouldBlock from None
            raise

    # -- moving bytes -------------------------------------------------------------------------
    def _do_write(self, fd: Expr, data: Expr, size: Expr) -> Attempt:
        return self._do_send(fd, data, size, 0)

    def _do_read(self, fd: Expr, data: Expr, size: Expr) -> Attempt:
        return self._do_recv(fd, data, size, 0)

    def _do_send(self, fd: Expr, data: Expr, size: Expr, flags: Expr) -> Attempt:
        total, bits, done = constant(size), constant(flags), 0

        def attempt() -> int:
            nonlocal done
            file = self._file(fd)
            if file.endpoint.type == socket.SOCK_DGRAM:
                return file.endpoint.send(pattern(0, total), bits)
            while True:
                chunk = pattern(file.sent, total - done)
                count = self._blocking(file, functools.partial(file.endpoint.send, chunk, bits), bits)
                done, file.sent = done + count, file.sent + count
                if done == total or not file.blocking or bits & socket.MSG_DONTWAIT:
                    return done

        return attempt

    def _do_recv(self, fd: Expr, data: Expr, size: Expr, flags: Expr) -> Attempt:
        bits = constant(flags)

        def attempt() -> int:
            file = self._file(fd)
            stream = file.endpoint.type == socket.SOCK_STREAM
            hole = stream and hole_waits(file.endpoint)
            at = (file.received if stream else 0) + (file.endpoint.unread if bits & socket.MSG_OOB else int(hole))
            try:
                count, got = self._blocking(file, lambda: file.endpoint.recv_count(constant(size), bits), bits)
            finally:
                if hole and not file.endpoint.ioctl(SIOCATMARK):
                    file.received += 1
            if got != pattern(at, len(got)):
                raise self.player.error(f"{len(got)} bytes received that nobody has sent")
            if stream and not bits & (socket.MSG_PEEK | socket.MSG_OOB):
                file.received += count
            return count

        return attempt

    def _do_sendto(self, fd: Expr, data: Expr, size: Expr, flags: Expr, address: Expr, length: Expr) -> Attempt:
        setup = self.player.setup
        to: Address | None = None
        if address != 0 and address != Name(("NULL",)):
            to = sockaddr(address, (setup.remote_ip, setup.connect_port))
        return lambda: self._file(fd).endpoint.sendto(pattern(0, constant(size)), to, constant(flags))

    def _do_recvfrom(self, fd: Expr, data: Expr, size: Expr, flags: Expr, address: Expr, length: Expr) -> Attempt:
        bits = constant(flags)

        def attempt() -> int:
            file = self._file(fd)
            got, sender = self._blocking(file, lambda: file.endpoint.recvfrom(constant(size), bits), bits)
            if got != pattern(0, len(got)):
                raise self.player.error(f"{len(got)} bytes received that nobody has sent")
            if isinstance(address, StructValue) and sockaddr(address, ("", 0)) != sender:
                raise self.player.error(f"received from {sender}")
            return len(got)

        return attempt

    # -- the rest -----------------------------------------------------------------------------
    def _do_close(self, fd: Expr) -> Attempt:
        def attempt() -> int:
            file = self._file(fd)
            del self.files[fd]  # type: ignore[arg-type]
            file.endpoint.close()
            return 0

        return attempt

    def _do_shutdown(self, fd: Expr, how: Expr) -> Attempt:
        def attempt() -> int:
            self._file(fd).endpoint.shutdown(constant(how))
            return 0

        return attempt

    def _do_setsockopt(self, fd: Expr, level: Expr, name: Expr, value: Expr, length: Expr) -> Attempt:
        def attempt() -> int:
            self._file(fd).endpoint.setsockopt(constant(level), constant(name), option_bytes(value))
            return 0

        return attempt

    def _do_getsockopt(self, fd: Expr, level: Expr, name: Expr, value: Expr, length: Expr) -> Attempt:
        def attempt() -> int:
            want = option_bytes(value)
            got = self._file(fd).endpoint.getsockopt(constant(level), constant(name), len(want))
            raw = struct.pack("i", got) if isinstance(got, int) else got
            if raw != want:
                raise self.player.error(f"the option's value is {got!r}")
            return 0

        return attempt

    def _do_fcntl(self, fd: Expr, command: Expr, argument: Expr = 0) -> Attempt:
        nonblock = constant(Name(("O_NONBLOCK",)))

        def attempt() -> int:
            file = self._file(fd)
            if command == Name(("F_SETFL",)):
                file.blocking = not constant(argument) & nonblock
                return 0
            return constant(Name(("O_RDWR",))) | (0 if file.blocking else nonblock)

        return attempt

    def _do_ioctl(self, fd: Expr, request: Expr, value: Expr) -> Attempt:
        def attempt() -> int:
            endpoint = self._file(fd).endpoint
            got = endpoint.ioctl(constant(request))
            if isinstance(value, list) and value and value[0] != got:
                raise self.player.error(f"{got} bytes")
            return 0

        return attempt

    def _do_poll(self, files: Expr, count: Expr, timeout: Expr) -> Attempt:
        limit, clock = constant(timeout), self.player.clock
        ends = NEVER if limit < 0 else clock.now + limit * MS
        assert isinstance(files, list)

        def attempt() -> int:
            found = [self._revents(item) for item in files if isinstance(item, StructValue)]
            ready = sum(1 for _, got in found if got)
            if not ready and clock.now < ends:
                self.wake_at = ends
                raise WouldBlock
            if wrong := [f"revents={'|'.join(sorted(got)) or 0}" for want, got in found if want != got]:
                raise self.player.error("poll says " + ", ".join(wrong))
            return ready

        return attempt

    def _revents(self, item: StructValue) -> tuple[set[str], set[str]]:
        """Return the bits that the script expects, and those that hold."""
        asked, want = item.get("events"), item.get("revents")
        ready = self._file(item.get("fd") or 0).endpoint.ready
        names = set(asked.names) if isinstance(asked, Name) else set()
        got = {name for name, bit in POLL_BITS.items() if name in names and ready & bit}
        got |= {name for name, bit in ALWAYS_BITS.items() if ready & bit}
        return set(want.names) if isinstance(want, Name) else set(), got


class WouldBlock(Exception):
    """The call cannot end yet."""


def hole_waits(endpoint: Endpoint) -> bool:
    """Tell whether the next byte of the stream is an urgent one that recv passes over."""
    inline = endpoint.getsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE)
    return not inline and bool(endpoint.ioctl(SIOCATMARK))


def errno_name(error: OSError) -> str:
    """Return an errno's name as a script has it."""
    if error.errno == errno.EOPNOTSUPP:  # Python's table says ENOTSUP, which is the same number
        return "EOPNOTSUPP"
    return errno.errorcode.get(error.errno or 0, str(error.errno))


def option_bytes(value: Expr) -> bytes:
    """Return an option's value as setsockopt takes it."""
    if isinstance(value, list):
        return b"".join(struct.pack("i", constant(item)) for item in value)
    if isinstance(value, StructValue):  # struct linger
        return b"".join(struct.pack("i", constant(item)) for _, item in value.fields)
    if isinstance(value, str):
        return value.encode() + b"\0"
    return struct.pack("i", constant(value))
