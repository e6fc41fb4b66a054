"""Invariant: what named an interface that is gone names nothing, as on Linux, and never the one that came after it."""
from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from frames import FAR, PEER, SECOND, US, Socket, ether, ip4, mapped, pipe, udp
from frames6 import AF_INET6, Host6, ether6, ip6, on_link, udp6
from test_multicast import GROUP, GROUP6, IF, IF6, IP, IP6, JOIN, getraw, mreqn, setraw, to_group

LINK, THEIRS = "fe80::1234", bytes.fromhex("020000000012")
DEVICE, UNICAST_IF, UNICAST_IF6, PKTINFO, PKTINFO6 = 25, 50, 76, 8, 50
SIXTEEN_BITS = 0xFFFF


class Gone(Host6):
    """A host whose wire is to be replaced by another that looks the same."""

    def replace(self) -> None:
        """Detach the wire, and attach the next one with the same name and addresses."""
        old = self.index
        assert self.lib.gd_stack_detach(self.stack, old) == 0
        self.lib.gd_port_close(self.end)
        self.port, self.end = pipe(self.native, self.mtu, self.mac, THEIRS)
        self.index = self.lib.gd_stack_attach(self.stack, self.port, b"test0")
        assert self.index > old
        for address, bits in ((US, 24), ("2001:db8::1", 64)):
            assert self.lib.gd_stack_add_address(self.stack, self.index, mapped(address), bits) == 0
        self.learn(PEER, THEIRS)
        self.advance(3 * SECOND)
        self.take()

    def silent(self) -> bool:
        """Tell whether nothing is sent."""
        self.poll()
        return self.take() == []


@pytest.fixture
def host(native: Any) -> Iterator[Gone]:
    """Return one."""
    made = Gone(native)
    yield made
    made.close()


def sendmsg(sock: Socket, to: bytes, level: int, kind: int, control: bytes) -> int:
    ffi = sock.ffi
    control = (struct.pack("@Nii", 16 + len(control), level, kind) + control).ljust(40, b"\0")
    data, buffer = ffi.from_buffer(b"x"), ffi.from_buffer(control)
    part = ffi.new("struct gd_iovec *", {"base": data, "len": 1})
    message = ffi.new("struct gd_message *", {"parts": part, "nparts": 1, "control": buffer, "control_len": 40})
    message.addr, message.port, message.named = to, 9, 1
    return int(sock.lib.gd_sock_sendmsg(sock.c, message, 0))


def test_number_of_the_old_one_is_nobodys(host: Gone) -> None:
    old = host.index
    host.replace()
    assert host.lib.gd_stack_detach(host.stack, old) == -errno.ENODEV
    assert host.lib.gd_stack_add_address(host.stack, old, mapped(FAR), 24) == -errno.ENODEV
    assert host.lib.gd_stack_port(host.stack, old) == host.ffi.NULL


@pytest.mark.parametrize("number", [0, -1, -(2**31), 2**31 - 1, 17, 18])
def test_numbers_of_none_are_not_found(host: Gone, number: int) -> None:
    assert host.lib.gd_stack_port(host.stack, number) == host.ffi.NULL


def test_numbers_begin_anew_when_all_were_given(host: Gone) -> None:
    """And pass over those of the interfaces that are there."""
    host.stack.last_index = SIXTEEN_BITS - 1
    far, numbers = [], []
    for _ in range(14):
        port, end = pipe(host.native, 1500, host.mac, THEIRS)
        numbers.append(int(host.lib.gd_stack_attach(host.stack, port, b"more")))
        far.append(end)
    assert numbers[0] == SIXTEEN_BITS and sorted(numbers[1:]) == numbers[1:]
    assert len({(number - 1) % 16 for number in [1, host.index, *numbers]}) == 16
    for number in numbers:
        assert host.lib.gd_stack_port(host.stack, number) != host.ffi.NULL
    port, end = pipe(host.native, 1500, host.mac, THEIRS)
    assert host.lib.gd_stack_attach(host.stack, port, b"more") == -errno.ENOSPC
    for number in numbers:
        assert host.lib.gd_stack_detach(host.stack, number) == 0
    for each in [*far, end]:
        host.lib.gd_port_close(each)


def test_socket_bound_to_it_neither_sends_nor_hears(host: Gone) -> None:
    sock = Socket(host)
    assert setraw(sock, 1, DEVICE, b"test0") == 0
    assert sock.bind(port=7) == 0
    host.replace()
    assert getraw(sock, 1, DEVICE, 16) == -errno.ENODEV
    assert sock.sendto(b"x", PEER, 9) == -errno.ENODEV
    host.inject(ether(ip4(udp(b"x"))))
    assert sock.recvfrom() == -errno.EAGAIN
    six = Socket(host, domain=AF_INET6)
    assert setraw(six, 1, DEVICE, b"test0") == 0
    host.replace()
    assert six.sendto(b"x", "2001:db8::2", 9) == -errno.ENETUNREACH
    assert host.silent()


def test_interface_of_groups_is_not_the_next_one(host: Gone) -> None:
    sock, six = Socket(host), Socket(host, domain=AF_INET6)
    assert setraw(sock, IP, IF, mreqn("0.0.0.0", "0.0.0.0", host.index)) == 0
    assert six.setsockopt(IP6, IF6, host.index) == 0
    host.replace()
    assert sock.sendto(b"x", GROUP, 9) == -errno.ENODEV
    assert six.sendto(b"x", GROUP6, 9) == -errno.ENETUNREACH
    assert host.silent()


def test_interface_of_datagrams_is_not_the_next_one(host: Gone) -> None:
    """IP_UNICAST_IF, IPV6_UNICAST_IF"""
    sock, six = Socket(host), Socket(host, domain=AF_INET6)
    assert setraw(sock, IP, UNICAST_IF, struct.pack("!I", host.index)) == 0
    assert setraw(six, IP6, UNICAST_IF6, struct.pack("!I", host.index)) == 0
    host.replace()
    assert sock.sendto(b"x", PEER, 9) == -errno.ENODEV
    assert six.sendto(b"x", "2001:db8::2", 9) == -errno.ENETUNREACH
    assert host.silent()


def test_interface_of_one_datagram_is_not_the_next_one(host: Gone) -> None:
    """IP_PKTINFO, IPV6_PKTINFO: what was received by the old one is not answered by the new one."""
    old = host.index
    host.replace()
    info = struct.pack("=i8x", old)
    assert sendmsg(Socket(host), mapped(PEER), IP, PKTINFO, info) == -errno.ENODEV
    info = struct.pack("=16xi", old)
    assert sendmsg(Socket(host, domain=AF_INET6), mapped("2001:db8::2"), IP6, PKTINFO6, info) == -errno.ENODEV
    assert host.silent()


def test_membership_is_not_that_of_the_next_one(host: Gone) -> None:
    sock = Socket(host)
    assert setraw(sock, IP, JOIN, mreqn(GROUP, "0.0.0.0", host.index)) == 0
    assert sock.setsockopt(IP, 49, 0) == 0  # IP_MULTICAST_ALL
    assert sock.bind(port=7) == 0
    host.replace()
    host.inject(to_group(b"x"))
    assert sock.recvfrom() == -errno.EAGAIN
    assert setraw(sock, IP, JOIN, mreqn(GROUP, "0.0.0.0", host.index)) == 0
    host.inject(to_group(b"y"))
    assert sock.recvfrom() == (b"y", PEER, 5000)


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_scope_is_not_that_of_the_next_one(host: Gone, kind: int) -> None:
    """Neither of whom it speaks to, nor of whom is heard."""
    old = on_link(LINK, host)
    host.learn(LINK)
    sock, fresh = Socket(host, kind, AF_INET6), Socket(host, kind, AF_INET6)
    assert sock.lib.gd_sock_connect(sock.c, old, 9) in (0, -errno.EINPROGRESS)
    host.poll()
    ours, at = sock.ffi.new("uint8_t[16]"), sock.ffi.new("uint16_t *")
    assert sock.lib.gd_sock_getsockname(sock.c, ours, at) == 0
    host.replace()
    assert fresh.lib.gd_sock_connect(fresh.c, old, 9) == -errno.ENETUNREACH
    if kind == socket.SOCK_DGRAM:
        assert sock.send(b"x") == -errno.EINVAL  # its own address is gone as well
    host.advance(10 * SECOND)
    assert not [frame for frame in host.take() if frame[38:54] == mapped(LINK)]
    if kind == socket.SOCK_DGRAM:
        plain = str(socket.inet_ntop(AF_INET6, bytes(ours)[:2] + bytes(2) + bytes(ours)[4:]))
        host.inject(ether6(ip6(udp6(b"x", 9, at[0], LINK, plain), 17, LINK, plain)))
        assert sock.recvfrom() == -errno.EAGAIN


def test_connected_socket_goes_on_by_the_next_one(host: Gone) -> None:
    """It named an address, and no interface."""
    sock = Socket(host)
    assert sock.connect(PEER, 9) == 0
    assert sock.send(b"x") == 1
    host.poll()
    host.replace()
    assert sock.send(b"y") == 1
    host.poll()
    assert [frame[:6] for frame in host.take()] == [THEIRS]


def test_route_of_the_old_one_is_not_one_of_the_next(host: Gone) -> None:
    assert host.route(FAR, 32, PEER) == 0
    sock = Socket(host)
    assert sock.connect(FAR, 9) == 0
    host.replace()
    assert sock.send(b"x") == -errno.ENETUNREACH
    assert host.silent()


def test_memberships_of_it_take_no_room(host: Gone) -> None:
    sock, groups = Socket(host), [f"239.1.2.{number}" for number in range(20)]
    for _ in range(2):
        for group in groups:
            assert setraw(sock, IP, JOIN, mreqn(group, "0.0.0.0", host.index)) == 0
        assert setraw(sock, IP, JOIN, mreqn("239.9.9.9", "0.0.0.0", host.index)) == -errno.ENOBUFS
        host.replace()
