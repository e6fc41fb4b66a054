"""Names over net_tap: which servers are asked by which way, in what order the answers are tried; Linux serves.

Uses netns.py and tests/socket/name_server.py, which serves on the kernel's end of the tap. /etc/resolv.conf and
/etc/hosts are bind mounts of the program's own.
"""
from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from netns import Namespace

ROOT = Path(__file__).parent.parent.parent
KERNEL, KERNEL6 = "198.18.0.1", "2001:db8:5::1"  # an fd00:: one would come after IPv4 (RFC 6724 2.1)
STACK, BOTH = "198.18.0.2/24", "198.18.0.2/24,2001:db8:5::2/64"
ZONE = (
    "both.test", "A", KERNEL, "both.test", "AAAA", KERNEL6,
    "host.corp.test", "A", KERNEL,
    "two.test", "A", f"198.18.0.99,{KERNEL}",
    "big.test", "A", ",".join(f"10.0.0.{at}" for at in range(1, 200)),
)  # fmt: skip
pytestmark = [pytest.mark.needs("tap"), pytest.mark.slow]


@pytest.fixture
def net() -> Iterator[Namespace]:
    """Make a namespace in which an address can be bound before the tap brings it."""
    with Namespace() as made:
        for family in ("ipv4", "ipv6"):
            made.run(["sysctl", "-qw", f"net.{family}.ip_nonlocal_bind=1"], check=False)
        yield made


def serve(net: Namespace, address: str) -> subprocess.Popen[str]:
    """Start a name server, and wait until it hears."""
    server = net.popen([sys.executable, str(ROOT / "tests/socket/name_server.py"), address, *ZONE], text=True,
                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)  # fmt: skip
    assert server.stdout is not None
    with server.stdout:
        assert server.stdout.readline() == "serving\n"
    return server


def run(net: Namespace, folder: Path, resolv_conf: str, code: str, address: str = STACK, **settings: str) -> str:
    """Run a patched program with a resolv.conf of its own; return what it printed."""
    (folder / "resolv.conf").write_text(resolv_conf)
    (folder / "hosts").write_text("127.0.0.1 localhost\n")
    (folder / "program.py").write_text("from greendpdk import monkey\nmonkey.patch_all()\n" + textwrap.dedent(code))
    mounts = "".join(f"mount --bind {folder}/{name} /etc/{name} && " for name in ("resolv.conf", "hosts"))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GREENDPDK_")}
    environment = kept | {"PYTHONPATH": str(ROOT), "GREENDPDK_ADDRESS": address}
    environment |= {f"GREENDPDK_{name.upper()}": value for name, value in settings.items()}
    command = f"{mounts}exec {sys.executable} {folder}/program.py"
    return str(net.run(["unshare", "-m", "sh", "-c", command], env=environment).stdout).strip()


def test_a_server_of_resolv_conf_behind_the_port_is_asked_over_the_stack(net: Namespace, tmp_path: Path) -> None:
    serve(net, KERNEL)
    said = run(net, tmp_path, f"nameserver {KERNEL}\nsearch corp.test\n", """
        import greendpdk, socket
        print(socket.gethostbyname("host"), len(socket.getaddrinfo("big.test", 80, 0, socket.SOCK_STREAM)))
        counters = greendpdk.counters()
        print(counters["udp_in"], counters["tcp_in"] > 0)   # the long answer came by TCP
    """)
    assert said.split("\n") == [f"{KERNEL} 199", "3 True"]


def test_a_server_of_resolv_conf_on_the_loopback_is_the_kernel_s(net: Namespace, tmp_path: Path) -> None:
    serve(net, "127.0.0.1")
    said = run(net, tmp_path, "nameserver 127.0.0.1\n", """
        import greendpdk, socket
        print(socket.gethostbyname("both.test"), greendpdk.counters()["udp_in"])
    """)
    assert said == f"{KERNEL} 0"


@pytest.mark.needs("ipv6")
def test_a_stack_without_ipv6_tries_ipv4_first_and_one_with_it_ipv6(net: Namespace, tmp_path: Path) -> None:
    serve(net, KERNEL)
    code = """
        import socket
        print(*(one[4][0] for one in socket.getaddrinfo("both.test", 80, 0, socket.SOCK_STREAM)))
    """
    conf = f"nameserver {KERNEL}\n"
    assert run(net, tmp_path, conf, code).split("\n") == [f"{KERNEL} {KERNEL6}"]
    assert run(net, tmp_path, conf, code, BOTH).split("\n") == [f"{KERNEL6} {KERNEL}"]


def test_a_server_that_is_not_there_costs_only_who_asks(net: Namespace, tmp_path: Path) -> None:
    serve(net, KERNEL)
    said = run(net, tmp_path, f"nameserver 198.18.0.77\nnameserver {KERNEL}\noptions timeout:1\n", """
        import gevent, socket, time
        ticks = []
        def tick():
            while True:
                ticks.append(time.monotonic())
                gevent.sleep(0.01)
        gevent.spawn(tick)
        begin = time.monotonic()
        print(socket.gethostbyname("both.test"), time.monotonic() - begin < 9)
        print(max(b - a for a, b in zip(ticks, ticks[1:])) < 0.5, len(ticks) > 30)
    """)
    assert said.split("\n") == [f"{KERNEL} True", "True True"]


def test_every_address_of_a_name_is_tried_and_the_source_is_honoured(net: Namespace, tmp_path: Path) -> None:
    serve(net, KERNEL)
    said = run(net, tmp_path, f"nameserver {KERNEL}\n", """
        import gc, socket
        gc.collect()
        gc.disable()
        for all_errors in (False, True):   # the listener is the name server; .99 is nobody
            with socket.create_connection(("two.test", 53), 10, ("198.18.0.2", 0), all_errors=all_errors) as sock:
                print(sock.getpeername()[0], sock.getsockname()[0])
        for all_errors in (False, True):
            try:
                socket.create_connection(("two.test", 9), 10, all_errors=all_errors)
            except (OSError, ExceptionGroup) as error:
                print(sorted(type(one).__name__ for one in getattr(error, "exceptions", [error])))
        print(gc.collect())
    """)
    lines = said.split("\n")
    assert lines[:2] == [f"{KERNEL} 198.18.0.2"] * 2
    assert lines[2] in ("['ConnectionRefusedError']", "['OSError']")
    assert lines[3:] == ["['ConnectionRefusedError', 'OSError']", "0"]


@pytest.mark.needs("ipv6")
def test_a_port_has_a_number_and_a_name_in_addresses(net: Namespace, tmp_path: Path) -> None:
    serve(net, KERNEL)
    said = run(net, tmp_path, f"nameserver {KERNEL}\n", """
        import socket, subprocess
        number = socket.if_nametoindex("net_tap0")
        assert socket.if_indextoname(number) == "net_tap0" and (number, "net_tap0") in socket.if_nameindex()
        assert socket.if_nametoindex("lo") == 1 and socket.if_indextoname(1) == "lo"
        for call in (lambda: socket.if_nametoindex("gd9"), lambda: socket.if_indextoname(number + 7)):
            try:
                call()
            except OSError:
                pass
            else:
                raise AssertionError
        assert socket.getaddrinfo("fe80::1%net_tap0", 80, 0, socket.SOCK_STREAM)[0][4] == ("fe80::1", 80, 0, number)
        assert socket.getaddrinfo("fe80::1%lo", 80, 0, socket.SOCK_STREAM)[0][4] == ("fe80::1", 80, 0, 1)
        flags = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
        assert socket.getnameinfo(("fe80::1", 80, 0, number), flags) == ("fe80::1%net_tap0", "80")
        shown = subprocess.run(["ip", "-6", "-br", "addr", "show", "scope", "link"], capture_output=True, text=True)
        far = next(word for word in shown.stdout.split() if word.startswith("fe80")).partition("/")[0]
        sock = socket.socket(socket.AF_INET6)
        print(sock.connect_ex((f"{far}%net_tap0", 9)))
        sock.close()
    """, BOTH)
    assert said == "111"  # ECONNREFUSED, from that very link
