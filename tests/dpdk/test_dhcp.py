"""DHCP against a real dnsmasq on the kernel's end of a net_tap: the lease, its renewals, its end, what errors say.

Uses netns.py, peer.py. The server runs before the tap is there, and takes it up when it comes (--bind-dynamic).
"""
from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import workers
from netns import Namespace
from peer import Side

ROOT = Path(__file__).parent.parent.parent
KERNEL, RANGE = "198.18.7.1", "198.18.7.50,198.18.7.59,2m"
ETH_P_IP = 0x0800
RELEASE = bytes([53, 1, 7])  # RFC 2132 9.6: the message's type
pytestmark = [pytest.mark.needs("tap", "dnsmasq", "ping"), pytest.mark.slow]


@pytest.fixture
def net() -> Iterator[Namespace]:
    """Make a namespace a test, as a server remembers its leases."""
    with Namespace() as made:
        yield made
        for program in made.programs:
            program.terminate()  # dnsmasq does not heed SIGINT


def serve(net: Namespace, folder: Path, *options: str, port: int = 0, lent: bool = True,
          device: str = "gd0") -> subprocess.Popen[bytes]:
    """Start a server for the tap that will be called gd0, or another device; lent: the usual range."""
    words = [
        "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", f"--port={port}", "--bind-dynamic",
        f"--interface={device}", *([f"--dhcp-range={RANGE}"] if lent else []), "--no-ping", "--dhcp-authoritative",
        f"--dhcp-leasefile={folder}/leases", f"--log-facility={folder}/log", "--log-dhcp", "--no-hosts",
        f"--pid-file={folder}/pid", *options,
    ]  # fmt: skip
    return net.popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture
def ear(net: Namespace) -> Iterator[socket.socket]:
    """Hear what is sent to the kernel in the namespace, also by a tap that is gone by now."""
    with net.entered(), socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP)) as sock:
        sock.setblocking(False)
        yield sock


def released(ear: socket.socket) -> int:
    """Count the DHCPRELEASEs heard: the server may find the tap gone before it reads one."""
    count = 0
    while True:
        try:
            count += RELEASE in ear.recv(2048)
        except BlockingIOError:
            return count


def seen(folder: Path, word: str, device: str = "gd0") -> int:
    """Count the server's lines that say so."""
    log = folder / "log"
    return log.read_text().count(f"{word}({device})") if log.exists() else 0


def eventually(done: Callable[[], bool], stack: Side | None = None) -> None:
    """Let the stack's program idle until something has happened, for as long as a loaded machine may take."""
    patience = time.monotonic() + 30
    while not done() and time.monotonic() < patience:
        stack.run(workers.pause, 0.1) if stack else time.sleep(0.1)
    assert done()


def run(net: Namespace, program: str, **settings: str) -> str:
    """Run a program that starts by DHCP; return what it printed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GREENDPDK_")}
    settings = {"vdev": "net_tap0,iface=gd0", "address": "dhcp", "tap_address": f"{KERNEL}/24"} | settings
    kept |= {f"GREENDPDK_{name.upper()}": value for name, value in settings.items()}
    words = [sys.executable, "-W", "error", "-c", "import greendpdk\n" + textwrap.dedent(program)]
    return str(net.run(words, env=kept | {"PYTHONPATH": str(ROOT)}, cwd="/", timeout=60).stdout).strip()


def test_lease_is_taken_used_and_given_back(net: Namespace, ear: socket.socket, tmp_path: Path) -> None:
    serve(net, tmp_path, "--dhcp-option=option:router,198.18.7.9", "--dhcp-option=option:dns-server,198.18.7.1",
          "--dhcp-option=option:mtu,1400")
    said = run(net, """
        import time
        begun = time.monotonic()
        stack = greendpdk.start()
        assert time.monotonic() - begun < 10
        lease = stack.ports[0].lease
        assert stack.ports[0].addresses == (lease.address,)
        assert 100 < lease.seconds_left <= 120
        print(lease.address.network, lease.gateway, lease.dns, lease.mtu, lease.server)
    """)
    assert said == "198.18.7.0/24 198.18.7.9 ('198.18.7.1',) 1400 198.18.7.1"
    assert seen(tmp_path, "DHCPACK") == released(ear) == 1


def test_connections_go_on_over_renewals(net: Namespace, tmp_path: Path) -> None:
    serve(net, tmp_path, "--dhcp-option=58,3")  # T1: 3 s, the least that dnsmasq takes
    stack = Side(net, "stack", "0.0.0.0", vdev="net_tap0,iface=gd0", address="dhcp", tap_address=f"{KERNEL}/24")
    kernel = Side(net, "kernel", KERNEL)
    listener = kernel.listen()
    connected = stack.connect(tuple(listener.getsockname()))
    accepted, peer = listener.accept()
    assert peer[0].startswith("198.18.7.5")
    eventually(lambda: seen(tmp_path, "DHCPACK") >= 3, stack)
    connected.sendall(b"still here")
    assert accepted.recv(100) == b"still here"
    assert seen(tmp_path, "DHCPREQUEST") == seen(tmp_path, "DHCPACK")
    counters = stack.call("greendpdk", "counters")
    assert counters["dhcp_leases"] == 1  # nothing but the time has changed
    assert {name: count for name, count in counters.items() if name.startswith("dhcp_drop") and count} == {}
    assert stack.close() == 0
    kernel.close()


def test_interface_of_the_kernel_gets_a_lease_of_its_network(net: Namespace, tmp_path: Path) -> None:
    """A veth by net_af_packet, as a program on a host or in a container would have it: no address but the server's."""
    with Namespace() as far:
        net.ip("link", "add", "veth0", "type", "veth", "peer", "name", "veth0", "netns", far.name)
        far.ip("address", "add", f"{KERNEL}/24", "dev", "veth0")
        far.run(["ethtool", "-K", "veth0", "tx", "off", "tso", "off", "gso", "off"])
        for side in (net, far):
            side.ip("link", "set", "veth0", "up")
        server = serve(far, tmp_path, "--dhcp-option=58,3", device="veth0")
        stack = Side(net, "stack", "0.0.0.0", vdev="net_af_packet0,iface=veth0", address="dhcp")
        listener = Side(far, "kernel", KERNEL).listen()
        connected = stack.connect(tuple(listener.getsockname()))
        accepted, peer = listener.accept()
        assert [f"{peer[0]}/24"] == stack.run(workers.leased)
        eventually(lambda: seen(tmp_path, "DHCPACK", "veth0") >= 2, stack)
        accepted.sendall(b"after a renewal")
        assert connected.recv(100) == b"after a renewal"
        assert stack.close() == 0
        eventually(lambda: seen(tmp_path, "DHCPRELEASE", "veth0") == 1)
        server.terminate()


def test_refused_renewal_brings_another_address(net: Namespace, tmp_path: Path) -> None:
    """The server is replaced by one of another range, which refuses (DHCPNAK) what it does not lend."""
    first = serve(net, tmp_path, "--dhcp-option=58,3")
    stack = Side(net, "stack", "0.0.0.0", vdev="net_tap0,iface=gd0", address="dhcp", tap_address=f"{KERNEL}/24")
    before = stack.run(workers.leased)
    first.terminate()
    first.wait(5)
    (tmp_path / "leases").unlink()
    serve(net, tmp_path, "--dhcp-range=198.18.7.90,198.18.7.99,2m", lent=False)
    eventually(lambda: stack.run(workers.leased) not in ([], before), stack)
    after = stack.run(workers.leased)
    assert before[0].startswith("198.18.7.5") and after[0].startswith("198.18.7.9")
    counters = stack.call("greendpdk", "counters")
    assert counters["dhcp_naks"] == 1 and counters["dhcp_leases"] == 2
    assert seen(tmp_path, "DHCPNAK") == 1
    done = net.run(["ping", "-c", "1", "-W", "2", after[0].partition("/")[0]])
    assert " 0% packet loss" in done.stdout
    assert stack.close() == 0


def test_address_in_use_is_declined(net: Namespace, tmp_path: Path) -> None:
    serve(net, tmp_path, "--dhcp-host=02:00:00:00:00:77,198.18.7.55")
    said = run(net, """
        import subprocess, threading, time
        from greendpdk import _device
        before = _device.bring_up
        def also(ifindex, addresses):
            before(ifindex, addresses)
            subprocess.run(["ip", "address", "add", "198.18.7.55/24", "dev", "gd0"], check=True)
        _device.bring_up = also
        from greendpdk import _ports
        _ports.LEASE_SECONDS = 3.0
        try:
            greendpdk.start(mac="02:00:00:00:00:77")
        except greendpdk.ConfigError as error:
            print(error)
    """)
    assert said.startswith("address (GREENDPDK_ADDRESS) is 'dhcp', but on net_tap0 there was no lease in 3 s: another")
    eventually(lambda: seen(tmp_path, "DHCPDECLINE") == 1)


def test_no_server_is_said_with_the_setting_and_the_way_out(net: Namespace) -> None:
    said = run(net, """
        from greendpdk import _ports
        _ports.LEASE_SECONDS = 1.0
        try:
            greendpdk.start()
        except greendpdk.ConfigError as error:
            print(error)
        greendpdk.start(address="198.18.7.2/24")
    """)
    assert said == (
        "address (GREENDPDK_ADDRESS) is 'dhcp', but on net_tap0 there was no lease in 1 s: 1 questions (DHCPDISCOVER), "
        "no offer: is there a server on that network? Otherwise give a CIDR such as '198.18.0.2/24'"
    )


def test_routes_go_where_the_lease_has_their_gateways(net: Namespace, ear: socket.socket, tmp_path: Path) -> None:
    serve(net, tmp_path)
    said = run(net, """
        try:
            greendpdk.start(routes="203.0.113.0/24 via 10.9.9.9")
        except greendpdk.ConfigError as error:
            print(error)
        greendpdk.start(routes="203.0.113.0/24 via 198.18.7.9", gateway="198.18.7.8")
        from greendpdk import socket
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.connect(("203.0.113.1", 9))
            print(sock.getsockname()[0].startswith("198.18.7.5"))
    """)
    assert said.splitlines() == [
        "routes (GREENDPDK_ROUTES) is '203.0.113.0/24 via 10.9.9.9', but its gateway is in no network of a port: "
        "198.18.7.0/24", "True"]  # fmt: skip
    assert seen(tmp_path, "DHCPACK") == released(ear) == 2  # a start that fails gives it back too


def test_second_port_takes_a_lease_and_its_router_while_the_first_has_an_address_by_hand(
    net: Namespace, tmp_path: Path
) -> None:
    serve(net, tmp_path)
    said = run(net, """
        stack = greendpdk.start()
        first, second = stack.ports
        assert first.lease is None and str(first.addresses[0]) == "198.18.0.2/24"
        from greendpdk import socket
        for far in ("198.18.0.1", "198.18.7.1", "203.0.113.1"):
            with socket.socket(type=socket.SOCK_DGRAM) as sock:
                sock.connect((far, 9))
                print([sock.getsockname()[0] in map(str, (own.ip for own in port.addresses)) for port in stack.ports])
    """, vdev="net_tap0;net_tap1,iface=gd0", address=";dhcp", tap_address=f";{KERNEL}/24")
    assert said.splitlines() == ["[True, False]", "[False, True]", "[False, True]"]


def test_names_are_asked_of_the_leases_server(net: Namespace, tmp_path: Path) -> None:
    serve(net, tmp_path, "--address=/name.test/198.18.7.99", "--dhcp-option=option:dns-server,198.18.7.1",
          "--domain=test", "--no-resolv", port=53)  # fmt: skip
    said = run(net, """
        from greendpdk import monkey
        monkey.patch_all()
        import socket
        print(socket.gethostbyname("name.test"), greendpdk.counters()["udp_in"] > 2)
        print(greendpdk.running().ports[0].lease.domain, socket.gethostbyname("name"))
    """)
    assert said == "198.18.7.99 True\ntest 198.18.7.99"


@pytest.mark.needs("ipv6")
def test_names_are_asked_of_a_server_by_ipv6(net: Namespace, tmp_path: Path) -> None:
    serve(net, tmp_path, "--address=/name.test/198.18.7.98", "--no-resolv", port=53)
    said = run(net, """
        from greendpdk import monkey
        monkey.patch_all()
        import socket
        print(socket.gethostbyname("name.test"), greendpdk.counters()["udp_in"] > 0)
    """, address="198.18.7.2/24,fd07::2/64", dns="fd07::1")
    assert said == "198.18.7.98 True"


@pytest.mark.needs("ipv6")
def test_one_port_takes_ipv4_by_dhcp_and_ipv6_from_a_router(net: Namespace, tmp_path: Path) -> None:
    net.run(["sysctl", "-qw", "net.ipv6.conf.all.forwarding=1"])
    serve(net, tmp_path, "--enable-ra", "--dhcp-range=::,constructor:gd0,ra-only", "--ra-param=gd0,4,600")
    said = run(net, """
        stack = greendpdk.start()
        v4, v6 = (next(own for own in stack.ports[0].addresses if own.version == version) for version in (4, 6))
        networks = [str(own.network) for own in stack.ports[0].addresses if not own.is_link_local]
        from greendpdk import socket
        names = []
        for family, far in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
            with socket.socket(family, socket.SOCK_DGRAM) as sock:
                sock.connect((far, 9))  # by the router of either family
                names.append(sock.getsockname()[0] in [str(own.ip) for own in stack.ports[0].addresses])
        print(networks, names)
    """, address="dhcp,auto", tap_address=f"{KERNEL}/24,fd07::1/64")
    assert said == "['198.18.7.0/24', 'fd07::/64'] [True, True]"
