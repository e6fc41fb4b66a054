"""greendpdk doctor and devices tell what a host has, and what to do about what it has not."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from greendpdk.cli import _checks, _pmd, devices

VIRTIO = _pmd.Driver("net_virtio", frozenset({(0x1AF4, 0x1041)}), "vfio-pci")


def write(place: Path, **files: str) -> None:
    for name, text in files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")


@pytest.fixture
def host(tmp_path: Path) -> _checks.Host:
    """Show an empty host."""
    return _checks.Host(tmp_path, frozenset({0, 1}))


def nic(host: _checks.Host, kind: str = "0x020000", driver: str = "") -> None:
    place = host.root / "sys/bus/pci/devices/0000:00:03.0"
    write(place, **{"class": kind, "vendor": "0x1af4", "device": "0x1041", "virtio2/net/eth0/mtu": "1500"})
    if driver:
        (host.root / "sys/bus/pci/drivers" / driver).mkdir(parents=True)
        (place / "driver").symlink_to(host.root / "sys/bus/pci/drivers" / driver)


def test_a_nic_is_found_with_its_drivers_and_interface(host: _checks.Host) -> None:
    nic(host, driver="virtio-pci")
    (found,) = _pmd.nics(host.root / "sys")
    assert (found.address, found.kernel_driver, found.interfaces) == ("0000:00:03.0", "virtio-pci", ("eth0",))
    assert _pmd.driver_of(found, [VIRTIO]) == "net_virtio" and _pmd.driver_of(found, []) == ""
    first, *rest = devices.usage(found, "net_virtio")
    assert first.startswith("dpdk-devbind.py -b vfio-pci 0000:00:03.0, then --pci 0000:00:03.0")
    assert rest[0].startswith("--vdev net_af_xdp0,iface=eth0")


def test_a_nic_that_is_bound_to_vfio_is_used_by_its_address(host: _checks.Host) -> None:
    nic(host, driver="vfio-pci")
    (found,) = _pmd.nics(host.root / "sys")
    assert devices.usage(found, "net_virtio")[0] == "--pci 0000:00:03.0 --hugepages on"


def test_what_is_no_network_controller_is_left_out(host: _checks.Host) -> None:
    nic(host, kind="0x010000")
    assert _pmd.nics(host.root / "sys") == []


def test_hugepages_are_counted(host: _checks.Host) -> None:
    assert _checks._hugepages(host).state == _checks.NOTE and "vm.nr_hugepages" in _checks._hugepages(host).todo
    write(host.root / "sys/kernel/mm/hugepages/hugepages-2048kB", nr_hugepages="256", free_hugepages="200")
    check = _checks._hugepages(host)
    assert (check.state, check.found, check.todo) == (_checks.OK, "200 of 256 free of 2 MB", "")


def test_iommu_and_vfio_are_looked_at_together(host: _checks.Host) -> None:
    assert "no IOMMU" in _checks._iommu(host).found
    (host.root / "sys/kernel/iommu_groups/1").mkdir(parents=True)
    assert _checks._iommu(host).todo == "modprobe vfio-pci"
    (host.root / "sys/bus/pci/drivers/vfio-pci").mkdir(parents=True)
    assert _checks._iommu(host).state == _checks.OK


def test_a_missing_tun_device_is_told_with_its_command(host: _checks.Host) -> None:
    assert "modprobe tun" in _checks._tap(host).todo


def test_cpus_and_governor_are_told(host: _checks.Host) -> None:
    write(host.root / "sys/devices/system/cpu", isolated="1", **{"cpu0/cpufreq/scaling_governor": "powersave"})
    check = _checks._isolation(host)
    assert check.state == _checks.NOTE and "isolated: 1; governor powersave" in check.found


def test_wrong_loop_fails(host: _checks.Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEVENT_LOOP", "libuv-cffi")
    assert _checks._loop(host).state == _checks.FAIL


@pytest.mark.needs("dpdk")
def test_drivers_describe_themselves(greendpdk: Any) -> None:
    names = {driver.name for driver in _pmd.drivers()}
    assert {"net_tap", "net_memif", "net_virtio"} <= names
    shown = json.loads(greendpdk("devices", "-j").stdout)
    assert {"net_tap", "net_memif"} <= {row["driver"] for row in shown["virtual"]}
    assert "net_memif" in greendpdk("devices").stdout


@pytest.mark.needs("dpdk")
def test_doctor_checks_this_host(greendpdk: Any) -> None:
    found = {check["what"]: check for check in json.loads(greendpdk("doctor", "-j").stdout)}
    assert found["DPDK"]["state"] == "ok" and "network drivers" in found["DPDK"]["found"]
    assert set(found) >= {"Python", "net_tap", "namespaces", "hugepages", "IOMMU and vfio", "NICs", "clock", "CPUs"}
    shown = greendpdk("doctor").stdout
    assert "net_tap" in shown and not [line for line in shown.splitlines() if line.endswith(" ")]


def test_without_drivers_no_device_is_offered(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(_pmd, "drivers", list)
    assert devices.main([]) == 1
    out, err = capsys.readouterr()
    assert out == "" and "no drivers of DPDK here; greendpdk doctor" in err
