"""A signal's handler runs whatever greenlet is on; what it raises comes to the main one, and tears nothing else."""
from __future__ import annotations

import signal

import pytest
from run import run

# Clients in threads send numbered blocks through an echo server in threads, and look at each that comes back.
# break_into(call) has a native thread send SIGINT at a random moment, and counts whether it came out of the call.
TRAFFIC = """
    import os, queue, random, select, signal, socket, sys, threading, time
    from greendpdk import monkey
    monkey.patch_all(vdev="none", loopback="stack")
    from monkeypatched import get_original

    SEED = random.randrange(1 << 32)
    print("seed", SEED)
    dice = random.Random(SEED)
    rounds, wrong = [0] * 3, []

    def serve(conn):
        with conn:
            while data := conn.recv(65536):
                conn.sendall(data)

    def accept(listener):
        while True:
            conn, _ = listener.accept()
            threading.Thread(target=serve, args=(conn,), daemon=True).start()

    def talk(number, address):
        try:
            with socket.create_connection(address) as conn, conn.makefile("rb") as answers:
                while True:
                    block = b"%d of %d;" % (rounds[number], number) * 50
                    conn.sendall(block)
                    assert answers.read(len(block)) == block
                    rounds[number] += 1
                    if not rounds[number] % 20:
                        time.sleep(0.001)
        except BaseException as error:
            wrong.append(repr(error))
            raise

    echo = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=accept, args=(echo,), daemon=True).start()
    for number in range(len(rounds)):
        threading.Thread(target=talk, args=(number, echo.getsockname()), daemon=True).start()

    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    peer, _ = listener.accept()
    start, sleep = get_original("_thread", "start_new_thread"), get_original("time", "sleep")

    def send_signal(moment, sent):
        sleep(moment)
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    def break_into(call, expected):
        sent = []
        start(send_signal, (dice.random() * 0.01, sent))
        give_up = time.monotonic() + 5
        try:
            while time.monotonic() < give_up:
                call()
        except expected:
            assert time.monotonic() - sent[0] < 2
            return
        raise SystemExit(f"no {expected.__name__} came out of {call}")

    def compute():
        return sum(range(1000))

    def recv():
        client.recv(5)

    def round_trip():
        client.sendall(b"after")
        assert peer.recv(5, socket.MSG_WAITALL) == b"after"

    never, forever = threading.Event(), threading.Thread(target=threading.Event().wait, daemon=True)
    forever.start()
    CALLS = [compute, recv, listener.accept, lambda: select.select([client, listener], [], []),
             lambda: select.select([client], [client], []), lambda: time.sleep(60), lambda: time.sleep(0),
             lambda: socket.getaddrinfo("localhost", 80), never.wait, queue.Queue().get, forever.join]

    def check():
        before = list(rounds)
        give_up = time.monotonic() + 10
        while any(new == old for new, old in zip(rounds, before)) and time.monotonic() < give_up:
            time.sleep(0.001)
        assert all(new > old for new, old in zip(rounds, before)) and not wrong, (before, rounds, wrong)
        round_trip()
""".replace("from monkeypatched", "from greendpdk.monkey")

OWN = """
    class Stop(Exception):
        pass

    def stop(*_):
        raise Stop
    signal.signal(signal.SIGINT, stop)
    assert signal.getsignal(signal.SIGINT) is stop
"""


@pytest.mark.parametrize(("handler", "error"), [("", "KeyboardInterrupt"), (OWN, "Stop")], ids=["ctrl_c", "own"])
def test_what_a_handler_raises_comes_out_of_main_and_all_others_go_on(handler: str, error: str) -> None:
    done = run(TRAFFIC + handler + f"""
    check()
    for _ in range(5):
        for call in CALLS:
            break_into(call, {error})
            check()
""")
    assert done.stderr == ""


@pytest.mark.parametrize("where", ["compute", "recv", "listener.accept", "lambda: time.sleep(60)"])
def test_ctrl_c_ends_a_program_under_traffic_as_plain_python(where: str) -> None:
    done = run(TRAFFIC + f"""
    import atexit
    atexit.register(print, "atexit")
    start(send_signal, (0.02 + dice.random() * 0.01, []))
    try:
        while True:
            ({where})()
    finally:
        print("finally")
""", check=False)
    assert done.returncode == -signal.SIGINT
    assert done.stdout.split("\n")[1:] == ["finally", "atexit", ""]
    assert done.stderr.count("Traceback") == 1 and done.stderr.endswith("KeyboardInterrupt\n")


def test_ctrl_c_breaks_a_thread_s_endless_loop_and_a_callback_s() -> None:
    run(TRAFFIC + """
    import gevent

    def endless():
        while not never.is_set():
            pass

    def compute_for_ever():
        time.sleep(0)  # Thread.start() waits until the thread runs
        endless()

    def flood():  # never waits, and is nearly always inside a call of ours
        time.sleep(0)
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            while not never.is_set():
                sock.sendto(b"to nobody", listener.getsockname())

    for busy in (compute_for_ever, flood):
        threading.Thread(target=busy, daemon=True).start()
        break_into(lambda: time.sleep(60), KeyboardInterrupt)
        never.set()
        check()
        never.clear()
    gevent.get_hub().loop.run_callback(endless)
    break_into(lambda: time.sleep(60), KeyboardInterrupt)
    never.set()
    check()
""")


def test_a_handler_may_wait_and_sees_the_main_greenlet_s_frame() -> None:
    run(TRAFFIC + """
    seen = []

    def handler(number, frame):
        while frame.f_back:
            frame = frame.f_back
        time.sleep(0.01)  # in the hub nobody may wait
        peer.sendall(b"hello")
        seen.append((number, frame.f_globals["__name__"], frame.f_code.co_name))

    signal.signal(signal.SIGINT, handler)
    for _ in range(10):
        start(send_signal, (dice.random() * 0.01, []))
        assert client.recv(5) == b"hello"
    assert seen == [(signal.SIGINT, "__main__", "<module>")] * 10
    check()
""")


def test_handlers_are_given_back_as_they_were_set() -> None:
    run("""
        import signal
        before = lambda *_: None
        signal.signal(signal.SIGUSR1, before)
        from greendpdk import monkey
        monkey.patch_all()
        after = lambda *_: seen.append("after")
        seen = []
        assert signal.getsignal(signal.SIGUSR1) is before
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert signal.signal(signal.SIGUSR1, after) is before
        signal.raise_signal(signal.SIGUSR1)
        assert seen == ["after"]
        assert signal.signal(signal.SIGUSR1, signal.SIG_IGN) is after
        signal.raise_signal(signal.SIGUSR1)
        assert signal.signal(signal.SIGUSR1, signal.SIG_DFL) is signal.SIG_IGN
        for wrong, error in ((5, TypeError), (None, TypeError)):
            try:
                signal.signal(signal.SIGUSR1, wrong)
            except error:
                continue
            raise SystemExit(f"took {wrong}")
    """)
