"""Invariant: a socket bound to a device (SO_BINDTODEVICE) sends by that one alone and hears by that one alone."""
from __future__ import annotations

import errno
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from frames import FAR, OTHER, PEER, US, Host, Socket, arp, ether, ip4, mapped, parse_ip, pipe, tcp, udp

SOL, DEVICE, INDEX, SCOPE_BASE = 1, 25, 62, 1 << 30
OUR_OTHER_MAC, THEIRS = bytes.fromhex("020000000011"), bytes.fromhex("020000000012")
US2, PEER2 = "10.0.1.1", "10.0.1.2"


class Second:
    """A second wire of the host's, "test1", 10.0.1.1/24, whose far end knows OTHER and PEER2 too."""

    def __init__(self, host: Host) -> None:
        self.host = host
        port, self.end = pipe(host.native, 1500, OUR_OTHER_MAC, THEIRS)
        self.index = host.lib.gd_stack_attach(host.stack, port, b"test1")
        assert host.lib.gd_stack_add_address(host.stack, self.index, mapped(US2), 24) == 0
        for address in (PEER, PEER2, OTHER):
            assert host.lib.gd_stack_set_neighbour(host.stack, self.index, mapped(address), THEIRS) == 0
        host.learn()
        host.poll()
        self.take()
        host.take()

    def inject(self, frame: bytes) -> None:
        assert self.host.lib.gd_pipe_inject(self.end, frame, len(frame), self.host.now) == 0
        self.host.poll()

    def take(self) -> list[bytes]:
        frames, memory = [], self.host.ffi.new("uint8_t[]", 2000)
        while (length := self.host.lib.gd_pipe_take(self.end, memory, 2000, self.host.now)) > 0:
            frames.append(bytes(self.host.ffi.buffer(memory, length)))
        return frames


@pytest.fixture
def second(host: Host) -> Iterator[Second]:
    """The host with a second wire."""
    made = Second(host)
    yield made
    host.close, closing = lambda: None, host.close  # type: ignore[method-assign]
    closing()
    host.lib.gd_port_close(made.end)


def to_device(sock: Socket, name: bytes) -> int:
    return int(sock.lib.gd_sock_setsockopt(sock.c, SOL, DEVICE, name, len(name)))


def device_of(sock: Socket, room: int = 32) -> bytes | int:
    value, size = sock.ffi.new("char[]", 32), sock.ffi.new("uint32_t *", room)
    result = int(sock.lib.gd_sock_getsockopt(sock.c, SOL, DEVICE, value, size))
    return result if result < 0 else bytes(sock.ffi.buffer(value, size[0]))


def test_name_is_taken_given_back_and_withdrawn(second: Second) -> None:
    sock = Socket(second.host)
    assert device_of(sock) == b""
    assert to_device(sock, b"nowhere") == -errno.ENODEV
    assert to_device(sock, b"test1") == 0
    assert device_of(sock) == b"test1\0"
    assert device_of(sock, 5) == -errno.EINVAL
    assert to_device(sock, b"test0\0rest") == 0
    assert device_of(sock) == b"test0\0"
    assert to_device(sock, b"") == 0
    assert device_of(sock) == b""
    for index in (second.index, SCOPE_BASE + second.index):
        assert sock.setsockopt(SOL, INDEX, index) == 0
        assert device_of(sock) == b"test1\0"
    assert sock.setsockopt(SOL, INDEX, 9) == -errno.ENODEV
    assert sock.setsockopt(SOL, INDEX, -1) == -errno.EINVAL


def test_datagram_leaves_by_the_device_whatever_the_routes_say(second: Second) -> None:
    host, sock = second.host, Socket(second.host)
    assert sock.sendto(b"x", PEER, 9) == 1
    host.poll()
    assert len(host.take()) == 1
    assert to_device(sock, b"test1") == 0
    assert sock.sendto(b"x", PEER, 9) == 1  # on that link, as Linux takes it to be where no route says otherwise
    host.poll()
    assert host.take() == []
    (packet,) = map(parse_ip, second.take())
    assert (packet.src, packet.dst) == (US2, PEER)


def test_route_of_another_device_is_not_used(second: Second) -> None:
    host, sock = second.host, Socket(second.host)
    assert host.route(FAR, 32, PEER) == 0
    assert to_device(sock, b"test1") == 0
    assert sock.sendto(b"x", FAR, 9) == 1
    host.poll()
    assert host.take() == []
    assert second.take()[0][12:14] == b"\x08\x06"  # it asks who has that address
    assert host.lib.gd_stack_add_route(host.stack, mapped(FAR), 32, mapped(PEER2), second.index) == 0
    assert sock.sendto(b"y", FAR, 9) == 1
    host.poll()
    assert [parse_ip(frame).payload[8:] for frame in second.take()] == [b"y"]


def test_datagram_by_another_device_is_not_heard(second: Second) -> None:
    host, bound, any_device = second.host, Socket(second.host), Socket(second.host)
    assert to_device(bound, b"test1") == 0
    assert bound.bind(port=7) == 0
    assert any_device.setsockopt(SOL, 2, 1) == 0
    host.inject(ether(ip4(udp(b"wrong"))))
    assert bound.recvfrom() == -errno.EAGAIN
    second.inject(ether(ip4(udp(b"right"), dst=US), to=OUR_OTHER_MAC, source=THEIRS))  # weak hosts: any address of ours
    assert bound.recvfrom() == (b"right", PEER, 5000)


def test_sockets_of_two_devices_share_a_port_and_each_hears_its_own(second: Second) -> None:
    host, a, b, c = second.host, *(Socket(second.host) for _ in range(3))
    for sock, name in ((a, b"test0"), (b, b"test1")):
        assert to_device(sock, name) == 0
        assert sock.bind(port=7) == 0
    assert c.bind(port=7) == -errno.EADDRINUSE
    host.inject(ether(ip4(udp(b"one"))))
    second.inject(ether(ip4(udp(b"two"), dst=US), to=OUR_OTHER_MAC, source=THEIRS))
    assert a.recvfrom() == (b"one", PEER, 5000)
    assert b.recvfrom() == (b"two", PEER, 5000)
    assert a.recvfrom() == b.recvfrom() == -errno.EAGAIN


def test_socket_of_the_device_goes_before_one_of_none(second: Second) -> None:
    host, plain, bound = second.host, Socket(second.host), Socket(second.host)
    for sock in (plain, bound):
        assert sock.setsockopt(SOL, 2, 1) == 0
    assert to_device(bound, b"test0") == 0
    assert plain.bind(US, 7) == 0
    assert bound.bind(port=7) == 0
    host.inject(ether(ip4(udp(b"x"))))
    assert plain.recvfrom() == -errno.EAGAIN
    assert bound.recvfrom() == (b"x", PEER, 5000)


def test_listener_accepts_by_its_device_only_and_answers_there(second: Second) -> None:
    host, listener = second.host, Socket(second.host, 1)
    assert to_device(listener, b"test1") == 0
    assert listener.bind(port=80) == 0
    assert host.lib.gd_sock_listen(listener.c, 5) == 0
    (refusal,) = map(parse_ip, host.answer(ether(tcp(2, 4000, 80, PEER, US))))
    assert refusal.payload[13] & 4  # RST
    second.inject(ether(tcp(2, 4000, 80, PEER, US), to=OUR_OTHER_MAC, source=THEIRS))
    assert host.take() == []  # though the route to that peer leads there
    (answer,) = map(parse_ip, second.take())
    assert (answer.payload[13], answer.dst) == (0x12, PEER)


def test_nobody_takes_the_place_of_a_connection_by_another_device(second: Second) -> None:
    host, listener = second.host, Socket(second.host, 1)
    assert listener.bind(port=80) == 0
    assert host.lib.gd_sock_listen(listener.c, 5) == 0
    (answer,) = map(parse_ip, host.answer(ether(tcp(2, 4000, 80, PEER, US))))
    iss = struct.unpack("!I", answer.payload[4:8])[0]
    host.inject(ether(tcp(0x10, 4000, 80, PEER, US, 2, iss + 1)))
    accepted, out = Socket(host, 1), host.ffi.new("struct gd_sock **")
    accepted.close()  # for the one below
    assert host.lib.gd_sock_accept(listener.c, out) == 0
    accepted.c = out[0]
    assert to_device(accepted, b"test0") == 0
    second.inject(ether(tcp(2, 4000, 80, PEER, US, 77), to=OUR_OTHER_MAC, source=THEIRS))
    second.inject(ether(tcp(4, 4000, 80, PEER, US, 2), to=OUR_OTHER_MAC, source=THEIRS))
    assert second.take() == []
    assert host.counters()["tcp_drop_device"] == 2
    assert host.take() == []
    assert accepted.send(b"x") == 1  # and it stands
    host.poll()
    assert [parse_ip(frame).payload[20:] for frame in host.take()] == [b"x"]
    host.inject(ether(tcp(4, 4000, 80, PEER, US, 2)))  # the peer's own RST
    assert accepted.send(b"x") == -errno.ECONNRESET


def test_connection_leaves_by_its_device(second: Second) -> None:
    host, sock = second.host, Socket(second.host, 1)
    assert to_device(sock, b"test1") == 0
    assert sock.connect(PEER, 80) == -errno.EINPROGRESS
    host.poll()
    assert host.take() == []
    (syn,) = map(parse_ip, second.take())
    assert (syn.src, syn.payload[13]) == (US2, 2)
    assert sock.name()[0] == US2


def test_unicast_if_and_pktinfo_choose_the_device_of_a_datagram(second: Second) -> None:
    host, sock = second.host, Socket(second.host)
    unicast_if = struct.pack("!I", SCOPE_BASE + second.index)
    assert sock.lib.gd_sock_setsockopt(sock.c, 0, 50, unicast_if, 4) == 0
    assert sock.lib.gd_sock_setsockopt(sock.c, 0, 50, struct.pack("!I", 9), 4) == -errno.EADDRNOTAVAIL
    assert sock.sendto(b"x", PEER, 9) == 1
    host.poll()
    assert len(second.take()) == 1
    assert sock.lib.gd_sock_setsockopt(sock.c, 0, 50, bytes(4), 4) == 0
    for index, source, wire in ((second.index, bytes(4), second), (0, mapped(US2)[12:], host)):
        send_info(sock, struct.pack("=i4s4x", index, source))
        host.poll()
        (packet,) = map(parse_ip, wire.take())
        assert packet.src == US2
        assert second.take() == host.take() == []


def send_info(sock: Socket, info: bytes) -> None:
    """Send a datagram with IP_PKTINFO."""
    ffi = sock.ffi
    data, control = ffi.from_buffer(b"x"), ffi.from_buffer(struct.pack("@Nii", 28, 0, 8) + info + bytes(4))
    part = ffi.new("struct gd_iovec *", {"base": data, "len": 1})
    message = ffi.new("struct gd_message *", {"parts": part, "nparts": 1, "control": control, "control_len": 32})
    message.addr, message.port, message.named = mapped(PEER), 9, 1
    assert sock.lib.gd_sock_sendmsg(sock.c, message, 0) == 1


def test_device_that_goes_leaves_its_sockets_without_one(second: Second) -> None:
    host, sock = second.host, Socket(second.host)
    assert to_device(sock, b"test1") == 0
    assert sock.bind(port=7) == 0
    assert host.lib.gd_stack_detach(host.stack, second.index) == 0
    assert device_of(sock) == -errno.ENODEV
    assert sock.sendto(b"x", PEER, 9) == -errno.ENODEV


def test_neighbours_of_the_other_device_are_not_asked(second: Second) -> None:
    host: Any = second.host
    sock = Socket(host)
    assert to_device(sock, b"test1") == 0
    assert sock.sendto(b"x", FAR, 9) == 1
    host.poll()
    (question,) = second.take()
    assert question[14:] == arp(1, US2, FAR, OUR_OTHER_MAC)
    assert host.take() == []


def test_socket_of_a_device_without_an_address_asks_everybody_from_nowhere(second: Second) -> None:
    host, sock = second.host, Socket(second.host)
    assert host.lib.gd_stack_del_address(host.stack, second.index, mapped(US2)) == 0
    assert sock.setsockopt(SOL, 6, 1) == 0  # SO_BROADCAST
    assert to_device(sock, b"test1") == 0
    assert sock.bind(port=68) == 0
    assert sock.sendto(b"any server?", "255.255.255.255", 67) == 11
    host.poll()
    (frame,) = second.take()
    packet = parse_ip(frame)
    assert (frame[:6], packet.src, packet.dst) == (b"\xff" * 6, "0.0.0.0", "255.255.255.255")
    assert sock.sendto(b"x", "10.0.1.255", 67) == -errno.ENETUNREACH


def test_who_has_no_address_is_heard_when_he_asks_everybody(second: Second) -> None:
    host, server = second.host, Socket(second.host)
    assert server.bind(port=67) == 0
    for to, heard in (("255.255.255.255", True), (US, False), ("10.0.0.255", False)):
        frame = ether(ip4(udp(b"ask", 68, 67, "0.0.0.0", to), src="0.0.0.0", dst=to), to=b"\xff" * 6)
        host.inject(frame)
        assert server.recvfrom() == ((b"ask", "0.0.0.0", 68) if heard else -errno.EAGAIN)


def test_other_device_than_the_bound_one_is_no_interface_to_send_by(second: Second) -> None:
    """IP_UNICAST_IF, as Linux has it."""
    sock = Socket(second.host)
    assert to_device(sock, b"test0") == 0
    for index, result in ((second.index, -errno.EINVAL), (second.host.index, 0), (0, 0)):
        value = struct.pack("!I", index)
        assert sock.lib.gd_sock_setsockopt(sock.c, 0, 50, value, len(value)) == result
