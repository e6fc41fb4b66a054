"""The pytest plugin's network: marks and fixtures, what a failing test's report shows.

Uses pytester; most runs are --dpdk=memory with a second stack as peer, and so need neither device nor privilege.
"""
from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from plugged import PEER, on_path, run

__all__ = ["on_path"]


# ---- the mark and the fixture ----


def test_mark_holds_for_its_test_and_is_taken_off(pytester: pytest.Pytester) -> None:
    run(pytester, PEER + """
@pytest.mark.network(delay="40ms")
def test_slow(echo):
    assert seconds(ask, echo) > 0.15  # two round trips of 80 ms

def test_fast(echo, network):
    assert seconds(ask, echo) < 0.15 and str(network) == "perfect"
""").assert_outcomes(passed=2)


def test_nearest_mark_wins_for_each_direction(pytester: pytest.Pytester) -> None:
    run(pytester, PEER + """
pytestmark = pytest.mark.network(loss="1%", seed=1)

def test_module(network):
    assert str(network) == "loss=1% both ways, seed=1"

@pytest.mark.network(loss="2%", seed=2)
class TestClass:
    def test_class(self, network):
        assert str(network) == "loss=2% both ways, seed=2"

    @pytest.mark.network(loss="3%", seed=3, direction="in")
    def test_function(self, network):
        assert str(network) == "loss=2% out, seed=2; loss=3% in, seed=3"
""").assert_outcomes(passed=3)


def test_network_changes_in_the_middle_of_a_test(pytester: pytest.Pytester) -> None:
    run(pytester, PEER + """
def test_partition_heals(echo, network):
    network.partition()
    with pytest.raises(TimeoutError):
        ask(echo, 0.1)
    network.heal()
    assert ask(echo) == b"hello"

def test_one_direction(dpdk_peer, network):
    heard, made = [], []
    def listen(make_socket):
        with make_socket(type=socket.SOCK_DGRAM) as sock:
            sock.bind((dpdk_peer.address, 7))
            while not heard or heard[-1] != b"end":
                data, address = sock.recvfrom(100)
                heard.append(data)
                sock.sendto(data, address)
    task = dpdk_peer.run(listen)
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.05)
        for direction in ("in", "out"):
            network.partition(direction)
            sock.sendto(direction.encode(), (dpdk_peer.address, 7))
            with pytest.raises(TimeoutError):
                sock.recv(100)
            network.heal()
        sock.sendto(b"end", (dpdk_peer.address, 7))
        assert sock.recv(100) == b"end"
    task.result(1)
    assert heard == [b"in", b"end"]

def test_reset_is_seen_at_both_ends(dpdk_peer, network):
    with dpdk_peer.create_server() as listener:
        task = dpdk_peer.run(lambda _: listener.accept()[0])
        with socket.create_connection(listener.getsockname()) as client:
            with task.result(1) as server:
                network.reset_connections()
                for end in (client, server):
                    end.settimeout(1)
                    with pytest.raises(ConnectionResetError):
                        end.recv(1)

def test_block_puts_back_what_was(echo, network):
    network.set(delay="1ms", seed=1)
    with network(loss=0.5, seed=2):
        assert str(network) == "loss=0.5 both ways, seed=2"
    assert str(network) == "delay=1ms both ways, seed=1"

def test_a_way_begins_anew_when_it_is_set_and_not_when_the_other_is(dpdk_peer, network):
    network.set(direction="out", loss=1)
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.sendto(b"x", (dpdk_peer.address, 9))
        while network.counts("out").lost < 1:
            time.sleep(0.001)
        network.set(direction="in", delay="1ms")
        with network(direction="in", delay="2ms"):
            assert network.counts("out").lost == 1
        assert network.counts("out").lost == 1
        network.set(direction="out", loss=0.5)
        assert network.counts("out").lost == 0

def test_a_peer_in_anothers_place_suffers_too(network):
    from greendpdk.testing import Peer

    network.set(loss=1)
    for _ in range(2):
        with Peer("198.18.9.0/24") as peer, socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.sendto(b"x", (peer.address, 9))
            deadline = time.monotonic() + 5
            while not network.counts("out").lost and time.monotonic() < deadline:
                time.sleep(0.001)
            assert network.counts("out").lost == 1

def test_mtu_is_that_of_the_interface(dpdk_peer, network):
    network.set(mtu=1280)
    with dpdk_peer.create_server() as listener, socket.create_connection(listener.getsockname()) as client:
        assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) == 1280 - 40 - 12
    network.clear()
    with dpdk_peer.create_server() as listener, socket.create_connection(listener.getsockname()) as client:
        assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) == 1500 - 40 - 12

@pytest.mark.network(loss=0.5, seed=3)
def test_stacks_own_loopback_suffers_too(network):
    with socket.socket(type=socket.SOCK_DGRAM) as a, socket.socket(type=socket.SOCK_DGRAM) as b:
        b.bind(("127.0.0.1", 0))
        b.setblocking(False)
        for _ in range(200):
            a.sendto(b"x", b.getsockname())
        time.sleep(0.01)
        got = 0
        with pytest.raises(BlockingIOError):
            while b.recv(10):
                got += 1
    assert 70 < got < 130
    assert network.counts().packets >= 200 and network.counts().lost >= 200 - got
""").assert_outcomes(passed=8)


@pytest.mark.needs("tap")
def test_an_mtu_that_is_refused_changes_nothing(pytester: pytest.Pytester) -> None:
    run(pytester, PEER + """
def test_too_long(dpdk_kernel_address, network):
    network.set(mtu=1280)
    with pytest.raises(ValueError, match="1500"):
        network.set(mtu=9000)
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.connect((dpdk_kernel_address, 9))
        assert sock.getsockopt(socket.IPPROTO_IP, 14) == 1280  # IP_MTU
""", "--dpdk").assert_outcomes(passed=1)


LOSSY = PEER + """
@pytest.mark.parametrize("number", range(3))
@pytest.mark.network(loss=0.3{seed})
def test_which_are_lost(dpdk_peer, network, number):
    def echo(make_socket):
        with make_socket(type=socket.SOCK_DGRAM) as sock:
            sock.bind((dpdk_peer.address, 7))
            data = b""
            while data != b"end":
                data, address = sock.recvfrom(100)
                sock.sendto(data, address)

    def wait_for(packets, direction):
        while network.counts(direction).packets < packets:
            time.sleep(0.001)

    task = dpdk_peer.run(echo)
    time.sleep(0)  # it begins
    answered = ["0"] * 30
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        for at in range(30):
            sock.sendto(b"%d" % at, (dpdk_peer.address, 7))
        wait_for(30, "out")
        wait_for(30 - network.counts("out").lost, "in")
        network.clear()
        sock.sendto(b"end", (dpdk_peer.address, 7))
        while (data := sock.recv(10)) != b"end":
            answered[int(data)] = "1"
    task.result(1)
    answered = "".join(answered)
    print("answered", answered)
"""


@pytest.mark.parametrize("seed", ["", ", seed=7"], ids=["by the test's name", "given"])
def test_a_seed_repeats_what_was_lost(pytester: pytest.Pytester, seed: str) -> None:
    runs = []
    for _ in range(2):
        result = run(pytester, LOSSY.format(seed=seed), "-s")
        result.assert_outcomes(passed=3)
        runs.append(re.findall(r"answered ([01]{30})", result.stdout.str()))
    assert runs[0] == runs[1] and len(runs[0]) == 3
    assert len(set(runs[0])) == (1 if seed else 3)


# ---- mistakes ----


@pytest.mark.parametrize(("arguments", "said"), [
    ("loss=2", "loss=2: it is a chance: a number from 0 to 1, or '0%' to '100%'"),
    ("loss='2'", "loss='2': it is a chance"),
    ("0.02, delay='1ms'", "0.02 has no name: say which it is, as in loss=0.02"),
    ("delay=40", "delay=40: it is a time with its unit"),
    ("jitter='5ms'", "jitter='5ms': it is what comes on top of a delay"),
    ("rate='10'", "rate='10': it is bits a second with their unit"),
    ("queue=10", "queue=10: packets queue for a rate"),
    ("mtu=100", "mtu=100: it is a number of bytes from 576"),
    ("seed='x'", "seed='x': it is a number"),
    ("direction='up'", "direction='up': it is one of 'both', 'out', 'in'"),
    ("los=0.1, delay='1ms'", "there is no 'los'; there are: loss, duplicate"),
])
def test_a_wrong_mark_is_one_sentence(pytester: pytest.Pytester, arguments: str, said: str) -> None:
    pytester.makepyfile(f"import pytest\n@pytest.mark.network({arguments})\ndef test_user(): pass")
    result = pytester.runpytest_inprocess("-p", "greendpdk.pytest_plugin")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert f"test_user: @pytest.mark.network: {said}" in result.stderr.str()


@pytest.mark.parametrize("option", [[], ["--dpdk=memory"]], ids=["plain", "memory"])
def test_a_mark_of_that_name_may_be_anothers(pytester: pytest.Pytester, option: list[str]) -> None:
    pytester.makepyfile("import pytest\n@pytest.mark.network\ndef test_user(): pass")
    pytester.runpytest_subprocess("-p", "greendpdk.pytest_plugin", *option, timeout=60).assert_outcomes(passed=1)


def test_network_is_skipped_without_a_stack(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("import pytest\n@pytest.mark.network(loss=0.1)\ndef test_a(): pass\ndef test_b(network): pass\n"
                        "def test_c(dpdk_peer): pass")
    result = pytester.runpytest_inprocess("-p", "greendpdk.pytest_plugin", "-rs")
    result.assert_outcomes(skipped=3)
    result.stdout.fnmatch_lines(["*run pytest with --dpdk*"])


# ---- the report ----

FAILING = PEER + """
@pytest.mark.network(delay="1ms", seed=7)
def test_fails(echo, network):
    ask(echo)
    network.partition("in")
    network.heal()
    assert ask(echo) == b"olleh"

def test_passes(echo):
    ask(echo)
"""


def test_a_failure_shows_its_network_and_packets(pytester: pytest.Pytester) -> None:
    result = run(pytester, FAILING)
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines([
        "*- network -*", "*set delay=1ms both ways, seed=7", "*partition in", "*heal both", "out: * packets; in: *",
        "*- packets -*", "* frames in */test_user.py_test_fails.pcapng (wireshark*", "*out peer0 * S 0:0(0)*",
        "*in  peer0 * 1:6(5) *'hello'",
    ])
    path = Path(re.findall(r"frames in (\S+\.pcapng)", result.stdout.str())[0])
    assert [file.name for file in path.parent.iterdir()] == [path.name]  # and none of the test that passed
    if tshark := shutil.which("tshark"):
        shown = subprocess.run([tshark, "-r", path], capture_output=True, text=True, check=True)
        assert "TCP" in shown.stdout and "[SYN]" in shown.stdout


def test_captures_go_where_they_are_told_or_nowhere(pytester: pytest.Pytester) -> None:
    run(pytester, FAILING, "--dpdk-capture-dir=kept").assert_outcomes(failed=1, passed=1)
    (pytester.path / "file").touch()
    result = run(pytester, FAILING, "--dpdk-capture-dir=file")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*could not be kept: *File exists*"])
    assert [file.name for file in (pytester.path / "kept").iterdir()] == ["test_user.py_test_fails.pcapng"]
    result = run(pytester, FAILING, "--dpdk-capture=off")
    assert "- packets -" not in result.stdout.str() and "- network -" in result.stdout.str()


def test_a_test_may_stop_the_stack(pytester: pytest.Pytester) -> None:
    result = run(pytester, "import greendpdk\ndef test_stop():\n  greendpdk.stop()\n  assert 0\ndef test_after(): pass")
    result.assert_outcomes(failed=1, passed=1)


# ---- over net_tap ----


@pytest.mark.needs("tap", "curl")
def test_programs_run_at_the_kernels_side(pytester: pytest.Pytester) -> None:
    run(pytester, """
import pytest, socket, subprocess, threading

def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]

def test_curl(dpdk_run, dpdk_serve):
    assert dpdk_run(["curl", "-s", dpdk_serve(app)]).stdout == "hello"

@pytest.mark.network(delay="20ms", direction="out")
def test_ping_is_slower(dpdk_run, dpdk_serve):
    done = dpdk_run(["curl", "-s", "-w", "%{time_total}", "-o", "/dev/null", dpdk_serve(app)])
    assert float(done.stdout) > 0.04

def test_killed_in_time(dpdk_run):
    with pytest.raises(subprocess.TimeoutExpired):
        dpdk_run(["sleep", "60"], timeout=0.1)

def test_reset_reaches_the_kernel(dpdk_kernel, dpdk_kernel_address, network):
    def listen(make_socket):
        listener = make_socket()
        listener.bind((dpdk_kernel_address, 0))
        listener.listen()
        return listener
    def hold(make_socket, listener):
        with listener, listener.accept()[0] as sock:
            try:
                return sock.recv(1)
            except ConnectionResetError:
                return "reset"
    listener = dpdk_kernel(listen).result(5)
    held = dpdk_kernel(hold, listener)
    with socket.create_connection(listener.getsockname()) as client:
        import time
        time.sleep(0.05)
        network.reset_connections()
        assert held.result(5) == "reset"
        with pytest.raises(ConnectionResetError):
            client.recv(1)
""", "--dpdk").assert_outcomes(passed=4)


@pytest.mark.needs("tap", "user-namespaces")
def test_a_network_needs_no_root(pytester: pytest.Pytester) -> None:
    path = pytester.makepyfile(test_user=PEER + """
@pytest.mark.network(delay="20ms", mtu=1280)
def test_kernel(dpdk_kernel, dpdk_kernel_address, dpdk_run):
    def listen(make_socket):
        listener = make_socket()
        listener.bind((dpdk_kernel_address, 0))
        listener.listen()
        return listener
    with dpdk_kernel(listen).result(5) as listener:
        assert seconds(socket.create_connection, listener.getsockname()) > 0.035
    assert dpdk_run(["id", "-u"]).stdout == "0\\n"
""")
    for folder in (path, *list(path.parents)[:3]):
        os.chmod(folder, 0o755)
    nobody = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
    result = pytester.run(*nobody, sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p",
                          "greendpdk.pytest_plugin", "--dpdk", str(path), timeout=60)
    result.assert_outcomes(passed=1)
