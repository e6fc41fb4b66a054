"""The .pkt player itself: what it reads, and that it notices what a stack does wrong."""

from __future__ import annotations

import pytest

from greendpdk.testing._lines import Call, Ellipsis_, Func, Name, StructValue, parse_script
from greendpdk.testing._packet import Fields, PacketLine, TcpLine, UnreachableLine
from greendpdk.testing.script import ScriptError, ScriptSyntaxError, play_text
from greendpdk.testing.segment import ACK, PSH, SYN, Arp, Frame, Icmp, Ip, Tcp, Udp, build, parse

OPEN = """
   0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
  +0 bind(3, ..., ...) = 0
  +0 listen(3, 8) = 0
  +0 < S 0:0(0) win 65535 <mss 1000>
  +0 > S. 0:0(0) ack 1 <mss 1460>
 +.1 < . 1:1(0) ack 1 win 65535
  +0 accept(3, ..., ...) = 4
"""


OPTIONS = (("mss", 1460), ("nop",), ("TS", 1, 2), ("sack", 1, 5), ("raw", 99, 3, 4))


def only(text: str) -> object:
    return parse_script(text).statements[0].what


def test_packet_line_is_read() -> None:
    line = only("+0 < [ttl 3, tos 0x10] P. 1:1001(1000) ack 5 win 257 <nop,nop,TS val 7 ecr 8,mss 1460>")
    options = (("nop",), ("nop",), ("TS", 7, 8), ("mss", 1460))
    assert line == PacketLine(True, Fields(ttl=3, tos=16), TcpLine(PSH | ACK, 1, 1000, 5, 257, None, options))


def test_dots_in_angle_brackets_are_any_options() -> None:
    assert only("+0 > S 0:0(0) <...>") == PacketLine(False, Fields(), TcpLine(SYN, 0, 0, 0, None, None, None))


def test_icmp_line_is_read() -> None:
    line = only("+0 < icmp unreachable frag_needed mtu 1200 [1:1001(1000)]")
    assert line == PacketLine(True, Fields(), UnreachableLine(4, 1200, 1, 1000))


def test_call_is_read() -> None:
    address = '{sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("1.2.3.4")}'
    call = only(f"0 connect(3, {address}, 16) = -1 EINPROGRESS (x)")
    fields = (
        ("sa_family", Name(("AF_INET",))),
        ("sin_port", Func("htons", (80,))),
        ("sin_addr", Func("inet_addr", ("1.2.3.4",))),
    )
    assert call == Call("connect", (3, StructValue(fields), 16), -1, "EINPROGRESS")
    assert only("0 fcntl(4, F_SETFL, O_RDWR|O_NONBLOCK) = 0x2 (flags O_RDWR)") == Call(
        "fcntl", (4, Name(("F_SETFL",)), Name(("O_RDWR", "O_NONBLOCK"))), 2
    )
    assert only("0 read(4, ..., 10) = ...") == Call("read", (4, Ellipsis_(), 10), Ellipsis_())


@pytest.mark.parametrize(
    ("text", "start", "relative", "any_time", "to", "until"),
    [
        ("0.5", 0.5, False, False, None, None),
        ("+.1", 0.1, True, False, None, None),
        ("*", 0.0, True, True, None, None),
        ("+.2~+.4", 0.2, True, False, 0.4, None),
        ("0.1...0.2", 0.1, False, False, None, 0.2),
        ("+0...0.25", 0.0, True, False, None, 0.25),
    ],
)
def test_time_is_read(text: str, start: float, relative: bool, any_time: bool, to: float, until: float) -> None:
    when = parse_script(f"{text} read(4, ..., 10) = 0").statements[0].when
    assert (when.start, when.relative, when.any, when.to, when.until) == (start, relative, any_time, to, until)


def test_comments_and_options_are_read() -> None:
    script = parse_script("--mtu=900 --arp\n/* a\nb */ 0 close(3) = 0 // c\n# d\n+1 %{\n  x = 1\n  y = 2\n}%\n")
    assert script.options == {"mtu": "900", "arp": ""}
    assert [statement.line for statement in script.statements] == [3, 5]


@pytest.mark.parametrize(
    "text",
    [
        "0 > Q 0:0(0)",
        "0 < . 1:1(0) win 5",
        "0 < . 1:3(1) ack 1 win 5",
        "0 close(3 = 0",
        "0 close(3)",
        "0 < S 0:0(0) win 1 <x>",
    ],
)
def test_nonsense_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(ScriptSyntaxError, match="1"):
        parse_script(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("+0 write(4, ..., 10) = 9", "write returned 10"),
        ("+0 read(4, ..., 10) = 0", "the call blocks"),
        ("+0...0.1 read(4, ..., 10) = 0", "still blocks"),
        ("+0 > . 1:1(0) ack 1", "nothing was sent"),
        ("+0 write(4, ..., 10) = 10", "also sent: 0.100000 P. 1:11\\(10\\) ack 1"),
        ("+0 write(4, ..., 10) = 10\n+0 > . 1:11(10) ack 1", "flags: . expected, P. sent"),
        ("+0 write(4, ..., 10) = 10\n+0 > P. 1:12(11) ack 1", "length: 11 expected, 10 sent"),
        ("+0 write(4, ..., 10) = 10\n+0 > P. 2:12(10) ack 1", "sequence number: 2 expected, 1 sent"),
        ("+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 2", "acknowledgment number: 2 expected, 1 sent"),
        ("+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 1 win 5", "window: 5 expected, 65535 sent"),
        ("+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 1 <nop>", None),
        ("+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 1 <mss 9>", "options: <mss 9> expected, <> sent"),
        ("+0 write(4, ..., 10) = 10\n+0 > [ttl 9] P. 1:11(10) ack 1", "ttl: 9 expected, 64 sent"),
        ("+0 write(4, ..., 10) = 10\n+.2 > P. 1:11(10) ack 1", "time: 0.300000 expected, sent at 0.100000"),
        ("+0 < P. 1:11(10) ack 1 win 9\n+0 > . 1:1(0) ack 11", "time: 0.100000 expected, sent at 0.14"),
        ("+0 bogus(4) = 0", "no such call: bogus"),
        ("+0 setsockopt(4, SOL_TCP, BOGUS, [1], 4) = 0", "no such constant: BOGUS"),
        ("+0 %{ assert state(4) == 'CLOSED' }%", "the assertion does not hold"),
        ("+0 accept(3, ..., ...) = -1 EAGAIN", "the call blocks"),
    ],
)
def test_player_notices(text: str, said: str | None) -> None:
    script = OPEN + text + ("\n+.1 < . 1:1(0) ack 11 win 65535" if said is None else "")
    if said is None:
        play_text(script)
        return
    with pytest.raises(ScriptError, match=said):
        play_text(script)


def test_failure_shows_all_that_went_before() -> None:
    with pytest.raises(ScriptError) as caught:
        play_text(OPEN + "+0 write(4, ..., 10) = 10\n+0 > P. 1:12(11) ack 1", "some.pkt")
    text = str(caught.value)
    assert text.startswith("some.pkt:10: at 0.100000 s")
    assert "expected  +0 > P. 1:12(11) ack 1" in text
    assert "0.100000 > P. 1:11(10) ack 1" in text
    assert "0.000000 < S 0:0(0)" in text
    assert "accept = " in text


@pytest.mark.parametrize(
    "layer",
    [
        Tcp(80, 1001, 5, 7, SYN | ACK, 1000, 3, OPTIONS, b"xyz"),
        Udp(53, 1001, b"hello"),
        Icmp(8, 0, 0x10002, b"ping"),
    ],
)
def test_frame_that_is_built_is_parsed_back(layer: Tcp | Udp | Icmp) -> None:
    ip = Ip("10.0.0.1", "10.0.0.2", layer, 0, 7, 4, 99)
    seen = parse(build(Frame(b"\2" * 6, b"\4" * 6, ip)))
    assert isinstance(seen.body, Ip)
    assert (seen.errors, seen.body.layer, seen.body.ttl, seen.body.tos) == ((), layer, 7, 4)


def test_arp_that_is_built_is_parsed_back() -> None:
    arp = Arp(2, b"\2" * 6, "10.0.0.1", b"\4" * 6, "10.0.0.2")
    assert parse(build(Frame(b"\4" * 6, b"\2" * 6, arp))).body == arp


def test_wrong_checksum_is_named() -> None:
    ip = Ip("10.0.0.1", "10.0.0.2", Udp(1, 2, b"x"), bad_checksum="l4")
    assert parse(build(Frame(b"\2" * 6, b"\4" * 6, ip))).errors == ("transport checksum",)
