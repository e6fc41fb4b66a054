"""A forked child and its parent at bad moments: siblings, interrupted calls, numbers that the parent closes, junk."""
from __future__ import annotations

import textwrap

from forked import START, script
from run import run


def test_a_child_gives_back_what_it_closes_at_once():
    script("""
        client, server = pair()
        held, holding = os.pipe()
        def work():
            server.close()
            os.read(held, 1)
        pid = child(work)
        server.close()
        client.settimeout(5)
        assert client.recv(1) == b""
        os.write(holding, b"x")
        ended(pid)
        client.close()
    """)


def test_a_younger_sibling_does_not_have_what_the_parent_has_closed():
    script("""
        held, holding = os.pipe()
        def work():
            gevent.sleep(0)  # libev aborted: the older sibling's pair was closed and still watched
            os.read(held, 1)
        client, server = pair()
        older = child(lambda: gevent.sleep(0.05))
        server.close()
        younger = child(work)
        client.settimeout(5)
        assert client.recv(1) == b""
        ended(older)
        os.write(holding, b"x")
        ended(younger)
        client.close()
    """)


def test_a_childs_number_says_the_truth_after_its_parent_closed_its_own():
    script("""
        client, server = pair()
        server.fileno()
        def work():
            assert select.select([server], [], [], 0.05)[0] == []
            client.sendall(b"x")
            assert select.select([server], [], [], 5)[0] == [server]
            assert server.recv(1) == b"x"
            assert select.select([server], [], [], 0)[0] == []
        pid = child(work)
        server.close()
        ended(pid)
        client.close()
        client, server = pair()  # and the number kept for that is closed with the last child
        before = len(os.listdir("/proc/self/fd"))
        server.fileno()
        pid = child(lambda: None)
        server.close()
        ended(pid)
        gevent.sleep(0)
        assert len(os.listdir("/proc/self/fd")) == before
        client.close()
    """)


def test_no_call_gets_the_answer_to_an_interrupted_one():
    script("""
        import fcntl, signal, termios
        from greendpdk import _share
        client, server = pair()
        socket.setdefaulttimeout(0.01)  # not of the pair to the parent
        def work():
            class Alarm(Exception):
                pass
            def ring(*_):
                assert server.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 0  # asks meanwhile
                raise Alarm
            signal.signal(signal.SIGALRM, ring)
            try:
                server.getpeername()
                raise AssertionError
            except Alarm:
                pass
            assert server.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM
        pid = child(work)
        (share,) = _share._shares
        def asked():  # bytes that wait for an answer; meanwhile nobody is given one
            return fcntl.ioctl(share._here, termios.FIONREAD, bytes(4))
        def wait_for_more_than(before):
            while asked() == before:
                pass
        def state():
            with open(f"/proc/{pid}/stat") as file:
                return file.read().rpartition(")")[2].split()[0]
        wait_for_more_than(bytes(4))
        while state() != "S":  # in recvmsg(): a signal just before it would not interrupt it
            pass
        question = asked()
        os.kill(pid, signal.SIGALRM)
        wait_for_more_than(question)
        ended(pid)
        client.close(); server.close()
    """)


def test_a_child_resolves_names_itself_and_has_the_errors_that_it_makes():
    script("""
        stream, datagram, bound = socket.socket(), socket.socket(type=socket.SOCK_DGRAM), socket.socket()
        asked = socket._socket.getaddrinfo
        def work():
            socket._socket.getaddrinfo = asked
            bound.bind(("localhost", 0))
            assert bound.getsockname()[0] == "127.0.0.1"
            stream.connect(("localhost", listener.getsockname()[1]))
            datagram.sendto(b"x", ("localhost", listener.getsockname()[1]))
            try:
                bound.connect(("a.name.invalid", 1))
                raise AssertionError
            except socket.gaierror:
                pass
            try:
                bound.setsockopt("level", 1, 2)
                raise AssertionError
            except TypeError:
                pass
        def never(*_):
            raise AssertionError("the parent resolves")
        socket._socket.getaddrinfo = never
        ended(child(work))
        for sock in (stream, datagram, bound):
            sock.close()
    """)


def test_two_programs_write_to_one_connection():
    script("""
        client, server = pair()
        def program(word):
            os.dup2(server.fileno(), 1)
            os.execv("/bin/sh", ["sh", "-c", f"read line; echo {word}"])
        pipes = [os.pipe(), os.pipe()]
        def run(word, pipe):
            os.dup2(pipe[0], 0)
            program(word)
        first = child(lambda: run("first", pipes[0]))
        gevent.sleep(0.05)  # its pump is there when the next child is made
        second = child(lambda: run("second", pipes[1]))
        lines = client.makefile("rb")
        for pid, word, pipe in ((first, b"first", pipes[0]), (second, b"second", pipes[1])):
            os.write(pipe[1], b"go\\n")
            assert lines.readline() == word + b"\\n"
            ended(pid)
        server.close()
        assert lines.read() == b""
        lines.close(); client.close()
        for fd in (*pipes[0], *pipes[1]):
            os.close(fd)
    """)


def test_a_shutdown_by_one_child_waits_for_what_another_has_written():
    script("""
        client, server = pair()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        told, telling = os.pipe()
        def program():
            os.dup2(server.fileno(), 1)
            os.dup2(telling, 2)
            os.execv("/bin/sh", ["sh", "-c", "head -c 150000 /dev/zero; echo >&2; exec sleep 5"])
        writer = child(program)
        assert select.select([told], [], [], 10)[0]  # all is written, and not all of it is in the stack
        closer = child(lambda: server.shutdown(socket.SHUT_WR))
        server.close()
        count = 0
        while data := client.recv(1 << 16):
            count += len(data)
        assert count == 150_000
        ended(closer)
        os.close(told); os.close(telling)
        os.kill(writer, 9)
        os.waitpid(writer, 0)
        client.close()
    """)


def test_junk_from_a_child_ends_its_share_alone():
    script("""
        client, server = pair()
        def work():
            from greendpdk import _remote
            _remote._channel._pair.send(b"junk")
            try:
                server.getpeername()
                raise AssertionError
            except OSError as error:
                assert error.errno == errno.EBADF
        ended(child(work))
        client.sendall(b"x")
        assert server.recv(1) == b"x"
        client.close(); server.close()
    """)


def test_a_child_closes_many_sockets_while_its_parent_listens_to_nobody():
    script("""
        from gevent.monkey import get_original
        socks = [socket.socket() for _ in range(5000)]
        pid = child(lambda: [sock.close() for sock in socks])
        assert get_original("os", "waitpid")(pid, 0) == (pid, 0)  # in the kernel
        for sock in socks:
            sock.close()
    """)


def test_many_children_leave_nothing_behind():
    script("""
        import gc
        from greendpdk import _share
        client, server = pair()
        end, before = server._sock.end, len(os.listdir("/proc/self/fd"))
        for _ in range(50):
            ended(child(server.getpeername))
        gevent.sleep(0)
        assert not _share._shares and end.refs == 1 and end.lent == 0
        assert len(os.listdir("/proc/self/fd")) == before
        gc.collect()
        assert not [one for one in gc.get_objects() if isinstance(one, _share.Share)]
        client.close(); server.close()
    """)


def test_a_child_that_makes_a_connection_its_stdin_goes_on_with_it():
    script("""
        client, server = pair()
        def work():
            os.dup2(server.fileno(), 0)
            ended(child(lambda: server.sendall(b"grandchild ")))
            assert os.read(0, 100) == b"question"
            server.sendall(b"child")
            server.shutdown(socket.SHUT_WR)
            server.close()
            os.close(0)
            time.sleep(5)
        pid = child(work)
        server.close()
        client.sendall(b"question")
        with gevent.Timeout(4):
            assert client.makefile("rb").read() == b"grandchild child"
            while [end for end in greendpdk.running().sockets.values() if end.pumps]:
                gevent.sleep(0.01)  # the child has closed all of it
        client.close()
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    """)


def test_a_connection_ends_though_no_fd_was_left_for_its_child():
    done = run(START + textwrap.dedent("""
        import resource
        client, server = pair()
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
        pid = child(int)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        ended(pid)
        server.close()
        assert client.recv(1) == b""
        client.close(); listener.close()
    """))
    assert "_before_fork" in done.stderr and "Too many open files" in done.stderr
