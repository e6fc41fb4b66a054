"""Processes and native threads beside the stack: pools, pty, posix_spawn, who may use a stack socket where."""
from __future__ import annotations

import textwrap

from forked import START, script
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


def test_a_native_thread_has_the_kernels_sockets():
    """Made, used and closed there: by socketpair, and where the loopback is the kernel's, TCP and UDP too."""
    run("""
        from greendpdk import monkey
        monkey.patch_all()
        import gevent, select, socket
        def serve(listener):
            server, _ = listener.accept()
            with server:
                server.sendall(server.recv(10).upper())
        def use(address):
            a, b = socket.socketpair()
            with a, b:
                a.sendall(b"x")
                assert select.select([b], [], [], 5)[0] == [b] and b.recv(2) == b"x"
                b.settimeout(0.001)
                try:
                    b.recv(1)
                except TimeoutError:
                    pass
            with socket.create_connection(address, timeout=5) as client:
                client.sendall(b"abc")
                assert client.recv(10) == b"ABC" and client.getpeername() == address
            with socket.create_server(("127.0.0.1", 0)) as here, socket.socket() as client:
                client.connect(here.getsockname())
                server, _ = here.accept()
                with server:
                    server.sendall(b"hi")
                    assert client.recv(5) == b"hi"
            make = socket.socket
            with make(type=socket.SOCK_DGRAM) as one, make(type=socket.SOCK_DGRAM) as two:
                one.bind(("127.0.0.1", 0))
                two.sendto(b"datagram", one.getsockname())
                assert one.recvfrom(10)[0] == b"datagram"
            return "done"
        with socket.create_server(("127.0.0.1", 0)) as listener:
            serving = gevent.spawn(serve, listener)
            assert gevent.get_hub().threadpool.apply(use, (listener.getsockname(),)) == "done"
            serving.join()
    """)


CHILDREN = """
import subprocess
def rest(sock):
    with sock:
        return b"".join(iter(lambda: sock.recv(1000), b""))
def program(code, *words):
    return [sys.executable, "-c", code, *words]
"""


def children(code: str) -> None:
    """With warnings as errors: a child that is about to execute a program has nothing to complain of."""
    done = run(START + CHILDREN + textwrap.dedent(code) + "\nlistener.close()\n", PYTHONWARNINGS="error")
    assert not done.stderr, done.stderr


def test_three_connections_are_a_childs_stdin_stdout_and_stderr():
    children("""
        ends = [pair() for _ in range(3)]
        code = "import sys; print(sys.stdin.read().upper(), end=''); print('oops', file=sys.stderr, end='')"
        child = subprocess.Popen(program(code), stdin=ends[0][1], stdout=ends[1][1].fileno(), stderr=ends[2][1])
        for _, server in ends:
            server.close()
        asking, out, err = (client for client, _ in ends)
        asking.sendall(b"question")
        asking.shutdown(socket.SHUT_WR)
        assert (rest(out), rest(err), child.wait()) == (b"QUESTION", b"oops", 0)
        asking.close()
    """)


def test_one_of_a_childs_ends_is_a_connection_and_the_other_a_pipe():
    children("""
        client, server = pair()
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=server)
        server.close()
        assert child.communicate(b"by cat") == (None, None) and rest(client) == b"by cat"
        client, server = pair()
        child = subprocess.Popen(["cat"], stdin=server, stdout=subprocess.PIPE)
        server.close()
        client.sendall(b"to cat")
        client.close()
        assert child.communicate() == (b"to cat", None)
        client, server = pair()
        try:
            subprocess.run(["cat"], stdin=server, timeout=0.02)
        except subprocess.TimeoutExpired:
            pass
        client.sendall(b"the child is gone")
        assert server.recv(100) == b"the child is gone"
        client.close(); server.close()
    """)


def test_a_number_that_is_passed_on_leaves_the_connection_to_the_parent():
    children("""
        client, server = pair()
        fd = server.fileno()
        child = subprocess.Popen(program("import os, sys; os.fstat(int(sys.argv[1])); sys.stdin.read()", str(fd)),
                                 pass_fds=[fd], stdin=subprocess.PIPE)
        client.sendall(b"still here")
        assert server.recv(100) == b"still here"
        server.close()
        assert client.recv(1) == b""  # though the child has its copy
        client.close()
        child.communicate()
        assert child.returncode == 0
        client, server = pair()
        fd = greendpdk.kernel_fd(server)
        code = "import os, sys; fd = int(sys.argv[1]); os.write(fd, os.read(fd, 100).upper())"
        child = subprocess.Popen(program(code, str(fd)), pass_fds=[fd])
        os.close(fd)
        server.close()
        client.sendall(b"passed")
        assert rest(client) == b"PASSED" and child.wait() == 0
    """)
