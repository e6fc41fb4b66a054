"""Invariant: an option that speaks of headers or of the way of packets shows in the packets."""
from __future__ import annotations

import errno
import struct

import pytest
from frames import FAR, GATEWAY, PEER, TCP, UDP, US, Host, Socket, checksum, ether, four, ip4, parse_ip
from frames6 import PEER6, Host6

IP, IPV6, SOL = 0, 41, 1
DONTROUTE, NO_CHECK, MTU_DISCOVER, MINTTL, AUTOFLOWLABEL = 5, 11, 10, 21, 70
DF, DONTROUTE_FLAG = 0x4000, 4


@pytest.mark.parametrize("size", [3, 4000])
def test_datagram_goes_without_a_checksum_if_asked(host: Host, size: int) -> None:
    host.learn()
    sock = Socket(host)
    for off in (0, 1):
        assert sock.setsockopt(SOL, NO_CHECK, off) == 0
        assert sock.sendto(bytes(size), PEER, 9) == size
        host.poll()
        first = host.ips()[0]
        assert first.proto == UDP
        assert (first.payload[6:8] == b"\0\0") is bool(off)


@pytest.mark.parametrize(("mode", "fragment"), [(0, 0), (1, DF), (2, DF), (3, 0)])
def test_df_of_a_connection_is_as_mtu_discovery_says(host: Host, mode: int, fragment: int) -> None:
    host.learn()
    sock = Socket(host, 1)
    assert sock.setsockopt(IP, MTU_DISCOVER, mode) == 0
    assert sock.connect(PEER, 80) == -errno.EINPROGRESS
    host.poll()
    (syn,) = host.ips()
    assert (syn.proto, syn.fragment) == (TCP, fragment)


def test_dontroute_reaches_neighbours_alone(host: Host) -> None:
    host.learn()
    host.learn(GATEWAY)
    assert host.route("0.0.0.0", 0, GATEWAY) == 0
    sock = Socket(host)
    assert sock.sendto(b"x", FAR, 9) == 1
    assert sock.sendto(b"x", FAR, 9, DONTROUTE_FLAG) == -errno.ENETUNREACH
    assert sock.sendto(b"x", PEER, 9, DONTROUTE_FLAG) == 1
    assert sock.sendto(b"x", FAR, 9) == 1  # of that one datagram only
    assert sock.setsockopt(SOL, DONTROUTE, 1) == 0
    assert sock.sendto(b"x", FAR, 9) == -errno.ENETUNREACH
    stream = Socket(host, 1)
    assert stream.setsockopt(SOL, DONTROUTE, 1) == 0
    assert stream.connect(FAR, 80) == -errno.ENETUNREACH


def syn(ttl: int) -> bytes:
    """A SYN to our port 80."""
    header = struct.pack("!HHIIBBHHH", 4000, 80, 1, 0, 0x50, 2, 1000, 0, 0)
    pseudo = four(PEER) + four(US) + struct.pack("!HH", TCP, len(header))
    return ether(ip4(header[:16] + struct.pack("!H", checksum(pseudo + header)) + header[18:], TCP, ttl=ttl))


def test_segment_from_further_away_than_minttl_is_dropped(host: Host) -> None:
    host.learn()
    listener = Socket(host, 1)
    assert listener.bind(port=80) == 0
    assert host.lib.gd_sock_listen(listener.c, 5) == 0
    assert listener.setsockopt(IP, MINTTL, 255) == 0
    host.moved()
    assert host.answer(syn(254)) == []
    assert host.dropped() == {"tcp_drop_far": 1}
    (answer,) = map(parse_ip, host.answer(syn(255)))
    assert answer.payload[13] == 0x12


def test_flow_label_is_left_out_if_asked(host6: Host6) -> None:
    host6.learn(PEER6)
    for off in (1, 0):
        sock = Socket(host6, 1, 10)  # type: ignore[arg-type]
        assert sock.setsockopt(IPV6, AUTOFLOWLABEL, off) == 0
        assert sock.connect(PEER6, 80) == -errno.EINPROGRESS
        host6.poll()
        (frame,) = (frame for frame in host6.take() if frame[20] == TCP)
        assert (int.from_bytes(frame[14:18], "big") & 0xFFFFF != 0) is bool(off)
