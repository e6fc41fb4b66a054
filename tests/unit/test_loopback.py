"""Invariant: the loopback gives back every frame that it took, in order, marked as checked, and holds no more than its
queue.
"""
from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Any

import pytest
from frames import SECOND, Socket, mapped
from frames6 import AF_INET6, US6, Host6, on_link

QUEUE = 1024
NEVER = 2**64 - 1
RX_IP_CSUM_OK, RX_L4_CSUM_OK, TX_TCP_CSUM = 0x01, 0x04, 0x20


class Loopback:
    """The port, by its functions."""

    def __init__(self, native: Any) -> None:
        self.ffi, self.lib = native.ffi, native.lib
        self.port = self.lib.gd_loopback_new()
        self.ops = self.port.ops
        self.burst = self.ffi.new("struct gd_frame *[32]")

    def frame(self, text: bytes) -> Any:
        """Make a frame."""
        frame = self.ops.alloc(self.port)
        assert frame.room == 65535 + 14
        self.ffi.memmove(frame.data, text, len(text))
        frame.len, frame.flags = len(text), TX_TCP_CSUM
        return frame

    def send(self, text: bytes) -> int:
        """Send one; give it back if it is refused. Return how many were taken."""
        self.burst[0] = self.frame(text)
        taken = int(self.ops.tx(self.port, self.burst, 1, 0))
        if not taken:
            self.ops.free(self.port, self.burst, 1)
        return taken

    def receive(self, most: int = 32) -> list[tuple[bytes, int]]:
        """Receive one burst."""
        count = self.ops.rx(self.port, self.burst, most, 0)
        found = [(bytes(self.ffi.buffer(frame.data, frame.len)), frame.flags) for frame in self.burst[0:count]]
        self.ops.free(self.port, self.burst, count)
        return found


@pytest.fixture
def loopback(native: Any) -> Iterator[Loopback]:
    """Make one."""
    made = Loopback(native)
    yield made
    made.lib.gd_port_close(made.port)


def test_what_is_sent_comes_back_in_order_and_counts_as_checked(loopback: Loopback) -> None:
    for text in (b"one", b"two", b"three"):
        assert loopback.send(text) == 1
    checked = RX_IP_CSUM_OK | RX_L4_CSUM_OK
    assert loopback.receive(2) == [(b"one", checked), (b"two", checked)]
    assert loopback.receive() == [(b"three", checked)]
    assert loopback.receive() == []


def test_waiting_frame_is_due_at_once(loopback: Loopback) -> None:
    assert loopback.ops.next(loopback.port) == NEVER
    loopback.send(b"waiting")
    assert loopback.ops.next(loopback.port) == 0


def test_full_queue_refuses_and_takes_again_after_a_receive(loopback: Loopback) -> None:
    assert sum(loopback.send(b"x") for _ in range(QUEUE + 5)) == QUEUE
    assert len(loopback.receive()) == 32
    assert sum(loopback.send(b"y") for _ in range(40)) == 32
    received = sum(len(loopback.receive()) for _ in range(QUEUE // 32))
    assert received == QUEUE
    assert loopback.receive() == []


def test_close_frees_frames_that_wait(native: Any) -> None:
    loopback = Loopback(native)
    for _ in range(100):
        loopback.send(b"never received")
    loopback.lib.gd_port_close(loopback.port)


def test_stack_speaks_ipv6_to_itself(host6: Host6) -> None:
    """::1, and an address of its own that has a link."""
    assert host6.lib.gd_stack_add_address(host6.stack, host6.index, mapped("fe80::1"), 64) == 0
    host6.advance(3 * SECOND)
    host6.settle6()
    server, client = Socket(host6, domain=AF_INET6), Socket(host6, domain=AF_INET6)
    assert server.bind("::", 7) == 0
    for to in (mapped("::1"), mapped(US6), on_link("fe80::1", host6)):
        assert host6.lib.gd_sock_sendto(client.c, b"x", 1, 0, to, 7) == 1
        host6.poll()
        address, port = host6.ffi.new("uint8_t[16]"), host6.ffi.new("uint16_t *")
        data, flags = host6.ffi.new("uint8_t[8]"), host6.ffi.new("int *")
        assert host6.lib.gd_sock_recvfrom(server.c, data, 8, 0, address, port, flags) == 1
        assert bytes(address) == to
    assert host6.take() == [] and not host6.dropped()


def test_closed_port_of_our_own_is_told_over_ipv6(host6: Host6) -> None:
    client = Socket(host6, domain=AF_INET6)
    assert client.connect("::1", 9) == 0 and client.send(b"x") == 1
    host6.poll()
    assert client.recvfrom() == -errno.ECONNREFUSED


def test_a_handshake_with_this_host_takes_one_poll(host6: Host6) -> None:
    server, client = (Socket(host6, domain=AF_INET6, kind=1) for _ in range(2))
    assert server.bind("::1", 7) == 0 and host6.lib.gd_sock_listen(server.c, 1) == 0
    host6.settle6()
    assert client.connect("::1", 7) == -errno.EINPROGRESS
    host6.lib.gd_stack_poll(host6.stack, host6.now)
    assert host6.lib.gd_sock_accept(server.c, host6.ffi.new("struct gd_sock **")) == 0
