"""A socket of the stack on its way to another process is refused, where it would silently not work, with a reason."""
from __future__ import annotations

import errno
import os
import socket as standard
import subprocess
import sys

import pytest
from run import ROOT, run

from greendpdk import socket

REASON = "greendpdk's stack"


@pytest.fixture
def unix(stack):
    a, b = socket.socketpair()
    with a, b:
        yield a, b


@pytest.fixture
def listener(stack):
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def test_the_stack_s_number_is_not_sent(unix, listener):
    sender, receiver = unix
    number = listener.fileno().to_bytes(4, sys.byteorder)
    for attempt in (
        lambda: standard.send_fds(sender, [b"x"], [listener.fileno()]),
        lambda: sender.sendmsg([b"x"], iter([(standard.SOL_SOCKET, standard.SCM_RIGHTS, number)])),
    ):
        with pytest.raises(OSError, match=REASON) as caught:
            attempt()
        assert caught.value.errno == errno.EOPNOTSUPP
    sender.sendall(b"usable")
    assert receiver.recv(9) == b"usable"


def test_other_numbers_are_sent(unix):
    sender, receiver = unix
    read, write = os.pipe()
    standard.send_fds(sender, [b"x"], [read])
    _, (got,), _, _ = standard.recv_fds(receiver, 9, 1)
    os.write(write, b"through the pipe")
    assert os.read(got, 99) == b"through the pipe"
    for fd in (read, write, got):
        os.close(fd)


@pytest.mark.parametrize("take", ["socket.fromfd({}, socket.AF_INET, socket.SOCK_STREAM)", "socket.socket(fileno={})",
                                  "socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, {})"])
def test_an_inherited_number_says_what_it_is(listener, take):
    fd = listener.fileno()
    listener.set_inheritable(True)
    code = f"""if True:
        from greendpdk import monkey
        monkey.patch_all(vdev="none")
        import os, socket
        before = len(os.listdir("/proc/self/fd"))
        try:
            {take.format(fd)}
        except OSError as error:
            print(error.errno, error, len(os.listdir("/proc/self/fd")) - before)
    """
    done = subprocess.run([sys.executable, "-c", code], pass_fds=[fd], capture_output=True, text=True, timeout=60,
                          env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False)  # fmt: skip
    assert done.stdout.startswith(str(errno.EOPNOTSUPP)) and REASON in done.stdout, done.stderr
    assert f"process {os.getpid()}" in done.stdout and done.stdout.rstrip().endswith(" 0")
    with socket.socket(fileno=os.dup(fd)) as same:  # here it is what it was
        assert same.getsockname() == listener.getsockname()


def test_an_inherited_kernel_listener_works():
    run("""
        import _socket, os, subprocess, sys
        listener = _socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        code = '''if True:
            from greendpdk import monkey
            monkey.patch_all()
            import socket, sys
            sock = socket.fromfd(int(sys.argv[1]), socket.AF_INET, socket.SOCK_STREAM)
            print(sock.getsockname()[1])
            sock.close()
        '''
        fd = listener.fileno()
        out = subprocess.run([sys.executable, "-c", code, str(fd)], pass_fds=[fd], capture_output=True, text=True)
        assert out.stdout == f"{listener.getsockname()[1]}\\n", out.stderr
        listener.close()
    """)




def test_a_name_that_another_user_has_taken_is_done_without(stack, monkeypatch):
    from greendpdk import _handover

    with standard.socket(standard.AF_UNIX) as squatter:
        squatter.bind(_handover.name(1, 1))
        monkeypatch.setattr(_handover, "name", lambda pid, inode: squatter.getsockname())
        with socket.create_server(("127.0.0.1", 0)) as made:
            assert made.fileno() >= 0
