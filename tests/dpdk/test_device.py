"""Devices as a program meets them: what start() says when it cannot, what it does to the process, checksums.

Uses netns.py. Each test is a short program, run in a namespace of its own.
"""
from __future__ import annotations

import os
import signal
import socket
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from netns import Namespace

ROOT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.needs("tap")


@pytest.fixture(scope="module")
def net() -> Iterator[Namespace]:
    """Make a namespace with nothing in it."""
    with Namespace() as made:
        yield made


def run(net: Namespace, program: str, *before: str) -> str:
    """Run a program inside to its end; return what it printed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GREENDPDK_")}
    words = [*before, sys.executable, "-W", "error", "-c", "import greendpdk\n" + textwrap.dedent(program)]
    return str(net.run(words, env=kept | {"PYTHONPATH": str(ROOT)}, cwd="/").stdout).strip()


def refusal(net: Namespace, start: str, *before: str) -> str:
    """Return the class and the text of what start() raises."""
    return run(net, f"""
        try:
            greendpdk.start({start})
        except Exception as error:
            print(type(error).__name__, error)
    """, *before)


@pytest.mark.parametrize(("start", "words"), [
    ("vdev='net_foo0', address='10.0.0.1/24'", ["ConfigError vdev (GREENDPDK_VDEV) is 'net_foo0'", "no driver for it"]),
    ("vdev='net_af_packet0,iface=nope', address='10.0.0.1/24'", ["ConfigError vdev", "No such device"]),
    ("vdev='net_tun0', address='10.0.0.1/24'", ["ConfigError vdev", "it carries no Ethernet frames: use net_tap"]),
    ("pci='0000:ff:1f.7', address='10.0.0.1/24'", ["ConfigError pci (GREENDPDK_PCI) is '0000:ff:1f.7'"]),
    ("mtu=9000", ["ConfigError mtu (GREENDPDK_MTU) is 9000", "net_tap takes"]),
    ("eal_args='--bogus'", ["ConfigError eal_args (GREENDPDK_EAL_ARGS) is '--bogus'", "unrecognized option '--bogus'"]),
], ids=["driver", "interface", "tun", "pci", "mtu", "eal"])  # fmt: skip
def test_start_says_what_is_wrong_in_the_drivers_words(net: Namespace, start: str, words: list[str]) -> None:
    said = refusal(net, start)
    for word in words:
        assert word in said
    assert net.ip("-o", "link").count("\n") == 1  # lo: nothing was left


def test_no_permission_says_which_and_the_way_out(net: Namespace) -> None:
    said = refusal(net, "", "setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin")
    assert said.startswith("PermissionError [Errno 1] Operation not permitted: net_tap needs CAP_NET_ADMIN")
    assert "run as root" in said and "vdev=none" in said


@pytest.mark.parametrize("settings, begin, out", [
    ({}, "vdev (GREENDPDK_VDEV) is 'net_tap0'", "vdev=none"),
    ({"vdev": "none", "telemetry": "on"}, "telemetry (GREENDPDK_TELEMETRY) is 'on'", "telemetry=auto"),
], ids=["port", "telemetry"])  # fmt: skip
def test_build_without_dpdk_names_the_package(net: Namespace, settings: dict[str, str], begin: str, out: str) -> None:
    said = run(net, f"""
        from types import SimpleNamespace
        from greendpdk import _device
        _device.lib = SimpleNamespace(GD_HAVE_DPDK=0)
        try:
            greendpdk.start(**{settings})
        except Exception as error:
            print(type(error).__name__, error)
    """)
    assert said.startswith(f"ConfigError {begin}, but this greendpdk was built without DPDK: install it (apt install")
    assert said.endswith(f"or use {out}")


def test_failed_start_leaves_a_process_that_can_start(net: Namespace) -> None:
    assert run(net, """
        for mtu in (9000, None):
            try:
                stack = greendpdk.start(mtu=mtu)
            except greendpdk.ConfigError:
                assert greendpdk.running() is None
        print(stack.ports[0].name)
    """) == "net_tap0"


def test_second_start_is_the_first_unless_it_wants_something_else(net: Namespace) -> None:
    assert run(net, """
        stack = greendpdk.start(mtu=1400)
        assert greendpdk.start() is stack and greendpdk.start(mtu=1400) is stack
        try:
            greendpdk.start(mtu=1300)
        except greendpdk.ConfigError as error:
            print(error)
    """) == "mtu (GREENDPDK_MTU) is 1300, but greendpdk runs already with 1400: call greendpdk.stop() first"


def test_settings_of_eal_hold_until_the_program_ends(net: Namespace) -> None:
    said = run(net, """
        greendpdk.start()
        greendpdk.stop()
        try:
            greendpdk.start(memory=64)
        except greendpdk.ConfigError as error:
            print(error)
    """)
    assert said.startswith("memory (GREENDPDK_MEMORY) is 64, but DPDK starts once in a process, and did with 128")


def test_mtu_and_mac_reach_both_ends(net: Namespace) -> None:
    assert run(net, """
        import pathlib
        from greendpdk._native import ffi, lib
        stack = greendpdk.start(mtu=1400, mac="02:00:00:00:00:77", vdev="net_tap0,iface=gd0")
        six = ffi.new("uint8_t[6]")
        lib.gd_port_mac(stack.ports[0].c, six)
        kernel = pathlib.Path("/proc/net/dev").read_text()
        import socket, fcntl, struct
        with socket.socket() as sock:
            mtu = struct.unpack("16sI12x", fcntl.ioctl(sock, 0x8921, struct.pack("16s16x", b"gd0")))[1]
            mac = fcntl.ioctl(sock, 0x8927, struct.pack("16s16x", b"gd0"))[18:24]
        print(bytes(six).hex(), lib.gd_port_mtu(stack.ports[0].c), mtu, bytes(six) != mac)
    """) == "020000000077 1400 1400 True"


def test_kernels_end_of_a_tap_has_addresses_of_both_families_at_once(net: Namespace) -> None:
    said = run(net, """
        import socket, subprocess
        greendpdk.start(address="198.18.0.2/24", tap_address="fd00::1/64,198.18.0.9/24", vdev="net_tap0,iface=gd0")
        for family, address in ((socket.AF_INET6, "fd00::1"), (socket.AF_INET, "198.18.0.9")):
            with socket.socket(family) as sock:
                sock.bind((address, 0))  # a tentative one would be EADDRNOTAVAIL
        words = ["ip", "-brief", "address", "show", "dev", "gd0"]
        found = subprocess.check_output(words, text=True).split()
        print([word for word in found if "/" in word and word[:4] != "fe80"])
    """)
    assert said == "['198.18.0.9/24', 'fd00::1/64']"


@pytest.mark.parametrize(("start", "address"), [("", "198.18.0.1/24"), ("address='fd00::2/64'", "fd00::1/64")])
def test_second_program_with_the_first_one_s_network_is_refused(net: Namespace, start: str, address: str) -> None:
    said = run(net, f"""
        import subprocess, sys
        greendpdk.start({start})
        words = [sys.executable, "-c", "import greendpdk; greendpdk.start({start})"]
        print(subprocess.run(words, stderr=subprocess.PIPE, text=True).stderr.splitlines()[-1])
    """)
    assert f"tap_address (GREENDPDK_TAP_ADDRESS) is '{address}', but dtap0 has that address already" in said
    assert net.ip("-o", "link").count("\n") == 1  # lo: nothing was left


def test_kernel_without_ipv6_is_said_with_the_way_out(net: Namespace) -> None:
    said = run(net, """
        import subprocess
        subprocess.run(["sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1"], check=True)
        try:
            greendpdk.start(tap_address="fd00::1/64")
        except OSError as error:
            print(error)
        finally:
            subprocess.run(["sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=0"], check=True)
    """)
    assert "the kernel's end of the tap cannot have fd00::1/64: is IPv6 off there" in said


def test_process_keeps_its_cpus_signals_and_stderr(net: Namespace) -> None:
    assert run(net, """
        import os, re, signal
        def state():
            status = open("/proc/self/status").read()
            return re.findall("(Sig(?:Blk|Ign)|Cpus_allowed):(.*)", status)
        def handlers():
            return [signal.getsignal(number) for number in range(1, signal.NSIG) if number not in (32, 33)]
        import gevent
        gevent.get_hub()
        before = state(), handlers()
        greendpdk.start()
        assert (state(), handlers()) == before
        greendpdk.stop()
        assert (state(), handlers()) == before
        caught = int(re.search("SigCgt:(.*)", open("/proc/self/status").read())[1], 16)
        print(hex(caught >> (signal.SIGRTMIN - 1)))
    """) == "0x0"


def test_lcore_binds_the_thread_until_stop(net: Namespace) -> None:
    assert run(net, """
        import os
        before = os.sched_getaffinity(0)
        greendpdk.start(lcore=max(before))
        assert os.sched_getaffinity(0) == {max(before)}
        greendpdk.stop()
        print(os.sched_getaffinity(0) == before)
    """) == "True"


def test_program_started_from_this_one_does_not_hold_the_tap(net: Namespace) -> None:
    assert run(net, """
        import os
        greendpdk.start()
        assert any(os.path.realpath(f"/proc/self/fd/{fd}") == "/dev/net/tun" for fd in os.listdir("/proc/self/fd"))
        os.set_inheritable(1, True)
        os.posix_spawn("/bin/sh", ["sh", "-c", "readlink /proc/self/fd/* | grep -c tun"], os.environ)
        os.wait()
    """) == "0"


def test_forked_child_lets_go_of_the_tap_and_may_not_start_dpdk(net: Namespace) -> None:
    said = run(net, """
        import os, sys
        greendpdk.start()
        if os.fork() == 0:
            assert not any(os.path.realpath(f"/proc/self/fd/{fd}") == "/dev/net/tun" for fd in range(64))
            for call in (greendpdk.counters, greendpdk.start):
                try:
                    call()
                except RuntimeError as error:
                    print(error)
            greendpdk.start(vdev="none", loopback="stack")
            greendpdk.stop()
            sys.exit(7)
        print(os.wait()[1] >> 8, greendpdk.counters()["net_tap0.rx_errors"])
    """)
    assert said.splitlines() == [
        "this greendpdk stack has ended: stopped, or left behind in a forked child",
        "DPDK was started before this process was forked: start greendpdk in the child only",
        "7 0",
    ]


def test_a_child_forked_while_the_stack_sleeps_goes_on(net: Namespace) -> None:
    said = run(net, """
        from greendpdk import monkey; monkey.patch_all()
        import os, time
        greendpdk.start()
        time.sleep(0.2)  # it waits for the tap in libev, which the child closes
        if (child := os.fork()) == 0:
            time.sleep(0.01)
            os._exit(7)
        print(os.waitpid(child, 0)[1] >> 8)
    """)
    assert said == "7"


def test_another_thread_is_refused(net: Namespace) -> None:
    said = run(net, """
        import threading
        greendpdk.start()
        def other():
            for call in (greendpdk.poll, greendpdk.counters, greendpdk.stop):
                try:
                    call()
                except RuntimeError as error:
                    print(error)
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    """).splitlines()
    assert len(said) == 3 and set(said) == {said[0]}
    assert "is used from the native thread that started it only" in said[0]


def test_stale_memif_socket_is_removed_and_a_live_one_is_not(net: Namespace, tmp_path: Path) -> None:
    path = tmp_path / "m.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as dead:
        dead.bind(str(path))
    start = f"vdev='net_memif0,role=server,socket={path},socket-abstract=no', address='10.0.0.1/24'"
    assert run(net, f"print(greendpdk.start({start}).ports[0].driver)") == "net_memif"
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as alive:
        alive.bind(str(path))
        alive.listen()
        assert refusal(net, start).startswith(("OSError", "ConfigError"))
        assert path.exists()


def test_memif_without_a_peer_drops_what_is_sent(net: Namespace, tmp_path: Path) -> None:
    assert run(net, f"""
        from greendpdk import socket
        vdev = "net_memif0,role=server,socket={tmp_path}/m.sock,socket-abstract=no"
        greendpdk.start(vdev=vdev, address="10.0.0.1/24")
        sock = socket.socket(type=socket.SOCK_DGRAM)
        for _ in range(5):
            sock.sendto(b"nobody there", ("10.0.0.2", 9))
            greendpdk.poll()
        print(greendpdk.counters()["net_memif0.tx_errors"] > 0)
        greendpdk.stop(0)  # what waits for ARP would be waited for
    """) == "True"


# Both ways over TCP, then datagrams with a wrong and a right checksum written onto the tap from the kernel's side.
CHECKSUMS = """
import hashlib, socket as kernel, struct, subprocess, sys
from greendpdk import _device, socket
_device.OFFLOAD = {offload}
stack = greendpdk.start(vdev="net_tap0,iface=gd0")
PEER = '''
import socket
server = socket.create_server(("198.18.0.1", 7777))
print("ready", flush=True)
sock, _ = server.accept()
while data := sock.recv(65536):
    sock.sendall(data)
sock.close()
'''
peer = subprocess.Popen([sys.executable, "-c", PEER], stdout=subprocess.PIPE)
peer.stdout.readline()
sock = socket.create_connection(("198.18.0.1", 7777), timeout=10)
data = bytes(range(251)) * 2000
import gevent
sender = gevent.spawn(lambda: (sock.sendall(data), sock.shutdown(socket.SHUT_WR)))
received = b""
while part := sock.recv(65536):
    received += part
assert received == data
peer.wait()
peer.stdout.close()
sock.close()

def checksum(data):
    total = sum(struct.unpack(f"!{{len(data) // 2}}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total ^ 0xffff

def datagram(wrong_udp, wrong_ip):
    here, there = kernel.inet_aton("198.18.0.2"), kernel.inet_aton("198.18.0.1")
    udp = struct.pack("!HHHH", 9, bound.getsockname()[1], 12, 0) + b"text"
    sum_udp = checksum(there + here + struct.pack("!HH", 17, 12) + udp) ^ wrong_udp
    udp = udp[:6] + struct.pack("!H", sum_udp) + udp[8:]
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 32, 1, 0, 64, 17, 0, there, here)
    ip = ip[:10] + struct.pack("!H", checksum(ip) ^ wrong_ip) + ip[12:]
    return ip + udp

from greendpdk._native import ffi, lib
mac = ffi.new("uint8_t[6]")
lib.gd_port_mac(stack.ports[0].c, mac)
bound = socket.socket(type=socket.SOCK_DGRAM)
bound.bind(("198.18.0.2", 0))
bound.settimeout(5)
with kernel.socket(kernel.AF_PACKET, kernel.SOCK_RAW) as raw:
    raw.bind(("gd0", 0))
    for wrong in ((0x0100, 0), (0, 0x0100), (0, 0)):
        raw.send(bytes(mac) + bytes.fromhex("020000000001") + b"\\x08\\x00" + datagram(*wrong) + bytes(14))
assert bound.recv(100) == b"text"
bound.close()
counters = greendpdk.counters()
print(counters["udp_drop_checksum"], counters["ip4_drop_checksum"], counters["tcp_drop_checksum"], counters["udp_in"])
"""


@pytest.mark.parametrize("offload", [0, 1, 2], ids=["ours", "hardware", "driver"])
def test_checksums_are_right_going_out_and_looked_at_coming_in(net: Namespace, offload: int) -> None:
    assert run(net, CHECKSUMS.format(offload=offload)).split()[:3] == ["1", "1", "0"]


def test_interrupted_start_leaves_no_tap(net: Namespace) -> None:
    assert run(net, f"""
        import os, signal
        from greendpdk import _device
        def interrupted(*args):
            os.kill(os.getpid(), {int(signal.SIGINT)})
        _device.bring_up = interrupted
        try:
            greendpdk.start()
        except KeyboardInterrupt:
            print(open("/proc/net/dev").read().count(":"))
    """) == "1"
