"""DPDK's drivers as they lie on this host, and the NICs that each takes.

Called by devices.py and doctor.py; calls the filesystem. Every driver carries a description for tools such as
dpdk-pmdinfo.py: a string PMD_INFO_STRING= {JSON} with its name and PCI ids.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

_INFO = re.compile(rb"PMD_INFO_STRING= (\{[^\0]*\})")
_ANY = 0xFFFF
# What greendpdk can do with drivers that need no hardware; the rest of DPDK's have another purpose.
VIRTUAL = {
    "net_tap": "the kernel is the other side; works anywhere with CAP_NET_ADMIN and /dev/net/tun",
    "net_memif": "another greendpdk process or VPP, over shared memory",
    "net_af_packet": "an existing interface of the kernel, by packet sockets",
    "net_af_xdp": "the same by AF_XDP, which takes all its frames; CAP_NET_ADMIN, NET_RAW, SYS_ADMIN, IPC_LOCK",
    "net_virtio_user": "a vhost-user switch such as OVS, or vhost-net of the kernel",
    "net_pcap": "a capture file, or an interface by libpcap",
    "net_ring": "what is sent comes back",
    "net_null": "what is sent is gone",
    "net_vhost": "a virtual machine's virtio NIC, as its switch",
    "net_bonding": "several ports as one",
}


@dataclass(frozen=True)
class Driver:
    """One driver: its name, the NICs that it takes as (vendor, device), kernel drivers that may hold them."""

    name: str
    pci: frozenset[tuple[int, int]]
    kernel: str

    def takes(self, vendor: int, device: int) -> bool:
        """Tell whether it drives that NIC."""
        return (vendor, device) in self.pci or (vendor, _ANY) in self.pci


@dataclass(frozen=True)
class Nic:
    """A network controller on the PCI bus."""

    address: str
    vendor: int
    device: int
    kernel_driver: str  # "" if none
    interfaces: tuple[str, ...]  # of the kernel
    numa: int


def folder() -> Path | None:
    """Return where the drivers lie: beside the librte_eal that the engine is linked with; None if there is none."""
    with contextlib.suppress(ImportError):
        import greendpdk._native  # noqa: F401 (it loads librte_eal)
    maps = Path("/proc/self/maps").read_text().splitlines()
    for library in [line.split()[-1] for line in maps if "librte_eal.so" in line][:1]:
        for place in sorted(glob.glob(f"{os.path.dirname(library)}/dpdk/pmds-*"), reverse=True):
            return Path(place)
    return None


def drivers(place: Path | None = None) -> list[Driver]:
    """Read the descriptions of all network drivers."""
    place = folder() if place is None else place
    found = []
    for path in sorted(place.glob("librte_net_*.so")) if place else ():
        for text in _INFO.findall(path.read_bytes()):
            about = json.loads(text)
            ids = frozenset((row[0], row[1]) for row in about.get("pci_ids", ()))
            if about["name"].startswith("net_"):
                found.append(Driver(about["name"], ids, about.get("kmod", "")))
    return found


def nics(sys: Path = Path("/sys")) -> list[Nic]:
    """List the network controllers (PCI class 02)."""
    found = []
    for place in sorted((sys / "bus/pci/devices").glob("*")):
        if not _read(place / "class").startswith("0x02"):
            continue
        driver = place / "driver"
        interfaces = sorted({path.name for pattern in ("net/*", "*/net/*") for path in place.glob(pattern)})
        found.append(Nic(
            place.name, int(_read(place / "vendor"), 16), int(_read(place / "device"), 16),
            driver.resolve().name if driver.exists() else "", tuple(interfaces), int(_read(place / "numa_node") or -1),
        ))  # fmt: skip
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def driver_of(nic: Nic, known: list[Driver]) -> str:
    """Name the driver of DPDK's that takes the NIC; "" if none does."""
    return next((driver.name for driver in known if driver.takes(nic.vendor, nic.device)), "")
