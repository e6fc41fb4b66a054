"""ss(8)'s filter: `state established and ( dport = :443 or src 10.0.0.0/8 )`.

Called by ss.py; calls nothing. The grammar is iproute2's:

    filter      [ state S | exclude S ]… [ expression ]
    expression  term { (and | or) term }, `and` may be left out and binds closer; not, ! and ( ) as usual
    term        src|dst [OP] HOST[/LEN][:PORT]      sport|dport [OP] [:]PORT
    OP          = == eq != ne > gt < lt >= ge <= le
"""

from __future__ import annotations

import ipaddress
import operator
import socket
from collections.abc import Callable
from typing import Any

Row = dict[str, Any]
Test = Callable[[Row], bool]

NAMES = {
    "established": "ESTAB", "syn-sent": "SYN-SENT", "syn-recv": "SYN-RECV", "fin-wait-1": "FIN-WAIT-1",
    "fin-wait-2": "FIN-WAIT-2", "time-wait": "TIME-WAIT", "closed": "UNCONN", "close-wait": "CLOSE-WAIT",
    "last-ack": "LAST-ACK", "listening": "LISTEN", "closing": "CLOSING",
}  # fmt: skip
ALL = frozenset(NAMES.values())
CONNECTED = ALL - {"UNCONN", "LISTEN"}
_GROUPS = {
    "all": ALL, "connected": CONNECTED, "synchronized": CONNECTED - {"SYN-SENT"},
    "bucket": frozenset({"SYN-RECV", "TIME-WAIT"}), "big": ALL - {"SYN-RECV", "TIME-WAIT"},
}  # fmt: skip
DEFAULT = CONNECTED - {"TIME-WAIT", "SYN-RECV"}
_OPERATORS: dict[str, Callable[[int, int], bool]] = {
    "=": operator.eq, "==": operator.eq, "eq": operator.eq, "!=": operator.ne, "ne": operator.ne,
    ">": operator.gt, "gt": operator.gt, "<": operator.lt, "lt": operator.lt,
    ">=": operator.ge, "ge": operator.ge, "<=": operator.le, "le": operator.le,
}  # fmt: skip


class FilterError(ValueError):
    """The filter makes no sense; the text says where."""


def parse(words: list[str], states: frozenset[str]) -> tuple[frozenset[str], Test]:
    """Return the states that are wanted (states, where the filter names none) and the expression."""
    tokens = " ".join(words).replace("(", " ( ").replace(")", " ) ").split()
    wanted: frozenset[str] | None = None
    while tokens[:1] in (["state"], ["exclude"]):
        word = tokens.pop(0)
        named = _states(_take(tokens, f"a state after {word!r}"))
        if word == "state":
            wanted = named if wanted is None else wanted | named
        else:
            wanted = (ALL if wanted is None else wanted) - named
    test: Test = lambda row: True  # noqa: E731
    if tokens:
        test = _either(tokens)
        if tokens:
            raise FilterError(f"{tokens[0]!r} was not expected there")
    return (states if wanted is None else wanted), test


def port_of(endpoint: str) -> int:
    """Return the port of "host:port"; 0 for "*"."""
    text = endpoint.rpartition(":")[2]
    return 0 if text == "*" else int(text)


def host_of(endpoint: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the address of "host:port" or "[host]:port"."""
    return ipaddress.ip_address(endpoint.rpartition(":")[0].strip("[]"))


def _take(tokens: list[str], what: str) -> str:
    if not tokens:
        raise FilterError(f"the filter ends where there should be {what}")
    return tokens.pop(0)


def _states(name: str) -> frozenset[str]:
    if name in _GROUPS:
        return _GROUPS[name]
    if name not in NAMES:
        raise FilterError(f"{name!r} is no state; there are: {', '.join([*NAMES, *_GROUPS])}")
    return frozenset({NAMES[name]})


def _either(tokens: list[str]) -> Test:
    tests = [_both(tokens)]
    while tokens[:1] in (["or"], ["||"], ["|"]):
        tokens.pop(0)
        tests.append(_both(tokens))
    return tests[0] if len(tests) == 1 else lambda row: any(test(row) for test in tests)


def _both(tokens: list[str]) -> Test:
    tests = [_term(tokens)]
    while tokens and tokens[0] not in ("or", "||", "|", ")"):
        if tokens[0] in ("and", "&&", "&"):
            tokens.pop(0)
        tests.append(_term(tokens))
    return tests[0] if len(tests) == 1 else lambda row: all(test(row) for test in tests)


def _term(tokens: list[str]) -> Test:
    word = _take(tokens, "a condition")
    if word in ("not", "!"):
        denied = _term(tokens)
        return lambda row: not denied(row)
    if word == "(":
        inner = _either(tokens)
        if _take(tokens, "a )") != ")":
            raise FilterError("a ) is missing")
        return inner
    if word in ("src", "dst"):
        return _host("local" if word == "src" else "peer", tokens)
    if word in ("sport", "dport"):
        return _port("local" if word == "sport" else "peer", tokens)
    raise FilterError(f"{word!r} is no condition; there are: src, dst, sport, dport, not, ( )")


def _operator(tokens: list[str]) -> Callable[[int, int], bool]:
    return _OPERATORS[tokens.pop(0)] if tokens and tokens[0] in _OPERATORS else operator.eq


def _number(text: str) -> int:
    text = text.lstrip(":")
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        return socket.getservbyname(text)
    except OSError:
        raise FilterError(f"{text!r} is no port, and no name of one in /etc/services") from None


def _port(side: str, tokens: list[str]) -> Test:
    compare = _operator(tokens)
    number = _number(_take(tokens, "a port"))
    return lambda row: compare(port_of(row[side]), number)


def _host(side: str, tokens: list[str]) -> Test:
    negate = _operator(tokens) is operator.ne
    text = _take(tokens, "an address")
    port = 0
    if text.startswith("["):
        text, _, rest = text[1:].partition("]")
        port, text = (_number(rest[1:]) if rest.startswith(":") else 0), text + (rest if rest.startswith("/") else "")
    elif text.count(":") == 1:
        text, _, name = text.partition(":")
        port = _number(name)
    try:
        network = ipaddress.ip_network(text, strict=False) if text not in ("", "*") else None
    except ValueError:
        raise FilterError(f"{text!r} is no address and no network") from None

    def test(row: Row) -> bool:
        fits = (network is None or host_of(row[side]) in network) and (not port or port_of(row[side]) == port)
        return fits != negate

    return test
