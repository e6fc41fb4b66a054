"""A client that must survive a partition, and connections that are reset: it misses no line, and gets none twice."""
import socket
import threading
import time

import pytest
from feed import read_feed

LINES = 40


class Feed:
    """A server at the other side: sends numbered lines, one each millisecond, from the one that it is asked for on."""

    def __init__(self, peer):
        self.at = {}  # what happens, once, when that line has been sent
        self.connections = 0
        self.address = peer.serve(self.send)

    def send(self, sock):
        self.connections += 1
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with sock.makefile("r") as reader:
            first = int(reader.readline())
        for number in range(first, LINES):
            sock.sendall(b"line %d\n" % number)
            time.sleep(0.001)
            self.at.pop(number, lambda: None)()


@pytest.fixture
def feed(dpdk_peer):
    return Feed(dpdk_peer)


def later(seconds, action):
    """Do this so much later, whatever the test does meanwhile."""
    timer = threading.Timer(seconds, action)
    timer.start()
    return timer


def test_all_lines_come_through_a_partition(feed, network):
    feed.at[10] = lambda: (network.partition(), later(0.25, network.heal))
    assert read_feed(feed.address, LINES) == [f"line {number}" for number in range(LINES)]
    assert feed.connections > 1 and network.totals().lost > 0


def test_all_lines_come_through_resets(feed, network):
    feed.at[10] = feed.at[20] = network.reset_connections
    assert read_feed(feed.address, LINES) == [f"line {number}" for number in range(LINES)]
    assert feed.connections == 3
