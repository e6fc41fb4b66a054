"""What programs do with the number of a socket: os.read and its kin, duplicates, children's stdin and stdout."""
from __future__ import annotations

import textwrap

from run import run

START = """
from greendpdk import monkey
monkey.patch_all(loopback="stack")
import errno, gevent, greendpdk, os, select, socket, subprocess, sys
listener = socket.create_server(("127.0.0.1", 0))
def pair():
    client = socket.create_connection(listener.getsockname())
    return client, listener.accept()[0]
client, server = pair()
def raises(number, call, *args):
    try:
        call(*args)
    except OSError as error:
        assert error.errno == number, error
    else:
        raise AssertionError("no error")
"""
END = """
for sock in (client, server, listener):
    sock.close()
"""


def script(code: str) -> None:
    run(START + textwrap.dedent(code) + END)


def test_read_and_write_by_number_block_the_greenlet_only():
    script("""
        fd = client.fileno()
        reading = gevent.spawn(os.read, fd, 100)
        gevent.sleep(0.01)
        assert not reading.ready()
        assert os.write(server.fileno(), b"hello") == 5
        assert reading.get() == b"hello"
        got = bytearray()
        def drain():
            while len(got) < 8_000_000:
                got.extend(os.read(fd, 65536))
        draining = gevent.spawn(drain)
        assert os.write(server.fileno(), bytes(8_000_000)) == 8_000_000  # all of it, as to a blocking socket
        draining.get()
        assert os.writev(server.fileno(), [b"ab", bytearray(b"cd")]) == 4
        parts = [bytearray(3), bytearray(3)]
        assert os.readv(fd, parts) == 4 and bytes(parts[0] + parts[1][:1]) == b"abcd"
        server.close()
        assert os.read(fd, 10) == b""
        os.write(fd, b"x")
        gevent.sleep(0.01)
        raises(errno.EPIPE, os.write, fd, b"x")
    """)


def test_a_number_can_be_non_blocking():
    script("""
        fd = client.fileno()
        assert os.get_blocking(fd) and not os.isatty(fd)
        client.settimeout(1)
        assert not os.get_blocking(fd)
        os.set_blocking(fd, True)
        os.set_blocking(fd, False)
        raises(errno.EAGAIN, os.read, fd, 1)
        sent = os.write(fd, bytes(20_000_000))
        assert 0 < sent < 20_000_000
        raises(errno.EAGAIN, os.write, fd, b"x")
        import stat
        assert stat.S_ISSOCK(os.fstat(fd).st_mode)
        raises(errno.ESPIPE, os.lseek, fd, 0, 0)
    """)


def test_sendfile_copies_a_file():
    script("""
        import tempfile
        with tempfile.TemporaryFile() as file:
            file.write(bytes(range(256)) * 10)
            file.flush()
            assert os.sendfile(client.fileno(), file.fileno(), 100, 50) == 50
            assert server.recv(100) == bytes(range(100, 150))
            file.seek(0)
            assert os.sendfile(client.fileno(), file.fileno(), None, 10) == 10
            assert file.tell() == 10 and server.recv(100) == bytes(range(10))
            assert os.sendfile(client.fileno(), file.fileno(), 2560, 10) == 0
    """)


def test_duplicates_of_a_number_are_the_connection_until_the_last_is_closed():
    script("""
        copy = os.dup(client.fileno())
        other = os.open(os.devnull, os.O_RDWR)
        assert os.dup2(copy, other) == other
        client.close()
        os.close(copy)
        os.write(other, b"still here")
        assert server.recv(100) == b"still here"
        reading, writing = os.pipe()
        os.dup2(writing, other)  # over the last one: closes the connection
        assert server.recv(100) == b""
        os.write(other, b"p")
        assert os.read(reading, 1) == b"p"
        for fd in (reading, writing, other):
            os.close(fd)
    """)


def test_duplicates_that_fcntl_and_socket_make_are_the_connection():
    script("""
        import fcntl
        for fd, inheritable in ((socket.dup(server.fileno()), False),
                                (fcntl.fcntl(server.fileno(), fcntl.F_DUPFD, 0), True),
                                (fcntl.fcntl(server, fcntl.F_DUPFD_CLOEXEC, 100), False)):
            client.sendall(b"data")
            assert os.read(fd, 10) == b"data" and os.get_inheritable(fd) is inheritable
            os.close(fd)
        fd = fcntl.fcntl(server.fileno(), fcntl.F_DUPFD_CLOEXEC, 0)
        server.close()
        client.sendall(b"the last one")
        assert os.read(fd, 100) == b"the last one"
        os.close(fd)
        assert client.recv(1) == b""
    """)


def test_a_file_object_of_a_number():
    script("""
        with os.fdopen(os.dup(client.fileno()), "r+b", 0) as file:
            file.write(b"line\\n")
            assert server.makefile("rb").readline() == b"line\\n"
            server.sendall(b"answer\\n")
            assert file.readline() == b"answer\\n"
        with os.fdopen(client.fileno(), "w", closefd=False) as file:
            file.write("text")
        assert server.recv(10) == b"text"
        client.sendall(b"open")
        assert server.recv(10) == b"open"
    """)


def test_multiprocessing_s_connection_on_a_detached_number():
    script("""
        from multiprocessing.connection import Client, Connection, Listener
        one, two = Connection(client.detach()), Connection(server.detach())
        one.send({"a": [1, 2, 3]})
        assert two.poll(5) and two.recv() == {"a": [1, 2, 3]}
        assert not two.poll(0)
        two.close()
        try:
            one.recv()
        except EOFError:
            pass
        one.close()
        with Listener(("127.0.0.1", 0), authkey=b"secret") as waiting:
            accepted = gevent.spawn(waiting.accept)
            with Client(waiting.address, authkey=b"secret") as caller, accepted.get() as called:
                caller.send_bytes(b"x" * 100_000)
                assert called.recv_bytes() == b"x" * 100_000
        client, server = pair()
    """)


def test_a_child_s_stdin_and_stdout_may_be_a_connection():
    """As inetd does it: the program knows nothing of sockets, and its end is the connection's."""
    script("""
        child = subprocess.Popen([sys.executable, "-c", "import sys; print(sys.stdin.readline().upper(), end='')"],
                                 stdin=server, stdout=server)
        server.close()
        client.sendall(b"a line\\n")
        assert client.makefile("rb").read() == b"A LINE\\n"
        assert child.wait() == 0
        client, server = pair()
        reading = gevent.spawn(lambda: len(client.makefile("rb").read()))
        subprocess.run([sys.executable, "-c", "print('x' * 1_000_000)"], stdout=server, check=True)
        server.shutdown(socket.SHUT_WR)  # behind all that the child has written
        assert reading.get() == 1_000_001
        client.sendall(b"for the parent")
        assert server.recv(100) == b"for the parent"  # a child's stdout takes nothing of what arrives
    """)


def test_kernel_fd_stands_for_a_connection():
    script("""
        fd = greendpdk.kernel_fd(client)
        with socket.socket(socket.AF_UNIX, fileno=fd) as stands:
            stands.sendall(b"out")
            assert server.recv(10) == b"out"
            server.sendall(b"in")
            assert stands.recv(10) == b"in"
            stands.shutdown(socket.SHUT_WR)
            assert server.recv(10) == b""
            server.shutdown(socket.SHUT_WR)
            assert stands.recv(10) == b""
        raises(errno.ENOTCONN, greendpdk.kernel_fd, listener)
        with socket.socket(type=socket.SOCK_DGRAM) as udp:
            udp.bind(("127.0.0.1", 0))
            raises(errno.EOPNOTSUPP, greendpdk.kernel_fd, udp)
        gevent.sleep(0.02)
        assert client._sock.end.pumps == []
    """)


def test_a_number_that_c_has_closed_still_ends_its_connection():
    script("""
        from greendpdk import _fds
        _fds._close(server.fileno())  # the kernel's close(), as C would call it
        raises(errno.EBADF, server.close)
        assert client.recv(1) == b""
    """)


def test_c_that_reads_a_number_disturbs_no_socket():
    script("""
        server.fileno()
        client.sendall(b"data")
        assert select.select([server], [], [], 5)[0] == [server]
        with open(server.fileno(), "rb", buffering=0, closefd=False) as stand_in:
            stand_in.read(1)
        assert server.recv(10) == b"data"
        client.sendall(b"more")
        assert select.select([server], [], [], 5)[0] == [server] and server.recv(10) == b"more"
    """)


def test_shutdown_waits_for_no_copying_to_a_peer_that_has_reset():
    script("""
        import struct
        fd = greendpdk.kernel_fd(server)
        os.set_blocking(fd, False)
        try:
            while os.write(fd, bytes(65536)):
                gevent.sleep(0.001)
        except BlockingIOError:
            pass  # both buffers are full
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        gevent.spawn(gevent.sleep, 0.01).link(lambda _: os.close(fd))
        with gevent.Timeout(5):
            raises(errno.ENOTCONN, server.shutdown, socket.SHUT_WR)
    """)


def test_a_program_that_cannot_be_started_leaves_no_copying():
    script("""
        for stdout in (listener, "no file"):
            try:
                subprocess.Popen(["true"], stdin=server, stdout=stdout)
                raise AssertionError
            except (OSError, AttributeError):
                pass
        raises(errno.ENOENT, subprocess.Popen, ["/no/such/program"], -1, None, server)
        with gevent.Timeout(5):
            while server._sock.end.pumps:
                gevent.sleep(0.001)
    """)
