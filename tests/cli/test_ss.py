"""greendpdk ss tells of a live process's sockets what ss(8) tells of the kernel's."""
from __future__ import annotations

import json
import socket
from typing import Any

import pytest
from watched import Watched

from greendpdk.cli import _client, _filter, ss

pytestmark = pytest.mark.needs("dpdk")


def test_default_are_connections_and_a_is_all(watched: Watched, greendpdk: Any) -> None:
    pid = str(watched.run.pid)
    lines = greendpdk("ss", "-p", pid).stdout.splitlines()
    assert lines[0].split()[:4] == ["Netid", "State", "Recv-Q", "Send-Q"] and len(lines) == 601
    assert {line.split()[1] for line in lines[1:]} == {"ESTAB"}
    lines = greendpdk("ss", "-atnH", "-p", pid).stdout.splitlines()
    assert len(lines) == 601 and lines[0].split()[:4] == ["tcp", "LISTEN", "0", "400"]


def test_filter_chooses(watched: Watched, greendpdk: Any) -> None:
    pid = str(watched.run.pid)
    listener = greendpdk("ss", "-lH", "-p", pid).stdout.split()[4]
    port = listener.rpartition(":")[2]
    found = greendpdk("ss", "-H", "-p", pid, "state", "established", "dport", "=", f":{port}")
    assert len(found.stdout.splitlines()) == 300
    found = greendpdk("ss", "-H", "-p", pid, f"( sport = {port} or dport = {port} ) and not src 10.0.0.0/8")
    assert len(found.stdout.splitlines()) == 600


def test_info_timers_json_and_summary(watched: Watched, greendpdk: Any) -> None:
    pid = str(watched.run.pid)
    text = greendpdk("ss", "-io", "-p", pid).stdout
    assert text.count("\t ") == 600 and "cubic" in text and "rtt:" in text and "cwnd:" in text
    rows = json.loads(greendpdk("ss", "-aj", "-p", pid).stdout)
    assert len(rows) == 601 and sum("tcpi_rto" in row for row in rows) == 600
    assert "TCP:   601 (estab 600, listen 1)" in greendpdk("ss", "-s", "-p", pid).stdout


def test_p_as_ss_has_it_shows_the_process(watched: Watched, greendpdk: Any) -> None:
    pid = watched.run.pid
    (line,) = greendpdk("ss", "-tulpnH", "-p", str(pid)).stdout.splitlines()
    assert line.split()[1] == "LISTEN" and line.endswith(f',pid={pid}))') and 'users:(("' in line
    assert "users:" not in greendpdk("ss", "-tlnp", str(pid)).stdout


@pytest.mark.parametrize("words, says", [
    (("-p", "1"), "process 1 runs no stack that this user may ask"),
    (("state", "nonsense"), "is no state"),
    (("dport", "=", "no-such-service"), "is no port"), (("dport", "=", ":\u00b2"), "is no port"),
    (("(", "dport", "=", "80"), "there should be a )"),
])  # fmt: skip
def test_a_mistake_is_one_sentence(watched: Watched, greendpdk: Any, words: tuple[str, ...], says: str) -> None:
    done = greendpdk("ss", *words, status=1)
    assert says in done.stderr and len(done.stderr.splitlines()) == 1


ROW = {"local": "10.0.0.2:80", "peer": "[2001:db8::1]:5000"}


@pytest.mark.parametrize("text, holds", [
    ("sport = :80", True), ("sport :80", True), ("sport eq http", True), ("sport != 80", False), ("sport gt 79", True),
    ("dport >= :5000 and dport <= 5000", True), ("sport = 1 or dport = 5000", True), ("! sport = 80", False),
    ("not ( sport = 80 and dport = 1 )", True), ("src 10.0.0.0/24", True), ("src 10.0.1.0/24", False),
    ("src != 10.0.1.0/24", True), ("src 10.0.0.2:80", True), ("src 10.0.0.2:81", False), ("src :80", True),
    ("dst 2001:db8::/32", True), ("dst [2001:db8::1]:5000", True), ("dst [2001:db8::1]:1", False),
    ("dst [2001:db8::]/32", True), ("sport = 1 or sport = 80 dport = 5000", True), ("", True),
])  # fmt: skip
def test_expression_is_read_as_iproute2_reads_it(text: str, holds: bool) -> None:
    assert _filter.parse([text], _filter.DEFAULT)[1](ROW) is holds


def test_states_add_up_and_are_taken_away() -> None:
    def states(text: str) -> frozenset[str]:
        return _filter.parse([text], _filter.DEFAULT)[0]

    assert states("state established state listening") == {"ESTAB", "LISTEN"}
    assert states("exclude listening exclude closed") == _filter.CONNECTED
    assert states("state connected exclude established") == _filter.CONNECTED - {"ESTAB"}
    assert states("dport = 1") == _filter.DEFAULT


def test_info_line_is_in_the_words_of_ss() -> None:
    row = {"cc": "bbr", "tcpi_options": 7, "tcpi_wscales": 0x79, "tcpi_rto": 201000, "tcpi_rtt": 1500,
           "tcpi_rttvar": 250, "tcpi_snd_mss": 1448, "tcpi_snd_cwnd": 10, "tcpi_total_retrans": 3,
           "tcpi_pacing_rate": 125_000_000}  # fmt: skip
    assert ss.info_line(row) == ("ts sack bbr wscale:9,7 rto:201 rtt:1.5/0.25 mss:1448 cwnd:10 send 77.2Mbps "
                                 "pacing_rate 1Gbps retrans:0/3")  # fmt: skip


@pytest.mark.parametrize(("sent", "told"), [
    (b'{"/greendpdk/info":{"program":"\\u001b]0;x\\u0007","row":{"\\n":1}}}', {"program": " ]0;x ", "row": {" ": 1}}),
    (b"\x1b", None), (b'{"a":"\xff"}', None), (b"[]", None), (b"{}", None),
])  # fmt: skip
def test_a_process_says_nothing_to_the_terminal(sent: bytes, told: dict[str, Any] | None) -> None:
    process = _client.Process.__new__(_client.Process)
    process.pid = 1
    process._socket, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with process, other:
        other.send(sent)
        if told is None:
            with pytest.raises(_client.ClientError, match="process 1 makes no sense"):
                process.ask("info")
        else:
            assert process.ask("info") == told
