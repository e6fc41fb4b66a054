"""Rows of docs/parity.md that no other file shows: what a socket's calls do together, or to which buffers."""
from __future__ import annotations

import array
import mmap

import gevent
import pytest

BUFFERS = {
    "bytearray": bytearray, "memoryview": lambda n: memoryview(bytearray(n)),
    "array": lambda n: array.array("B", bytes(n)), "mmap": lambda n: mmap.mmap(-1, n),
}  # fmt: skip


@pytest.mark.parametrize("make", BUFFERS.values(), ids=BUFFERS)
def test_recv_into_takes_every_writable_buffer(pair, make):
    client, server = pair
    client.sendall(b"01234567")
    with memoryview(make(8)) as room:
        assert server.recv_into(room) == 8 and room.tobytes() == b"01234567"


def test_select_with_no_time_never_blocks(pair, net):
    client, server = pair
    turns = []
    other = gevent.spawn(turns.append, 1)
    assert net.select.select([server], [client], [], 0) == ([], [client], [])
    client.send(b"x")
    with gevent.Timeout(5):
        while net.select.select([server], [], [], 0) == ([], [], []):
            gevent.sleep(0)
    other.join()


def test_readers_and_writers_share_a_connection_and_none_starves(pair):
    client, server = pair
    size, block = 1_000_000, bytes(10_000)
    other = client.dup()
    lines = server.makefile("rb")

    def echo() -> None:
        while data := lines.read1(65536):
            server.sendall(data)

    def write() -> None:
        for _ in range(size // len(block)):
            other.sendall(block)
        other.shutdown(1)

    def read() -> int:
        count = 0
        while count < size:
            count += len(client.recv(65536))
        return count

    with other, lines:
        work = [gevent.spawn(echo), gevent.spawn(write), gevent.spawn(read)]
        gevent.joinall(work, raise_error=True)
        assert work[2].value == size


def test_listeners_of_one_port_get_connections_by_hash(net):
    with net.socket.socket() as first, net.socket.socket() as second:
        for each in (first, second):
            each.setsockopt(net.socket.SOL_SOCKET, net.socket.SO_REUSEPORT, 1)
            each.bind(first.getsockname() if each is second else ("127.0.0.1", 0))
            each.listen(100)
        clients = [net.socket.create_connection(first.getsockname()) for _ in range(64)]
        counts = []
        for each in (first, second):
            each.setblocking(False)
            taken = []
            while True:
                try:
                    taken.append(each.accept()[0])
                except BlockingIOError:
                    break
            counts.append(len(taken))
            for sock in taken:
                sock.close()
        for sock in clients:
            sock.close()
    assert sum(counts) == 64 and min(counts) > 8  # by chance less once in a billion runs
