"""What breaks into a blocked call leaves the socket usable: gevent.Timeout, kill, signals and their handlers."""
from __future__ import annotations

import socket as std
from typing import Any

import gevent
import pytest
from run import run


class Stop(BaseException):
    """Derives from nothing that a library would catch."""


def breaking(how: str, call: Any, *args: Any) -> None:
    """Block in the call, and be broken out of it."""
    if how == "timeout":
        with pytest.raises(gevent.Timeout), gevent.Timeout(0.01):
            call(*args)
        return
    blocked = gevent.spawn(call, *args)
    gevent.sleep(0.01)
    blocked.kill(Stop() if how == "throw" else gevent.GreenletExit())
    assert blocked.dead


WAYS = pytest.mark.parametrize("how", ["timeout", "kill", "throw"])
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def quiet() -> Any:
    """Do not print what the tests throw."""
    hub = gevent.get_hub()
    before = hub.NOT_ERROR
    hub.NOT_ERROR = (*before, Stop)
    yield
    hub.NOT_ERROR = before


@WAYS
def test_recv_broken_into_loses_nothing(pair, how):
    client, server = pair
    breaking(how, server.recv, 9)
    breaking(how, server.recv_into, bytearray(9))
    client.sendall(b"whole")
    assert server.recv(9) == b"whole"


@WAYS
def test_recv_of_all_broken_into_loses_nothing(pair, how):
    client, server = pair
    client.sendall(b"who")
    breaking(how, server.recv, 5, std.MSG_WAITALL)
    breaking(how, server.recv_into, bytearray(5), 0, std.MSG_WAITALL)
    client.sendall(b"le")
    assert server.recv(5, std.MSG_WAITALL) == b"whole"


def test_recv_of_all_gives_up_with_what_has_come(pair):
    client, server = pair
    client.sendall(b"who")
    server.settimeout(0.01)
    assert server.recv(5, std.MSG_WAITALL) == b"who"


def test_peek_of_all_waits_for_all(pair):
    client, server = pair
    client.sendall(b"who")
    reader = gevent.spawn(server.recv, 5, std.MSG_WAITALL | std.MSG_PEEK)
    gevent.sleep(0.01)
    assert not reader.ready()
    client.sendall(b"le")
    assert reader.get() == server.recv(9) == b"whole"


@WAYS
def test_accept_broken_into_accepts_the_next(listener, net, how):
    breaking(how, listener.accept)
    with net.socket.create_connection(listener.getsockname()) as client:
        accepted, name = listener.accept()
        with accepted:
            assert name == client.getsockname()


@WAYS
def test_sendall_broken_into_has_sent_a_beginning(pair, how):
    client, server = pair
    breaking(how, client.sendall, bytes(20_000_000))
    client.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            client.send(bytes(100_000))
    got = len(server.recv(1000))
    assert got == 1000
    client.close()
    while data := server.recv(1 << 20):
        got += len(data)
    assert 1000 < got < 40_000_000


@WAYS
def test_recvfrom_broken_into_gets_the_next_datagram(udp, how):
    a, b = udp
    breaking(how, a.recvfrom, 9)
    b.sendto(b"next", a.getsockname())
    assert a.recvfrom(9) == (b"next", b.getsockname())


KEYS = """
    import os, signal
    from greendpdk import monkey
    monkey.patch_all(vdev="none", loopback=LOOPBACK)
    import socket
    server = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(server.getsockname())
    peer, _ = server.accept()
    assert peer._is_stack() is (LOOPBACK == "stack")

    def interrupt():
        os.system(f"(sleep 0.2; kill -INT {os.getpid()}) &")

    def broken(call, *args):
        interrupt()
        try:
            call(*args)
        except KeyboardInterrupt:
            return
        raise SystemExit("not interrupted")

    broken(client.recv, 5)
    broken(server.accept)
    signal.signal(signal.SIGINT, lambda *_: peer.sendall(b"by the handler"))
    interrupt()
    assert client.recv(99) == b"by the handler"
    client.sendall(b"after")
    assert peer.recv(9) == b"after"
    for each in (client, peer, server):
        each.close()
"""


@pytest.mark.parametrize("loopback", ["kernel", "stack"])
def test_ctrl_c_breaks_into_a_blocked_call_and_a_handler_that_returns_does_not(loopback):
    run(KEYS.replace("LOOPBACK", repr(loopback)))
