"""net_af_xdp on a veth whose other end is Linux: the interface's frames are the stack's, and then the kernel's again.

Uses netns.py, peer.py and workers.py.
"""
from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
import workers
from netns import Namespace
from peer import ROOT, Remote, Side

pytestmark = pytest.mark.needs("namespaces", "dpdk", "af_xdp")

LINUX, STACK = "198.18.6.1", "198.18.6.2"
SIZE = 20_000_000  # twice what all of the port's frames hold


@pytest.fixture
def nets() -> Iterator[tuple[Namespace, Namespace]]:
    """Make two namespaces joined by a veth."""
    with Namespace() as near, Namespace() as far:
        near.join(far, "198.18.99.1/24", f"{LINUX}/24")
        # A veth hands over frames whose checksum the sender's kernel has left to the hardware that is not there.
        far.run(["ethtool", "-K", "veth0", "tx", "off", "tso", "off", "gso", "off"])
        yield near, far


def stack_in(net: Namespace) -> Side:
    return Side(net, "stack", STACK, vdev="net_af_xdp0,iface=veth0", address=f"{STACK}/24")


def joined(server: Side, client: Side) -> tuple[Remote, Remote]:
    listener = server.listen()
    connected = client.connect(tuple(listener.getsockname()))
    accepted, _ = listener.accept()
    return connected, accepted


def check_stream(server: Side, client: Side, size: int) -> None:
    connected, accepted = joined(server, client)
    received = server.begin(workers.receive_stream, accepted)
    digest = client.run(workers.send_stream, connected, size, 6)
    assert received.result(60) == (size, digest)


def programs(net: Namespace) -> int:
    return net.ip("-details", "link", "show", "veth0").count("prog/xdp")


def test_streams_pass_both_ways_again_and_again(nets: tuple[Namespace, Namespace]) -> None:
    near, far = nets
    kernel, stack = Side(far, "kernel", LINUX), stack_in(near)
    for server, client in ((stack, kernel), (kernel, stack)) * 2:
        check_stream(server, client, SIZE)
    counters = stack.call("greendpdk", "counters")
    assert counters["net_af_xdp0.tx_bytes"] > 2 * SIZE < counters["net_af_xdp0.rx_bytes"]
    assert counters["eth_drop_no_frame"] == 0
    assert stack.close() == 0
    assert stack.output() == ""  # libbpf and libxdp have much to say on stderr
    kernel.close()


def test_many_connections_and_none(nets: tuple[Namespace, Namespace]) -> None:
    near, far = nets
    kernel, stack = Side(far, "kernel", LINUX), stack_in(near)
    for server, client in ((stack, kernel), (kernel, stack)):
        listener = server.listen()
        served = server.begin(workers.serve_echo, listener, 50)
        assert client.run(workers.many_echoes, tuple(listener.getsockname()), 50) == 50
        assert served.result(20) == 50
    stack.run(workers.pause, 0.1)
    assert stack.run(workers.idle_share, 1.0) < 0.02  # it waits on the driver's socket: no timer looks
    far.run(["ping", "-c", "3", "-i", "0.02", "-W", "2", STACK])
    assert stack.close() == 0
    kernel.close()


def test_stop_and_start_again(nets: tuple[Namespace, Namespace]) -> None:
    near, far = nets
    kernel, stack = Side(far, "kernel", LINUX), stack_in(near)
    for _ in range(3):
        stack.run(workers.restart)
        assert programs(near) == 1
        check_stream(stack, kernel, 1_000_000)
        check_stream(kernel, stack, 1_000_000)
    assert stack.close() == 0
    assert stack.output() == ""  # nor of what was tried too early
    kernel.close()


@pytest.mark.parametrize("missing", ["net_admin", "net_raw", "sys_admin"])
def test_a_capability_that_is_missing_is_named(nets: tuple[Namespace, Namespace], missing: str) -> None:
    start = "import greendpdk; greendpdk.start(vdev='net_af_xdp0,iface=veth0', address='198.18.6.2/24')"
    done = nets[0].run(["setpriv", "--bounding-set", f"-{missing}", sys.executable, "-c", start], check=False, cwd=ROOT)
    assert f"PermissionError: [Errno 1] Operation not permitted: net_af_xdp needs CAP_{missing.upper()}:" in done.stderr


def test_the_interface_is_the_kernels_again_at_the_end(nets: tuple[Namespace, Namespace]) -> None:
    near, far = nets
    near.ip("address", "add", "198.18.6.3/24", "dev", "veth0")
    stack = stack_in(near)
    assert programs(near) == 1
    assert far.run(["ping", "-c", "1", "-W", "0.2", "198.18.6.3"], check=False).returncode == 1
    assert stack.close() == 0
    assert programs(near) == 0
    far.run(["ping", "-c", "1", "-W", "2", "198.18.6.3"])


def test_a_killed_process_leaves_the_interface_to_the_kernel_and_to_the_next(nets: tuple[Namespace, Namespace]) -> None:
    near, far = nets
    near.ip("address", "add", "198.18.6.3/24", "dev", "veth0")
    kernel, stack = Side(far, "kernel", LINUX), stack_in(near)
    stack.process.kill()
    stack.process.wait(5)
    far.run(["ping", "-c", "1", "-W", "2", "198.18.6.3"])  # the program, still there, lets pass what no socket takes
    again = stack_in(near)
    check_stream(again, kernel, 1_000_000)
    assert again.close() == 0
    assert programs(near) == 0
    far.run(["ping", "-c", "1", "-W", "2", "198.18.6.3"])
    kernel.close()
