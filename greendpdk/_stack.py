"""The handle on one C stack, and the one that this process runs: start, stop, who may use it.

Called by the package itself, cli/run.py, monkey/, socket.py, pytest_plugin.py; calls the engine, _device.py,
loop.Poller and _telemetry.py.

    start ──► stack and ports made ──► poller runs ──► stop: FINs and data out (bounded) ──► RST for the rest ──► freed
                                          │
                                          └─ fork: the child's copy is dead; nothing of it is freed, sent or closed
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import os
import socket
from dataclasses import dataclass, field
from typing import Any

from gevent.monkey import get_original

from greendpdk import __version__, _config, _device, _inherited, _notices, _ports
from greendpdk._errors import ConfigError, check
from greendpdk._native import ffi, lib
from greendpdk._ports import Port

FLUSH_SECONDS = 10.0  # at stop and exit; Linux goes on for minutes, but it does not end with the program
RELEASE_SECONDS = 1.0  # for a DHCP server's MAC, if it is not known any more
_get_ident = get_original("_thread", "get_ident")
COUNTERS: list[tuple[int, str]] = [
    (index, ffi.string(lib.gd_stack_counter_name(index)).decode()) for index in range(lib.gd_stack_counter_count())
]


@dataclass(eq=False)
class Stack:
    """One C stack, its ports, and the sockets on it."""

    c: Any
    settings: _config.Settings
    thread: int = field(default_factory=_get_ident)
    ports: list[Port] = field(default_factory=list)
    sockets: dict[int, Any] = field(default_factory=dict)  # filled and emptied by the sockets themselves
    dead: bool = False
    poller: Any = None
    telemetry: Any = None  # _telemetry.Telemetry, where it is on
    watchdog: Any = None  # _watchdog.Watchdog, where there is one
    metrics: Any = None  # metrics.Server, where the setting asks for it
    device_fds: list[tuple[int, str]] = field(default_factory=list)
    cpus: set[int] | None = None  # where the thread may run again after stop, if `lcore` bound it
    shaped: bool = False  # shapers stand before its ports and its loopback: greendpdk.testing

    def now(self) -> int:
        """Return the stack's time in nanoseconds (CLOCK_MONOTONIC)."""
        return int(lib.gd_live_now())

    def counters(self) -> dict[str, int]:
        """Return the engine's counters, and each port's as "name.rx_packets" and so on."""
        self.check_usable()
        found = {name: int(lib.gd_stack_counter(self.c, index)) for index, name in COUNTERS}
        found["buffer_bytes"] = int(lib.gd_stack_buffer_bytes(self.c))
        found["sockets"] = int(lib.gd_stack_sockets(self.c))
        for port in self.ports:
            found.update({f"{port.name}.{name}": value for name, value in _device.statistics(port.c).items()})
        return found

    def name_servers(self) -> tuple[str, ...]:
        """Return those of the setting `dns`, else those of the DHCP leases and IPv6 routers as they are now."""
        if self.settings.dns or self.dead:
            return self.settings.dns
        return _ports.name_servers(self.ports)

    def check_usable(self) -> None:
        """Raise unless this thread of this process may use the stack."""
        if self.dead:
            raise RuntimeError("this greendpdk stack has ended: stopped, or left behind in a forked child")
        if self.thread != _get_ident():
            raise RuntimeError(
                "greendpdk's stack is used from the native thread that started it only: use greenlets there "
                "(gevent.spawn), or start greendpdk in this thread instead"
            )


_running: Stack | None = None


def running() -> Stack | None:
    """Return the stack of this process; None before start and after stop."""
    return _running


def current() -> Stack:
    """Return the stack of this process, or say how to get one."""
    if _running is None:
        raise RuntimeError(
            "no greendpdk stack runs: call greendpdk.start() or greendpdk.monkey.patch_all(), or run the program by "
            "`python -m greendpdk`"
        )
    return _running


def start(**settings: Any) -> Stack:
    """Start the stack by keywords, environment and defaults; return the one that runs if it was started likewise."""
    return _start(settings, False)


def start_shaped(**settings: Any) -> Stack:
    """Start it with a shaper before each port, for tests: its network can be made worse (testing/_network.py)."""
    if _running is not None and not _running.dead and not _running.shaped:
        raise RuntimeError("greendpdk runs already, without what tests need: call greendpdk.stop() first")
    return _start(settings, True)


def _start(settings: dict[str, Any], shaped: bool) -> Stack:
    global _running
    if _running is not None and not _running.dead:
        _check_same(_running, settings)
        return _running
    wanted = _config.load(**settings)
    loaded = _inherited.usable(wanted)
    from greendpdk import dns
    from greendpdk._telemetry import Telemetry
    from greendpdk._watchdog import Watchdog
    from greendpdk.loop import Poller

    if loaded.dns:
        dns.require()
    stack = _make(loaded, shaped)
    try:
        poller = Poller(stack)
        poller.start()
        stack.poller = poller
        dns.install(stack)
        if loaded.telemetry == "on" or (loaded.devices and loaded.telemetry == "auto"):
            telemetry = Telemetry(stack)
            telemetry.start(poller.hub)
            stack.telemetry = telemetry
        if loaded.blocked and (loaded.devices or loaded.telemetry == "on"):
            stack.watchdog = Watchdog(stack, poller.hub, loaded.blocked)
    except BaseException:
        if stack.poller is not None:
            _end(stack, 0)
        else:
            stack.dead = True  # its poller may have begun, and is to end in its next turn
            _free(stack)
        raise
    _running = stack
    if loaded is not wanted:
        _inherited.tell()
    _inherited.tell_children(wanted)
    if loaded.metrics is not None:
        _serve_metrics(stack, *loaded.metrics)
    return stack


def _serve_metrics(stack: Stack, address: str, port: int) -> None:
    try:
        from greendpdk.metrics import Server

        stack.metrics = Server(address, port)
    except BaseException:
        stop(0)
        raise


def _check_same(stack: Stack, settings: dict[str, Any]) -> None:
    if not settings:
        return
    wanted = _inherited.usable(_config.load(**settings))
    for name in _config.NAMES:
        if getattr(wanted, name) != getattr(stack.settings, name):
            allowed = f"greendpdk runs already with {getattr(stack.settings, name)!r}: call greendpdk.stop() first"
            raise ConfigError(name, settings.get(name, getattr(wanted, name)), allowed)


def _make(settings: _config.Settings, shaped: bool) -> Stack:
    before = _device.open_fds()
    config = ffi.new("struct gd_config *")
    ffi.memmove(config.seed, os.urandom(len(config.seed)), len(config.seed))
    config.ecn = {"ask": lib.GD_ECN_ASK, "answer": lib.GD_ECN_ANSWER, "off": lib.GD_ECN_OFF}[settings.ecn]
    cookies = {"full": lib.GD_COOKIES_WHEN_FULL, "always": lib.GD_COOKIES_ALWAYS, "off": lib.GD_COOKIES_NEVER}
    config.syn_cookies = cookies[settings.syn_cookies]
    config.buffer_cap, config.buffer_max = settings.buffer_cap << 20, settings.buffer_max << 20
    config.shape_loopback = shaped
    out = ffi.new("struct gd_stack **")
    check(lib.gd_stack_new(config, lib.gd_live_now(), out))
    stack = Stack(out[0], settings, shaped=shaped)
    try:
        if settings.devices or settings.telemetry == "on":
            _device.start_eal(settings)
        for number in range(len(settings.devices)):
            stack.ports.append(_add_port(stack, number))
        _ports.wait_for_leases(stack.c, stack.ports)
        _ports.wait_for_ipv6(stack.c, stack.ports)
        for route in settings.routes:
            _ports.add_route(route, stack.ports)
        if settings.lcore is not None and settings.devices:
            stack.cpus = os.sched_getaffinity(0)
            os.sched_setaffinity(0, {settings.lcore})
    except BaseException:
        _release(stack)
        _free(stack)
        raise
    finally:
        _notices.drain_eal(starting=True)
    stack.device_fds = _device.keep_from_children(before)
    return stack


def _add_port(stack: Stack, number: int) -> Port:
    settings = stack.settings
    devargs, tap = settings.devices[number], settings.tap_address[number]
    handle = _device.open_port(devargs, settings, first=number == 0)
    name = ffi.string(lib.gd_dpdk_name(handle)).decode()
    driver = ffi.string(lib.gd_dpdk_driver(handle)).decode()
    rx_fd = int(lib.gd_port_rx_fd(handle))
    kernel = int(lib.gd_dpdk_kernel_ifindex(handle))
    attached = lib.gd_shaper_new(handle) if stack.shaped else handle
    if attached == ffi.NULL:
        lib.gd_port_close(handle)
        raise MemoryError
    ifindex = check(lib.gd_stack_attach(stack.c, attached, name.encode()), f"no room for the port {name}")
    port = Port(name, driver, ifindex, handle, rx_fd, devargs.partition(",")[0], settings.address[number], tap, stack.c)
    _ports.check_mtu(port)
    if driver == "net_tap" and kernel > 0 and "remote=" not in devargs:
        _device.bring_up(kernel, tap)
    _ports.configure(port, settings.gateway[number])
    return port


def stop(timeout: float = FLUSH_SECONDS) -> None:
    """Close what is open, send what is left for at most `timeout` seconds, reset the rest, give the ports back."""
    global _running
    stack = _running
    if stack is None:
        return
    if not stack.dead:
        stack.check_usable()
        _end(stack, timeout)
    _running = None


def _end(stack: Stack, timeout: float) -> None:
    try:
        _finish(stack, timeout)
    finally:
        _inherited.forget()
        stack.dead = True
        _free(stack)


def _finish(stack: Stack, timeout: float) -> None:
    """Say goodbye to every peer: FIN after the data, as the kernel does for a program that ends; RST to who is left."""
    for end in list(stack.sockets.values()):
        if end.c is not None:
            lib.gd_sock_shutdown(end.c, socket.SHUT_WR)
    stack.poller.flush(timeout)
    if stack.metrics is not None:
        stack.metrics.stop()
    if stack.watchdog is not None:
        stack.watchdog.stop()
    if stack.telemetry is not None:
        stack.telemetry.stop()
    stack.poller.stop()
    lib.gd_stack_abort_all(stack.c, errno.ECONNABORTED)
    lib.gd_stack_poll(stack.c, lib.gd_live_now())
    _release(stack)


def _release(stack: Stack) -> None:
    """Give DHCP leases back, and see the message off."""
    if _ports.release(stack.ports):
        _ports.wait(stack.c, stack.ports, lambda: not lib.gd_stack_unsent(stack.c), RELEASE_SECONDS)


def _free(stack: Stack) -> None:
    handle, stack.c = stack.c, ffi.NULL
    stack.ports = []
    if stack.cpus is not None:
        os.sched_setaffinity(0, stack.cpus)
    if handle != ffi.NULL:
        lib.gd_stack_free(handle)


def counters() -> dict[str, int]:
    """Return the running stack's counters."""
    return current().counters()


def poll() -> int:
    """Let the network have a turn, for a program that computes for long; return the count of events."""
    stack = current()
    stack.check_usable()
    return int(stack.poller.poll())


def version() -> str:
    """Return the versions of greendpdk and of the DPDK that it was built with."""
    dpdk = ffi.string(lib.gd_eal_version()).decode() if lib.GD_HAVE_DPDK else "no DPDK"
    return f"greendpdk {__version__}, {dpdk}"


def _at_exit() -> None:
    stack = _running
    if stack is None or stack.dead or stack.thread != _get_ident():
        return
    with contextlib.suppress(KeyboardInterrupt):  # a second Ctrl-C ends the wait, not with a traceback
        stop()


def _after_fork_in_child() -> None:
    """The ports are the parent's: send nothing, free nothing, and let go of its devices."""
    if _running is not None:
        _running.dead = True
        for watching in (_running.poller, _running.telemetry, _running.metrics):
            if watching is not None:
                watching.leave()
        _device.drop_in_child(_running.device_fds)


atexit.register(_at_exit)
os.register_at_fork(after_in_child=_after_fork_in_child)
