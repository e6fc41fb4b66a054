"""TCP's behaviour, and ICMP's, UDP's and ARP's where they touch it: every .pkt script in the folders beside this file.

Run one by `pytest tests/tcp -k name`; what the language offers stands in greendpdk/testing/script.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from greendpdk.testing import play

HERE = Path(__file__).parent
SCRIPTS = sorted(HERE.rglob("*.pkt"))
ISN_TICK = 4096  # ns of the engine's ISN clock (RFC 6528 3)
NEAR_WRAP = 2**32 - 150  # so that most scripts' own bytes wrap

# What is not the same over IPv6, by folder or script.
IPV4_ONLY = {
    "arp": "IPv6 has neighbour discovery: tests/unit/test_nd.py",
    "admin_prohibited": "EACCES there: ipv6/prohibited_ends_a_connect6.pkt",
    "source_quench": "ICMPv6 has none",
    "host_unknown": "ICMPv6 has none",
    "protocol_unreachable": "EPROTO there, a parameter problem",
    "bad_ip_csum": "IPv6's header has no checksum",
    "mss 8960": "the script says its MTU",
    "mss 960": "the script says its MTU",
    "mss 65495": "the script says its MTU",
    "frag_needed": "the headers are longer: ipv6/too_big_lowers_the_segment_size.pkt",
    "fresh_connection": "tells of the path's MTU",
    "(536)": "1,220 there: ipv6/peer_without_mss_option_gets_1220_bytes.pkt",
    "(1024) ack": "the floor is 1,280 there",
    "IP_TTL": "ipv6/hop_limit_and_class_are_on_the_wire.pkt",
    "IP_TOS": "ipv6/hop_limit_and_class_are_on_the_wire.pkt",
    "EMSGSIZE": "the headers are longer",
    "sin_addr": "the script names an IPv4 address",
}


def over_ipv6(path: Path) -> bool:
    text = path.stem + path.read_text()
    return path.parent.name != "ipv6" and not any(word in text or word == path.parent.name for word in IPV4_ONLY)


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_script(path: Path) -> None:
    play(path)


@pytest.mark.parametrize("path", [path for path in SCRIPTS if over_ipv6(path)], ids=name_of)
def test_script_over_ipv6(path: Path) -> None:
    """The same with IPv6's addresses and headers, and an MTU that leaves room for them."""
    play(path, ip_version="ipv6")


@pytest.mark.parametrize("path", [path for path in SCRIPTS if path.parent.name != "cookies"], ids=name_of)
def test_script_where_our_sequence_numbers_wrap(path: Path) -> None:
    """The same at an hour at which the stack chooses an ISN just below 2^32; the peer's numbers start at 1,000.

    A SYN cookie is no number of the clock.
    """
    start = 1000 * 10**9
    isn = play(path, start=start, remote_isn=1000).first_isn
    if isn is None:  # nothing was opened: no number to wrap
        return
    later = start + (NEAR_WRAP - isn) % 2**32 * ISN_TICK
    wrapped = play(path, start=later, remote_isn=1000).first_isn
    assert wrapped is not None
    assert (wrapped - NEAR_WRAP) % 2**32 < 2**28  # the script opens a moment later than the clock starts


def test_every_script_says_what_it_claims() -> None:
    """A script begins with a comment, and most of them cite the rule that they are about."""
    texts = {path: path.read_text() for path in SCRIPTS}
    assert [path.name for path, text in texts.items() if not text.startswith("// ")] == []
    assert len({path.stem for path in SCRIPTS}) == len(SCRIPTS) >= 250
