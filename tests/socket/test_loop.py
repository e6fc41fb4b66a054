"""The poller in gevent's loop: it spins under traffic, sleeps when idle, and holds nothing alive."""
from __future__ import annotations

import time

import gevent
import pytest
from run import run

START = """
import gevent, greendpdk, sys, time
from greendpdk import socket, loop
stack = greendpdk.start(loopback="stack")
"""


def script(code: str, **environ: str) -> str:
    import textwrap

    return run(START + textwrap.dedent(code), **environ).stdout


def test_it_sleeps_when_idle_and_costs_no_cpu(stack):
    gevent.sleep(0.05)
    assert not stack.poller.spinning
    before = time.process_time()
    gevent.sleep(0.5)
    assert time.process_time() - before < 0.01


def test_a_call_wakes_it(stack):
    from greendpdk import socket

    gevent.sleep(0.05)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        assert stack.poller.spinning


def test_timers_of_the_engine_fire_while_it_sleeps(stack):
    """A connection attempt that nobody answers is retransmitted, and a delayed ACK leaves, with nobody spinning."""
    from greendpdk import socket

    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        server, _ = listener.accept()
        with server:
            client.sendall(b"one byte that nobody answers")
            gevent.sleep(0.3)
            from greendpdk._native import lib

            assert lib.gd_sock_unacked(client._sock.end.c) == 0
            assert not stack.poller.spinning


def test_busy_keeps_spinning():
    script("""
        gevent.sleep(0.05)
        assert stack.poller.spinning
    """, GREENDPDK_POLL="busy")


def test_the_hub_can_end():
    script("""
        gevent.get_hub().join(timeout=5)
        def work():
            gevent.sleep(0.01)
        gevent.spawn(work)
        assert gevent.get_hub().join(timeout=5)
    """)


def test_waiting_for_nothing_is_a_loop_exit():
    script("""
        from gevent.event import Event
        try:
            Event().wait()
        except gevent.exceptions.LoopExit:
            print("exit")
        else:
            raise AssertionError("no LoopExit")
    """)


def test_a_waiting_socket_holds_the_loop():
    script("""
        listener = socket.create_server(("127.0.0.1", 0))
        with gevent.Timeout(0.1, False):
            listener.accept()
            raise AssertionError("accepted")
        listener.close()
    """)


def test_an_exception_in_the_poller_is_reported_and_the_loop_lives():
    done = run(START + """
listener = socket.create_server(("127.0.0.1", 0))
end = listener._sock.end
calls = []
def broken(bits):
    calls.append(bits)
    greendpdk._errors.check(-5, "a bug in the delivery")
real, type(end).post = type(end).post, lambda self, bits: broken(bits)
client = socket.socket()
client.setblocking(False)
client.connect_ex(listener.getsockname())
gevent.sleep(0.05)
type(end).post = real
assert calls
gevent.sleep(0.05)
listener.accept()[0].close()
client.close(); listener.close()
print("alive")
""")
    assert "alive" in done.stdout and "a bug in the delivery" in done.stderr


def test_libuv_is_refused_with_what_to_do():
    done = run("from greendpdk import monkey; monkey.patch_all()", GEVENT_LOOP="libuv", check=False)
    assert done.returncode and "unset GEVENT_LOOP" in done.stderr


def test_a_hub_that_runs_already_is_used_as_it_is():
    run("""
        import gevent
        gevent.sleep(0.001)
        stock = type(gevent.get_hub().loop)
        import greendpdk
        from greendpdk import socket, select
        greendpdk.start(loopback="stack")
        assert type(gevent.get_hub().loop) is stock
        listener = socket.create_server(("127.0.0.1", 0))
        client = socket.create_connection(listener.getsockname())
        assert select.select([listener], [], [], 5)[0] == [listener]
        server, _ = listener.accept()
        waiting = gevent.spawn(select.select, [server], [], [], 5)
        poll = select.poll(); poll.register(server, select.POLLIN)
        gevent.sleep(0.01)
        client.sendall(b"x")
        assert waiting.get()[0] == [server]
        assert poll.poll(5000) == [(server.fileno(), select.POLLIN)]
        for s in (client, server, listener): s.close()
    """)


class Stop(Exception):
    """What a handler of a signal raises."""


@pytest.mark.parametrize("error", [Stop, KeyboardInterrupt])
@pytest.mark.parametrize("method", ["post", "_adapt", "_sleep", "refire"])
def test_a_turn_that_a_signal_breaks_off_loses_no_event_and_tells_main(stack, monkeypatch, capfd, error, method):
    """As where signal.signal is gevent's: the exception comes up anywhere in the poller's Python."""
    from greendpdk import _endpoint, loop, select, socket
    from greendpdk._watcher import LevelWatcher

    owner = {"post": _endpoint.Endpoint, "refire": LevelWatcher}.get(method, loop.Poller)
    real, broken = getattr(owner, method), []

    def break_off(self, *args):
        if not broken:
            broken.append(method)
            if method == "_sleep":
                self.spinning = False
                self._idle.stop()
            raise error
        return real(self, *args)

    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        server, _ = listener.accept()
        with server:
            gevent.sleep(0.05)
            reader = gevent.spawn(server.recv, 5)
            selector = gevent.spawn(lambda: select.select([server], [], []) and server.fileno())
            level = gevent.get_hub().loop.io(client.fileno(), 2)  # always ready: fired again in each turn
            fired = []
            level.start(fired.append, 1)
            gevent.sleep(0)
            monkeypatch.setattr(owner, method, break_off)
            client.sendall(b"hello")
            if method == "_sleep":
                level.stop()
            with pytest.raises(error):
                gevent.sleep(5)
            assert broken
            before = len(fired)
            assert reader.get(timeout=1) == b"hello"
            gevent.sleep(0.01)
            assert method == "_sleep" or len(fired) > before
            level.stop()
            level.close()
            client.sendall(b"more")
            assert selector.get(timeout=1) == server.fileno()
            assert server.recv(9) == b"more"
    assert "Stop" in capfd.readouterr().err or error is KeyboardInterrupt
