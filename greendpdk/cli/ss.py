"""greendpdk ss: the connections of a running process, as ss(8) shows the kernel's.

Called by cli/__init__.py; calls _client.py and _filter.py.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import sys
from typing import Any

from greendpdk.cli import _client, _filter
from greendpdk.cli._filter import ALL, DEFAULT, FilterError

Row = dict[str, Any]
_HEADER = ("Netid", "State", "Recv-Q", "Send-Q", "Local Address:Port", "Peer Address:Port")
_INFINITE = 2**64 - 1
_OPTIONS = ((1, "ts"), (2, "sack"), (8, "ecn"), (16, "ecnseen"))  # TCPI_OPT_
# What ss -i shows, in its words: (word, field); milliseconds and rates are apart.
_COUNTS = (
    ("mss", "snd_mss"), ("pmtu", "pmtu"), ("rcvmss", "rcv_mss"), ("advmss", "advmss"), ("cwnd", "snd_cwnd"),
    ("ssthresh", "snd_ssthresh"), ("bytes_sent", "bytes_sent"), ("bytes_retrans", "bytes_retrans"),
    ("bytes_acked", "bytes_acked"), ("bytes_received", "bytes_received"), ("segs_out", "segs_out"),
    ("segs_in", "segs_in"), ("data_segs_out", "data_segs_out"), ("data_segs_in", "data_segs_in"),
)  # fmt: skip
_TAIL = (
    ("delivered", "delivered"), ("unacked", "unacked"), ("lost", "lost"), ("sacked", "sacked"),
    ("dsack_dups", "dsack_dups"), ("reord_seen", "reord_seen"), ("rcv_ooopack", "rcv_ooopack"),
    ("rcv_space", "rcv_space"), ("rcv_ssthresh", "rcv_ssthresh"),
    ("notsent", "notsent_bytes"), ("snd_wnd", "snd_wnd"), ("rcv_wnd", "rcv_wnd"),
)  # fmt: skip


def main(words: list[str]) -> int:
    """Show them; 1 if there is nobody to ask."""
    options = _parser().parse_intermixed_args(_without_p(words))
    states = ALL if options.all else frozenset({"LISTEN", "UNCONN"}) if options.listening else DEFAULT
    try:
        wanted, test = _filter.parse(options.filter, states)
        with _client.choose(options.pid) as process:
            user = _user(process.pid) if options.processes else ""
            rows = _unique(process.pages("sockets", ",info" if options.info or options.json else ""))
    except (_client.ClientError, FilterError) as error:
        print(f"greendpdk ss: {error}", file=sys.stderr)
        return 1
    if options.summary:
        _summarize(rows)
        return 0
    kinds = {kind for kind, asked in (("tcp", options.tcp), ("udp", options.udp)) if asked} or {"tcp", "udp"}
    rows = [row for row in rows if row["proto"] in kinds and row["state"] in wanted]
    rows = [row for row in rows if _of_family(row, options) and test(row)]
    rows.sort(key=lambda row: (row["proto"], row["state"] != "LISTEN", row["local"], row["peer"]))
    if options.json:
        print(json.dumps(rows, indent=1))
    else:
        _show(rows, options, user)
    return 0


def _without_p(words: list[str]) -> list[str]:
    """Take ss's own -p, alone or as in -tlnp, for --processes: there it has no number behind it."""
    found: list[str] = []
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if re.fullmatch("-[A-Za-z46]*p[A-Za-z46]*", word) and not (word.endswith("p") and following.isdigit()):
            found.append("--processes")
            word = word.replace("p", "")
        found += [word] if word != "-" else []
    return found


def _user(pid: int) -> str:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/comm") as file:
        return f'  users:(("{file.read().strip()}",pid={pid}))'
    return ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="greendpdk ss", description="Show the connections of a process that runs over greendpdk, as ss(8) does.",
        epilog="FILTER is ss's: state established, sport = :80, dst 10.0.0.0/8, and, or, not, ( )",
    )  # fmt: skip
    _client.add_option(parser)
    for short, name, text in (
        ("a", "all", "listeners and closed ones too"), ("l", "listening", "listeners only"), ("t", "tcp", "TCP"),
        ("u", "udp", "UDP"), ("o", "options", "timers"), ("i", "info", "TCP's own view: rtt, cwnd, retransmits, ..."),
        ("s", "summary", "counts only"), ("n", "numeric", "ports are always numbers; taken for ss's sake"),
        ("H", "no-header", "no header"), ("j", "json", "JSON, with everything that is known"),
    ):  # fmt: skip
        parser.add_argument(f"-{short}", f"--{name}", action="store_true", help=text)
    parser.add_argument("--processes", action="store_true", help="the process beside each; also -p without a number")
    parser.add_argument("-4", "--ipv4", action="store_true", help="IPv4 only")
    parser.add_argument("-6", "--ipv6", action="store_true", help="IPv6 only")
    parser.add_argument("filter", nargs="*", metavar="FILTER", help="which of them")
    return parser


def _unique(rows: Any) -> list[Row]:
    """Drop what was told twice as the stack's tables grew between two pages."""
    found: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        found[row["proto"], row["local"], row["peer"], row.get("id")] = row
    return list(found.values())


def _of_family(row: Row, options: argparse.Namespace) -> bool:
    v6 = row["local"].startswith("[")
    return not (options.ipv4 or options.ipv6) or (v6 and options.ipv6) or (not v6 and options.ipv4)


def _summarize(rows: list[Row]) -> None:
    states = {state: sum(row["proto"] == "tcp" and row["state"] == state for row in rows) for state in sorted(ALL)}
    tcp = sum(states.values())
    text = ", ".join(f"{state.lower()} {count}" for state, count in states.items() if count)
    print(f"Total: {len(rows)}\nTCP:   {tcp}{f' ({text})' if text else ''}\nUDP:   {len(rows) - tcp}")


def _show(rows: list[Row], options: argparse.Namespace, user: str) -> None:
    table: list[tuple[str, ...]] = [] if options.no_header else [_HEADER]
    table += [tuple(str(row[name]) for name in ("proto", "state", "recv_q", "send_q", "local", "peer")) for row in rows]
    widths = [max((len(line[at]) for line in table), default=0) for at in range(len(_HEADER))]
    for number, line in enumerate(table):
        text = "  ".join(cell.rjust(width) if at in (2, 3) else cell.ljust(width)
                         for at, (cell, width) in enumerate(zip(line, widths, strict=True)))  # fmt: skip
        row = rows[number - (not options.no_header)] if number or options.no_header else {}
        if row:
            text += user
        if options.options and "timer" in row:
            text += f"  timer:({row['timer']},{_time(row['timer_ms'])},{row['retries']})"
        print(text.rstrip())
        if options.info and "cc" in row and row["state"] != "LISTEN":
            print(f"\t {info_line(row)}")


def _time(milliseconds: int) -> str:
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    if milliseconds < 60_000:
        return f"{milliseconds / 1000:.1f}sec"
    return f"{milliseconds // 60_000}min{milliseconds % 60_000 // 1000}sec"


def info_line(row: Row) -> str:
    """Return what ss -i writes below a connection; row has the fields as tcpi_…, those that are 0 left out."""

    def of(name: str) -> int:
        return int(row.get(f"tcpi_{name}", 0))

    words = [name for bit, name in _OPTIONS if of("options") & bit] + [row["cc"]]
    if of("options") & 4:
        words.append(f"wscale:{of('wscales') & 15},{of('wscales') >> 4}")
    words.append(f"rto:{of('rto') / 1000:g}")
    words.append(f"rtt:{of('rtt') / 1000:g}/{of('rttvar') / 1000:g}")
    words += [f"{word}:{of(field)}" for word, field in _COUNTS if of(field) and of(field) != 0x7FFFFFFF]
    if of("rtt"):
        words.append(f"send {_rate(of('snd_cwnd') * of('snd_mss') * 8e6 / of('rtt'))}")
    words += [f"{word}:{of(field)}" for word, field in (("lastsnd", "last_data_sent"), ("lastrcv", "last_data_recv"),
                                                        ("lastack", "last_ack_recv")) if of(field)]  # fmt: skip
    if of("pacing_rate") not in (0, _INFINITE):
        words.append(f"pacing_rate {_rate(of('pacing_rate') * 8)}")
    if of("busy_time"):
        words.append(f"busy:{of('busy_time') // 1000}ms")
    if of("retrans") or of("total_retrans"):
        words.append(f"retrans:{of('retrans')}/{of('total_retrans')}")
    words += [f"{word}:{of(field)}" for word, field in _TAIL if of(field)]
    if of("min_rtt") not in (0, 0xFFFFFFFF):
        words.append(f"minrtt:{of('min_rtt') / 1000:g}")
    return " ".join(words)


def _rate(bits: float) -> str:
    for unit, size in (("Gbps", 1e9), ("Mbps", 1e6), ("Kbps", 1e3)):
        if bits >= size:
            return f"{bits / size:.3g}{unit}"
    return f"{bits:.0f}bps"
