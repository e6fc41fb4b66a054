"""The checks of `greendpdk doctor`: each looks at one thing and says what it found and what to do.

Called by doctor.py; calls the filesystem and, in a child, unshare(2). Places are given by Host, so that tests can
show them another host.
"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from greendpdk.cli import _pmd, devices

OK, NOTE, FAIL = "ok", "note", "fail"
NEEDED = ("gevent", "greenlet", "cffi", "dnspython")
CAP_NET_ADMIN = 12  # <linux/capability.h>
_CLOCK_NS = 500  # a clock_gettime through the vDSO takes 20 to 50; a system call takes more than this


@dataclass(frozen=True)
class Check:
    """What was looked at, how it is, what was found, and what to do about it."""

    what: str
    state: str
    found: str
    todo: str = ""


@dataclass(frozen=True)
class Host:
    """Where the host's files are."""

    root: Path = Path("/")
    cpus: frozenset[int] = field(default_factory=lambda: frozenset(os.sched_getaffinity(0)))

    def read(self, path: str) -> str:
        """Return a file's text, "" if it cannot be read."""
        try:
            return (self.root / path).read_text().strip()
        except OSError:
            return ""


def run(host: Host | None = None) -> list[Check]:
    """Do all of them."""
    return [check(host or Host()) for check in _CHECKS]


def _python(_: Host) -> Check:
    text = f"{sys.version.split()[0]}, " + ", ".join(f"{name} {_version(name) or 'missing'}" for name in NEEDED)
    missing = [name for name in NEEDED if not _version(name)]
    if missing:
        return Check("Python", FAIL, text, f"python -m pip install {' '.join(missing)}")
    return Check("Python", OK, text)


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _engine(_: Host) -> Check:
    try:
        from greendpdk._native import ffi, lib
    except ImportError as error:
        return Check("engine", FAIL, str(error), "apt install libdpdk-dev pkg-config gcc, then python -m pip install "
                     "--force-reinstall greendpdk (in a source tree: python -m greendpdk._build)")  # fmt: skip
    if not lib.GD_HAVE_DPDK:
        return Check("engine", NOTE, "built without DPDK: only vdev=none runs",
                     "apt install libdpdk-dev pkg-config, and build again")  # fmt: skip
    version = ffi.string(lib.gd_eal_version()).decode()
    count = len(_pmd.drivers())
    if not count:
        return Check("DPDK", FAIL, f"{version}, but none of its drivers", "apt install libdpdk-dev, or "
                     "librte-meta-net")  # fmt: skip
    return Check("DPDK", OK, f"{version}, {count} network drivers in {_pmd.folder()}")


def _loop(_: Host) -> Check:
    chosen = os.environ.get("GEVENT_LOOP", "")
    if "uv" in chosen:
        return Check("gevent's loop", FAIL, f"GEVENT_LOOP={chosen}", "unset GEVENT_LOOP: greendpdk needs libev")
    return Check("gevent's loop", OK, chosen or "libev")


def _tap(host: Host) -> Check:
    tun = host.root / "dev/net/tun"
    if not tun.exists():
        return Check("net_tap", NOTE, "no /dev/net/tun", "modprobe tun (in a container: --device /dev/net/tun)")
    if not os.access(tun, os.R_OK | os.W_OK):
        return Check("net_tap", NOTE, "/dev/net/tun: no access", "run as root, or use --netns")
    status = host.read("proc/self/status")
    capabilities = int(status.partition("CapEff:")[2].split()[0], 16) if "CapEff:" in status else 0
    if not capabilities >> CAP_NET_ADMIN & 1:
        return Check("net_tap", NOTE, "no CAP_NET_ADMIN", "run as root, in a container with --cap-add NET_ADMIN, or by "
                     "greendpdk run --netns")  # fmt: skip
    return Check("net_tap", OK, "/dev/net/tun, CAP_NET_ADMIN")


def _namespaces(_: Host) -> Check:
    words = ["unshare", "-n", "true"] if os.geteuid() == 0 else ["unshare", "-Urn", "true"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=10)
    except OSError:
        return Check("namespaces", NOTE, "unshare is not there", "apt install util-linux")
    if done.returncode:
        return Check("namespaces", NOTE, done.stderr.strip() or "refused", "sysctl kernel.unprivileged_userns_clone=1 "
                     "(Debian), kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu), user.max_user_namespaces "
                     "above 0, or run as root")  # fmt: skip
    return Check("namespaces", OK, "a network namespace of one's own can be had (--netns, pytest --dpdk)")


def _hugepages(host: Host) -> Check:
    found = []
    for place in sorted((host.root / "sys/kernel/mm/hugepages").glob("hugepages-*")):
        size = int(place.name.removeprefix("hugepages-").removesuffix("kB")) // 1024
        total, free = (int((place / name).read_text()) for name in ("nr_hugepages", "free_hugepages"))
        if total:
            found.append(f"{free} of {total} free of {size} MB")
    if not found:
        return Check("hugepages", NOTE, "none reserved: NICs want them, net_tap and net_memif do without",
                     "sysctl vm.nr_hugepages=256, then hugepages=on")  # fmt: skip
    return Check("hugepages", OK, ", ".join(found))


def _iommu(host: Host) -> Check:
    groups = len(list((host.root / "sys/kernel/iommu_groups").glob("*")))
    vfio = (host.root / "sys/bus/pci/drivers/vfio-pci").exists()
    if groups and vfio:
        return Check("IOMMU and vfio", OK, f"{groups} IOMMU groups, vfio-pci is loaded")
    if not groups:
        unsafe = host.read("sys/module/vfio/parameters/enable_unsafe_noiommu_mode") == "Y"
        if vfio and unsafe:
            return Check("IOMMU and vfio", NOTE, "vfio without an IOMMU: the NIC can write anywhere in memory", "")
        return Check("IOMMU and vfio", NOTE, "no IOMMU: a NIC cannot be given to a program safely",
                     "boot with intel_iommu=on or amd_iommu=on; in a VM without one: modprobe vfio "
                     "enable_unsafe_noiommu_mode=1")  # fmt: skip
    return Check("IOMMU and vfio", NOTE, f"{groups} IOMMU groups, vfio-pci is not loaded", "modprobe vfio-pci")


def _nics(host: Host) -> Check:
    known, found, todo = _pmd.drivers(), [], ""
    for nic in _pmd.nics(host.root / "sys"):
        driver = _pmd.driver_of(nic, known)
        found.append(f"{nic.address} ({' '.join(nic.interfaces) or '-'}, {nic.kernel_driver or 'unbound'} → "
                     f"{driver or 'no driver of DPDK'})")  # fmt: skip
        if driver and nic.kernel_driver not in (devices.VFIO, *devices.BIFURCATED):
            todo = "greendpdk devices says how to use them"
    return Check("NICs", OK if found else NOTE, ", ".join(found) or "none on the PCI bus", todo)


def _clock(host: Host) -> Check:
    source = host.read("sys/devices/system/clocksource/clocksource0/current_clocksource") or "unknown"
    began = time.perf_counter_ns()
    for _ in range(1000):
        time.monotonic_ns()
    cost = (time.perf_counter_ns() - began) // 1000
    if cost > _CLOCK_NS:
        return Check("clock", NOTE, f"{source}: {cost} ns to read, and each poll reads it",
                     "boot with tsc=reliable if the CPU's clock is")  # fmt: skip
    return Check("clock", OK, f"{source}, {cost} ns to read")


def _isolation(host: Host) -> Check:
    isolated = host.read("sys/devices/system/cpu/isolated")
    governor = host.read("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    text = f"{len(host.cpus)} for this process; isolated: {isolated or 'none'}"
    text += f"; governor {governor}" if governor else ""
    if governor and governor != "performance":
        return Check("CPUs", NOTE, text, "for the least latency: cpupower frequency-set -g performance")
    if not isolated:
        return Check("CPUs", OK, f"{text} (poll=busy with lcore=CPU is best on an isolated one: isolcpus=, nohz_full=)")
    return Check("CPUs", OK, text)


_CHECKS: tuple[Callable[[Host], Check], ...] = (
    _python, _engine, _loop, _tap, _namespaces, _hugepages, _iommu, _nics, _clock, _isolation,
)  # fmt: skip
