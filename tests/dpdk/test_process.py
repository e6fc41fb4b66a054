"""What a process that runs over greendpdk costs, shows and survives: counters, idling, signals, fork, exit.

Uses the fixtures of conftest.py and workers.py.
"""
from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import workers
from netns import Namespace
from peer import ROOT, Side

from greendpdk import _stack

pytestmark = pytest.mark.needs("tap")
TEN_MEGABYTES = 10_000_000


def test_bytes_go_through_the_port_and_not_through_the_kernels_tcp(
        net: Namespace, stack: Side, kernel: Side) -> None:
    listener = stack.listen()
    connected = kernel.connect(tuple(listener.getsockname()))
    accepted, _ = listener.accept()
    assert workers.kernel_connections(stack.pid) == []
    assert len(workers.kernel_connections(kernel.pid)) == 1
    before = stack.call("greendpdk", "counters")
    digest = kernel.begin(workers.send_stream, connected, 1_000_000, 3)
    assert stack.run(workers.receive_stream, accepted) == (1_000_000, digest.result(30))
    answer = kernel.begin(workers.receive_stream, connected)
    digest = stack.begin(workers.send_stream, accepted, 1_000_000, 4)
    assert answer.result(30) == (1_000_000, digest.result(30))
    after = stack.call("greendpdk", "counters")
    for name in ("net_tap0.rx_bytes", "net_tap0.tx_bytes"):
        assert 1_000_000 < after[name] - before[name] < 1_500_000
    assert after["tcp_in"] > before["tcp_in"]
    assert "198.18.0.2/" not in net.ip("address")


def test_idle_stack_uses_no_cpu(stack: Side, kernel: Side) -> None:
    listener = stack.listen()
    connected = kernel.connect(tuple(listener.getsockname()))
    accepted, _ = listener.accept()
    blocked = accepted.begin("recv", 10)
    assert stack.run(workers.idle_share, 2.0) < 0.02
    connected.sendall(b"awake")
    assert blocked.result(5) == b"awake"
    listener.close()


def test_signals_of_the_driver_interrupt_no_call_of_the_app(stack: Side, kernel: Side) -> None:
    shower = kernel.begin(workers.shower, (stack.address, 9), 0.6)
    assert stack.run(workers.interrupted_calls, 0.5) == {"this thread": 0, "native thread": 0}
    assert shower.result(10) > 500


def test_child_program_runs_while_packets_arrive(stack: Side, kernel: Side) -> None:
    shower = kernel.begin(workers.shower, (stack.address, 9), 0.3)
    assert stack.run(workers.run_child) == (0, "from a child\n")
    assert shower.result(10) > 0


def test_a_forked_child_serves_a_connection_and_the_parent_goes_on(stack: Side, kernel: Side) -> None:
    listener = stack.listen()
    address = tuple(listener.getsockname())  # first: the child has a copy of the greenlet that answers a request
    child = stack.begin(workers.answer_in_a_child, listener)
    connected = kernel.connect(address)
    assert connected.recv(100) == b"from the child" and connected.recv(100) == b""
    assert child.result(20) == 0
    kernel.connect(address)
    listener.accept()
    listener.close()


def test_a_forked_child_does_not_tick_for_a_port_that_is_its_parents() -> None:
    code = """if True:
        import gevent, os, resource, greendpdk
        greendpdk.start(vdev="net_ring0", address="198.18.7.1/24")
        gevent.sleep(0.05)  # the port has no fd, so it ticks once it sleeps
        pid = os.fork()
        if not pid:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
            gevent.sleep(0.3)
            os._exit(min(resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - before, 255))
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        greendpdk.stop()
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and int(done.stdout) < 10, done.stdout + done.stderr


def test_stack_stops_and_starts_again(stack: Side, kernel: Side) -> None:
    listener = stack.listen()
    for _ in range(2):
        stack.run(workers.restart)
        again = stack.listen()
        connected = kernel.connect(tuple(again.getsockname()))
        accepted, _ = again.accept()
        connected.sendall(b"hello again")
        assert accepted.recv(100) == b"hello again"
        again.close()
    with pytest.raises(OSError) as caught:
        listener.accept()
    assert caught.value.errno == errno.EBADF


def test_engine_counts_no_drop_in_ordinary_life(stack: Side) -> None:
    counters = stack.call("greendpdk", "counters")
    suspicious = [name for name in counters if name.endswith(("_malformed", "_checksum", "_no_frame"))]
    assert {name: counters[name] for name in suspicious if counters[name]} == {}


SEND_AND_END = """
import hashlib, socket, sys
data = bytes(range(256)) * (int(sys.argv[2]) // 256)
sock = socket.create_connection(("198.18.0.1", int(sys.argv[1])))
{send}
print(hashlib.sha256(data).hexdigest(), flush=True)
{end}
"""


@pytest.mark.parametrize("end", ["", "sys.exit(3)", "raise ValueError('on purpose')"],
                         ids=["falls_off_the_end", "sys_exit", "exception"])
def test_script_that_sends_and_ends_at_once_loses_nothing(tmp_path: Path, end: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(SEND_AND_END.format(send="sock.sendall(data)", end=end))
    with Namespace() as net:
        kernel = Side(net, "kernel", "0.0.0.0")
        listener = kernel.listen()
        command = [sys.executable, "-m", "greendpdk", str(script), str(listener.getsockname()[1]),
                   str(TEN_MEGABYTES)]
        received = kernel.begin(workers.accept_and_receive, listener)
        done = net.run(command, check=False, cwd=ROOT, timeout=40)
        assert done.returncode == {"": 0, "sys.exit(3)": 3}.get(end, 1), done.stderr
        assert received.result(10) == (TEN_MEGABYTES // 256 * 256, done.stdout.strip())
        kernel.close()


BY_MULTIPROCESSING = """
from greendpdk import monkey
monkey.patch_all()
import multiprocessing, os, socket
from concurrent.futures import ProcessPoolExecutor

def tell(queue):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with socket.create_connection(listener.getsockname()):
            queue.put(os.getpid())

def square(number):
    return number * number

if __name__ == "__main__":
    for method in ("spawn", "forkserver", "fork"):
        context = multiprocessing.get_context(method)
        queue = context.Queue()
        process = context.Process(target=tell, args=(queue,))
        process.start()
        assert queue.get(timeout=20) == process.pid
        process.join(20)
        assert process.exitcode == 0
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            assert list(pool.map(square, range(4))) == [0, 1, 4, 9]
"""


def test_processes_of_multiprocessing_leave_the_port_to_their_parent(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(BY_MULTIPROCESSING)
    with Namespace() as net:
        done = net.run([sys.executable, str(script)], check=False, cwd=ROOT, timeout=60,
                       env=os.environ | {"PYTHONPATH": str(ROOT)})
        assert (done.returncode, done.stderr) == (0, "")

# The default is too long for a test.
SHORT_END = """
import time
from greendpdk import _stack
assert _stack.stop.__defaults__ == (_stack.FLUSH_SECONDS,)
_stack.stop.__defaults__ = (1.0,)
print(time.time())
"""


def test_end_is_bounded_when_the_peer_does_not_read(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SEND_AND_END.format(send="sock.settimeout(0.3)\ntry: sock.sendall(data)\n"
                                               "except TimeoutError: pass", end=SHORT_END))
    with Namespace() as net:
        kernel = Side(net, "kernel", "0.0.0.0")
        listener = kernel.listen()
        command = [sys.executable, "-m", "greendpdk", str(script), str(listener.getsockname()[1]),
                   str(3 * TEN_MEGABYTES)]
        done = net.run(command, check=False, cwd=ROOT, timeout=30)
        assert done.returncode == 0, done.stderr
        assert 1.0 < time.time() - float(done.stdout.split()[-1]) < _stack.FLUSH_SECONDS
        kernel.close()


def test_nothing_is_left_after_the_end(net: Namespace, stack: Side) -> None:
    with Namespace() as other:
        side = Side(other, "stack", stack.address)
        assert "198.18.0.1" in other.ip("address")
        assert side.close() == 0
        assert "198.18.0.1" not in other.ip("address")
    assert list(Path("/var/run/dpdk").glob(f"*{side.pid}*")) == []  # EAL's runtime directory
