"""Addresses that come and go: what follows them, and what a socket bound to a removed one still does."""
from __future__ import annotations

import errno
from typing import Any

from frames import (
    FAR,
    GATEWAY,
    OUR_MAC,
    PEER,
    PEER_MAC,
    SECOND,
    TCP,
    UDP,
    US,
    Host,
    Socket,
    arp,
    ether,
    icmp,
    ip4,
    mapped,
    parse_ip,
    pipe,
    udp,
)

SECOND_ADDRESS = "10.0.0.77"


def add(host: Host, address: str, bits: int, index: int | None = None) -> int:
    """Add an address and let its announcement go."""
    result = int(host.lib.gd_stack_add_address(host.stack, index or host.index, mapped(address), bits))
    host.poll()
    host.take()
    return result


def remove(host: Host, address: str) -> int:
    """Remove one."""
    return int(host.lib.gd_stack_del_address(host.stack, host.index, mapped(address)))


def leads(host: Host, to: str) -> tuple[int, str]:
    """Ask which interface and source address lead there."""
    src = host.ffi.new("uint8_t[16]")
    index = host.lib.gd_stack_route(host.stack, mapped(to), src)
    return index, ".".join(str(byte) for byte in bytes(src)[12:])


def listed(host: Host) -> list[tuple[str, int]]:
    """List the interface's addresses."""
    found, addr, bits = [], host.ffi.new("uint8_t[16]"), host.ffi.new("int *")
    while host.lib.gd_stack_address(host.stack, host.index, len(found), addr, bits) == 0:
        found.append((".".join(str(byte) for byte in bytes(addr)[12:]), bits[0]))
    return found


def test_addresses_are_listed_in_the_order_of_adding(host: Host) -> None:
    assert add(host, "172.16.0.1", 16) == 0
    assert listed(host) == [(US, 24), ("172.16.0.1", 16)]
    nowhere = host.ffi.new("uint8_t[16]"), host.ffi.new("int *")
    assert host.lib.gd_stack_address(host.stack, 77, 0, *nowhere) == -errno.ENODEV


def test_removed_address_is_nobody_and_its_subnet_is_not_on_link(host: Host) -> None:
    before = host.stack.generation
    assert remove(host, US) == 0
    assert host.stack.generation > before
    assert host.lib.gd_stack_is_local(host.stack, mapped(US)) == 0
    assert leads(host, PEER)[0] == -errno.ENETUNREACH
    assert host.answer(ether(arp(1, PEER, US), 0x0806)) == []
    assert host.answer(ether(ip4(icmp(8), 1))) == []
    assert host.dropped() == {"arp_drop_not_ours": 1, "ip4_drop_not_ours": 1}
    assert remove(host, US) == -errno.EADDRNOTAVAIL
    assert host.lib.gd_stack_del_address(host.stack, 77, mapped(US)) == -errno.ENODEV


def test_subnet_stays_while_another_address_is_in_it(host: Host) -> None:
    assert add(host, SECOND_ADDRESS, 24) == 0
    assert leads(host, PEER) == (host.index, US)
    assert remove(host, US) == 0
    assert leads(host, PEER) == (host.index, SECOND_ADDRESS)
    assert remove(host, SECOND_ADDRESS) == 0
    assert host.stack.nroutes == 0


def test_route_by_hand_waits_for_an_address_to_come_back(host: Host) -> None:
    assert host.route("0.0.0.0", 0, GATEWAY) == 0
    assert remove(host, US) == 0
    assert leads(host, FAR)[0] == -errno.ENETUNREACH
    assert add(host, US, 24) == 0
    assert leads(host, FAR) == (host.index, US)


def test_route_may_name_the_source_for_as_long_as_that_is_ours(host: Host) -> None:
    name = host.lib.gd_stack_route_source
    everywhere, third = mapped("0.0.0.0"), "172.16.0.1"
    assert add(host, third, 32) == 0
    assert name(host.stack, everywhere, 0, host.index, mapped(third)) == -errno.ESRCH
    assert host.route("0.0.0.0", 0, GATEWAY) == 0
    assert name(host.stack, everywhere, 0, 77, mapped(third)) == -errno.ENODEV
    assert name(host.stack, everywhere, 0, host.index, bytes(15) + b"\x01") == -errno.EINVAL
    assert name(host.stack, everywhere, 0, host.index, mapped(third)) == 0
    assert (leads(host, FAR), leads(host, PEER)) == ((host.index, third), (host.index, US))
    assert remove(host, third) == 0
    assert leads(host, FAR) == (host.index, US)


def test_connection_of_a_removed_address_falls_silent_and_goes_on_when_it_is_back(host: Host) -> None:
    host.learn()
    sock = Socket(host, kind=1)
    assert sock.connect(PEER, 80) == -errno.EINPROGRESS
    host.poll()
    assert [packet.proto for packet in host.ips()] == [TCP]
    assert remove(host, US) == 0
    host.advance(4 * SECOND)
    assert host.take() == []
    assert sock.ready() == 0  # not killed
    assert add(host, US, 24) == 0
    host.advance(8 * SECOND)
    assert {(packet.proto, packet.src) for packet in host.ips()} == {(TCP, US)}


def test_datagram_from_a_removed_address_is_refused(host: Host) -> None:
    assert add(host, SECOND_ADDRESS, 24) == 0
    host.learn()
    sock = Socket(host)
    assert sock.bind(SECOND_ADDRESS, 7000) == 0
    assert sock.sendto(b"x", PEER, 9) == 1
    assert remove(host, SECOND_ADDRESS) == 0
    assert sock.sendto(b"x", PEER, 9) == -errno.EINVAL  # udp(7) does not say so, but Linux does
    host.poll()
    assert [packet.src for packet in host.ips()] == [SECOND_ADDRESS]


def test_datagram_of_a_socket_that_is_bound_to_a_group_comes_from_the_ports_address(host: Host) -> None:
    host.learn()
    sock = Socket(host)
    assert sock.bind("224.0.0.251", 5353) == 0
    assert sock.sendto(b"x", PEER, 9) == 1
    host.poll()
    assert [packet.src for packet in host.ips() if packet.proto == UDP] == [US]


def test_broadcast_address_is_a_host_before_and_after_its_subnet(host: Host) -> None:
    assert add(host, "10.0.1.1", 24) == 0
    sock = Socket(host)
    sock.setsockopt(1, 6, 1)  # SO_BROADCAST
    assert sock.sendto(b"x", "10.0.1.255", 9) == 1
    host.poll()
    assert host.take()[0][:6] == b"\xff" * 6
    assert remove(host, "10.0.1.1") == 0
    assert add(host, "10.0.0.5", 16) == 0
    assert sock.sendto(b"x", "10.0.1.255", 9) == 1
    host.poll()
    assert [frame[12:14] for frame in host.take()] == [b"\x08\x06"]  # asked for, as any host
    assert add(host, "10.0.1.1", 24) == 0
    assert sock.sendto(b"x", "10.0.1.255", 9) == 1
    host.poll()
    assert host.take()[0][:6] == b"\xff" * 6


def test_each_port_answers_for_all_addresses_and_sends_by_its_own_routes(native: Any, host: Host) -> None:
    port, end = pipe(native, 1500, OUR_MAC, PEER_MAC)
    index = host.lib.gd_stack_attach(host.stack, port, b"test1")
    assert add(host, "10.9.0.1", 24, index) == 0
    host.learn()
    assert host.lib.gd_stack_set_neighbour(host.stack, index, mapped("10.9.0.2"), PEER_MAC) == 0
    assert host.route("0.0.0.0", 0, GATEWAY) == 0
    assert leads(host, "10.9.0.2") == (index, "10.9.0.1")
    assert leads(host, PEER) == (host.index, US)
    assert leads(host, FAR) == (host.index, US)
    # The weak end system model, as Linux: asked by the other port, it answers from the address that was asked.
    host.learn(GATEWAY)
    host.inject(ether(ip4(icmp(8), 1, src=FAR, dst="10.9.0.1")))
    assert [(packet.src, packet.dst) for packet in host.ips()] == [("10.9.0.1", FAR)]
    sock = Socket(host)
    assert sock.bind("0.0.0.0", 7) == 0
    host.inject(ether(ip4(udp(b"one"))))
    frame = ether(ip4(udp(b"two", src="10.9.0.2", dst="10.9.0.1"), src="10.9.0.2", dst="10.9.0.1"))
    assert host.lib.gd_pipe_inject(end, frame, len(frame), host.now) == 0
    host.poll()
    got = [sock.recvfrom() for _ in range(2)]
    assert sorted(got) == [(b"one", PEER, 5000), (b"two", "10.9.0.2", 5000)]
    for data, address, number in got:
        assert sock.sendto(data, address, number) == 3
    host.poll()
    memory = host.ffi.new("uint8_t[]", 2000)
    _, other = (parse_ip(frame) if frame[12:14] == b"\x08\x00" else None  # the announcement, then the answer
                for frame in (bytes(host.ffi.buffer(memory, host.lib.gd_pipe_take(end, memory, 2000, host.now)))
                              for _ in range(2)))
    assert [(packet.src, packet.dst) for packet in host.ips()] == [(US, PEER)]
    assert (other.src, other.dst) == ("10.9.0.1", "10.9.0.2")
    host.lib.gd_stack_detach(host.stack, index)
    host.lib.gd_port_close(end)


def test_address_of_link_scope_is_not_for_who_is_behind_a_router(host: Host) -> None:
    assert remove(host, US) == 0
    assert add(host, "169.254.7.7", 16) == 0
    assert add(host, US, 24) == 0
    assert host.route("192.0.2.0", 24, "172.31.0.1") == 0
    assert leads(host, FAR) == (host.index, US)
    assert leads(host, "169.254.9.9") == (host.index, "169.254.7.7")
