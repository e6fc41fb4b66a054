"""DPDK devices from Python: EAL once in a process, ports opened and closed, the kernel's end of a tap.

Called by _stack.py; calls the engine's port/eal.c and port/dpdk_open.c, and the kernel by ioctl and rtnetlink (no `ip`
needed).
"""

from __future__ import annotations

import _socket
import contextlib
import errno
import fcntl
import os
import re
import resource
import shlex
import shutil
import socket
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gevent.monkey import get_original

from greendpdk._config import Settings
from greendpdk._config_ports import Interface
from greendpdk._errors import ConfigError, check, error
from greendpdk._native import ffi, lib

SIOCGIFFLAGS, SIOCSIFFLAGS, SIOCGIFADDR = 0x8913, 0x8914, 0x8915  # <linux/sockios.h>
IFF_UP = 0x1  # <net/if.h>
RTM_NEWADDR, RT_SCOPE_UNIVERSE = 20, 0  # <linux/rtnetlink.h>
NLM_F_REQUEST, NLM_F_ACK, NLM_F_REPLACE, NLM_F_CREATE = 0x1, 0x4, 0x100, 0x400  # <linux/netlink.h>
IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST, IFA_FLAGS, IFA_F_NODAD = 1, 2, 4, 8, 0x2  # <linux/if_addr.h>
CAP_NET_ADMIN, CAP_NET_RAW, CAP_IPC_LOCK, CAP_SYS_ADMIN = 12, 13, 14, 21  # <linux/capability.h>
TUN = "/dev/net/tun"
OFFLOAD = 1  # checksums in hardware where there is some; 2, for tests: in the driver's software too
_XDP_LOCKED = 24 << 20  # bytes of net_af_xdp's frames, which the kernel locks: 6,144 pages
_LOG_LINES = 6  # of the drivers' words shown in an error: a failed probe writes three or four

_eal: tuple[int, dict[str, Any]] | None = None  # the process that started EAL, and what it was started with
_eal_failed = ""


def start_eal(settings: Settings) -> None:
    """Start EAL, or see that the one that runs was started with the same words."""
    global _eal
    if not lib.GD_HAVE_DPDK:
        name, value, other = ("vdev", ";".join(settings.devices), "vdev=none") if settings.devices else (
            "telemetry", settings.telemetry, "telemetry=auto")  # fmt: skip
        raise ConfigError(
            name, value, "this greendpdk was built without DPDK: install it (apt install libdpdk-dev pkg-config) and "
            f"build greendpdk again, or use {other}"
        )  # fmt: skip
    wanted: dict[str, Any] = {name: getattr(settings, name) for name in ("hugepages", "memory", "eal_args")}
    wanted["pci"] = bool(settings.pci)
    if _eal is None:
        _run_eal(settings)
        _eal = (os.getpid(), wanted)
        return
    pid, before = _eal
    if pid != os.getpid():
        raise RuntimeError("DPDK was started before this process was forked: start greendpdk in the child only")
    for name, value in wanted.items():
        if value != before[name]:
            allowed = f"DPDK starts once in a process, and did with {before[name]!r}: that holds until the program ends"
            raise ConfigError(name, getattr(settings, name), allowed)


def running() -> bool:
    """Tell whether EAL runs in this process."""
    return _eal is not None and _eal[0] == os.getpid()


def _run_eal(settings: Settings) -> None:
    global _eal_failed
    if _eal_failed:
        raise RuntimeError(f"DPDK cannot be started twice in a process, and failed the first time: {_eal_failed}")
    words = _eal_words(settings)
    argv = [ffi.new("char[]", word.encode()) for word in ("greendpdk", *words)]
    with _runtime_directory():
        result = lib.gd_eal_init(len(argv), ffi.new("char *[]", argv))
    if result >= 0:
        clear_beside(Path(ffi.string(lib.gd_eal_runtime_dir()).decode()))
        return
    # Among its usage text are the lines that matter.
    said = [line.strip() for line in _log().splitlines() if line.startswith(("EAL:", "greendpdk:"))]
    _eal_failed = " / ".join(said[-_LOG_LINES:])
    if settings.eal_args and result == -errno.EINVAL:
        raise ConfigError("eal_args", shlex.join(settings.eal_args), f"EAL does not start with that: {_eal_failed}")
    hint = "; reserve huge pages (sysctl vm.nr_hugepages=256) or use hugepages=off" if settings.hugepages else ""
    raise error(-result, f"DPDK's EAL did not start with {shlex.join(words)!r}: {_eal_failed}{hint}")


def _eal_words(settings: Settings) -> list[str]:
    # One lcore, so that EAL starts no worker threads; which CPU it names is without effect, as we take it back.
    words = ["-m", str(settings.memory), "--lcores", f"0@{min(os.sched_getaffinity(0))}"]
    words += ["--no-telemetry"] if settings.telemetry == "off" else []
    words += ["--in-memory"] if settings.hugepages else ["--no-huge", "--no-shconf"]
    # With PCI on, EAL would take every NIC that it finds: an address that no NIC has allows none until it is asked for.
    words += ["-a", "0000:00:00.0"] if settings.pci else ["--no-pci"]
    return [*words, "--file-prefix", f"greendpdk-{os.getpid()}", *settings.eal_args]


@contextlib.contextmanager
def _runtime_directory() -> Iterator[None]:
    """Give EAL a place for telemetry's socket where its own choice is nobody's to write, or everybody's.

    Root in a user namespace cannot write to /var/run; a user without XDG_RUNTIME_DIR would share /tmp/dpdk with all
    others, and only the first of them could use it.
    """
    names = ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR") if os.geteuid() else ("RUNTIME_DIRECTORY",)
    if any(os.environ.get(name) for name in names) or (not os.geteuid() and os.access("/var/run", os.W_OK)):
        yield
        return
    place = runtime_directory()
    with contextlib.suppress(FileExistsError):
        os.mkdir(place, 0o700)
    found = os.lstat(place)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        yield  # somebody else made it: no place for a socket that only we may use
        return
    os.environ["RUNTIME_DIRECTORY"] = place
    try:
        yield
    finally:
        del os.environ["RUNTIME_DIRECTORY"]


def runtime_directory() -> str:
    """Return where telemetry's sockets are made if EAL has no better place for this user."""
    inside, outside, _ = map(int, Path("/proc/self/uid_map").read_text().split()[:3])  # user_namespaces(7)
    return f"/tmp/greendpdk-{os.geteuid() - inside + outside}"


def clear_beside(own: Path) -> None:
    """Remove what programs that were killed have left there: sockets that nobody listens to."""
    for place in own.parent.glob("greendpdk-*"):
        if place == own or Path("/proc", place.name.rpartition("-")[2]).exists():
            continue
        asking = _socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with contextlib.suppress(OSError), contextlib.closing(asking):
            asking.setblocking(False)
            if asking.connect_ex(str(place / "dpdk_telemetry.v2")) == errno.ECONNREFUSED:  # not a child's, or elsewhere
                shutil.rmtree(place)


def open_port(devargs: str, settings: Settings, first: bool) -> Any:
    """Open one device; return the engine's port."""
    name = devargs.partition(",")[0]
    _prepare(devargs)
    text = ffi.new("char[]", devargs.encode())
    mac = ffi.new("uint8_t[6]", settings.mac) if first and settings.mac else ffi.NULL
    wanted = {"devargs": text, "mtu": settings.mtu or 0, "mac": mac, "offload": OFFLOAD}
    out = ffi.new("struct gd_port **")
    before = len(_log())
    result = lib.gd_dpdk_open(ffi.new("struct gd_dpdk_settings *", wanted), out)
    if result >= 0:
        return out[0]
    said = _said(before)
    if result == -errno.EMSGSIZE:
        ours = re.search("greendpdk: (.*?)( / |$)", said)
        raise ConfigError("mtu", settings.mtu, f"the driver of {name} does not take it: {ours[1] if ours else said}")
    if result == -errno.ENODEV:
        setting = "pci" if devargs in settings.pci else "vdev"
        raise ConfigError(setting, devargs, f"DPDK finds no such device, or no driver for it: {said}")
    if result == -errno.EPROTONOSUPPORT:
        raise ConfigError("vdev", devargs, "it carries no Ethernet frames: use net_tap")
    raise error(-result, f"DPDK did not open {devargs!r}: {said}")


def _log() -> str:
    """Return what is kept of EAL's and the drivers' words."""
    text: str = ffi.string(lib.gd_eal_log()).decode(errors="replace")
    return text


def _said(before: int) -> str:
    """Return what was logged since the log was that long; all of it when old lines have made room."""
    text = _log()
    lines = map(str.strip, (text[before:] if len(text) > before else text).splitlines())
    said = [line for line in dict.fromkeys(lines) if line]  # what was tried again is said once
    return " / ".join(said[-_LOG_LINES:]) or "no word from the driver"


def _prepare(devargs: str) -> None:
    """See to what a driver needs of its host, and say what is missing better than it does."""
    if devargs.startswith("net_tap"):
        _check_tap()
    if devargs.startswith("net_af_xdp"):
        _check_xdp()
    arguments = dict(part.partition("=")[::2] for part in devargs.split(",")[1:])
    if devargs.startswith("net_memif") and arguments.get("role") in ("server", "master"):
        _remove_stale(Path(arguments.get("socket", "/run/memif.sock")))


def _check_tap() -> None:
    if not os.path.exists(TUN):
        raise error(errno.ENOENT, f"{TUN}: net_tap needs it: modprobe tun (in a container: --device {TUN})")
    if not os.access(TUN, os.R_OK | os.W_OK):
        raise error(errno.EACCES, f"{TUN}: net_tap needs it: run as root, or use vdev=none")
    if not _capable(CAP_NET_ADMIN):
        raise error(
            errno.EPERM, "net_tap needs CAP_NET_ADMIN: run as root (in a container: --cap-add NET_ADMIN), in a network "
            "namespace of your own (greendpdk run --netns, or unshare -rn), or use vdev=none"
        )  # fmt: skip


def _check_xdp() -> None:
    needed = {"NET_ADMIN": CAP_NET_ADMIN, "NET_RAW": CAP_NET_RAW, "SYS_ADMIN": CAP_SYS_ADMIN}
    locked = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    if locked != resource.RLIM_INFINITY and locked < _XDP_LOCKED:
        needed["IPC_LOCK"] = CAP_IPC_LOCK  # or a higher limit, which not everybody may set
    missing = [name for name, number in needed.items() if not _capable(number)]
    if missing:
        names, options = (" ".join(before + name for name in missing) for before in ("CAP_", "--cap-add "))
        raise error(
            errno.EPERM, f"net_af_xdp needs {names}: run as root (in a container: {options}), or use net_af_packet, "
            "which needs less"
        )  # fmt: skip


def _capable(number: int) -> bool:
    status = Path("/proc/self/status").read_text()
    return bool(int(status.partition("CapEff:")[2].split()[0], 16) >> number & 1)


def _remove_stale(path: Path) -> None:
    """Remove a socket file that nobody listens on any more: a killed server leaves it, and bind would fail."""
    with contextlib.suppress(OSError):
        if not stat.S_ISSOCK(path.stat().st_mode):
            return
        with _kernel_socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
            number = probe.connect_ex(str(path))
        if number == errno.ECONNREFUSED:
            path.unlink()


def _kernel_socket(family: int, kind: int) -> socket.socket:
    """Make a socket of the kernel's even when `socket` is patched: this is about the host, before any stack."""
    made: socket.socket = get_original("socket", "socket")(family, kind)
    return made


def bring_up(ifindex: int, addresses: tuple[Interface, ...]) -> None:
    """Give the kernel's end of a tap its addresses and switch it on."""
    name = socket.if_indextoname(ifindex).encode()
    with _kernel_socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        flags = struct.unpack_from("=16sh", fcntl.ioctl(control, SIOCGIFFLAGS, struct.pack("=16s16x", name)))[1]
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("=16sh14x", name, flags | IFF_UP))
    for address in addresses:
        holder = _holder(address, ifindex)
        if holder:
            allowed = f"{holder} has that address already (another greendpdk's?): give this one a network of its own, "
            raise ConfigError("tap_address", str(address), f"{allowed}such as address=198.18.1.2/24")
        number = _add_address(ifindex, address)
        if number:
            hint = ": is IPv6 off there (sysctl net.ipv6.conf.all.disable_ipv6)?" if address.version == 6 else ""
            raise error(number, f"the kernel's end of the tap cannot have {address}{hint}")


def _holder(address: Interface, ifindex: int) -> str:
    """Name another interface of the kernel that has the address: its answers would go there, and never come to us."""
    names = [name for index, name in socket.if_nameindex() if index != ifindex]
    if address.version == 6:
        with contextlib.suppress(OSError):  # no /proc, or no IPv6
            lines = [line.split() for line in Path("/proc/self/net/if_inet6").read_text().splitlines()]
            names = [line[5] for line in lines if line[5] in names and bytes.fromhex(line[0]) == address.ip.packed]
            return names[0] if names else ""
        return ""
    with _kernel_socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for name in names:
            with contextlib.suppress(OSError):  # it has none
                answer = fcntl.ioctl(control, SIOCGIFADDR, struct.pack("=16s24x", name.encode()))
                if answer[20:24] == address.ip.packed:
                    return name
    return ""


def _add_address(ifindex: int, address: Interface) -> int:
    """Ask the kernel by rtnetlink(7), as only that knows IFA_F_NODAD: 0 or an errno.

    Duplicate address detection would keep an IPv6 address from use for a second, on a link of two ends.
    """
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    packed = address.ip.packed
    attributes = b"".join(
        struct.pack("=HH", 4 + len(data), kind) + data
        for kind, data in ((IFA_LOCAL, packed), (IFA_ADDRESS, packed), (IFA_FLAGS, struct.pack("=I", IFA_F_NODAD)))
    )
    if address.version == 4:  # as `ip address add` leaves it out unless told `broadcast +`; ifconfig sets it
        attributes += struct.pack("=HH", 8, IFA_BROADCAST) + address.network.broadcast_address.packed
    body = struct.pack("=BBBBI", family, address.network.prefixlen, 0, RT_SCOPE_UNIVERSE, ifindex) + attributes
    flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE
    head = struct.pack("=IHHII", 16 + len(body), RTM_NEWADDR, flags, 1, 0)
    with _kernel_socket(socket.AF_NETLINK, socket.SOCK_RAW) as control:
        control.send(head + body)
        answer = control.recv(4096)
    number: int = struct.unpack_from("=i", answer, 16)[0]
    return -number  # NLMSG_ERROR: an errno, 0 is the acknowledgement


def open_fds() -> set[int]:
    """List this process's file descriptors."""
    return {int(name) for name in os.listdir("/proc/self/fd")}


def keep_from_children(before: set[int]) -> list[tuple[int, str]]:
    """Mark what EAL and the drivers have opened close-on-exec, and return it with what it is.

    Otherwise a program that is started from this one holds the tap, which then outlives us.
    """
    held = []
    for fd in open_fds() - before:
        with contextlib.suppress(OSError):
            fcntl.fcntl(fd, fcntl.F_SETFD, fcntl.fcntl(fd, fcntl.F_GETFD) | fcntl.FD_CLOEXEC)
            held.append((fd, os.readlink(f"/proc/self/fd/{fd}")))
    return held


def drop_in_child(held: list[tuple[int, str]]) -> None:
    """Close in a forked child what its parent's devices are made of, if the number still is that."""
    for fd, target in held:
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{fd}") == target:
                os.close(fd)


def statistics(port: Any) -> dict[str, int]:
    """Return the device's own counters."""
    eight = ffi.new("uint64_t[8]")
    check(lib.gd_dpdk_stats(port, eight))
    names = ("rx_packets", "tx_packets", "rx_bytes", "tx_bytes", "rx_missed", "rx_errors", "tx_errors", "rx_no_buffer")
    return dict(zip(names, map(int, eight), strict=True))
