"""A device that calls wrong checksums right is found out by a sample, and believed no more."""
from __future__ import annotations

from frames import PEER, TCP, US, Host, Socket, ip4, udp

OK, DOUBT = 0x04, 0x100  # GD_RX_L4_CSUM_OK, GD_RX_L4_CSUM_DOUBT
WRONG = {"checksum": 0x1234}


def give(host: Host, packet: bytes, flags: int) -> None:
    netif = host.lib.gd_netif_find(host.stack, host.index)
    host.lib.gd_ip4_input(netif, packet, len(packet), flags, False, host.now)


def test_a_device_is_believed_until_a_sample_shows_that_it_lies(host: Host) -> None:
    sock = Socket(host)
    assert sock.bind(US, 7) == 0
    give(host, ip4(udp(b"right")), DOUBT)
    assert sock.recvfrom() == (b"right", PEER, 5000)
    give(host, ip4(udp(b"believed", **WRONG)), OK)
    assert sock.recvfrom() == (b"believed", PEER, 5000)
    give(host, ip4(udp(b"seen", **WRONG)), DOUBT)
    give(host, ip4(udp(b"believed no more", **WRONG)), OK)
    assert sock.recvfrom() == -11
    moved = host.moved()
    assert moved["eth_checksum_lies"] == 1 and moved["udp_drop_checksum"] == 2
    sock.close()


def test_a_wrong_segment_in_a_sample_is_a_lie_too(host: Host) -> None:
    give(host, ip4(bytes(12) + b"\x50\x02" + bytes(2) + b"\x12\x34" + bytes(2), TCP), DOUBT)
    moved = host.moved()
    assert moved["eth_checksum_lies"] == 1 and moved["tcp_drop_checksum"] == 1


def test_what_a_device_says_nothing_of_is_no_lie(host: Host) -> None:
    give(host, ip4(udp(b"", **WRONG)), 0)
    assert host.moved().get("eth_checksum_lies", 0) == 0
