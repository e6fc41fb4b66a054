"""A little DNS server (dnspython) on sockets of any kind: what it knows, what it was asked, and how it misbehaves.

Used by tests/socket (on the stack's own loopback); run as `name_server.py ADDRESS NAME TYPE DATA ...` it serves on the
kernel's sockets, for tests/dpdk.
"""
from __future__ import annotations

import socket as standard
import struct
import sys
from collections.abc import Callable
from typing import Any

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import gevent
import pytest

STREAM = standard.SOCK_STREAM
A, AAAA = "A", "AAAA"
ZONE = {
    ("name.test", A): ["127.0.0.9"], ("name.test", AAAA): ["fd00::9"],
    ("four.test", A): ["127.0.0.4", "127.0.0.5"],
    ("six.test", AAAA): ["fd00::6"],
    ("alias.test", "CNAME"): ["middle.test."], ("middle.test", "CNAME"): ["four.test."],
    ("loop.test", "CNAME"): ["loop.test."],
    ("short.corp.test", A): ["127.0.0.77"],
    ("xn--bcher-kva.test", A): ["127.0.0.88"],
    ("9.0.0.127.in-addr.arpa", "PTR"): ["name.test."],
    ("7.2.0.192.in-addr.arpa", "PTR"): ["host.test.", "other.test."],
    ("8.2.0.192.in-addr.arpa", "PTR"): ["bad\\010name.test."],
    ("big.test", A): [f"10.0.{at // 250}.{at % 250 + 1}" for at in range(300)],
}  # fmt: skip


class NameServer:
    """Answers from `zone`: {(name, type): [data, ...]}; a name with no type at all does not exist."""

    def __init__(self, socket: Any, address: str = "127.0.0.53", zone: dict[tuple[str, str], list[str]] | None = None,
                 ttl: int = 60) -> None:
        self.zone = zone or {}
        self.ttl = ttl
        self.soa = True
        self.asked: list[str] = []  # "name TYPE", with " tcp" behind it
        self.ports: list[int] = []
        self.ids: list[int] = []
        self.edns: list[bool] = []
        # What is sent instead of the true reply, for a test that wants trouble: messages, bytes, or nothing.
        self.trouble: Callable[[dns.message.Message, dns.message.Message, bool], list[Any]] | None = None
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.udp = socket.socket(family, socket.SOCK_DGRAM)
        self.udp.bind((address, 53))
        self.tcp = socket.socket(family)
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.tcp.bind((address, 53))
        self.tcp.listen()
        self.serving = [gevent.spawn(self._serve_udp), gevent.spawn(self._serve_tcp)]

    def __enter__(self) -> NameServer:
        return self

    def __exit__(self, *error: Any) -> None:
        gevent.killall(self.serving)
        self.udp.close()
        self.tcp.close()

    def _serve_udp(self) -> None:
        while True:
            wire, client = self.udp.recvfrom(4096)
            self.ports.append(client[1])
            for reply in self._replies(wire, False):
                self.udp.sendto(reply, client)

    def _serve_tcp(self) -> None:
        while True:
            sock, _ = self.tcp.accept()
            with sock, sock.makefile("rb") as stream:
                while head := stream.read(2):
                    for reply in self._replies(stream.read(*struct.unpack("!H", head)), True):
                        sock.sendall(struct.pack("!H", len(reply)) + reply)

    def _replies(self, wire: bytes, tcp: bool) -> list[bytes]:
        query = dns.message.from_wire(wire)
        self.asked.append(f"{query.question[0].name.to_text(True)} "
                          f"{dns.rdatatype.to_text(query.question[0].rdtype)}{' tcp' if tcp else ''}")
        self.ids.append(query.id)
        self.edns.append(query.edns >= 0)
        reply = self.answer(query)
        if not tcp and len(reply.to_wire(max_size=65535)) > max(query.payload, 512):
            reply.answer.clear()
            reply.flags |= dns.flags.TC
        replies = [reply] if self.trouble is None else self.trouble(query, reply, tcp)
        return [one if isinstance(one, bytes) else one.to_wire(max_size=65535) for one in replies]

    def answer(self, query: dns.message.Message) -> dns.message.Message:
        """Make the true reply."""
        reply = dns.message.make_response(query, recursion_available=True)
        question = query.question[0]
        name = question.name
        rdtype = dns.rdatatype.to_text(question.rdtype)
        while data := self.zone.get((text := name.to_text(True).lower(), "CNAME")):
            if len(reply.answer) > 20:
                break
            reply.answer.append(dns.rrset.from_text_list(name, self.ttl, "IN", "CNAME", data))
            name = dns.name.from_text(data[0])
        data = self.zone.get((text, rdtype), [])
        if data:
            reply.answer.append(dns.rrset.from_text_list(name, self.ttl, "IN", rdtype, data))
            return reply
        if not any(known == text for known, _ in self.zone):
            reply.set_rcode(dns.rcode.NXDOMAIN)
        if self.soa:
            soa = f"ns.test. root.test. 1 7200 900 1209600 {self.ttl}"
            reply.authority.append(dns.rrset.from_text("test.", self.ttl, "IN", "SOA", soa))
        return reply


def addresses(host: Any, family: int = 0, flags: int = 0, kind: int = STREAM, port: Any = 80) -> list[str]:
    """Return what getaddrinfo finds, in its order."""
    from greendpdk import socket

    return [entry[4][0] for entry in socket.getaddrinfo(host, port, family, kind, 0, flags)]


def code(call: Callable[..., Any], *args: Any) -> tuple[Any, ...]:
    """Return the error that a call must raise: its class's name, its number and words."""
    with pytest.raises((standard.gaierror, standard.herror)) as caught:
        call(*args)
    return type(caught.value).__name__, *caught.value.args


def main() -> None:
    """Serve on the kernel's sockets until the end."""
    import gevent.socket

    words = sys.argv[2:]
    records = zip(words[::3], words[1::3], words[2::3], strict=True)
    zone = {(name, kind): data.split(",") for name, kind, data in records}
    with NameServer(gevent.socket, sys.argv[1], zone) as server:
        print("serving", flush=True)
        gevent.joinall(server.serving)


if __name__ == "__main__":
    main()
