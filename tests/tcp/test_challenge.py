"""Challenge ACKs tell nobody of other connections (CVE-2016-5696)."""

from __future__ import annotations

from greendpdk.testing.script import play_text

OPEN = """
0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 200) = 0
"""
CONNECTION = """
+0 < [port {port}] S 0:0(0) win 65535 <mss 1000>
+0 > [port {port}] S. 0:0(0) ack 1 <...>
+0 < [port {port}] . 1:1(0) ack 1 win 65535
"""
CHALLENGE = """
+0 < [port {port}] R 100:100(0) win 0
+0 > [port {port}] . 1:1(0) ack 1
"""


def test_a_hundred_answers_on_some_connections_do_not_silence_another() -> None:
    """A limit that all share would show an attacker whether somebody else's connection has drawn on it."""
    ports = range(2001, 2103)
    text = OPEN + "".join(CONNECTION.format(port=port) + CHALLENGE.format(port=port) for port in ports)
    play_text(text)
