"""DPDK's telemetry of a running process: it tells of all sockets, lets only its user in, leaves nothing."""
from __future__ import annotations

import stat
import subprocess
import sys
from collections.abc import Iterator

import pytest
from watched import Watched

pytestmark = pytest.mark.needs("dpdk")

@pytest.fixture
def process() -> Iterator[Watched]:
    made = Watched()
    yield made
    made.end()


def test_every_socket_is_told_of_page_by_page(process: Watched) -> None:
    found, cursor = [], "0"
    while True:
        answer = process.ask(f"/greendpdk/sockets,{cursor},info")
        cursor = str(answer.pop("next"))
        found += answer.values()
        if cursor == "0":
            break
    assert len(found) == len({row["id"] for row in found}) == 601
    (listener,) = [row for row in found if row["state"] == "LISTEN"]
    rest = [row for row in found if row["state"] == "ESTAB"]
    assert listener["send_q"] == 400 and len(rest) == 600
    assert all(row["tcpi_rtt"] > 0 and row["cc"] == "cubic" for row in rest if row["peer"] == listener["local"])
    assert process.ask("/greendpdk/info")["sockets"] == 601
    assert process.ask("/greendpdk/counters")["tcp_in"] > 600
    assert "ValueError" in process.ask("/greendpdk/sockets,nonsense")["error"]


@pytest.mark.needs("namespaces")  # root, to become another
def test_another_user_is_refused(process: Watched) -> None:
    """DPDK's socket itself would let everybody in: its directory does not."""
    path = str(process.place / "dpdk_telemetry.v2")
    connect = (f"import os, socket; os.setgroups([]); os.setgid(int({{0}})); os.setuid(int({{0}})); "
               f"socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).connect({path!r})")
    for user, allowed in ((65534, False), (0, True)):
        words = [sys.executable, "-c", connect.format(user)]
        asked = subprocess.run(words, capture_output=True, text=True, check=False)
        assert (asked.returncode == 0) is allowed and ("PermissionError" in asked.stderr) is not allowed, asked.stderr


@pytest.mark.needs("dpdk-telemetry")
def test_dpdks_own_script_asks_it(process: Watched) -> None:
    words = ["dpdk-telemetry.py", "-f", process.place.name]
    asked = subprocess.run(words, input="/greendpdk/info\n/greendpdk/loop,on\nquit\n", capture_output=True, text=True,
                           timeout=30, check=True)
    assert f'"pid": {process.run.pid}' in asked.stdout and '"watched": 1' in asked.stdout


def test_its_commands_are_listed_and_explained_in_dpdks_protocol(process: Watched) -> None:
    """What dpdk-telemetry.py does when it starts: it reads the list, and /help,COMMAND tells what one is for."""
    mine = [name for name in process.ask("/") if name.startswith("/greendpdk/")]
    assert mine == [f"/greendpdk/{name}" for name in ("capture", "counters", "info", "loop", "sockets", "top")]
    for name in mine:
        assert len(process.ask(f"/help,{name}")[name]) > 20


def test_only_its_user_may_ask_and_nothing_is_left(process: Watched) -> None:
    assert stat.S_IMODE(process.place.stat().st_mode) == 0o700
    process.end()
    assert not process.place.exists()


def test_a_forked_child_that_exits_takes_nothing_along(process: Watched) -> None:
    process.do("fork")
    assert process.line() == "done"
    assert process.ask("/greendpdk/info")["pid"] == process.run.pid


def test_a_forked_child_that_lives_on_takes_no_question(process: Watched) -> None:
    process.do("leave a child")
    assert process.line() == "done"
    for _ in range(20):
        assert process.ask("/greendpdk/info")["pid"] == process.run.pid


@pytest.mark.slow
def test_who_asks_a_process_whose_loop_is_held_is_told_so(process: Watched) -> None:
    process.do("hold")
    assert process.line() == "held"
    assert "held the process's loop" in process.ask("/greendpdk/info")["error"]
    assert process.line() == "done"


def test_a_stopped_stack_says_so(process: Watched) -> None:
    process.do("stop")
    assert process.line() == "done"
    assert "no stack runs" in process.ask("/greendpdk/info")["error"]


def test_a_stack_that_starts_again_lists_its_commands_once() -> None:
    code = """if True:
        import json, os, socket, greendpdk
        from greendpdk.cli import _client
        for _ in range(2):
            greendpdk.stop()
            greendpdk.start(vdev="none", telemetry="on")
        (path,) = [path for pid, path in _client.find() if pid == os.getpid()]
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asking:
            asking.connect(path)
            asking.recv(1 << 20)
            asking.send(b"/")
            listed = json.loads(asking.recv(1 << 20))["/"]
        assert listed.count("/greendpdk/info") == 1, listed
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_pages_hold_long_rows_too() -> None:
    """DPDK leaves out, silently, what is beyond 16,384 bytes of an answer."""
    code = """if True:
        import json, greendpdk
        from greendpdk import _telemetry, socket
        from greendpdk._tcp_info import NAMES
        stack = greendpdk.start(vdev="none", loopback="stack")
        sockets = [socket.socket() for _ in range(100)]
        asked = _telemetry.Telemetry(stack)
        asked._tcp_info = lambda _: {f"tcpi_{name}": 10**9 for name in NAMES}
        rows, cursor = [], 0
        while True:
            answer = asked._sockets(f"{cursor},info")
            assert len(json.dumps({"/greendpdk/sockets": answer}, separators=(",", ":"))) < 16384
            cursor = answer.pop("next")
            rows += answer.values()
            if not cursor:
                break
        assert sorted(row["id"] for row in rows) == sorted(sock._sock.end.id for sock in sockets)
        for sock in sockets:
            sock.close()
        greendpdk.stop()
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_a_start_that_fails_leaves_nobody_to_answer() -> None:
    code = """if True:
        import os, gevent, greendpdk
        from greendpdk import _watchdog
        from greendpdk.cli import _client
        def ask():
            with _client.choose(os.getpid()) as process:
                return process.ask("info")["pid"]
        def no_thread(*_):
            raise RuntimeError("can't start new thread")
        working, _watchdog.Watchdog = _watchdog.Watchdog, no_thread
        for _ in range(2):
            try:
                greendpdk.start(vdev="none", telemetry="on")
                raise AssertionError
            except RuntimeError as error:
                assert "new thread" in str(error)
            try:
                gevent.get_hub().threadpool.apply(ask)
                raise AssertionError
            except _client.ClientError as error:
                assert "no stack runs" in str(error)
        _watchdog.Watchdog = working
        greendpdk.start(vdev="none", telemetry="on")
        assert gevent.get_hub().threadpool.apply(ask) == os.getpid()
        greendpdk.stop()
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_words_of_any_language_are_told() -> None:
    code = """if True:
        import os, sys, gevent, greendpdk
        from greendpdk.cli import _client
        greendpdk.start(vdev="none", telemetry="on")
        sys.argv = ["/home/andr\\u00e9/app.py", "\\udce9", '"', "\\\\", "\\x1b[2J"]
        def ask():
            with _client.choose(os.getpid()) as process:
                return process.ask("info")["program"]
        print(gevent.get_hub().threadpool.apply(ask))
        greendpdk.stop()
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == r"""/home/andr\xe9/app.py \udce9 " \ """ + " [2J\n"


def test_the_next_start_clears_away_what_a_killed_program_has_left(process: Watched) -> None:
    killed = Watched()
    assert killed.run.stdin is not None and killed.run.stdout is not None
    killed.run.kill()
    killed.run.wait()
    killed.run.stdin.close()
    killed.run.stdout.close()
    assert killed.place.exists()
    Watched().end()
    assert not killed.place.exists()
    assert process.ask("/greendpdk/info")["pid"] == process.run.pid
