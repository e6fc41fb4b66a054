"""Frames at random for the lives of test_lives.py: who is on the wire, and what they say.

Called by test_lives.py; calls the helpers of tests/unit, which write the frames.
"""
from __future__ import annotations

import random
import struct
from collections.abc import Callable

from dhcp_server import ACK, NAK, OFFER, reply, usual
from frames import BROADCAST, OUR_MAC, arp, checksum, ether, four, icmp, ip4, mapped, udp
from frames6 import advert, ether6, icmp6, ip6, mac_option, solicit, udp6

V4 = [f"10.0.{net}.{host}" for net in range(3) for host in (1, 2, 9, 77, 255)]
V6 = [f"2001:db8:{net}::{host}" for net in range(3) for host in (1, 2, 9)] + ["fe80::1", "fe80::2"]
GROUPS, GROUPS6 = ["224.0.0.251", "239.1.2.3"], ["ff02::fb", "ff05::1:3"]


class Wire:
    """Frames of good and of bad will, each by one of these methods."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.xids: list[bytes] = []  # of our DHCP messages
        self.kinds: list[Callable[[], bytes]] = [
            self.arp, self.solicit, self.advert, self.router, self.query, self.datagram, self.fragment, self.fragment6,
            self.lease, self.syn, self.ping, self.ping6, self.unreachable, self.headers,
        ]

    def frame(self) -> bytes:
        """Any."""
        return self.dice.choice(self.kinds)()

    def v4(self) -> str:
        """Return an address that is ours, theirs or nobody's."""
        return self.dice.choice(V4)

    def v6(self) -> str:
        """Return one of IPv6."""
        return self.dice.choice(V6)

    def arp(self) -> bytes:
        """Request or answer."""
        to = self.dice.choice([BROADCAST, OUR_MAC])
        return ether(arp(self.dice.choice([1, 2]), self.v4(), self.v4()), 0x0806, to)

    def solicit(self) -> bytes:
        """Neighbour solicitation, from nobody too: duplicate address detection."""
        return ether6(solicit(self.v6(), self.dice.choice([self.v6(), "::"]), options=self.dice.choice([None, b""])))

    def advert(self) -> bytes:
        """Neighbour advertisement with any flags."""
        flags = self.dice.choice([0, 0x20, 0x40, 0x60, 0xE0, 0x80])
        return ether6(advert(self.v6(), flags, dst=self.dice.choice([self.v6(), "ff02::1"])))

    def router(self) -> bytes:
        """Router advertisement: prefixes that live and die, an MTU."""
        lives = ([0, 1, 100, 2**32 - 1], [0, 1, 50])
        options = self.dice.choice([b"", mac_option(1), bytes([5, 1, 0, 0]) + struct.pack("!I", 1400)])
        for _ in range(self.dice.randrange(3)):
            valid, preferred = (self.dice.choice(some) for some in lives)
            options += struct.pack("!BBBBIII", 3, 4, 64, 0xC0, valid, preferred, 0)
            options += mapped(f"2001:db8:{self.dice.randrange(9)}::")
        source = self.dice.choice(["fe80::1", "fe80::2", "fe80::3"])
        head = struct.pack("!BBH", 64, 0, self.dice.choice([0, 1, 9, 1800]))
        body = icmp6(134, 0, head, bytes(8) + options, src=source, dst="ff02::1")
        return ether6(ip6(body, 58, source, "ff02::1", hops=255))

    def query(self) -> bytes:
        """IGMP query of each version."""
        group, tail = self.dice.choice(["0.0.0.0", *GROUPS]), self.dice.choice([b"", struct.pack("!BBH", 2, 125, 0)])
        body = bytes([0x11, self.dice.choice([0, 1, 100]), 0, 0]) + four(group) + tail
        body = body[:2] + struct.pack("!H", checksum(body)) + body[4:]
        packet = ip4(body, 2, self.v4(), "224.0.0.1", options=b"\x94\x04\0\0", ttl=1)
        return ether(packet, to=bytes.fromhex("01005e000001"))

    def datagram(self) -> bytes:
        """UDP."""
        source, target = self.v4(), self.v4()
        return ether(ip4(udp(b"x" * self.dice.randrange(50), src=source, dst=target, dport=7), src=source, dst=target))

    def fragment(self) -> bytes:
        """One of three of a datagram."""
        source, target, at = self.v4(), self.v4(), self.dice.randrange(3) * 1480
        part = udp(b"x" * 3000, src=source, dst=target)[at : at + 1480]
        flags = at // 8 | (0x2000 if at < 2960 else 0)
        return ether(ip4(part, 17, src=source, dst=target, ident=self.dice.randrange(3), fragment=flags))

    def fragment6(self) -> bytes:
        """The same of IPv6."""
        source, target, at = self.v6(), self.v6(), self.dice.randrange(3) * 1232
        part = udp6(b"x" * 3000, src=source, dst=target)[at : at + 1232]
        head = struct.pack("!BBHI", 17, 0, at | (at < 2464), self.dice.randrange(3))
        return ether6(ip6(head + part, 44, source, target))

    def lease(self) -> bytes:
        """Return what a DHCP server says to the last that was asked."""
        xid = self.dice.choice(self.xids or [bytes(4)])
        return reply(xid, self.dice.choice([OFFER, ACK, NAK]), usual(self.dice.choice([1, 5, 100])))

    def syn(self) -> bytes:
        """A stranger's."""
        source, target = self.v4(), self.v4()
        head = struct.pack("!HHIIBBHHH", self.dice.randrange(1, 9), 7, self.dice.randrange(99), 0, 0x50, 2, 1000, 0, 0)
        return ether(ip4(head, 6, src=source, dst=target))

    def ping(self) -> bytes:
        """Echo request."""
        return ether(ip4(icmp(8, data=b"x" * self.dice.choice([3, 900])), 1, src=self.v4(), dst=self.v4()))

    def ping6(self) -> bytes:
        """Echo request of IPv6."""
        source, target, data = self.v6(), self.v6(), b"x" * self.dice.choice([3, 900])
        return ether6(ip6(icmp6(128, data=data, src=source, dst=target), 58, source, target))

    def unreachable(self) -> bytes:
        """An error about a datagram that may have been ours."""
        source, target = self.v4(), self.v4()
        quote = ip4(udp(b"q", 7, 9, src=target, dst=source), 17, target, source)
        rest = struct.pack("!HH", 0, self.dice.choice([0, 600]))
        return ether(ip4(icmp(3, self.dice.choice([1, 3, 4]), rest, quote), 1, src=source, dst=target))

    def headers(self) -> bytes:
        """Extension headers of noise."""
        return ether6(ip6(self.dice.randbytes(40), self.dice.choice([0, 43, 44, 60, 58]), self.v6(), self.v6()))
