"""Read one packet line of a .pkt script.

Called by _lines.py; calls segment.py for names of options only.

    packet = ("<" | ">") [fields] (tcp | udp | icmp | arp)
    fields = "[" field {"," field} "]"   or in round brackets
    field  = "ttl" n | "tos" n | "ect0" | "ect1" | "ce" | "noecn" | "df" | "nodf" | "port" n
           | "bad_csum" | "bad_ip_csum"
    tcp    = flags [start ":" end "(" length ")"] ["ack" n] ["win" n] ["urg" n] ["<" options ">"]
    udp    = "udp" "(" length ")"
    icmp   = "icmp" ("unreachable" code ["mtu" n] | error) "[" (start ":" end "(" length ")" | "udp" "(" length ")") "]"
           | "icmp" ("echo_request" | "echo_reply") ["id" n] ["seq" n] "(" length ")"
    arp    = "arp" "who-has" address "tell" address | "arp" "reply" address "is-at" mac

error is source_quench, time_exceeded or parameter_problem. `port`, `bad_csum`, these errors, the echoes and ARP are
ours; the rest is packetdrill's. `port` is the peer's port, for scripts with more than one connection.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from greendpdk.testing.segment import ACK, FLAG_LETTERS, RST, Option

ECN = {"noecn": 0, "ect1": 1, "ect0": 2, "ce": 3}
UNREACHABLE = {
    "net_unreachable": 0,
    "host_unreachable": 1,
    "protocol_unreachable": 2,
    "port_unreachable": 3,
    "frag_needed": 4,
    "source_route_failed": 5,
    "net_unknown": 6,
    "host_unknown": 7,
    "net_prohibited": 9,
    "host_prohibited": 10,
    "admin_prohibited": 13,
}
OTHER_ERRORS = {"source_quench": 4, "time_exceeded": 11, "parameter_problem": 12}  # code 0
RANGE = r"(\d+):(\d+)\((\d+)\)"


@dataclass(frozen=True)
class Fields:
    """What is said of the IP packet; None: not said."""

    ttl: int | None = None
    tos: int | None = None
    df: bool | None = None
    port: int | None = None
    bad_checksum: str = ""


@dataclass(frozen=True)
class TcpLine:
    """A TCP segment in the script's sequence numbers; None: not said."""

    flags: int
    seq: int
    length: int
    ack: int
    window: int | None
    urgent: int | None
    options: tuple[Option, ...] | None  # None: "<...>"


@dataclass(frozen=True)
class UdpLine:
    """A datagram of so many bytes."""

    length: int


@dataclass(frozen=True)
class UnreachableLine:
    """An ICMP error about a segment that starts at seq, or about a datagram (seq None)."""

    code: int
    mtu: int
    seq: int | None
    length: int
    type: int = 3


@dataclass(frozen=True)
class EchoLine:
    """An ICMP echo."""

    reply: bool
    ident: int
    seq: int
    length: int


@dataclass(frozen=True)
class ArpLine:
    """Question (mac "") or answer about target."""

    target: str
    sender: str = ""
    mac: str = ""


@dataclass(frozen=True)
class PacketLine:
    """A packet that the script sends (inbound) or waits for."""

    inbound: bool
    fields: Fields
    what: TcpLine | UdpLine | UnreachableLine | EchoLine | ArpLine


def parse_packet(text: str) -> PacketLine:
    """Read a line that begins with < or >."""
    inbound, rest = text[0] == "<", text[1:].strip()
    fields = Fields()
    if match := re.match(r"\[([^\]]*)\]\s*|\(([^)]*)\)\s*", rest):
        fields = _parse_fields(match[1] or match[2])
        rest = rest[match.end() :]
    word = rest.split("(")[0].split()[:1]
    if word == ["udp"]:
        found = _match(r"udp\s*\((\d+)\)", rest)
        return PacketLine(inbound, fields, UdpLine(int(found[1])))
    if word == ["icmp"]:
        return PacketLine(inbound, fields, _parse_icmp(rest))
    if word == ["arp"]:
        return PacketLine(inbound, fields, _parse_arp(rest))
    return PacketLine(inbound, fields, _parse_tcp(rest, inbound))


def _match(pattern: str, text: str) -> re.Match[str]:
    found = re.fullmatch(pattern, text.strip())
    if found is None:
        raise ValueError(f"not understood: {text.strip()!r}")
    return found


def _parse_fields(text: str) -> Fields:
    values: dict[str, int | bool | str] = {}
    for item in text.split(","):
        word, *numbers = item.split()
        if word in ECN:
            values["tos"] = ECN[word]
        elif word in ("ttl", "tos", "port") and len(numbers) == 1:
            values[word] = int(numbers[0], 0)
        elif word in ("df", "nodf"):
            values["df"] = word == "df"
        elif word in ("bad_csum", "bad_ip_csum"):
            values["bad_checksum"] = "ip" if word == "bad_ip_csum" else "l4"
        else:
            raise ValueError(f"no such field of a packet: {item.strip()!r}")
    return Fields(**values)  # type: ignore[arg-type]


def _parse_tcp(text: str, inbound: bool) -> TcpLine:
    pattern = (
        rf"(?P<flags>[SFRPUEW.]+|-)(?:\s+{RANGE})?(?:\s+ack\s+(?P<ack>\d+))?(?:\s+win\s+(?P<win>\d+))?"
        r"(?:\s+urg\s+(?P<urg>\d+))?(?:\s*<(?P<options>[^>]*)>)?"
    )
    found = _match(pattern, text)
    flags = sum(bit for letter, bit in FLAG_LETTERS if letter in found["flags"])
    if bool(flags & ACK) != (found["ack"] is not None):
        raise ValueError("the flag '.' and the word 'ack' go together")
    start, end, length = (int(found[number] or 0) for number in (2, 3, 4))
    if end - start != length:
        raise ValueError(f"{start}:{end} is not {length} bytes")
    win = found["win"]
    if win is None and inbound:
        win = "0" if flags & RST or not flags & ACK else None
    if win is None and inbound:
        raise ValueError("an inbound segment needs its window")
    return TcpLine(
        flags,
        start,
        length,
        int(found["ack"] or 0),
        None if win is None else int(win),
        None if found["urg"] is None else int(found["urg"]),
        parse_option_words(found["options"] or ""),
    )


def parse_option_words(text: str) -> tuple[Option, ...] | None:
    """Read what stands between < and >; None for "..."."""
    if text.strip() == "...":
        return None
    return tuple(_parse_option(item.strip()) for item in text.split(",") if item.strip())


def _parse_option(item: str) -> Option:
    if found := re.fullmatch(r"TS val (\d+) ecr (\d+)", item):
        return ("TS", int(found[1]), int(found[2]))
    if found := re.fullmatch(r"(mss|wscale) (\d+)", item):
        return (found[1], int(found[2]))
    if item in ("nop", "eol", "sackOK"):
        return (item,)
    if found := re.fullmatch(r"sack((?: \d+:\d+)+)", item):
        return ("sack", *map(int, re.findall(r"\d+", found[1])))
    if found := re.fullmatch(r"raw ([0-9a-fA-F ]+)", item):
        return ("raw", *bytes.fromhex(found[1]))
    raise ValueError(f"no such TCP option: {item!r}")


def _parse_icmp(text: str) -> UnreachableLine | EchoLine:
    if found := re.fullmatch(r"icmp (echo_request|echo_reply)(?: id (\d+))?(?: seq (\d+))? \((\d+)\)", text.strip()):
        return EchoLine(found[1] == "echo_reply", int(found[2] or 0), int(found[3] or 0), int(found[4]))
    pattern = rf"icmp (?:unreachable )?(\w+)(?:\s+mtu\s+(\d+))?\s*\[\s*(?:{RANGE}|udp\s*\((\d+)\))\s*\]"
    found = _match(pattern, text)
    if found[1] not in UNREACHABLE and found[1] not in OTHER_ERRORS:
        raise ValueError(f"no such ICMP error: {found[1]}")
    is_tcp = found[3] is not None
    return UnreachableLine(
        UNREACHABLE.get(found[1], 0),
        int(found[2] or 0),
        int(found[3]) if is_tcp else None,
        int(found[5] if is_tcp else found[6]),
        OTHER_ERRORS.get(found[1], 3),
    )


def _parse_arp(text: str) -> ArpLine:
    if found := re.fullmatch(r"arp who-has (\S+) tell (\S+)", text.strip()):
        return ArpLine(found[1], found[2])
    found = _match(r"arp reply (\S+) is-at (\S+)", text)
    return ArpLine(found[1], mac=found[2])
