"""multiprocessing under the patch: its threads are greenlets here, and wait for pipes and semaphores without harm."""
from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from run import run

START = """
from greendpdk import monkey
monkey.patch_all(loopback="stack")
import multiprocessing, os, socket, sys, threading, time

def square(number):
    return number * number

def slow(number):
    time.sleep(0.01)
    return os.getpid()

def send_back(conn):
    conn.send(conn.recv())

def hold(lock, conn):
    with lock:
        conn.send("held")
        conn.recv()

def double(questions, answers):
    for number in iter(questions.get, None):
        answers.put(2 * number)

def serve(listener):
    while True:
        with listener.accept()[0] as sock:
            sock.sendall(b"%d" % os.getpid())

def wait(conn):
    time.sleep(0.01)
    conn.recv()

ticks = 0
def tick():
    global ticks
    while True:
        ticks += 1
        time.sleep(0.001)

if __name__ == "__main__":
    here = multiprocessing.get_context(sys.argv[1])
    threading.Thread(target=tick, daemon=True).start()
"""
METHODS = ["fork", "spawn", "forkserver"]


def program(folder: Path, method: str, code: str) -> None:
    path = folder / "program.py"
    path.write_text(START + textwrap.indent(textwrap.dedent(code), "    "))
    assert run("", str(path), method).stderr == ""


@pytest.mark.parametrize("method", METHODS)
def test_a_pool_works_and_renews_its_processes(tmp_path: Path, method: str) -> None:
    program(tmp_path, method, """
        with here.Pool(2) as pool:
            assert pool.map(square, range(50)) == [n * n for n in range(50)]
            assert sorted(pool.imap_unordered(square, range(4))) == [0, 1, 4, 9]
            assert pool.apply_async(square, (3,)).get(10) == 9
        if here.get_start_method() == "fork":  # the others take long to start
            with here.Pool(2, maxtasksperchild=1) as pool:
                assert len(set(pool.map(slow, range(6), chunksize=1))) == 6
                pool.close()
                pool.join()
    """)


@pytest.mark.parametrize("method", METHODS)
def test_questions_and_answers_through_queues_and_pipes_hold_nobody(tmp_path: Path, method: str) -> None:
    program(tmp_path, method, """
        questions, answers = here.Queue(), here.Queue()
        process = here.Process(target=double, args=(questions, answers))
        process.start()
        for number in range(10):
            questions.put(number)
            assert answers.get() == 2 * number
        questions.put(None)
        process.join()
        ours, theirs = here.Pipe()
        process = here.Process(target=send_back, args=(theirs,))
        process.start()
        before = ticks
        ours.send(bytes(3_000_000))
        assert ours.recv() == bytes(3_000_000)
        process.join()
        assert ticks > before
    """)


def test_a_semaphore_that_another_process_has_holds_no_greenlet(tmp_path: Path) -> None:
    program(tmp_path, "fork", """
        lock = here.Lock()
        ours, theirs = here.Pipe()
        process = here.Process(target=hold, args=(lock, theirs))
        process.start()
        assert ours.recv() == "held"
        before = ticks
        assert not lock.acquire(block=False) and not lock.acquire(timeout=0.05) and not lock.acquire(True, -1)
        assert ticks > before + 5
        threading.Timer(0.01, ours.send, ["let go"]).start()
        with lock:
            process.join()
        assert lock.acquire(False)
    """)


def test_a_manager_serves_several_clients(tmp_path: Path) -> None:
    program(tmp_path, "fork", """
        with here.Manager() as manager:
            shared = manager.dict(), manager.list()
            shared[0]["key"] = 1
            shared[1].append(2)
            assert (dict(shared[0]), list(shared[1])) == ({"key": 1}, [2])
    """)


def test_a_forked_child_runs_no_greenlet_of_its_parent(tmp_path: Path) -> None:
    program(tmp_path, "fork", """
        listener = socket.create_server(("127.0.0.1", 0))
        kernel = socket.socket(socket.AF_UNIX)
        kernel.bind("\\0greendpdk-test-%d" % os.getpid())
        kernel.listen()
        for one in (listener, kernel):
            threading.Thread(target=serve, args=(one,), daemon=True).start()
        time.sleep(0)
        ours, theirs = here.Pipe()
        process = here.Process(target=wait, args=(theirs,))
        process.start()
        for _ in range(30):
            for one in (listener, kernel):
                with socket.socket(one.family) as client:
                    client.connect(one.getsockname())
                    assert client.recv(10) == b"%d" % os.getpid()
        ours.send("end")
        process.join()
        assert process.exitcode == 0
    """)


def test_a_second_patch_changes_nothing_more(tmp_path: Path) -> None:
    program(tmp_path, "fork", """
        from multiprocessing import connection, util
        before = connection.Pipe, util.spawnv_passfds
        monkey.patch_all()
        assert (connection.Pipe, util.spawnv_passfds) == before
    """)
