"""Answer who looks into a running process: DPDK telemetry's commands /greendpdk/…, in the stack's thread.

Called by loop.Poller (start, stop) and by the loop when a question comes; calls the engine (core/port/telemetry.c,
gd_stack_list). `dpdk-telemetry.py -f greendpdk-PID` and the command line's cli/_client.py ask.

The socket lies in a directory that only the process's user (and root) may enter: it is what keeps others out.
An answer is a dictionary of short texts, numbers and dictionaries of such; DPDK's limits are in dpdk.cdef.h.
"""

from __future__ import annotations

import _socket
import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from greendpdk import __version__, _capture
from greendpdk._accounting import Accounting, loop_times, states
from greendpdk._address import MAPPED
from greendpdk._errors import check
from greendpdk._native import ffi, lib
from greendpdk._tcp_info import SIZE, TcpInfo

if TYPE_CHECKING:
    from greendpdk._stack import Stack

Answer = dict[str, Any]
ROOM = 15_000  # bytes of JSON in one answer; DPDK 22.11 leaves out silently what is beyond 16,384
TEXT = 127  # bytes of one value
_ROWS = 250  # of DPDK's 256 entries in a dictionary
# Sockets that the engine is asked for at once: a bucket of its tables fits in, and what is told of them into an answer:
# with every field of TCP_INFO, large, they take 1,930 bytes each.
_PAGE, _PAGE_INFO = 64, 8

STATES = (
    "", "ESTAB", "SYN-SENT", "SYN-RECV", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "UNCONN", "CLOSE-WAIT", "LAST-ACK",
    "LISTEN", "CLOSING",
)  # fmt: skip  (ss(8)'s names, by include/net/tcp_states.h's numbers)
_NO_CONTROLS = bytes(byte if 32 <= byte < 127 else 32 for byte in range(256))
_LOOPBACK = 1  # the interface's number in every stack
TIMERS = ("", "on", "keepalive", "timewait", "persist")

_registered: set[str] = set()  # in this process: DPDK takes none back, and lists one twice that is registered again


class Telemetry:
    """The commands of one stack; register() adds one."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.started = time.time()
        self._commands: dict[str, Callable[[str], Answer]] = {}
        self._watcher: Any = None

    def start(self, hub: Any) -> None:
        """Answer from now on."""
        fd = check(lib.gd_telemetry_open())
        self._watcher = hub.loop.io(fd, 1, ref=False)
        self._watcher.start(self._answer)
        self._accounting = Accounting(self.stack, hub)
        self.register("info", self._info, "the process, its versions, ports and addresses")
        self.register("counters", lambda _: self._counters(), "the stack's named counters, and each port's")
        self.register("sockets", self._sockets, "CURSOR[,info]: a page of sockets, and the `next` cursor (0: no more)")
        self.register("capture", self._capture, "SOCKET,SNAPLEN,FILTER: send frames there; nothing: how many so far")
        self.register("loop", self._loop, "[on|off]: where the loop's time goes; on: which greenlets hold it, too")
        self.register("top", self._top, "the same with the slowest handlers, and sockets by state")

    def leave(self) -> None:
        """Take no question in a forked child: they are the parent's."""
        self._watcher.stop()
        self._accounting.close()

    def stop(self) -> None:
        """Answer no more; who waits is told so."""
        self._watcher.stop()
        self._watcher.close()
        self._accounting.close()
        lib.gd_telemetry_close()

    def register(self, name: str, handler: Callable[[str], Answer], text: str) -> None:
        """Answer /greendpdk/<name> by handler(parameters); what it raises is the answer's `error`."""
        command = f"/greendpdk/{name}"
        self._commands[command] = handler
        if command not in _registered:
            check(lib.gd_telemetry_register(command.encode(), text.encode()[:TEXT]))
            _registered.add(command)

    def _answer(self) -> None:
        command, parameters = ffi.new("const char **"), ffi.new("const char **")
        while lib.gd_telemetry_take(command, parameters):
            try:
                handler = self._commands[ffi.string(command[0]).decode()]
                found = handler(ffi.string(parameters[0]).decode(errors="replace"))
            except (_capture.FilterError, OSError) as error:  # a sentence as it is
                found = {"error": str(error)}
            except Exception as error:
                found = {"error": f"{type(error).__name__}: {error}"}
            try:
                _fill(found)
            finally:
                lib.gd_telemetry_done(0)

    # -- the commands -----------------------------------------------------------------------------

    def _info(self, _: str) -> Answer:
        settings, stack = self.stack.settings, self.stack
        found: dict[str, Any] = {
            "pid": os.getpid(), "uid": os.geteuid(), "greendpdk": __version__, "python": sys.version.split()[0],
            "dpdk": ffi.string(lib.gd_eal_version()).decode(), "program": _program(),
            "uptime_s": int(time.time() - self.started), "sockets": lib.gd_stack_sockets(stack.c),
            "loopback": settings.loopback, "poll": settings.poll,
        }  # fmt: skip
        for port in stack.ports:
            addresses = " ".join(str(address) for address in port.addresses)
            found[f"port/{port.name}"] = f"{port.driver} {addresses}".strip()
        return found

    def _counters(self) -> Answer:
        """Return the stack's by their names, and each port's in a dictionary: of all together there may be too many."""
        found: Answer = {}
        for name, value in self.stack.counters().items():
            port, dot, of_port = name.rpartition(".")
            if dot:
                found.setdefault(f"port/{port}", {})[of_port] = value
            else:
                found[name] = value
        return found

    def _loop(self, parameters: str) -> Answer:
        if parameters not in ("", "on", "off"):
            raise ValueError(f"{parameters!r} is neither on nor off")
        if parameters:
            self._accounting.ask(parameters == "on")
        accounting = self._accounting
        return {"watched": int(accounting.on), "greenlets_ns": accounting.greenlets_ns, **loop_times(self.stack)}

    def _top(self, _: str) -> Answer:
        found: Answer = {"loop": self._loop("on"), "states": states(self.stack), "port/lo": self._loopback()}
        found.update({f"handler/{at}": row for at, row in enumerate(self._accounting.handlers())})
        held = self.stack.watchdog.held if self.stack.watchdog is not None else ()
        found.update({f"held/{at}": {"where": one.place, "ms": one.milliseconds} for at, one in enumerate(held)})
        return found

    def _loopback(self) -> dict[str, int]:
        four = ffi.new("uint64_t[4]")
        check(lib.gd_stack_port_counters(self.stack.c, _LOOPBACK, four))
        return dict(zip(("rx_packets", "rx_bytes", "tx_packets", "tx_bytes"), map(int, four), strict=True))

    def _sockets(self, parameters: str) -> Answer:
        words = parameters.split(",")
        cursor = ffi.new("uint64_t *", int(words[0] or 0))
        info = "info" in words[1:]
        most = _PAGE_INFO if info else _PAGE
        page = ffi.new("struct gd_listed[]", most)
        rows: list[dict[str, Any]] = []
        size = 0
        while True:
            before = cursor[0]
            count = lib.gd_stack_list(self.stack.c, cursor, page, most)
            new = [self._row(page[at], info) for at in range(count)]
            size += sum(_size(row) for row in new)
            if rows and (size > ROOM or len(rows) + count > _ROWS):
                cursor[0] = before
                break
            rows += new
            if not cursor[0]:
                break
        return {"next": cursor[0], **{str(at): row for at, row in enumerate(rows)}}

    def _capture(self, parameters: str) -> Answer:
        if parameters:
            path, snaplen, text = parameters.split(",", 2)
            _capture.stream(self.stack, path, text, int(snaplen or 0))
        counts = ffi.new("uint64_t[2]")
        lib.gd_capture_counts(self.stack.c, counts, counts + 1)
        return {"frames": counts[0], "dropped": counts[1]}

    def _row(self, one: Any, info: bool) -> dict[str, Any]:
        row: dict[str, Any] = {
            "proto": "tcp" if one.proto == _socket.IPPROTO_TCP else "udp", "state": STATES[one.state],
            "recv_q": one.recv_queue, "send_q": one.send_queue,
            "local": _endpoint(one.local, one.local_port), "peer": _endpoint(one.remote, one.remote_port),
        }  # fmt: skip
        if one.id:
            row["id"] = one.id
        row.update({name: value for name, value in (("sent", one.sent), ("received", one.received)) if value})
        if one.what == lib.GD_LISTED_ORPHAN:
            row["orphan"] = 1
        if one.timer:
            row.update(timer=TIMERS[one.timer], timer_ms=one.timer_ns // 1_000_000, retries=one.retries)
        if info and one.id and one.proto == _socket.IPPROTO_TCP:
            row.update(self._tcp_info(one.id))
        return row

    def _tcp_info(self, number: int) -> dict[str, Any]:
        """Return the fields of TCP_INFO that are not zero, in Linux's units, and the congestion control's name."""
        raw, name = ffi.new("char[]", SIZE), ffi.new("char[16]")
        if lib.gd_stack_tcp_info(self.stack.c, number, raw, name) < 0:
            return {}
        fields = vars(TcpInfo(bytes(ffi.buffer(raw))))
        found = {f"tcpi_{name}": value for name, value in fields.items() if value and name != "state"}
        return {**found, "cc": ffi.string(name).decode()}


def _program() -> str:
    """Return the program's words, a package's module as it is called: `-m flask` for .../flask/__main__.py."""
    folder, name = os.path.split(sys.argv[0] if sys.argv else "")
    first = ["-m", os.path.basename(folder)] if name == "__main__.py" and folder else sys.argv[:1]
    return " ".join([*first, *sys.argv[1:]]) or "-"


def _endpoint(addr: Any, port: int) -> str:
    raw = bytes(addr)
    text = _socket.inet_ntoa(raw[12:]) if raw.startswith(MAPPED) else f"[{_socket.inet_ntop(_socket.AF_INET6, raw)}]"
    return f"{text}:{port or '*'}"


def _text(value: Any) -> bytes:
    """Spell in ASCII, of which alone DPDK 22.11 makes valid JSON, without control characters; cut to what it takes."""
    return str(value).encode("ascii", "backslashreplace")[:TEXT].translate(_NO_CONTROLS)


def _size(row: dict[str, Any]) -> int:
    """Return about how many bytes of JSON it takes, rather more than less."""
    return 8 + sum(
        len(name) + 6 + (len(str(value)) if isinstance(value, int) else 2 * len(_text(value)))
        for name, value in row.items()
    )


def _fill(answer: Answer) -> None:
    items = {name: value for name, value in answer.items() if isinstance(value, dict)}
    _fill_row({name: value for name, value in answer.items() if name not in items})
    for name, row in items.items():
        if lib.gd_telemetry_item(name.encode()) < 0:
            return
        _fill_row(row)


def _fill_row(row: dict[str, Any]) -> None:
    for name, value in row.items():
        if isinstance(value, int):
            lib.gd_telemetry_number(name.encode(), max(value, 0))
        else:
            lib.gd_telemetry_text(name.encode(), _text(value))
