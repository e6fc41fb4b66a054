"""Processes and native threads beside the stack: pools, pty, posix_spawn, who may use a stack socket where."""
from __future__ import annotations

from forked import script
from run import run


def test_a_stack_socket_in_a_native_thread_raises_at_once():
    script("""
        client, server = pair()
        def told(call, *args):
            try:
                call(*args)
            except RuntimeError as error:
                return "native thread" in str(error)
        address = listener.getsockname()
        def use():
            calls = [(server.recv, 1), (server.send, b"x"), (server.getpeername,), (listener.accept,)]
            calls += [(select.select, [server], [], [], 0), (socket.create_connection, address)]
            with socket.socket() as made:
                calls.append((made.connect, address))
                return [told(*call) for call in calls]
        assert gevent.get_hub().threadpool.apply(use) == [True] * 7
        client.sendall(b"x")
        assert server.recv(1) == b"x"
        client.close(); server.close()
    """)


def test_pools_of_threads_and_processes():
    script("""
        from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
        import multiprocessing
        client, server = pair()
        with ThreadPoolExecutor(2) as pool:
            waiting = pool.submit(server.recv, 1)
            pool.submit(client.sendall, b"x").result(timeout=5)
            assert waiting.result(timeout=5) == b"x"
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
            assert list(pool.map(abs, [-1, -2])) == [1, 2]
        client.sendall(b"x")
        assert server.recv(1) == b"x"
        client.close(); server.close()
    """)


def test_a_child_on_a_pty_has_the_sockets_and_a_spawned_program_leaves_them_alone():
    script("""
        import pty
        client, server = pair()
        pid, fd = pty.fork()
        if not pid:
            server.sendall(b"from the pty")
            os._exit(0)
        assert client.recv(100) == b"from the pty"
        ended(pid)
        os.close(fd)
        ended(os.posix_spawn("/bin/true", ["true"], {}))
        client.sendall(b"x")
        assert server.recv(1) == b"x"
        client.close(); server.close()
    """)


def test_a_real_signal_during_a_wait_is_handled_and_the_wait_goes_on():
    script("""
        import signal
        client, server = pair()
        rung = []
        def ring(*_):
            rung.append(1)
            client.sendall(b"x")
        signal.signal(signal.SIGALRM, ring)
        waiting = select.epoll()
        waiting.register(server, select.EPOLLIN)
        for wait in (lambda: waiting.poll(5), lambda: select.select([server], [], [], 5)[0]):
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            assert wait() and server.recv(1) == b"x"
        assert rung == [1, 1]
        waiting.close()
        client.close(); server.close()
    """)


def test_what_is_closed_at_the_interpreters_end_is_closed_in_silence():
    done = run("""
        from greendpdk import monkey
        monkey.patch_all(loopback="stack")
        import multiprocessing
        ends = multiprocessing.Pipe()
    """)
    assert not done.stderr
