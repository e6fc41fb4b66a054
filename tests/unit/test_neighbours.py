"""Invariant: a packet waits for its neighbour's MAC address, leaves by it, or fails by name; no frame is lost."""
from __future__ import annotations

import errno
from typing import Any

import pytest
from frames import (
    BROADCAST,
    FAR,
    GATEWAY,
    MS,
    OTHER,
    OTHER_MAC,
    OUR_MAC,
    PEER,
    PEER_MAC,
    SECOND,
    US,
    Host,
    Socket,
    arp,
    ether,
    mapped,
    parse_ip,
)

REQUEST, REPLY, ARP = 1, 2, 0x0806


def question(target: str, to: bytes = BROADCAST) -> bytes:
    """The frame by which we ask for a MAC address."""
    return ether(arp(REQUEST, US, target, OUR_MAC), ARP, to, OUR_MAC)


def answer(sender: str = PEER, mac: bytes = PEER_MAC) -> bytes:
    """The frame by which a neighbour answers us."""
    return ether(arp(REPLY, sender, US, mac, OUR_MAC), ARP, OUR_MAC, mac)


@pytest.fixture
def sock(host: Host) -> Socket:
    """A datagram socket."""
    made = Socket(host)
    assert made.bind(US, 4000) == 0
    return made


def resolved(host: Host, to: str) -> Any:
    """What a flow to that address remembers of its way."""
    dst = host.ffi.new("struct gd_dst *")
    assert host.lib.gd_dst_resolve(host.stack, dst, host.ffi.new("struct gd_addr *", [list(mapped(to))])) == 0
    return dst


def send(host: Host, sock: Socket, data: bytes = b"x", to: str = PEER) -> list[bytes]:
    """Send a datagram; return the frames that left."""
    assert sock.sendto(data, to, 9) == len(data)
    host.poll()
    return host.take()


def test_address_is_announced_when_it_is_added(host: Host) -> None:
    assert host.announcement == [ether(arp(REQUEST, US, US, OUR_MAC), ARP, BROADCAST, OUR_MAC)]


def test_question_for_us_is_answered_and_the_asker_learnt(host: Host, sock: Socket) -> None:
    asked = ether(arp(REQUEST, PEER, US), ARP, BROADCAST)
    assert host.answer(asked) == [ether(arp(REPLY, US, PEER, OUR_MAC, PEER_MAC), ARP, PEER_MAC, OUR_MAC)]
    (frame,) = send(host, sock)
    assert frame[:6] == PEER_MAC


def test_question_for_somebody_else_teaches_nothing(host: Host) -> None:
    assert host.answer(ether(arp(REQUEST, PEER, OTHER), ARP, BROADCAST)) == []
    assert host.dropped() == {"arp_drop_not_ours": 1}
    assert host.stack.neigh_count == 0


def test_answer_that_nobody_asked_for_teaches_nothing(host: Host) -> None:
    assert host.answer(answer()) == []
    assert host.stack.neigh_count == 0


def test_asker_from_another_subnet_is_answered_but_not_learnt(host: Host) -> None:
    assert len(host.answer(ether(arp(REQUEST, FAR, US), ARP, BROADCAST))) == 1
    assert host.stack.neigh_count == 0


def test_probe_is_answered_without_learning_a_zero_address(host: Host) -> None:
    (reply,) = host.answer(ether(arp(REQUEST, "0.0.0.0", US), ARP, BROADCAST))
    assert reply[:6] == PEER_MAC
    assert host.stack.neigh_count == 0


@pytest.mark.parametrize(
    "packet",
    [
        arp(REQUEST, PEER, US)[:27],
        b"",
        b"\0\2" + arp(REQUEST, PEER, US)[2:],
        arp(REQUEST, PEER, US)[:4] + b"\x08\x04" + arp(REQUEST, PEER, US)[6:],
        arp(3, PEER, US),
        arp(REQUEST, PEER, US, BROADCAST),
    ],
)
def test_malformed_arp_is_dropped_and_counted(host: Host, packet: bytes) -> None:
    assert host.answer(ether(packet, ARP, BROADCAST)) == []
    assert host.dropped() == {"arp_drop_malformed": 1}


def test_packet_waits_for_the_answer_and_then_leaves(host: Host, sock: Socket) -> None:
    assert send(host, sock, b"one") == [question(PEER)]
    assert send(host, sock, b"two") == []
    frames = host.answer(answer())
    assert [(frame[:6], parse_ip(frame).payload[8:]) for frame in frames] == [(PEER_MAC, b"one"), (PEER_MAC, b"two")]
    assert send(host, sock, b"three")[0][:6] == PEER_MAC


def test_question_from_the_awaited_host_releases_what_waits(host: Host, sock: Socket) -> None:
    send(host, sock, b"one")
    frames = host.answer(ether(arp(REQUEST, PEER, US), ARP, BROADCAST))
    assert sorted(frame[12:14] for frame in frames) == [b"\x08\x00", b"\x08\x06"]


def test_ninth_packet_pushes_out_the_oldest(host: Host, sock: Socket) -> None:
    for number in range(9):
        send(host, sock, b"%d" % number)
    assert host.dropped() == {"neigh_drop_queue_full": 1}
    frames = host.answer(answer())
    assert [parse_ip(frame).payload[8:] for frame in frames] == [b"%d" % number for number in range(1, 9)]


def test_three_questions_a_second_apart_then_the_packets_fail(host: Host, sock: Socket) -> None:
    seen = [(0, frame) for frame in send(host, sock)]
    for tenth in range(1, 60):
        host.advance(100 * MS)
        seen += [(tenth, frame) for frame in host.take()]
    assert [frame for _, frame in seen] == [question(PEER)] * 3
    assert [tenth for tenth, _ in seen] == pytest.approx([0, 10, 20], abs=1)
    assert host.dropped() == {"neigh_drop_unreachable": 1}


def test_connect_to_a_dead_neighbour_fails_with_ehostunreach_after_three_seconds(host: Host) -> None:
    stream = Socket(host, kind=1)
    assert stream.connect(PEER, 80) == -errno.EINPROGRESS
    host.advance(2900 * MS)
    assert not stream.ready() & host.lib.GD_ERR
    host.advance(200 * MS)
    value, length = host.ffi.new("int *"), host.ffi.new("uint32_t *", 4)
    assert host.lib.gd_sock_getsockopt(stream.c, 1, 4, value, length) == 0
    assert value[0] == errno.EHOSTUNREACH
    stream.close()


def test_next_packet_to_a_dead_neighbour_fails_at_once_and_later_asks_again(host: Host, sock: Socket) -> None:
    send(host, sock)
    host.advance(3100 * MS)
    host.take()
    host.dropped()
    assert send(host, sock) == []
    host.advance(5 * MS)
    assert host.dropped() == {"neigh_drop_unreachable": 1}
    host.advance(2 * SECOND)
    assert host.stack.neigh_count == 0
    assert send(host, sock) == [question(PEER)]


def test_packet_that_waits_counts_as_unsent(host: Host, sock: Socket) -> None:
    assert host.lib.gd_stack_unsent(host.stack) == 0
    send(host, sock)
    assert host.lib.gd_stack_unsent(host.stack) == 1
    host.answer(answer())
    assert host.lib.gd_stack_unsent(host.stack) == 0


def test_dead_neighbour_that_speaks_is_alive(host: Host, sock: Socket) -> None:
    send(host, sock)
    host.advance(3100 * MS)
    host.inject(answer())
    host.take()
    assert send(host, sock)[0][:6] == PEER_MAC


def test_idle_entry_goes_stale_is_used_and_then_probed_by_unicast(host: Host, sock: Socket) -> None:
    send(host, sock)
    host.answer(answer())
    host.advance(46 * SECOND)
    assert host.take() == []
    assert len(send(host, sock)) == 1
    host.advance(4 * SECOND)
    assert host.take() == []
    host.advance(1100 * MS)
    assert host.take() == [question(PEER, PEER_MAC)]
    host.inject(answer())
    host.advance(10 * SECOND)
    assert host.take() == []


def test_neighbour_that_leaves_is_probed_thrice_and_then_asked_for_anew(host: Host, sock: Socket) -> None:
    send(host, sock)
    host.answer(answer())
    host.advance(46 * SECOND)
    send(host, sock)
    host.advance(20 * SECOND)
    assert host.take() == [question(PEER, PEER_MAC)] * 3
    assert send(host, sock, b"late") == [question(PEER)]
    frames = host.answer(answer(mac=OTHER_MAC))
    assert [(frame[:6], parse_ip(frame).payload[8:]) for frame in frames] == [(OTHER_MAC, b"late")]


def test_progress_of_tcp_saves_the_probe(host: Host, sock: Socket) -> None:
    send(host, sock)
    host.answer(answer())
    host.advance(46 * SECOND)
    send(host, sock)
    host.lib.gd_neigh_confirm(host.stack, resolved(host, PEER), host.now)
    host.advance(14 * SECOND)
    assert host.take() == []


def test_progress_through_an_entry_that_is_gone_confirms_nothing(host: Host, sock: Socket) -> None:
    send(host, sock)
    host.answer(answer())
    dst = resolved(host, PEER)
    host.advance(700 * SECOND)
    assert host.stack.neigh_count == 0
    host.lib.gd_neigh_confirm(host.stack, dst, host.now)
    assert send(host, sock) == [question(PEER)]


def test_unused_entry_is_gone_after_a_while(host: Host, sock: Socket) -> None:
    send(host, sock)
    host.answer(answer())
    assert host.stack.neigh_count == 1
    host.advance(700 * SECOND)
    assert host.stack.neigh_count == 0
    assert host.take() == []


def test_gratuitous_arp_moves_a_known_neighbour(host: Host, sock: Socket) -> None:
    send(host, sock)
    host.answer(answer())
    host.inject(ether(arp(REQUEST, PEER, PEER, OTHER_MAC), ARP, BROADCAST, OTHER_MAC))
    assert send(host, sock)[0][:6] == OTHER_MAC


def test_static_neighbour_is_asked_for_never_and_moved_by_nobody(host: Host, sock: Socket) -> None:
    host.learn()
    host.inject(ether(arp(REQUEST, PEER, US, OTHER_MAC), ARP, BROADCAST, OTHER_MAC))
    host.advance(1000 * SECOND)
    host.take()
    assert send(host, sock)[0][:6] == PEER_MAC


def test_static_neighbour_releases_what_waits(host: Host, sock: Socket) -> None:
    send(host, sock, b"one")
    host.learn()
    host.poll()
    assert [parse_ip(frame).payload[8:] for frame in host.take()] == [b"one"]


def test_claim_of_our_address_is_counted_and_defended_every_ten_seconds(host: Host) -> None:
    claim = ether(arp(REQUEST, US, US, OTHER_MAC), ARP, BROADCAST, OTHER_MAC)
    assert host.answer(claim) == host.announcement
    assert host.answer(claim) == []
    host.advance(11 * SECOND)
    assert host.answer(claim) == host.announcement
    assert host.moved()["arp_conflict"] == 3
    assert host.stack.neigh_count == 0


def test_claim_of_one_address_leaves_the_defence_of_another(host: Host) -> None:
    """RFC 5227 2.4 (b) counts for each address: or a false claim of one would silence the other for 10 s."""
    other = "10.0.0.77"
    assert host.lib.gd_stack_add_address(host.stack, host.index, mapped(other), 24) == 0
    host.poll()
    host.take()
    first, second = (ether(arp(REQUEST, own, own, OTHER_MAC), ARP, BROADCAST, OTHER_MAC) for own in (US, other))
    assert len(host.answer(first)) == 1
    assert len(host.answer(second)) == 1
    assert host.answer(second) == []


def test_own_arp_that_comes_back_is_no_conflict(host: Host) -> None:
    assert host.answer(*host.announcement) == []
    assert "arp_conflict" not in host.moved()


def test_gateway_is_asked_for_and_used(host: Host, sock: Socket) -> None:
    assert host.route("0.0.0.0", 0, GATEWAY) == 0
    sock.close()
    far = Socket(host)
    assert send(host, far, b"x", FAR) == [question(GATEWAY)]
    (frame,) = host.answer(answer(GATEWAY, OTHER_MAC))
    assert (frame[:6], parse_ip(frame).dst) == (OTHER_MAC, FAR)


def test_gateway_outside_our_subnets_is_learnt_as_well(host: Host) -> None:
    assert host.route("192.0.2.0", 24, None) == 0
    assert send(host, Socket(host), b"x", FAR) == [question(FAR)]
    assert len(host.answer(answer(FAR))) == 1


def test_table_is_bounded_and_the_oldest_gives_way(host: Host) -> None:
    for number in range(host.lib.GD_NEIGHS + 300):
        sender = f"10.0.0.{number % 250 + 3}"
        host.inject(ether(arp(REQUEST, sender, US), ARP, BROADCAST))
    assert host.stack.neigh_count == 250
    assert host.lib.gd_stack_add_address(host.stack, host.index, mapped("10.9.0.1"), 16) == 0
    for number in range(host.lib.GD_NEIGHS + 300):
        host.inject(ether(arp(REQUEST, f"10.9.{number // 250 + 1}.{number % 250 + 3}", "10.9.0.1"), ARP, BROADCAST))
    assert host.stack.neigh_count == host.lib.GD_NEIGHS


def test_flood_of_questions_evicts_itself_and_not_a_neighbour_in_use(host: Host, sock: Socket) -> None:
    send(host, sock)
    host.answer(answer())
    send(host, sock)
    assert host.lib.gd_stack_add_address(host.stack, host.index, mapped("10.9.0.1"), 16) == 0
    for number in range(host.lib.GD_NEIGHS + 300):
        host.inject(ether(arp(REQUEST, f"10.9.{number // 250 + 1}.{number % 250 + 3}", "10.9.0.1"), ARP, BROADCAST))
    host.take()
    assert send(host, sock)[0][:6] == PEER_MAC


def test_detaching_frees_what_waits(host: Host, sock: Socket) -> None:
    send(host, sock)
    assert host.lib.gd_stack_detach(host.stack, host.index) == 0
    assert host.stack.neigh_count == 0
    assert sock.sendto(b"x", PEER, 9) == -errno.EINVAL  # the address that it is bound to went along


def test_neighbours_set_by_hand_are_never_pushed_out(host: Host) -> None:
    pin, many = host.lib.gd_stack_set_neighbour, host.lib.GD_NEIGHS
    peers = [mapped(f"10.9.{number // 250}.{number % 250 + 1}") for number in range(many + 1)]
    assert {pin(host.stack, host.index, peer, PEER_MAC) for peer in peers[:many]} == {0}
    assert pin(host.stack, host.index, peers[many], PEER_MAC) == -errno.ENOMEM
    assert host.dropped() == {"neigh_drop_table_full": 1}
