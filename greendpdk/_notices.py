"""What a stack says through `logging`: its life at INFO; what costs speed or safety as warnings, once of each kind.

Called by _stack.py and loop.Poller; calls the engine's counters and EAL's log. Loggers: greendpdk (start, stop),
greendpdk.port (links, leases, routers, losses), greendpdk.memory, greendpdk.loop, greendpdk.eal (DPDK's own words).

A look is taken a second after something has come, and each second while frames come; a quiet process is not woken.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from greendpdk import __version__, _device
from greendpdk._native import ffi, lib

if TYPE_CHECKING:
    from greendpdk._stack import Stack

SECONDS = 1.0  # between two looks
LINK_SECONDS = 3.0  # that a link may take to come up: a NIC's negotiation
BAD_CHECKSUMS = 100, 0.01  # in one look: so many, and such a share of all packets
_ROOM = 1 << 14
_EAL_LEVELS = {"5": logging.WARNING, "6": logging.INFO, "7": logging.INFO, "8": logging.DEBUG}  # rte_log.h; else ERROR
_log = logging.getLogger("greendpdk")
_port_log = logging.getLogger("greendpdk.port")
_memory_log = logging.getLogger("greendpdk.memory")
_loop_log = logging.getLogger("greendpdk.loop")
_eal_log = logging.getLogger("greendpdk.eal")

# kind: (counters, logger, what happened and what to do); %d is how often in one look.
_LOSSES = {
    "frames": (("eth_drop_no_frame",), _memory_log, "%d packets were not sent, as all packet buffers (mbufs) of the "
               "port are in use: its device sends too slowly for what is written; TCP sends again, datagrams are lost"),
    "buffers": (("tcp_drop_memory", "tcp_memory_waits", "fragment_drop_memory"), _memory_log, "%d times the cap of all "
                "socket buffers refused memory: `greendpdk ss` shows in Recv-Q and Send-Q who holds it; read sooner, "
                "close idle connections, or set buffer_cap higher"),
    "queue": (("eth_drop_queue_full",), _port_log, "%d packets were dropped, as the device takes no more: it is slower "
              "than what is sent"),
    "lies": (("eth_checksum_lies",), _port_log, "%d packets were corrupt whose checksum the device had called right, "
             "of a sample of one in 256: from now on all are checked in software; update the NIC's firmware"),
    "orphans": (("tcp_orphans_refused", "tcp_time_wait_overflow"), _memory_log, "%d closed connections were dropped "
                "at once, as too many wait for their end: let clients keep connections open"),
    "addresses": (("arp_conflict", "nd_conflict", "nd_duplicate"), _port_log, "%d times another host claimed an "
                  "address of ours: look for who has it (`arping`), or take another one"),
}  # fmt: skip
_PORT_LOSSES = {
    "rx_no_buffer": "%s: %d frames came while no packet buffer was free, and were lost: the loop looks too seldom; "
    "`greendpdk top` shows what holds it",
    "rx_missed": "%s: %d frames came faster than they were taken out of the ring, and were lost: `greendpdk top` shows "
    "what holds the loop; poll=busy with lcore= on a CPU of its own looks most often",
}
_IN = ("ip4_in", "ip6_in")
_CHECKSUMS = ("ip4_drop_checksum", "tcp_drop_checksum", "udp_drop_checksum", "icmp_drop_checksum")


def drain_eal(starting: bool) -> None:
    """Log what DPDK has said; while it starts, at INFO at most: what fails is raised, with the same words."""
    if not lib.GD_HAVE_DPDK:
        return
    room = ffi.new("char[]", _ROOM)
    for message in bytes(ffi.buffer(room, lib.gd_eal_log_take(room, _ROOM))).decode(errors="replace").split("\0"):
        level = _EAL_LEVELS.get(message[:1], logging.ERROR)
        for line in message[1:].splitlines():
            if line.strip():
                _eal_log.log(min(level, logging.INFO) if starting else level, "%s", line.strip())


class Notices:
    """The eyes of one stack."""

    def __init__(self, stack: Stack, hub: Any) -> None:
        self.stack = stack
        self.active = False  # a look is due
        self._said: set[str] = set()
        self._loop = hub.loop
        self._timer = hub.loop.timer(SECONDS, SECONDS, ref=False)
        self._link_timer = hub.loop.timer(LINK_SECONDS, ref=False)
        self._eal: Any = None
        self._frames = -1
        self._counters = self._read()
        self._seen: dict[str, tuple[Any, ...]] = {}

    def start(self) -> None:
        """Tell of the start, and look from now on."""
        stack = self.stack
        ports = [f"{port.name} ({port.driver}) {' '.join(map(str, port.addresses))}".strip() for port in stack.ports]
        _log.info("greendpdk %s has started: %s", __version__, "; ".join(ports) or "no port, only the loopback")
        self._look_at_addresses()
        self._check_settings()
        self._check_taps()
        if stack.ports:
            self._link_timer.start(self._check_links)
        if lib.GD_HAVE_DPDK and _device.running():
            self._eal = self._loop.io(lib.gd_eal_log_fd(), 1, ref=False)
            self._eal.start(self._eal_speaks)

    def leave(self) -> None:
        """Look no more: in a forked child."""
        for watcher in (self._timer, self._link_timer, *([self._eal] if self._eal else [])):
            watcher.stop()
            watcher.close()
        self.active = True  # never again

    def stop(self) -> None:
        """Look no more, and say so."""
        self.leave()
        drain_eal(starting=True)
        _log.info("greendpdk has stopped: %d sockets were left", lib.gd_stack_sockets(self.stack.c))

    def arm(self) -> None:
        """Look in a second: something has come; and once more if more comes meanwhile."""
        self.active = True
        self._frames = lib.gd_loop_frames(self.stack.c)
        self._timer.start(self.look, update=True)

    def warn(self, kind: str, logger: logging.Logger, text: str, *args: Any) -> None:
        """Warn, once of each kind."""
        if kind not in self._said:
            self._said.add(kind)
            logger.warning(text, *args)

    def look(self) -> None:
        """Compare the counters with those of the last look."""
        frames = lib.gd_loop_frames(self.stack.c)
        if frames == self._frames:
            self._timer.stop()
            self.active = False
        self._frames = frames
        before, self._counters = self._counters, self._read()
        moved = {name: value - before.get(name, 0) for name, value in self._counters.items()}
        for kind, (names, logger, text) in _LOSSES.items():
            if count := sum(moved[name] for name in names):
                self.warn(kind, logger, text, count)
        for port in self.stack.ports:
            for name, text in _PORT_LOSSES.items():
                if count := moved.get(f"{port.name}.{name}", 0):
                    self.warn(f"{port.name}.{name}", _port_log, text, port.name, count)
        bad, all_in = sum(moved[name] for name in _CHECKSUMS), sum(moved[name] for name in _IN)
        if bad >= BAD_CHECKSUMS[0] and bad >= BAD_CHECKSUMS[1] * all_in:
            self.warn("checksums", _port_log, "%d of %d packets came with a wrong checksum: a broken cable, switch or "
                      "driver; a capture (`greendpdk capture`) shows from whom", bad, all_in)  # fmt: skip
        self._look_at_addresses()

    def _read(self) -> dict[str, int]:
        return self.stack.counters()

    def _look_at_addresses(self) -> None:
        """Tell of leases that came, changed and went, and of routers and addresses made of what they say."""
        for port in self.stack.ports:
            lease = port.lease
            routers = lib.gd_stack_routers(self.stack.c, port.ifindex)
            now = (lease and (lease.address, lease.server, lease.gateway), routers, tuple(map(str, port.addresses)))
            before = self._seen.get(port.name)
            self._seen[port.name] = now
            if now == before or (before is None and not lease and not routers):
                continue
            if lease and (before is None or now[0] != before[0]):
                _port_log.info("%s: lease of %s from %s, gateway %s, for %s s", port.name, lease.address, lease.server,
                               lease.gateway, lease.seconds_left)  # fmt: skip
            elif before is not None and before[0] and not lease:
                _port_log.info("%s: the lease has ended", port.name)
            if before is None or now[1:] != before[1:]:
                _port_log.info("%s: %d IPv6 routers, addresses %s", port.name, routers, " ".join(now[2]) or "none")

    def _check_settings(self) -> None:
        settings = self.stack.settings
        if settings.poll != "busy":
            return
        if settings.lcore is None:
            self.warn("busy", _loop_log, "poll=busy without lcore: the loop spins on whatever CPU it is on, and gives "
                      "it to others at times; set lcore=CPU")  # fmt: skip
        elif settings.lcore not in _isolated():
            self.warn("busy", _loop_log, "poll=busy on CPU %d, which is not isolated: other programs and interrupts "
                      "use it too; boot with isolcpus=%d nohz_full=%d", *[settings.lcore] * 3)  # fmt: skip

    def _check_taps(self) -> None:
        for port in self.stack.ports:
            if port.driver != "net_tap":
                continue
            with contextlib.suppress(OSError):
                name = socket.if_indextoname(lib.gd_dpdk_kernel_ifindex(port.c))
                if others := _tap_holders(name):
                    self.warn(f"{port.name}.shared", _port_log, "%s: process %s has the tap %s open too: the kernel "
                              "gives each a part of the frames; name another by vdev=net_tap0,iface=NAME, with an "
                              "address of its own", port.name, " and ".join(map(str, others)), name)  # fmt: skip

    def _check_links(self) -> None:
        for port in self.stack.ports:
            if lib.gd_dpdk_link(port.c):
                continue
            what = "the other side has not connected yet" if port.driver == "net_memif" else (
                "is there a cable, and is the other side up? `ip link` where it is an interface of the kernel"
            )  # fmt: skip
            self.warn(f"{port.name}.link", _port_log, "%s: the link is down: %s", port.name, what)

    def _eal_speaks(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(lib.gd_eal_log_fd(), 8)
        drain_eal(starting=False)


def _tap_holders(name: str) -> list[int]:
    """Return the other processes of this network namespace that hold the tap (/proc/PID/fdinfo: "iff: NAME")."""
    found: set[int] = set()
    here = os.readlink("/proc/self/ns/net")
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            if int(process.name) == os.getpid() or os.readlink(process / "ns/net") != here:
                continue
            for fd in (process / "fd").iterdir():
                if os.readlink(fd) == _device.TUN and f"iff:\t{name}\n" in (process / "fdinfo" / fd.name).read_text():
                    found.add(int(process.name))
    return sorted(found)


def _isolated() -> set[int]:
    """Return the CPUs that the kernel keeps its scheduler off (cpulist format: 2-3,5)."""
    found: set[int] = set()
    with contextlib.suppress(OSError, ValueError):
        text = Path("/sys/devices/system/cpu/isolated").read_text().strip()
        for part in filter(None, text.split(",")):
            first, _, last = part.partition("-")
            found.update(range(int(first), int(last or first) + 1))
    return found
