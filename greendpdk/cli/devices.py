"""greendpdk devices: the NICs of this host and DPDK's drivers, and how each is named to greendpdk.

Called by cli/__init__.py; calls _pmd.py.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import Any

from greendpdk.cli import _pmd

VFIO = "vfio-pci"
BIFURCATED = ("mlx4_core", "mlx5_core", "mana")  # their DPDK drivers work beside the kernel's


def main(words: list[str]) -> int:
    """Show them."""
    parser = argparse.ArgumentParser(prog="greendpdk devices", description="Show what DPDK could use on this host.")
    parser.add_argument("-j", "--json", action="store_true", help="JSON")
    options = parser.parse_args(words)
    known = _pmd.drivers()
    nics = [_row(nic, known) for nic in _pmd.nics()]
    names = {driver.name for driver in known}
    virtual = [{"driver": name, "what": text} for name, text in _pmd.VIRTUAL.items() if name in names]
    if options.json:
        print(json.dumps({"nics": nics, "virtual": virtual}, indent=1))
    elif not known:
        print("greendpdk devices: no drivers of DPDK here; greendpdk doctor says what is missing", file=sys.stderr)
        return 1
    else:
        _show(nics, virtual)
    return 0


def _row(nic: _pmd.Nic, known: list[_pmd.Driver]) -> dict[str, Any]:
    return {**asdict(nic), "dpdk_driver": _pmd.driver_of(nic, known), "use": usage(nic, _pmd.driver_of(nic, known))}


def usage(nic: _pmd.Nic, driver: str) -> list[str]:
    """Say how greendpdk gets at the NIC, the best way first; [] if it cannot."""
    ways = []
    if driver and nic.kernel_driver in (VFIO, *BIFURCATED):
        ways.append(f"--pci {nic.address} --hugepages on")
    elif driver:
        ways.append(f"dpdk-devbind.py -b {VFIO} {nic.address}, then --pci {nic.address} --hugepages on: "
                    "the kernel loses it")  # fmt: skip
    for name in nic.interfaces:
        ways.append(f"--vdev net_af_xdp0,iface={name}: the kernel keeps it")
        ways.append(f"--vdev net_af_packet0,iface={name}: the same, slower, with any driver")
    return ways


def _show(nics: list[dict[str, Any]], virtual: list[dict[str, str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    console.print("NICs" if nics else "NICs: none on the PCI bus", style="bold")
    for nic in nics:
        name = " ".join(nic["interfaces"]) or "-"
        console.print(f"  {nic['address']}  {nic['vendor']:04x}:{nic['device']:04x}  {name}  "
                      f"kernel: {nic['kernel_driver'] or '-'}  DPDK: {nic['dpdk_driver'] or 'no driver'}")  # fmt: skip
        for way in nic["use"]:
            console.print(f"      {way}", soft_wrap=True)
    console.print("Virtual devices: --vdev NAME0,…", style="bold")
    table = Table(box=None, show_header=False, padding=(0, 2))
    for row in virtual:
        table.add_row(row["driver"], row["what"])
    with console.capture() as capture:
        console.print(table)
    print(*(line.rstrip() for line in capture.get().splitlines()), sep="\n")
