"""Questions to name servers: which names, which server next, what an answer says, and how long it is kept.

Called by dns.py; calls dnspython for messages and socket.py for the sockets, each of which goes through the stack or
the kernel by its server's address. It does as the C library's res_send and res_search do (resolv.conf(5)):

    search     the name as it is if it has `ndots` dots, the search domains, the name as it is if it was not tried yet
    at once    who asks for what another greenlet is asking for waits for that one's answer
    one try    A and AAAA together from one fresh, connected socket; truncated: once more over TCP (RFC 7766)
    tries      each server in turn, `attempts` times; for the first `timeout` seconds, for server n timeout * 2**n / all
    next one   no answer, refused by ICMP, SERVFAIL, REFUSED, NOTIMP; a final one is an answer, NXDOMAIN or no data

What is not an answer to the question is dropped, and the wait goes on: the socket takes the server's address and port
only, and port and id are random (RFC 5452); after _WRONG_MAX such datagrams somebody is guessing, and TCP is asked.
Other greenlets run while one waits.
"""

from __future__ import annotations

import _socket
import struct
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
from gevent.event import AsyncResult

from greendpdk import _libc
from greendpdk._dns_files import Config
from greendpdk._interfaces import numbered
from greendpdk._wrapper import socket

A, AAAA, PTR = dns.rdatatype.A, dns.rdatatype.AAAA, dns.rdatatype.PTR
RdataType = dns.rdatatype.RdataType
# h_errno of <netdb.h>, and one more: another search domain may do better than a server's failure.
HOST_NOT_FOUND, TRY_AGAIN, NO_RECOVERY, NO_DATA, SERVER_FAILED = 1, 2, 3, 4, -1

PAYLOAD = 1232  # bytes of a datagram that no path fragments: DNS flag day 2020
CACHE_ENTRIES = 4096
_KEPT_DATA = 128  # A records that fit into a datagram of PAYLOAD bytes are 75
_TTL_MAX, _NEGATIVE_TTL_MAX = 86400, 3600  # seconds; RFC 8767 4 and RFC 2308 5 advise days, and hours
_DATAGRAM = 65535
_WRONG_MAX = 20  # a question, of 65,536 ids
_HALF_TTL = 30  # seconds; RFC 9520 3.2: from 1 to 300
_NEXT_SERVER = (dns.rcode.SERVFAIL, dns.rcode.REFUSED, dns.rcode.NOTIMP)
_WITHOUT_EDNS = (dns.rcode.FORMERR, dns.rcode.NOTIMP, dns.rcode.BADVERS)  # RFC 6891 7

Queries = dict[RdataType, dns.message.Message]


@dataclass(frozen=True)
class Answer:
    """What is known of one name and type: data, or why there is none."""

    error: int = 0  # 0, or h_errno
    canonical: str = ""
    aliases: tuple[str, ...] = ()  # the names that led there (CNAME)
    data: tuple[str, ...] = ()


class Cache:
    """Answers for as long as their TTL says, the least recently used dropped first.

    One of more than _KEPT_DATA addresses is not kept: a server could make 64 KiB of each of 4096 names of its own.
    """

    def __init__(self, entries: int = CACHE_ENTRIES) -> None:
        self._room = entries
        self._found: OrderedDict[tuple[str, RdataType], tuple[float, Answer]] = OrderedDict()

    def get(self, name: str, rdtype: RdataType) -> Answer | None:
        """Return what is still true."""
        key = name.lower(), rdtype
        expires, answer = self._found.get(key, (0.0, None))
        if answer is None or expires <= time.monotonic():
            self._found.pop(key, None)
            return None
        if rdtype != PTR and len(answer.data) > 1:  # each one begins with another address, as from servers (RFC 1794)
            answer = replace(answer, data=answer.data[1:] + answer.data[:1])
            self._found[key] = expires, answer
        self._found.move_to_end(key)
        return answer

    def put(self, name: str, rdtype: RdataType, answer: Answer, ttl: float) -> None:
        """Keep an answer for ttl seconds."""
        if ttl <= 0 or len(answer.data) > _KEPT_DATA:
            return
        self._found[name.lower(), rdtype] = time.monotonic() + ttl, answer
        self._found.move_to_end((name.lower(), rdtype))
        while len(self._found) > self._room:
            self._found.popitem(last=False)

    def clear(self) -> None:
        """Forget everything: other servers may say otherwise."""
        self._found.clear()

    def __len__(self) -> int:
        return len(self._found)


class Client:
    """Asks, and remembers."""

    def __init__(self) -> None:
        self.cache = Cache()
        self._servers: tuple[str, ...] = ()
        self._asking: dict[tuple[str, tuple[RdataType, ...], Config], AsyncResult] = {}
        self._turn = 0

    def search(self, name: str, rdtypes: tuple[RdataType, ...], config: Config) -> list[Answer]:
        """Look a name up, in the search domains too; one answer a type. The best that was heard if none has data."""
        if config.servers != self._servers:
            self._servers = config.servers
            self.cache.clear()
        worst = HOST_NOT_FOUND
        for candidate in _candidates(name, config):
            answers = self.ask(candidate, rdtypes, config)
            if any(answer.data for answer in answers):
                return answers
            errors = {answer.error for answer in answers}
            for final in (TRY_AGAIN, NO_RECOVERY):
                if final in errors:
                    return answers
            if NO_DATA in errors or (SERVER_FAILED in errors and worst == HOST_NOT_FOUND):
                worst = NO_DATA if NO_DATA in errors else SERVER_FAILED
        return [Answer(TRY_AGAIN if worst == SERVER_FAILED else worst)]

    def ask(self, name: str, rdtypes: tuple[RdataType, ...], config: Config) -> list[Answer]:
        """Look this very name up, in the cache first, or with another greenlet that does."""
        known = self._known(name, rdtypes)
        if len(known) == len(rdtypes):
            return [known[rdtype] for rdtype in rdtypes]
        question = name.lower(), rdtypes, config
        while (other := self._asking.get(question)) is not None:
            answers: list[Answer] | None = other.get()
            if answers is not None:
                return answers
        self._asking[question] = result = AsyncResult()
        answers = None
        try:
            answers = self._ask(name, rdtypes, config)
            return answers
        finally:  # None: it was interrupted, so the next one asks
            del self._asking[question]
            result.set(answers)

    def _known(self, name: str, rdtypes: tuple[RdataType, ...]) -> dict[RdataType, Answer]:
        return {rdtype: kept for rdtype in rdtypes if (kept := self.cache.get(name, rdtype))}

    def _ask(self, name: str, rdtypes: tuple[RdataType, ...], config: Config) -> list[Answer]:
        known = self._known(name, rdtypes)
        missing = [rdtype for rdtype in rdtypes if rdtype not in known]
        for group in [[rdtype] for rdtype in missing] if config.one_by_one else [missing]:
            if group:
                known |= self._ask_servers(name, group, config)
        failed = [rdtype for rdtype in rdtypes if known[rdtype].error in (TRY_AGAIN, SERVER_FAILED)]
        if len(failed) < len(rdtypes):  # a server or a firewall that drops one type shall not cost each call the wait
            for rdtype in set(failed) & set(missing):
                self.cache.put(name, rdtype, known[rdtype], _HALF_TTL)
        return [known[rdtype] for rdtype in rdtypes]

    def _ask_servers(self, name: str, rdtypes: list[RdataType], config: Config) -> dict[RdataType, Answer]:
        owner = _owner(name)
        if owner is None:
            return {rdtype: Answer(HOST_NOT_FOUND) for rdtype in rdtypes}
        left: Queries = {rdtype: _question(owner, rdtype) for rdtype in rdtypes}
        found = {rdtype: Answer(TRY_AGAIN) for rdtype in rdtypes}
        for server, seconds in self._tries(config):
            for rdtype, response in _exchange(server, left, seconds, config.tcp).items():
                answer, ttl = _read(response, rdtype)
                found[rdtype] = answer
                if answer.error != SERVER_FAILED:
                    self.cache.put(name, rdtype, answer, ttl)
                    del left[rdtype]
            if not left:
                break
        return found

    def _tries(self, config: Config) -> Iterator[tuple[str, float]]:
        servers = config.servers
        if config.rotate and servers:
            self._turn = (self._turn + 1) % len(servers)
            servers = servers[self._turn :] + servers[: self._turn]
        for _ in range(config.attempts):
            for at, server in enumerate(servers):
                yield server, max(config.timeout * 2**at / (len(servers) if at else 1), 1)


def _candidates(name: str, config: Config) -> Iterator[str]:
    if name.endswith("."):
        yield name[:-1]
        return
    as_it_is_first = name.count(".") >= config.ndots
    if as_it_is_first:
        yield name
    for domain in config.search:
        yield f"{name}.{domain}"
    if not as_it_is_first and ("." in name or not config.search or not config.no_tld_query):
        yield name


def _owner(name: str) -> dns.name.Name | None:
    try:
        return dns.name.Name([*name.encode("utf-8", "surrogateescape").split(b"."), b""])
    except dns.exception.DNSException:  # empty, or too long
        return None


def _question(owner: dns.name.Name, rdtype: RdataType) -> dns.message.Message:
    return dns.message.make_query(owner, rdtype, use_edns=0, payload=PAYLOAD)


def _read(response: dns.message.Message, rdtype: RdataType) -> tuple[Answer, float]:
    """Turn a response into an answer and its TTL in seconds."""
    rcode = response.rcode()
    if rcode == dns.rcode.FORMERR:
        return Answer(NO_RECOVERY), 0
    if rcode not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN) or not isinstance(response, dns.message.QueryMessage):
        return Answer(SERVER_FAILED), 0
    try:
        chain = response.resolve_chaining()
    except dns.exception.DNSException:  # a chain without an end, or two stories at once
        return Answer(SERVER_FAILED), 0
    canonical = _text(chain.canonical_name)
    aliases = tuple(name for cname in chain.cnames if is_hostname(name := _text(cname.name)))
    if chain.answer is None:
        lame = not response.flags & (dns.flags.AA | dns.flags.RA) and rcode == dns.rcode.NOERROR
        if lame and not chain.cnames:  # a referral: that server does not ask others for us
            return Answer(SERVER_FAILED), 0
        # RFC 2308 5: kept for as long as the SOA says, and not at all without one
        known_for = any(rrset.rdtype == dns.rdatatype.SOA for rrset in response.authority)
        ttl = min(chain.minimum_ttl, _NEGATIVE_TTL_MAX) if known_for else 0
        return Answer(HOST_NOT_FOUND if rcode == dns.rcode.NXDOMAIN else NO_DATA), ttl
    texts = (_text(rdata.target) if rdtype == PTR else str(rdata.address) for rdata in chain.answer)
    data = tuple(text for text in texts if rdtype != PTR or is_hostname(text))
    if not is_hostname(canonical) and rdtype != PTR or not data:
        return Answer(NO_RECOVERY), 0
    return Answer(0, canonical, aliases, data), min(chain.minimum_ttl, _TTL_MAX)


def _text(name: dns.name.Name) -> str:
    return str(name.to_text(omit_final_dot=True))


def is_hostname(text: str) -> bool:
    """Tell whether a name from the wire may be handed to a program, as the C library's res_hnok does."""
    return text[:1] != "-" and text.replace("-", "").replace("_", "").replace(".", "").isalnum() and text.isascii()


# ---- one server ----


def _exchange(server: str, queries: Queries, seconds: float, tcp: bool) -> Queries:
    """Ask one server; return the responses that came within so many seconds."""
    deadline = time.monotonic() + seconds
    got: Queries = {}
    try:
        if tcp:
            _over_tcp(server, queries, deadline, got)
            return got
        _over_udp(server, queries, deadline, got)
        old = {rdtype: query for rdtype, query in queries.items() if _is_old(got.get(rdtype))}
        if old:  # it does not know EDNS
            plain: Queries = {one: dns.message.make_query(query.question[0].name, one) for one, query in old.items()}
            _over_udp(server, plain, deadline, got)
        short = {rdtype: queries[rdtype] for rdtype, response in got.items() if response.flags & dns.flags.TC}
        if short:
            for rdtype in short:
                del got[rdtype]
            _over_tcp(server, short, time.monotonic() + seconds, got)  # handshake and all: the same time once more
    except OSError:  # refused, unreachable, or too late: the next one
        pass
    return got


def _is_old(response: dns.message.Message | None) -> bool:
    return response is not None and response.rcode() in _WITHOUT_EDNS


class _Socket(socket):
    """One that audit hooks are not told of, as they are not of the C library's."""

    if not TYPE_CHECKING:
        __slots__ = ()

    @staticmethod
    def _audit(*args: Any) -> None:
        """Say nothing."""


def _open(server: str, kind: int, deadline: float) -> socket:
    family, kind, proto, _, address = _libc.getaddrinfo(numbered(server), 53, 0, kind, 0, _socket.AI_NUMERICHOST)[0]
    sock = _Socket(family, kind, proto)
    try:
        sock.settimeout(_left(deadline))
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _over_udp(server: str, queries: Queries, deadline: float, got: Queries) -> None:
    waiting, wrong = dict(queries), 0
    with _open(server, _socket.SOCK_DGRAM, deadline) as sock:
        for query in queries.values():
            sock.send(query.to_wire())
        while waiting:
            sock.settimeout(_left(deadline))
            wrong += not _sort(sock.recv(_DATAGRAM), waiting, got)
            if wrong > _WRONG_MAX:  # data that is there is read without a switch, so this bounds that, too
                break
    if waiting:
        _over_tcp(server, waiting, deadline, got)


def _over_tcp(server: str, queries: Queries, deadline: float, got: Queries) -> None:
    """Ask over one connection (RFC 7766 6.2.1.1: all at once); a message begins with its length."""
    waiting = dict(queries)
    with _open(server, _socket.SOCK_STREAM, deadline) as sock:
        wires = [query.to_wire() for query in queries.values()]
        sock.sendall(b"".join(struct.pack("!H", len(wire)) + wire for wire in wires))
        while waiting:
            (length,) = struct.unpack("!H", _receive(sock, 2, deadline))
            _sort(_receive(sock, length, deadline), waiting, got)


def _receive(sock: socket, count: int, deadline: float) -> bytes:
    data = b""
    while len(data) < count:
        sock.settimeout(_left(deadline))
        more = sock.recv(count - len(data))
        if not more:
            raise ConnectionResetError("the name server has closed the connection")
        data += more
    return data


def _sort(wire: bytes, waiting: Queries, got: Queries) -> bool:
    """Put a response to its question; what is no answer to any is nobody's (False)."""
    try:
        response = dns.message.from_wire(wire, ignore_trailing=True, raise_on_truncation=False)
    except (dns.exception.DNSException, ValueError, struct.error):
        return False
    for rdtype, query in waiting.items():
        if query.is_response(response):
            got[rdtype] = response
            del waiting[rdtype]
            return True
    return False
