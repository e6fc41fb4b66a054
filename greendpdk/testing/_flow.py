"""Turn a script's numbers into the wire's and back: sequence numbers, timestamps, ports, the pattern of the bytes.

Called by _player.py; calls segment.py. What the stack chooses (ISN, ephemeral port, timestamp clock) is learned from
the first packet that shows it; from then on each packet must fit to it.

    live sequence number of ours   = script's + local_shift     (learned from the SYN or SYN-ACK)
    live sequence number of theirs = script's + remote_shift    (setting --remote_isn)
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from greendpdk.testing._packet import Fields, TcpLine, UdpLine
from greendpdk.testing.segment import ACK, RST, SYN, Ip, Option, Tcp, Udp, flags_text, options_text

CYCLE = 251  # a prime: no segment size makes the same bytes stand at the same place
_PATTERN = bytes(range(CYCLE)) * 300
WORD = 2**32


def pattern(start: int, length: int) -> bytes:
    """Return bytes [start, start + length) of the stream that every script's connection carries."""
    start %= CYCLE
    if start + length <= len(_PATTERN):
        return _PATTERN[start : start + length]
    return (_PATTERN * (length // len(_PATTERN) + 2))[start : start + length]


def _as_set(options: tuple[Option, ...]) -> tuple[Option, ...]:
    """Return options without their order and padding."""
    return tuple(sorted((option for option in options if option[0] not in ("nop", "eol")), key=str))


def _signed(number: int) -> int:
    """Return a live number near zero as a script would write it."""
    number %= WORD
    return number - WORD if number >= WORD // 2 else number


@dataclass
class Flow:
    """One connection, or one pair of UDP ports, as the script and as the wire see it."""

    local_port: int
    remote_port: int
    remote_shift: int
    ts_tick_us: int = 0
    ts_slack: int = 5  # ticks, if there are ticks
    local_shift: int | None = None
    remote_syn: int | None = None  # the script's number of the last SYN that came in
    answered_syn: int | None = None  # and of the one that local_shift was learned from
    ts_live: dict[int, int] = field(default_factory=dict)  # script's TS val of ours -> live
    ts_shift: int | None = None

    # -- script to wire ---------------------------------------------------------------------
    def inbound(self, line: TcpLine) -> Tcp:
        """Build the segment that the script sends."""
        if line.flags & SYN and not line.flags & ACK:
            self.remote_syn = line.seq
        ack = line.ack + (self.local_shift or 0) if line.flags & ACK else 0
        begin = line.seq - 1 + (1 if line.flags & SYN else 0)
        return Tcp(
            self.remote_port,
            self.local_port,
            (line.seq + self.remote_shift) % WORD,
            ack % WORD,
            line.flags,
            line.window or 0,
            line.urgent or 0,
            tuple(map(self._option_in, line.options or ())),
            pattern(begin, line.length),
        )

    def _option_in(self, option: Option) -> Option:
        if option[0] == "TS":
            return ("TS", option[1], self._ts_to_live(int(option[2])))
        if option[0] == "sack":
            shift = self.local_shift or 0
            return ("sack", *((int(edge) + shift) % WORD for edge in option[1:]))
        return option

    def _ts_to_live(self, script: int) -> int:
        if self.ts_tick_us and self.ts_shift is not None:
            return (script + self.ts_shift) % WORD
        return self.ts_live.get(script, script)

    # -- wire to script ---------------------------------------------------------------------
    def learn(self, line: TcpLine, tcp: Tcp) -> None:
        """Take from a packet that fits in kind what the stack was free to choose."""
        if line.flags & SYN and not line.flags & RST:
            fresh = self.remote_syn is not None and self.remote_syn != self.answered_syn
            if self.local_shift is None or fresh:
                self.local_shift = (tcp.seq - line.seq) % WORD
                self.answered_syn = self.remote_syn
        expected = next((option for option in line.options or () if option[0] == "TS"), None)
        actual = next((option for option in tcp.options if option[0] == "TS"), None)
        if expected is None or actual is None:
            return
        script, live = int(expected[1]), int(actual[1])
        self.ts_live.setdefault(script, live)
        if self.ts_shift is None:
            self.ts_shift = (live - script) % WORD

    def script_tcp(self, tcp: Tcp) -> Tcp:
        """Return a segment of ours in the script's numbers."""
        options = tuple(map(self._option_out, tcp.options))
        seq = _signed(tcp.seq - (self.local_shift or 0)) if tcp.seq or self.local_shift else 0
        if tcp.flags & RST and tcp.seq == 0:  # RFC 9293 3.10.7.1: the answer to a segment without ACK
            seq = 0
        ack = _signed(tcp.ack - self.remote_shift) if tcp.flags & ACK else 0
        return replace(tcp, seq=seq, ack=ack, options=options)

    def _option_out(self, option: Option) -> Option:
        if option[0] == "TS":
            live = int(option[1])
            if self.ts_tick_us and self.ts_shift is not None:
                return ("TS", (live - self.ts_shift) % WORD, option[2])
            known = [script for script, seen in self.ts_live.items() if seen == live]
            return ("TS", known[0] if known else live, option[2])
        if option[0] == "sack":
            return ("sack", *(_signed(int(edge) - self.remote_shift) for edge in option[1:]))
        return option

    def inbound_text(self, line: TcpLine) -> str:
        """Return how an inbound line reads."""
        return line_text(line)

    # -- comparing --------------------------------------------------------------------------
    def differences(self, line: TcpLine, tcp: Tcp, exact_options: bool) -> list[str]:
        """Name every field of a segment that is not as the line says."""
        self.learn(line, tcp)
        seen = self.script_tcp(tcp)
        wrong: list[str] = []
        pairs: list[tuple[str, object, object]] = [
            ("flags", flags_text(line.flags), flags_text(seen.flags)),
            ("sequence number", line.seq, seen.seq),
            ("length", line.length, len(seen.payload)),
            ("acknowledgment number", line.ack, seen.ack),
        ]
        if line.window is not None:
            pairs.append(("window", line.window, seen.window))
        if line.urgent is not None:
            pairs.append(("urgent pointer", line.urgent, seen.urgent))
        for name, want, got in pairs:
            if want != got:
                wrong.append(f"{name}: {want} expected, {got} sent")
        begin = seen.seq - 1 + (1 if seen.flags & SYN else 0)
        if not wrong and seen.payload != pattern(begin, len(seen.payload)):
            wrong.append("the payload is not what was written there")
        if line.options is not None and not self._same_options(line.options, seen.options, exact_options):
            wrong.append(f"options: <{options_text(line.options)}> expected, <{options_text(seen.options)}> sent")
        return wrong

    def _same_options(self, want: tuple[Option, ...], got: tuple[Option, ...], exact: bool) -> bool:
        if not exact:
            want, got = _as_set(want), _as_set(got)
        return len(want) == len(got) and all(map(self._same_option, want, got))

    def _same_option(self, want: Option, got: Option) -> bool:
        if want[0] == got[0] == "TS" and self.ts_tick_us:
            return want[2] == got[2] and abs(_signed(int(want[1]) - int(got[1]))) <= self.ts_slack
        return want == got


def line_text(line: TcpLine | UdpLine) -> str:
    """Return a line in packetdrill's words."""
    if isinstance(line, UdpLine):
        return f"udp ({line.length})"
    parts = [flags_text(line.flags), f"{line.seq}:{line.seq + line.length}({line.length})"]
    if line.flags & ACK:
        parts.append(f"ack {line.ack}")
    if line.window is not None:
        parts.append(f"win {line.window}")
    if line.options is None:
        parts.append("<...>")
    elif line.options:
        parts.append(f"<{options_text(line.options)}>")
    return " ".join(parts)


def ip_differences(fields: Fields, ip: Ip) -> list[str]:
    """Name every field of an IP header that is not as said."""
    pairs = (("ttl", fields.ttl, ip.ttl), ("tos", fields.tos, ip.tos), ("df", fields.df, ip.df))
    return [f"{name}: {want} expected, {got} sent" for name, want, got in pairs if want not in (None, got)]


def ports(layer: Tcp | Udp) -> tuple[int, int]:
    """Return (ours, theirs) of a packet that we sent."""
    return layer.sport, layer.dport
