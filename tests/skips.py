"""Every reason for which a test of this suite may be skipped, and how each is found out.

Used by conftest.py: a test says `@pytest.mark.needs("tap")` and is skipped with the reason here where
the probe says no, `@pytest.mark.app("redis", "redis-server", ...)` where the package or program is missing;
LEFT_OUT names single tests. Nothing else in the suite skips.
"""
from __future__ import annotations

import contextlib
import functools
import glob
import importlib.metadata
import importlib.util
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import ordinary

from greendpdk.cli import _pmd


def _namespaces() -> bool:
    return os.geteuid() == 0 and shutil.which("ip") is not None


def _dpdk() -> bool:
    from greendpdk._native import lib

    return bool(lib.GD_HAVE_DPDK)


def _tap() -> bool:
    return _namespaces() and _dpdk() and Path("/dev/net/tun").exists()


def _tun() -> bool:
    return _namespaces() and Path("/dev/net/tun").exists()


def _af_xdp() -> bool:
    if not _namespaces() or not _dpdk() or "net_af_xdp" not in {driver.name for driver in _pmd.drivers()}:
        return False
    with contextlib.suppress(OSError), socket.socket(44, socket.SOCK_RAW):  # AF_XDP, <linux/socket.h>
        return True
    return False


def _user_namespaces() -> bool:
    return _namespaces() and ordinary.can_make_namespaces()


def _bbr() -> bool:
    return "bbr" in Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text().split()


def _installed() -> bool:
    points = importlib.metadata.entry_points(group="pytest11")
    return any(point.value == "greendpdk.pytest_plugin" for point in points)


def _package(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # the package that it would be in
        return False


NEEDS: dict[str, tuple[Callable[[], bool], str]] = {
    "namespaces": (_namespaces, "network namespaces need root and iproute2 (apt install iproute2)"),
    "dpdk": (_dpdk, "the engine was built without DPDK (apt install libdpdk-dev, then make build)"),
    "tap": (_tap, "net_tap needs root, iproute2, /dev/net/tun and an engine with DPDK"),
    "af_xdp": (_af_xdp, "DPDK was built without net_af_xdp, or this kernel has no AF_XDP (CONFIG_XDP_SOCKETS)"),
    "tun": (_tun, "a tun device in a namespace needs root, iproute2 and /dev/net/tun"),
    "user-namespaces": (_user_namespaces, "this kernel gives unprivileged users no network namespaces, or no "
                        "Python that they could run"),
    "installed": (_installed, "entry points come with the installed package (pip install -e .)"),
    "ipv6": (lambda: Path("/proc/net/if_inet6").exists(), "this kernel speaks no IPv6"),
    "radvd": (lambda: shutil.which("radvd") is not None, "apt install radvd"),
    "dnsmasq": (lambda: shutil.which("dnsmasq") is not None, "apt install dnsmasq-base"),
    "nft": (lambda: shutil.which("nft") is not None, "apt install nftables"),
    "bbr": (_bbr, "the kernel has no BBR (modprobe tcp_bbr)"),
    "speed": (lambda: os.environ.get("GREENDPDK_SANITIZE", "") != "1", "gigabits take the sanitizers' build minutes"),
    "stdlib-tests": (lambda: _package("test.test_socket"), "the interpreter comes without its tests (apt install "
                     "libpython3.11-testsuite)"),
    "dpdk-telemetry": (lambda: shutil.which("dpdk-telemetry.py") is not None,
                       "DPDK's usertools, from its source or Fedora's dpdk-tools"),
    "curl": (lambda: shutil.which("curl") is not None, "apt install curl"),
    "openssl": (lambda: shutil.which("openssl") is not None, "apt install openssl"),
    "tshark": (lambda: shutil.which("tshark") is not None, "apt install tshark"),
    "ping": (lambda: shutil.which("ping") is not None, "apt install iputils-ping"),
    "flask": (lambda: _package("flask"), "pip install flask"),
    "requests": (lambda: _package("requests"), "pip install requests"),
    "gunicorn": (lambda: _package("gunicorn"), "make programs (pip install gunicorn)"),
    "httpx": (lambda: _package("httpx"), "pip install httpx"),
    "mkdocs": (lambda: _package("mkdocs") and _package("material"), "make docs installs mkdocs-material"),
}

# What stands at Linux's side of an app: program -> its Debian package. `make programs` installs them.
PROGRAMS = {
    "ab": "apache2-utils",
    "curl": "curl",
    "dnsmasq": "dnsmasq-base",
    "dovecot": "dovecot-imapd dovecot-pop3d",
    "git": "git",
    "mariadbd": "mariadb-server-core mariadb-client-core",
    "memcached": "memcached",
    "mosquitto": "mosquitto",
    "openssl": "openssl",
    "postgres": "postgresql",
    "redis-server": "redis-server",
    "slapd": "slapd",
    "sshd": "openssh-server",
    "wrk": "wrk",
}


# tests/socket/ runs each test on gevent's kernel sockets too; these say what only ours do.
LEFT_OUT = {
    "test_connect.py::test_create_server_listens[kernel]": "gevent has none of its own",
    "test_life.py::test_a_waiter_that_is_killed_does_not_take_the_event_with_it[kernel]": "gevent allows one waiter",
    "test_life.py::test_close_wakes_every_waiter[kernel]": "gevent allows one waiter",
    "test_life.py::test_a_connection_leaves_nothing_behind[kernel]": "it is about the stack's tables",
    "test_ssl.py::test_get_server_certificate[kernel]": "gevent's sends no server name",
    "test_interrupts.py::test_peek_of_all_waits_for_all[kernel]": "gevent's returns what is there",
    **{f"test_interrupts.py::test_recv_of_all_broken_into_loses_nothing[kernel-{how}]": "gevent's returns what is there"
       for how in ("timeout", "kill", "throw")},
    "test_stream.py::test_waitall_waits_for_all[kernel]": "gevent's returns what is there",
    "test_stream.py::test_dontwait_does_not_wait[kernel]": "gevent waits in recv(MSG_DONTWAIT)",
    "test_stream.py::test_recv_wakes_when_this_side_shuts_down[kernel]": "gevent's raises EBADF",
}


def program(name: str) -> str | None:
    """Find a program where daemons are, too."""
    folders = [*os.environ["PATH"].split(":"), "/usr/sbin", *glob.glob("/usr/lib/postgresql/*/bin")]
    return shutil.which(name, path=":".join(folders))


@functools.cache
def missing_app(package: str) -> str | None:
    """Return why an app's Python package, or the program at Linux's side of it, is not there, or None if it is."""
    if package in PROGRAMS:
        return None if program(package) else f"{package}: make programs (apt install {PROGRAMS[package]})"
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return f"{package}: make programs (pip install {package})"
    return None


@functools.cache
def missing(need: str) -> str | None:
    """Return why what a test needs is not there, or None if it is."""
    probe, reason = NEEDS[need]
    return None if probe() else f"{need}: {reason}"
